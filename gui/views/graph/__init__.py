"""The block graph on the screen."""
