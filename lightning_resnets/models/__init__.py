"""Architectures, one family a file, written with named merges; `registry` lists them by name."""
