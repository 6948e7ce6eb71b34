"""Count the parameters of a model."""

from torch import nn


def count_parameters(model: nn.Module) -> int:
    """Return the number of parameters (scalars, trainable or not); shared ones count once."""
    return sum(weight.numel() for weight in model.parameters())
