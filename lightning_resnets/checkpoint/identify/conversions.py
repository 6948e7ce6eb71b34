"""Convert weights of other origin, once they have our keys, to what our models expect.

A conversion takes all weights, changes the dictionary in place (never a tensor in it), and returns
a phrase on what it did, or "" if there was nothing to do.
"""

import re
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from lightning_resnets.checkpoint.identify.dense_conversions import newest_first_to_oldest_first

StateDict = dict[str, Tensor]

BN_EPS = 1e-5  # of our batch norms
STATISTICS = ("running_mean", "running_var")
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
    permuted = dict[int, Tensor]()
    for name, weight in state.items():
        if weight.ndim != 4:
            continue
        # Names that share one tensor share the result, which would else fill the memory.
        if id(weight) not in permuted:
            permuted[id(weight)] = weight.permute(3, 2, 0, 1).contiguous()
        state[name] = permuted[id(weight)]
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
    if not found:
        return ""
    return f"{found[1] or ''}bn{found[2]}"


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
    if not added:
        return ""
    return f"{added} folded batch norms given mean 0 and variance 1"


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
