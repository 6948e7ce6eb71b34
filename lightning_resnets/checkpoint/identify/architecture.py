"""Which model of the zoo weights belong to, read from names and shapes alone: depths, widths, groups, shortcuts, SE."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

from lightning_resnets.checkpoint.identify.conversions import dense_block_depths
from lightning_resnets.checkpoint.model_card import MAX_CLASSES
from lightning_resnets.models import registry
from lightning_resnets.models.densenet import DenseNet
from lightning_resnets.models.preact_resnet import PreActBasicBlock, PreActBottleneck, PreActResNet
from lightning_resnets.models.residual_blocks import BasicBlock, Bottleneck
from lightning_resnets.models.resnet import ResNet
from lightning_resnets.models.squeeze_excite import reduced_channels

Shapes = Mapping[str, tuple[int, ...]]


ModelCandidate = tuple[str, dict[str, Any]]


# What a model does where neither the zoo's row nor an option says anything.
DEFAULTS: dict[type[nn.Module], dict[str, Any]] = {
    ResNet: {
        "stem": "imagenet",
        "stem_pool": "pad",
        "shortcut_type": "B",
        "groups": 1,
        "base_width": 64,
        "stride_in": "3x3",
    },
    PreActResNet: {
        "widen_factor": 1,
        "shortcut_type": "B",
        "stride_in": "1x1",
        "share_first": True,
        "stem_norm": False,
        "last_norm": True,
    },
    DenseNet: {
        "growth_rate": 32,
        "stem_width": 64,
        "stem": "imagenet",
        "bottleneck_factor": 4,
        "compression": 0.5,
    },
}


SE_DEFAULTS: dict[str, Any] = {
    "se_reduction": 0,
    "se_placement": "standard",
    "se_bias": True,
    "se_divisor": 1,
    "se_pre_relu": False,
}


# Names that only one family has, for the models that have no options to be read.
SIGNATURE_KEYS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("inception3c.branch1.0.conv.weight", ("bn_inception", "se_bn_inception")),
    ("inception3a.branch1.conv.weight", ("googlenet", "bn_inception", "se_bn_inception")),
    ("Mixed_5b.branch1x1.conv.weight", ("inception_v3",)),
    ("mixed_5b.branch0.conv.weight", ("inception_resnet_v2",)),
    ("stage1.1.gate_conv.weight", ("highway19", "highway32")),
    ("features.28.weight", ("vgg16", "vgg19")),
    ("features.10.weight", ("alexnet", "vgg16", "vgg19")),
)


@dataclass(frozen=True, slots=True)
class InferredArchitecture:
    """A model's make: its class, its fixed arguments (block, depths), its options, and traits that dialects speak of.

    Traits are `imagenet` or `cifar` (the stem), `basic`, `bottleneck` or `grouped`, `preact`, `dense`, `se`, and `bare`
    where no shortcut has weights.
    """

    model_class: type[nn.Module]
    positional_args: tuple[Any, ...]
    model_kwargs: dict[str, Any]
    traits: frozenset[str]
    se_shapes: tuple[tuple[int, int], ...] = ()  # channels and width of every SE

    def has(self, words: str) -> bool:
        return self.traits.issuperset(words.split())


def infer_architecture(shapes: Shapes) -> InferredArchitecture | None:
    """What the weights are shaped for; None where they are no residual or dense model's."""
    if "features.denseblock1.denselayer1.norm1.weight" in shapes:
        return _dense(shapes)
    if (
        len(shapes.get("layer1.0.conv1.weight", ())) != 4
        or len(shapes.get("conv1.weight", ())) != 4
    ):
        return None
    return _residual(shapes)


def _residual(shapes: Shapes) -> InferredArchitecture | None:
    preact, depths = _preactivated(shapes), _depths(shapes)
    first = [_first(shapes, index, depths[0]) for index in (1, 2, 3)]
    deep = bool(first[2])
    first = first if deep else first[:2]
    if any(len(shape) != 4 or 0 in shape for shape in first):
        return None
    stem = "imagenet" if shapes["conv1.weight"][-1] == 7 else "cifar"
    traits = {stem, "preact"} if preact else {stem}
    shortcut = _shortcut(shapes, len(depths))
    options: dict[str, Any] = {"shortcut_type": shortcut} if shortcut else {}
    if not shortcut:
        traits.add("bare")
    if preact:
        options |= {"widen_factor": max(1, first[0][0] // 16), "stem_norm": "bn1.weight" in shapes}
        options["last_norm"] = "bn.weight" in shapes
        fixed = (PreActBottleneck if deep else PreActBasicBlock, depths)
    else:
        width = shapes["conv1.weight"][0]
        options |= {
            "stem": stem,
            "stem_width": None if width == (64 if stem == "imagenet" else 16) else width,
        }
        fixed = (Bottleneck if deep else BasicBlock, depths)
    if deep and not preact:
        inner, groups = first[1][0], max(1, first[1][0] // first[1][1])
        options |= {"groups": groups, "base_width": inner * 64 // max(1, first[2][0] // 4 * groups)}
    traits.add("basic" if not deep else "grouped" if options.get("groups", 1) > 1 else "bottleneck")
    gates = _gates(shapes)
    if gates:
        traits.add("se")
        options |= {
            "se_reduction": max(1, round(gates[-1][0] / gates[-1][1])),
            "se_placement": _place(shapes, len(depths), gates),
        }
        options |= {"se_bias": "layer1.0.se.fc1.bias" in shapes}
    return InferredArchitecture(
        PreActResNet if preact else ResNet, fixed, options, frozenset(traits), gates
    )


def _first(shapes: Shapes, index: int, depth: int) -> tuple[int, ...]:
    """The shape of a convolution of the first stage, of its first block that has it: a file may lack a weight."""
    names = (f"layer1.{block}.conv{index}.weight" for block in range(depth))
    return next((shapes[name] for name in names if name in shapes), ())


def _preactivated(shapes: Shapes) -> bool:
    """Whether batch norms come before their convolutions: seen where a block changes the width."""
    norm, conv = shapes.get("layer2.0.bn1.weight", ()), shapes.get("layer2.0.conv1.weight", ())
    return "bn.weight" in shapes or (
        len(conv) == 4 and len(norm) == 1 and norm[0] == conv[1] != conv[0]
    )


def _depths(shapes: Shapes) -> tuple[int, ...]:
    """Blocks a stage, from the names `layer{stage}.{block}.conv1.weight`."""
    found: list[int] = []
    while f"layer{len(found) + 1}.0.conv1.weight" in shapes:
        depth = 1
        while f"layer{len(found) + 1}.{depth}.conv1.weight" in shapes:
            depth += 1
        found.append(depth)
    return tuple(found)


def _shortcut(shapes: Shapes, stages: int) -> str:
    """C where every block's shortcut has weights, "" where none has (A, or a plain model's), else B."""
    projected = {name.split(".downsample.")[0] for name in shapes if ".downsample." in name}
    if not projected:
        return ""
    return "C" if f"layer{stages}.1" in projected else "B"


def _gates(shapes: Shapes) -> tuple[tuple[int, int], ...]:
    found = (shape for name, shape in shapes.items() if name.endswith(".se.fc1.weight"))
    return tuple(
        (shape[1], shape[0]) for shape in found if len(shape) == 4 and shape[0] and shape[1]
    )


def _place(shapes: Shapes, stages: int, gates: tuple[tuple[int, int], ...]) -> str:
    """Where SE stands, from how many channels it weighs in the first block of the last stage."""
    block = f"layer{stages}.0."
    channels = (*shapes.get(f"{block}se.fc1.weight", ()), 0, 0)[1] or gates[-1][0]
    inner = shapes.get(f"{block}conv2.weight", ())[:1]
    last = shapes.get(f"{block}conv3.weight", ())[:1] or inner
    return "standard" if (channels,) == last else "3x3" if (channels,) == inner else "pre"


def _dense(shapes: Shapes) -> InferredArchitecture | None:
    stem, layer = shapes.get("features.conv0.weight", ()), "features.denseblock1.denselayer1."
    conv1, conv2 = shapes.get(f"{layer}conv1.weight", ()), shapes.get(f"{layer}conv2.weight", ())
    if len(stem) != 4 or len(conv1) != 4 or 0 in conv1:
        return None
    growth = conv2[0] if len(conv2) == 4 and conv2[0] else conv1[0]
    kept, given = (*shapes.get("features.transition1.conv.weight", ()), 1, 1)[:2]
    kind = "imagenet" if "features.norm0.weight" in shapes else "cifar"
    options: dict[str, Any] = {
        "growth_rate": growth,
        "stem_width": stem[0],
        "stem": kind,
        "bottleneck_factor": conv1[0] // growth if conv2 else 0,
        "compression": 0.5
        if kept == given // 2
        else 1.0
        if kept == given
        else kept / max(1, given),
    }
    return InferredArchitecture(
        DenseNet, (dense_block_depths(shapes),), options, frozenset({kind, "dense"})
    )


def matching_models(make: InferredArchitecture) -> list[ModelCandidate]:
    """Names of the zoo with the options that make them so, the plainest first; [] where the zoo has no such depths."""
    found = [
        (name, model_kwargs_for(name, make))
        for name in registry.MODELS
        if _fixed(name) == (make.model_class, make.positional_args)
    ]
    return sorted(
        found,
        key=lambda candidate: (
            len(candidate[1]),
            candidate[0].startswith("se") != bool(make.se_shapes),
        ),
    )


def closest_models(make: InferredArchitecture) -> list[ModelCandidate]:
    """The models of the same family and block whose depths come nearest."""
    size = sum(make.positional_args[-1])
    rows = [
        (name, fixed[1])
        for name in registry.MODELS
        if (fixed := _fixed(name)) and fixed[0] is make.model_class
    ]
    rows = [(name, fixed) for name, fixed in rows if fixed[:-1] == make.positional_args[:-1]]
    rows.sort(
        key=lambda row: (
            len(row[1][-1]) != len(make.positional_args[-1]),
            abs(sum(row[1][-1]) - size),
        )
    )
    return sorted(
        ((name, model_kwargs_for(name, make)) for name, _ in rows[:3]), key=lambda row: len(row[1])
    )[:2]


def model_kwargs_for(name: str, make: InferredArchitecture) -> dict[str, Any]:
    """The options that give a model of the zoo the structure's make: what differs from what it has already."""
    fixed = _fixed(name)
    if fixed is None or fixed[0] is not make.model_class:
        return {}
    has = {**DEFAULTS[make.model_class], **SE_DEFAULTS, **registry.MODELS[name].factory.keywords}  # type: ignore[attr-defined]
    wanted = {**make.model_kwargs, "se_reduction": make.model_kwargs.get("se_reduction", 0)}
    if "bare" in make.traits and "shortcut_type" not in wanted:
        wanted["shortcut_type"] = "none" if has["shortcut_type"] == "none" else "A"
    if make.se_shapes:
        wanted["se_divisor"] = _multiple(make.se_shapes, wanted["se_reduction"], has["se_divisor"])
    return {key: value for key, value in wanted.items() if has.get(key) != value}


def _multiple(gates: tuple[tuple[int, int], ...], reduction: int, usual: int) -> int:
    """What the widths of SE are rounded to: what the model of the zoo has where that fits."""
    for multiple in (usual, 1, 8):
        if all(
            channels >= reduction and reduced_channels(channels, reduction, multiple) == width
            for channels, width in gates
        ):
            return multiple
    return usual


def _fixed(name: str) -> tuple[type[nn.Module], tuple[Any, ...]] | None:
    """The class and fixed arguments of a model of the zoo, where it is of a family that is read here."""
    make = registry.MODELS[name].factory
    if isinstance(make, partial) and make.func in DEFAULTS:
        return make.func, make.args  # type: ignore[return-value]
    return None


def candidates_by_signature(shapes: Shapes) -> list[ModelCandidate]:
    """Models of the other families that have a name in common with the weights which no other family has."""
    rows = [names for sign, names in SIGNATURE_KEYS if sign in shapes]
    return [(name, {}) for name in (rows[0] if rows else ())]


def infer_num_classes(shapes: Shapes) -> int:
    """How many classes the last layer tells apart: the length of the last weight matrix; 0 where there is none.

    Never more than a card may name (MOST_CLASSES): no model is built for a length that a file only claims.
    """
    return min(_claimed(shapes), MAX_CLASSES)


def _claimed(shapes: Shapes) -> int:
    for name in (
        "fc.weight",
        "classifier.weight",
        "classifier.6.weight",
        "last_linear.weight",
        "head.weight",
    ):
        if len(shape := shapes.get(name, ())) == 2:
            return shape[0]
    flat = [
        shape[0]
        for name, shape in shapes.items()
        if len(shape) == 2 and re.search(r"weight$", name)
    ]
    return flat[-1] if flat else 0
