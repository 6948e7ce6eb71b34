"""What has to be done to weights of other origin, once they have our names, before they mean the same in our models.

Every step takes all weights, changes the table that it is given (never a tensor in it) and says in words what it did,
or "" where there was nothing to do.
"""

import re
from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor

StateDict = dict[str, Tensor]


STATISTICS = ("running_mean", "running_var")


NORM = ("weight", "bias", *STATISTICS)


def hwio_to_oihw(state: StateDict) -> str:
    """Convolutions of (height, width, in, out), as TensorFlow keeps them, become (out, in, height, width)."""
    stem = state.get("conv1.weight")
    if stem is None or stem.ndim != 4 or stem.shape[2] != 3 or stem.shape[0] != stem.shape[1]:
        return ""
    for name, weight in state.items():
        if weight.ndim == 4:
            state[name] = weight.permute(3, 2, 0, 1).contiguous()
    return "convolutions turned from height, width, in, out to out, in, height, width"


def transpose_classifier(state: StateDict) -> str:
    """The last layer of (in, out) becomes (out, in); a square one is of the dialect that asks for this step."""
    weight, norm = state.get("fc.weight"), last_block_width(state)
    if weight is None or weight.ndim != 2 or (norm and weight.shape[1] == norm != weight.shape[0]):
        return ""
    state["fc.weight"] = weight.T.contiguous()
    return "the last layer transposed"


def flatten_classifier(state: StateDict) -> str:
    """A last layer that is kept as a convolution, or with leading ones as old Caffe does, loses the extra sides."""
    weight = state.get("fc.weight")
    if weight is None or weight.ndim != 4:
        return ""
    state["fc.weight"] = weight.reshape([side for side in weight.shape if side > 1] or [1, 1])
    return "the last layer flattened"


def fold_conv_bias_into_bn(state: StateDict) -> str:
    """A convolution's bias in front of a batch norm moves into its mean: nothing of it is lost."""
    biased = [
        name
        for name, weight in state.items()
        if name.endswith(".bias") and weight.ndim == 1 and _norm_of(name)
    ]
    done = 0
    for name in biased:
        mean = f"{_norm_of(name)}.running_mean"
        if mean in state and state[mean].shape == state[name].shape:
            state[mean] = state[mean] - state.pop(name)
            done += 1
    return f"the biases of {done} convolutions folded into batch norms" if done else ""


def _norm_of(bias: str) -> str:
    """The batch norm behind a convolution whose bias has this name, or ""."""
    layer = bias.removesuffix(".bias")
    if layer.endswith("downsample.0"):
        return f"{layer[:-1]}1"
    found = re.fullmatch(r"(.*\.)?conv(\d)", layer)
    return f"{found[1] or ''}bn{found[2]}" if found else ""


def divide_caffe_bn_factor(state: StateDict) -> str:
    """Caffe's batch norms keep sums: mean and variance are divided by the third blob, which then goes."""
    factors = [name for name in state if name.endswith(".factor")]
    for name in factors:
        value = float(state.pop(name).double().mean())  # of one number
        for statistic in STATISTICS:
            key = f"{name.removesuffix('factor')}{statistic}"
            if key in state:
                state[key] = state[key] / value if value else torch.zeros_like(state[key])
    return (
        f"mean and variance of {len(factors)} batch norms divided by their factor"
        if factors
        else ""
    )


def se_linear_to_conv(state: StateDict) -> str:
    """SE's linear layers become convolutions of 1x1."""
    flat = [
        name
        for name, weight in state.items()
        if re.search(r"\.se\.fc[12]\.weight$", name) and weight.ndim == 2
    ]
    for name in flat:
        state[name] = state[name][:, :, None, None]
    return f"{len(flat)} linear layers of SE made convolutions" if flat else ""


def newest_first_to_oldest_first(state: StateDict) -> str:
    """Dense layers that put what is new in front of what they were given: all that read it are permuted."""
    depths = dense_block_depths(state)
    width = _length(state, "features.conv0.weight")
    for block, depth in enumerate(depths, 1):
        start = f"features.denseblock{block}.denselayer"
        growths = [_length(state, f"{start}{layer}.conv2.weight") for layer in range(1, depth + 1)]
        for layer in range(depth):
            order = _order(width, growths[:layer])
            _permute(state, f"{start}{layer + 1}.norm1", f"{start}{layer + 1}.conv1", order)
        order = _order(width, growths)
        last = block == len(depths)
        norm, reader = (
            ("norm5", "classifier")
            if last
            else (f"transition{block}.norm", f"transition{block}.conv")
        )
        _permute(state, f"features.{norm}", "classifier" if last else f"features.{reader}", order)
        width = _length(state, f"features.transition{block}.conv.weight")
    return (
        "what is read from concatenations permuted: there the newest maps come first"
        if depths
        else ""
    )


def _order(width: int, growths: list[int]) -> Tensor:
    """Where our channels, oldest first, lie where the newest come first."""
    parts, end = [], sum(growths) + width
    for size in (width, *growths):
        parts.append(torch.arange(end - size, end))
        end -= size
    return torch.cat(parts)


def _permute(state: StateDict, norm: str, reader: str, order: Tensor) -> None:
    for name in (f"{norm}.{part}" for part in NORM):
        if name in state and state[name].shape == order.shape:
            state[name] = state[name][order]
    weight = state.get(f"{reader}.weight")
    if weight is not None and weight.ndim > 1 and weight.shape[1] == len(order):
        state[f"{reader}.weight"] = weight[:, order]


def _length(state: Mapping[str, Tensor], name: str) -> int:
    weight = state.get(name)
    return len(weight) if weight is not None and weight.ndim else 0


def dense_block_depths(names: Mapping[str, object]) -> tuple[int, ...]:
    """How many dense layers each block has, by our names."""
    return tuple(_counted(lambda block: _dense_depth(names, block)))


def _dense_depth(names: Mapping[str, object], block: int) -> int:
    start = f"features.denseblock{block + 1}.denselayer"
    return sum(1 for _ in _counted(lambda layer: f"{start}{layer + 1}.norm1.weight" in names))


def _counted(ask: Callable[[int], int]) -> Iterator[int]:
    """The answers for 0, 1, 2 and so on up to the first that is none."""
    index = 0
    while answer := ask(index):
        yield answer
        index += 1


def last_block_width(state: Mapping[str, Tensor]) -> int:
    """How wide the last block is, by its last batch norm."""
    norms = [name for name in state if re.fullmatch(r"layer\d+\.\d+\.bn\d\.weight", name)]
    if not norms:
        return 0
    return len(
        state[max(norms, key=lambda name: [int(number) for number in re.findall(r"\d+", name)])]
    )


CONVERSIONS: dict[str, Callable[[StateDict], str]] = {
    step.__name__: step
    for step in (
        hwio_to_oihw,
        transpose_classifier,
        flatten_classifier,
        fold_conv_bias_into_bn,
        divide_caffe_bn_factor,
        se_linear_to_conv,
        newest_first_to_oldest_first,
    )
}


def apply_conversions(state: StateDict, steps: tuple[str, ...]) -> tuple[str, ...]:
    """The steps taken on a table one after another; what was done, in words."""
    return tuple(words for step in steps if (words := CONVERSIONS[step](state)))
