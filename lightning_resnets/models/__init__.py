"""The models, each family written with named merges; `zoo` has them by name."""
