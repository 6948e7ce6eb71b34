"""Identify the model of a file without a card: naming scheme, architecture, known models."""
