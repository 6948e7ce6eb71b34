"""Whose names the weights in a file have: one table, a row a dialect, with what those nets do that no shape tells.

A row's `signs` recognise it, its `rules` turn its names into ours one after another, and the rest says what its nets do
with a picture. Read in the projects' own code; where the figures of a mean are theirs, they are kept, mistakes too.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from lightning_resnets.checkpoint.origin.finding import Input
from lightning_resnets.checkpoint.origin.rules import (
    BLOBS,
    CAFFE_SE,
    DOTTED,
    HE,
    KERAS,
    KERAS_BLOCKS,
    KUANGLIU_DENSE,
    LINEAR_HEAD,
    OSMR,
    OSMR_DENSE,
    PADDLE,
    RESIDUAL,
    SE_LINEAR,
    Rules,
)

CIFAR, LARGE = (3, 32, 32), (3, 224, 224)
IMAGENET = Input(size=LARGE, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), crop=0.875)
HALVES = Input(size=LARGE, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), crop=0.875)
CIFAR10 = Input(size=CIFAR, mean=(0.4914, 0.4822, 0.4465), std=(0.2470, 0.2435, 0.2616))
CIFAR10_NARROW = Input(size=CIFAR, mean=(0.4914, 0.4822, 0.4465), std=(0.2023, 0.1994, 0.2010))  # mean of pictures' std
CIFAR10_AS_IMAGENET = Input(size=CIFAR, mean=IMAGENET.mean, std=IMAGENET.std)
CIFAR100 = Input(size=CIFAR, mean=(0.5071, 0.4865, 0.4409), std=(0.2673, 0.2564, 0.2762))


def bytes_bgr(*mean: float) -> Input:
    """Pictures of 0..255 in BGR order, less a mean: in a card's terms, where pictures are 0..1."""
    shares = tuple(value / 255 for value in mean)
    return Input(size=LARGE, mean=shares, std=(1 / 255,) * 3, channels="BGR", crop=0.875)


CAFFE = {"imagenet": bytes_bgr(103.939, 116.779, 123.68)}
TORCH: dict[str, Input] = {"imagenet": IMAGENET, "cifar10": CIFAR10, "cifar100": CIFAR100}
NARROW: dict[str, Input] = {**TORCH, "cifar10": CIFAR10_NARROW}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One way to name and feed nets.

    Every pattern of `signs` matches the start of a name in such a file and none of `without` does. `rules` are
    (pattern, replacement), tried in turn on each name; in a replacement `{2}` is what group 2 matched and `{2-1}` a
    number reckoned from it (a letter counts from a = 0). `steps` are operations of `reshape`, in order. `options` are
    the net's where it has a trait (`Structure.traits`); `open` are those that such a file leaves open: the option's
    other values. `inputs` is by data set, `epsilon` batch norm's. Names that are `shared` are used
    by several projects, so they decide no option; `guess` says in words what is then guessed about the pictures.
    """

    name: str
    signs: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    rules: Rules = ()
    steps: tuple[str, ...] = ()
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    open: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    inputs: Mapping[str, Input] = field(default_factory=lambda: TORCH)
    epsilon: float | None = None
    shared: bool = False
    guess: str = ""


V1: dict[str, Any] = {"stride_in": "1x1"}
CEIL: dict[str, Any] = {"pool": "ceil"}
CAFFE_OPTIONS = {"imagenet": CEIL, "bottleneck": V1}

# The order counts: a row that a file of another row would fit too stands behind that row.
DIALECTS: tuple[Dialect, ...] = (
    Dialect(
        name="Caffe",
        signs=(r"bn_conv1[/.:_](?:0|mean)", r"scale_conv1", r"res2a_branch2a"),
        rules=BLOBS + HE,
        steps=("factor", "hwio", "head", "fold"),
        options=CAFFE_OPTIONS,
        inputs=CAFFE,
    ),
    Dialect(
        name="Paddle",
        signs=(r"res2a_branch2a_weights$", r"bn_conv1_scale$"),
        rules=PADDLE + HE,
        steps=("transpose",),
    ),
    Dialect(
        name="Keras",
        signs=(r"(?:.*/)?res2a_branch2a[/._](?:kernel|W|weight)", r"(?:.*/)?bn_?2a_branch2a[/._]"),
        rules=KERAS + HE,
        steps=("hwio", "transpose", "fold"),
        options={"bottleneck": V1},
        inputs=CAFFE,
        epsilon=1e-3,
    ),
    Dialect(
        name="Keras",  # from 2.3 on
        signs=(r"(?:.*/)?conv1_conv[/.]", r"(?:.*/)?conv2_block1_1_conv[/.]"),
        rules=KERAS + KERAS_BLOCKS,
        steps=("hwio", "transpose", "fold"),
        options={"bottleneck": V1},
        inputs=CAFFE,
        epsilon=1.001e-5,
    ),
    Dialect(
        name="Caffe-SENet",
        signs=(r"conv1/7x7_s2", r"conv2_1_1x1_reduce", r"conv2_1_1x1_down"),
        rules=BLOBS + CAFFE_SE,
        steps=("factor", "hwio", "head", "fold", "unsqueeze"),
        options=CAFFE_OPTIONS,
        inputs={"imagenet": bytes_bgr(104, 117, 123)},
    ),
    Dialect(
        name="legacy SE (Cadene)",
        signs=(r"layer0\.conv1\.weight$", r"layer1\.0\.se_module\.fc1\.weight$", r"last_linear\.weight$"),
        rules=((r"^layer0\.", ""), (r"\.se_module\.", ".se."), (r"^last_linear\.", "fc.")),
        options={**CAFFE_OPTIONS, "basic": {"se_relu": True}},
    ),
    Dialect(
        name="weiaicunzai",
        signs=(r"conv2_x\.0\.residual_function\.0\.weight$", r"conv1\.0\.weight$"),
        rules=(
            (r"^conv1\.0\.", "conv1."),
            (r"^conv1\.1\.", "bn1."),
            (r"^conv([2-5])_x\.", "layer{1-1}."),
            *RESIDUAL,
            *LINEAR_HEAD,
        ),
    ),
    Dialect(
        name="weiaicunzai",  # its SE nets, whose convolutions have biases and whose SE stands behind a ReLU
        signs=(r"pre\.0\.weight$", r"stage1\.0\.residual\.0\.weight$", r"stage1\.0\.excitation\.0\.weight$"),
        rules=(
            (r"^pre\.0\.", "conv1."),
            (r"^pre\.1\.", "bn1."),
            (r"^stage(\d)\.", "layer{1}."),
            *RESIDUAL,
            *SE_LINEAR,
            *LINEAR_HEAD,
        ),
        steps=("fold", "unsqueeze"),
        options={"se": {"se_relu": True}},
    ),
    Dialect(
        name="moskomule",
        signs=(r"layer1\.0\.se\.fc\.0\.weight$", r"fc\.weight$"),
        rules=SE_LINEAR,
        steps=("unsqueeze",),
        inputs=NARROW,
    ),
    Dialect(
        name="pytorchcv",
        signs=(r"features\.init_block\.", r"features\.stage1\.unit1\.body\."),
        rules=OSMR,
        options={
            "imagenet bottleneck": V1,
            "preact": {"share_first": False},
            "preact bottleneck": {"stride_in": "3x3"},
        },
        open={"imagenet bottleneck": {"stride_in": "3x3"}},
        inputs=NARROW,
    ),
    Dialect(
        name="pytorchcv",
        signs=(r"features\.init_block\.", r"features\.stage1\.unit1\.conv1?\.bn\."),
        rules=OSMR_DENSE,
        inputs=NARROW,
    ),
    Dialect(
        name="kuangliu",
        signs=(r"dense1\.0\.bn1\.weight$", r"trans1\.bn\.weight$", r"linear\.weight$"),
        rules=KUANGLIU_DENSE,
        steps=("new_first",),
        inputs=NARROW,
    ),
    Dialect(
        name="kuangliu",
        signs=(r"layer1\.0\.conv1\.weight$", r"layer4\.0\.", r"linear\.weight$"),
        rules=(*LINEAR_HEAD, (r"^(layer\d\.\d+)\.fc([12])\.", "{1}.se.fc{2}.")),
        inputs=NARROW,
    ),
    Dialect(
        name="akamaster",
        signs=(r"layer1\.0\.conv1\.weight$", r"linear\.weight$"),
        without=(r"layer4\.", r"layer1\.0\.bn3"),
        rules=LINEAR_HEAD,
        options={"bare": {"shortcut": "A"}},
        inputs={**TORCH, "cifar10": CIFAR10_AS_IMAGENET},
    ),
    Dialect(
        name="gpleiss",
        signs=(r"features\.denseblock1\.denselayer1\.norm1\.weight$", r"features\.norm_final\."),
        rules=((r"^features\.norm_final\.", "features.norm5."),),
    ),
    Dialect(
        name="timm",
        signs=(r"layer1\.0\.se\.fc1\.weight$", r"layer4\.0\.", r"fc\.weight$"),
        shared=True,
    ),
    Dialect(
        name="chenyaofo or torchvision",  # torchvision's names on a net that torchvision does not have
        signs=(r"layer1\.0\.conv1\.weight$", r"layer2\.0\.downsample\.1\.weight$", r"fc\.weight$"),
        without=(r"layer4\.", r"layer1\.0\.(?:se|bn3)\.", r"bn\.weight$"),
        inputs=NARROW,
        shared=True,
        guess="the names are torchvision's on a net for CIFAR, as chenyaofo's and others' are, so mean and std are "
        "guessed (chenyaofo's)",
    ),
    Dialect(
        name="torchvision",
        signs=(r"layer1\.0\.conv1\.weight$", r"layer4\.0\.", r"fc\.weight$"),
        shared=True,
    ),
    Dialect(
        name="torchvision",
        signs=(r"features\.denseblock1\.denselayer1\.norm\.?1\.weight$", r"features\.norm0\.", r"classifier\.weight$"),
        rules=DOTTED,
        shared=True,
    ),
    Dialect(
        name="torchvision",
        signs=(r"inception3a\.branch1\.conv\.weight$",),
        without=(r"inception3c\.",),
        shared=True,
    ),
    Dialect(name="torchvision", signs=(r"Mixed_5b\.branch1x1\.conv\.weight$",), shared=True),
    Dialect(name="torchvision", signs=(r"features\.0\.weight$", r"classifier\.6\.weight$"), shared=True),
    Dialect(name="timm", signs=(r"conv2d_1a\.conv\.weight$", r"mixed_5b\."), inputs={"imagenet": HALVES}, shared=True),
    Dialect(name="lightning-resnets", shared=True),
)
UNKNOWN = Dialect(name="unknown", shared=True)


def spoken(names: Iterable[str]) -> Dialect:
    """Whose names these are; the last row, ours, takes what no other knows."""
    text = "\n".join(names)
    return next(dialect for dialect in DIALECTS if _speaks(dialect, text))


def _speaks(dialect: Dialect, text: str) -> bool:
    return all(_sign(sign).search(text) for sign in dialect.signs) and not any(
        _sign(sign).search(text) for sign in dialect.without
    )


@cache
def _sign(pattern: str) -> re.Pattern[str]:
    return re.compile(f"^{pattern}", re.MULTILINE)
