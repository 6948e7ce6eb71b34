"""Data sets: where their pictures come from and how batches are made of them."""
