"""Experiments on what skips, concatenations and gates do in a net: one file and one call each."""
