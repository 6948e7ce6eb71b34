"""Measurements, as ratios within one run: `python -m benchmarks.NAME [--json]`; never part of the
tests.
"""
