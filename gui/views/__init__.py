"""Dumb views: set_* brings plain data down, signals carry wishes up; no torch, no state of their own."""
