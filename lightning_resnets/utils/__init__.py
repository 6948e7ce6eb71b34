"""Helpers without a subject of their own: text, files, downloads, building models."""
