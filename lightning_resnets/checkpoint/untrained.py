"""Tell models at initialization from trained ones by their weights alone."""

import math
from collections.abc import Iterator

from torch import Tensor, nn

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
NORMS = (*BATCH_NORMS, nn.LayerNorm, nn.GroupNorm)
WEIGHTED = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
# Relative; weights may have been stored in half precision.
ROUNDING = 1e-4


def has_initial_weights(model: nn.Module) -> bool:
    """Return True for a model that was never trained.

    The first training step changes the running statistics of every batch norm and nearly every
    other weight. So a model is untrained if all statistics are untouched; without statistics, if
    all scales of its norms are; without norms, if all weights and biases lie within the limits of
    torch's initialization.

    Args:
        model: the model.

    Returns:
        False also where nothing can be told, such as for a model without weights.
    """
    norms = [module for module in model.modules() if isinstance(module, NORMS)]
    with_statistics = [norm for norm in norms if getattr(norm, "running_mean", None) is not None]
    # Fusing moves statistics into the biases of convolutions and leaves untouched ones behind.
    if with_statistics:
        return all(map(_has_initial_statistics, with_statistics)) and _has_initial_biases(model)
    if norms:
        return all(map(_has_initial_scale, norms))
    return _is_within_initial_limits(model)


def _has_initial_statistics(norm: nn.Module) -> bool:
    """Return True for a batch norm that has seen no batch."""
    mean = norm.get_buffer("running_mean")
    variance = norm.get_buffer("running_var")
    return not mean.any() and bool((variance == 1).all())


def _has_initial_scale(norm: nn.Module) -> bool:
    """Return True if scale and bias are what every layer starts with; False without a scale."""
    weight = getattr(norm, "weight", None)
    bias = getattr(norm, "bias", None)
    if weight is None:
        return False
    # Blocks that start as the identity have a scale of 0.
    is_initial = bool((weight == 1).all()) or not weight.any()
    return is_initial and (bias is None or not bias.any())


def _weighted_modules(model: nn.Module) -> Iterator[tuple[Tensor, Tensor | None, float]]:
    """Yield weight, bias and the limit of torch's initialization of each layer."""
    for module in model.modules():
        if isinstance(module, WEIGHTED):
            # Kaiming's uniform initialization with a = sqrt(5), as in torch's reset_parameters.
            fan_in = math.prod(module.weight.shape[1:])
            yield module.weight, module.bias, (1 + ROUNDING) / math.sqrt(max(fan_in, 1))


def _has_initial_biases(model: nn.Module) -> bool:
    """Return True if every bias is zero or within its limit."""
    for _, bias, limit in _weighted_modules(model):
        if bias is not None and bias.abs().max() > limit:
            return False
    return True


def _is_within_initial_limits(model: nn.Module) -> bool:
    """Return True if all weights and biases lie within their limits; False without any."""
    found = False
    for weight, bias, limit in _weighted_modules(model):
        found = True
        if weight.abs().max() > limit or (bias is not None and bias.abs().max() > limit):
            return False
    return found
