"""Whose model a file without a card holds: dialects of names, architecture from shapes, the index of known models."""
