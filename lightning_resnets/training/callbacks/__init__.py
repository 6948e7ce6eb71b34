"""Callbacks: checkpoints, exact resume, divergence, signals, model cards, and logs of skips and gates."""
