"""Count the parameters of a model."""

from torch import nn


def count_parameters(model: nn.Module) -> int:
    """Count the scalars of all parameters, trainable or not; shared ones count once.

    Args:
        model: any model.

    Returns:
        The number of parameters.
    """
    return sum(weight.numel() for weight in model.parameters())
