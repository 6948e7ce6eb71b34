"""Experiments on what skips, concatenations and gates do in a model: one file and one call each."""
