"""What forms checkpoint files come in, each read as data: nothing in a file is called or imported."""
