"""Fingerprints of the keys and shapes of third-party models."""
