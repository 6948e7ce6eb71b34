"""Everything that the desktop app runs: NumPy in, NumPy out."""
