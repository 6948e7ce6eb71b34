"""Graph view: a canvas with one painter for each node, merge input and dense block."""
