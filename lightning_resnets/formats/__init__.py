"""Checkpoint file formats, each read as data: nothing in a file is called or imported."""
