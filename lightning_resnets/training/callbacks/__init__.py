"""Callbacks for checkpoints, resuming, divergence, signals, model cards, skips and gates."""
