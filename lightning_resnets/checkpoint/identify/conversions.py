"""Convert weights of other origin, once they have our keys, to what our models expect.

A conversion takes all weights, changes the dictionary in place (never a tensor in it), and returns
a phrase on what it did, or "" if there was nothing to do.
"""

import re
from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor

StateDict = dict[str, Tensor]

BN_EPS = 1e-5  # of our batch norms
STATISTICS = ("running_mean", "running_var")
NORM_KEYS = ("weight", "bias", *STATISTICS)
SE_WEIGHT_RE = re.compile(r"\.se\.fc[12]\.weight$")
LAST_NORM_RE = re.compile(r"layer\d+\.\d+\.bn\d\.weight")


def hwio_to_oihw(state: StateDict) -> str:
    """Permute TensorFlow's convolutions (height, width, in, out) to (out, in, height, width).

    Args:
        state: weights by our keys, changed in place.

    Returns:
        A phrase, or "".
    """
    stem = state.get("conv1.weight")
    # The stem takes three channels, which shows the order.
    if stem is None or stem.ndim != 4 or stem.shape[2] != 3 or stem.shape[0] != stem.shape[1]:
        return ""
    for name, weight in state.items():
        if weight.ndim == 4:
            state[name] = weight.permute(3, 2, 0, 1).contiguous()
    return "convolutions permuted from (height, width, in, out) to (out, in, height, width)"


def transpose_classifier(state: StateDict) -> str:
    """Transpose a last layer of (in, out).

    Args:
        state: weights by our keys, changed in place.

    Returns:
        A phrase, or "".
    """
    weight = state.get("fc.weight")
    if weight is None or weight.ndim != 2:
        return ""
    width = last_block_width(state)
    # A square matrix is transposed, as the dialect asks for it.
    if width and weight.shape[1] == width != weight.shape[0]:
        return ""
    state["fc.weight"] = weight.T.contiguous()
    return "the last layer transposed"


def flatten_classifier(state: StateDict) -> str:
    """Flatten a last layer that is stored as a convolution, or with leading ones (old Caffe).

    Args:
        state: weights by our keys, changed in place.

    Returns:
        A phrase, or "".
    """
    weight = state.get("fc.weight")
    if weight is None or weight.ndim != 4:
        return ""
    # All sides are 1 for one class and one channel.
    shape = [side for side in weight.shape if side > 1] or [1, 1]
    state["fc.weight"] = weight.reshape(shape)
    return "the last layer flattened"


def fold_conv_bias_into_bn(state: StateDict) -> str:
    """Move a convolution's bias into the mean of the batch norm behind it, which is exact.

    Args:
        state: weights by our keys, changed in place.

    Returns:
        A phrase, or "".
    """
    folded = 0
    # The loop removes biases from the dictionary.
    for name in list(state):
        norm = _norm_after(name)
        mean = f"{norm}.running_mean"
        if not norm or mean not in state or state[name].ndim != 1:
            continue
        if state[mean].shape == state[name].shape:
            state[mean] = state[mean] - state.pop(name)
            folded += 1
    if not folded:
        return ""
    return f"the biases of {folded} convolutions folded into batch norms"


def _norm_after(bias: str) -> str:
    """Return the batch norm behind a convolution whose bias has this key, or ""."""
    if not bias.endswith(".bias"):
        return ""
    layer = bias.removesuffix(".bias")
    # A projection is a convolution (0) and a batch norm (1).
    if layer.endswith("downsample.0"):
        return f"{layer[:-1]}1"
    found = re.fullmatch(r"(.*\.)?conv(\d)", layer)
    return f"{found[1] or ''}bn{found[2]}" if found else ""


def divide_caffe_bn_factor(state: StateDict) -> str:
    """Divide Caffe's sums of mean and variance by the batch norm's third blob, and drop it.

    Args:
        state: weights by our keys, changed in place.

    Returns:
        A phrase, or "".
    """
    factors = [name for name in state if name.endswith(".factor")]
    for name in factors:
        factor = float(state.pop(name).double().mean())  # a tensor of one number
        for statistic in STATISTICS:
            key = f"{name.removesuffix('factor')}{statistic}"
            if key in state:
                # Caffe itself takes a factor of zero for zero statistics.
                value = state[key]
                state[key] = value / factor if factor else torch.zeros_like(value)
    if not factors:
        return ""
    return f"mean and variance of {len(factors)} batch norms divided by their factor"


def add_identity_statistics(state: StateDict) -> str:
    """Add the statistics of batch norms that are folded into a scale and an offset.

    With mean 0 and variance 1 - eps a batch norm computes exactly scale * x + offset.

    Args:
        state: weights by our keys, changed in place.

    Returns:
        A phrase, or "".
    """
    added = 0
    for name in list(state):
        layer, _, leaf = name.rpartition(".")
        scale = state.get(f"{layer}.weight")
        is_norm = leaf == "bias" and scale is not None and scale.ndim == 1
        if not is_norm or f"{layer}.running_mean" in state:
            continue
        state[f"{layer}.running_mean"] = torch.zeros_like(state[name])
        state[f"{layer}.running_var"] = torch.full_like(state[name], 1 - BN_EPS)
        added += 1
    return f"{added} folded batch norms given mean 0 and variance 1" if added else ""


def se_linear_to_conv(state: StateDict) -> str:
    """Convert SE's linear layers to convolutions of 1x1.

    Args:
        state: weights by our keys, changed in place.

    Returns:
        A phrase, or "".
    """
    linear = [name for name in state if SE_WEIGHT_RE.search(name) and state[name].ndim == 2]
    if not linear:
        return ""
    for name in linear:
        state[name] = state[name][:, :, None, None]
    return f"{len(linear)} linear layers of SE converted to convolutions"


def newest_first_to_oldest_first(state: StateDict) -> str:
    """Permute what reads the concatenations of a DenseNet that puts new channels first.

    Args:
        state: weights by our keys, changed in place.

    Returns:
        A phrase, or "".
    """
    depths = dense_block_depths(state)
    if not depths:
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
    return len(weight) if weight is not None and weight.ndim else 0


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


def last_block_width(state: Mapping[str, Tensor]) -> int:
    """Return the width of the last block, by its last batch norm.

    Args:
        state: weights by our keys.

    Returns:
        Channels, 0 if there is no such norm.
    """
    # Keys in a file may be in any order.
    norms = [name for name in state if LAST_NORM_RE.fullmatch(name)]
    if not norms:
        return 0
    return len(state[max(norms, key=_numbers_in)])


def _numbers_in(name: str) -> list[int]:
    """Return all numbers in a key: stage, block, layer."""
    return [int(number) for number in re.findall(r"\d+", name)]


CONVERSIONS: dict[str, Callable[[StateDict], str]] = {
    conversion.__name__: conversion
    for conversion in (
        hwio_to_oihw,
        transpose_classifier,
        flatten_classifier,
        fold_conv_bias_into_bn,
        divide_caffe_bn_factor,
        add_identity_statistics,
        se_linear_to_conv,
        newest_first_to_oldest_first,
    )
}


def apply_conversions(state: StateDict, names: tuple[str, ...]) -> tuple[str, ...]:
    """Apply conversions one after another.

    Args:
        state: weights by our keys, changed in place.
        names: keys of `CONVERSIONS`.

    Returns:
        Phrases on what was done.
    """
    phrases = [CONVERSIONS[name](state) for name in names]
    return tuple(phrase for phrase in phrases if phrase)
