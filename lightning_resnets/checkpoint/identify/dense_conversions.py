"""Convert the weights of a DenseNet that concatenates in another order."""

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor

StateDict = dict[str, Tensor]

MAX_DENSE_LAYERS = 1000  # the deepest published model has 250
NORM_KEYS = ("weight", "bias", "running_mean", "running_var")


def newest_first_to_oldest_first(state: StateDict) -> str:
    """Permute what reads the concatenations of a DenseNet that puts new channels first.

    Args:
        state: weights by our keys, changed in place.

    Returns:
        A phrase, or "".
    """
    depths = dense_block_depths(state)
    # The orders take time that grows with the square of the number of layers.
    if not 0 < sum(depths) <= MAX_DENSE_LAYERS:
        return ""
    width = _length(state, "features.conv0.weight")
    for block, depth in enumerate(depths, 1):
        start = f"features.denseblock{block}.denselayer"
        growths = [_length(state, f"{start}{layer}.conv2.weight") for layer in range(1, depth + 1)]
        for layer in range(depth):
            # A layer reads the block's input and all layers before it.
            order = _channel_order(width, growths[:layer])
            _permute(state, f"{start}{layer + 1}.norm1", f"{start}{layer + 1}.conv1", order)
        norm, consumer = _end_of_block(block, is_last=block == len(depths))
        _permute(state, norm, consumer, _channel_order(width, growths))
        width = _length(state, f"features.transition{block}.conv.weight")
    return "channels after concatenations permuted from newest first"


def _end_of_block(block: int, is_last: bool) -> tuple[str, str]:
    """Return the batch norm and the layer that read a whole dense block."""
    if is_last:
        return "features.norm5", "classifier"
    return f"features.transition{block}.norm", f"features.transition{block}.conv"


def _channel_order(width: int, growths: list[int]) -> Tensor:
    """Return the index, newest first, of each of our channels, oldest first."""
    # Our first part is the newest-first order's last.
    parts = list[Tensor]()
    end = sum(growths) + width
    for size in (width, *growths):
        parts.append(torch.arange(end - size, end))
        end -= size
    return torch.cat(parts)


def _permute(state: StateDict, norm: str, consumer: str, order: Tensor) -> None:
    """Permute the channels of a batch norm and the input channels of the layer behind it."""
    for name in (f"{norm}.{key}" for key in NORM_KEYS):
        if name in state and state[name].shape == order.shape:
            state[name] = state[name][order]
    weight = state.get(f"{consumer}.weight")
    if weight is not None and weight.ndim > 1 and weight.shape[1] == len(order):
        state[f"{consumer}.weight"] = weight[:, order]


def _length(state: Mapping[str, Tensor], name: str) -> int:
    """Return the first side of a weight, 0 if it is missing."""
    weight = state.get(name)
    # A file may have a number in its place, which has no sides.
    if weight is None or not weight.ndim:
        return 0
    return len(weight)


def dense_block_depths(names: Mapping[str, object]) -> tuple[int, ...]:
    """Count the layers of each dense block.

    Args:
        names: a mapping with our keys.

    Returns:
        Layers per block.
    """
    return tuple(_until_zero(lambda block: _dense_depth(names, block)))


def _dense_depth(names: Mapping[str, object], block: int) -> int:
    """Return the number of layers of one dense block, counted from 0."""
    start = f"features.denseblock{block + 1}.denselayer"
    layers = _until_zero(lambda layer: f"{start}{layer + 1}.norm1.weight" in names)
    return sum(1 for _ in layers)


def _until_zero(function: Callable[[int], int]) -> Iterator[int]:
    """Yield function(0), function(1) and so on up to the first that is zero."""
    index = 0
    while value := function(index):
        yield value
        index += 1
