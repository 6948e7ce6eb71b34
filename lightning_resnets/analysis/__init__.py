"""Experiments on skip connections, concatenations and gates: one file and one function each."""
