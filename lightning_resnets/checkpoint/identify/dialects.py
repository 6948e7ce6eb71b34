"""Whose names the weights in a file have: one table, a row a dialect, with what those models do that no shape tells.

A row's `signs` recognize it, its `rules` turn its names into ours one after another, and the rest says what its models do
with an image. Read in the projects' own code; where the figures of a mean are theirs, they are kept, mistakes too.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from lightning_resnets.checkpoint.identify.key_rules import (
    CAFFE_BLOBS,
    CAFFE_SE,
    HE_2015,
    KERAS,
    KERAS_BLOCKS,
    KUANGLIU_DENSE,
    LINEAR_HEAD,
    PADDLE,
    PYTORCHCV,
    PYTORCHCV_DENSENET,
    RESIDUAL,
    SE_LINEAR,
)
from lightning_resnets.models.key_rules import CADENE_SE, OLD_DENSENET, KeyRules
from lightning_resnets.preprocessing import Preprocessing

CIFAR, IMAGENET_SIZE = (3, 32, 32), (3, 224, 224)


IMAGENET = Preprocessing(
    input_size=IMAGENET_SIZE, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), crop_pct=0.875
)


MEAN_STD_HALF = Preprocessing(
    input_size=IMAGENET_SIZE, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), crop_pct=0.875
)


CIFAR10 = Preprocessing(
    input_size=CIFAR, mean=(0.4914, 0.4822, 0.4465), std=(0.2470, 0.2435, 0.2616)
)


CIFAR10_NARROW = Preprocessing(
    input_size=CIFAR, mean=(0.4914, 0.4822, 0.4465), std=(0.2023, 0.1994, 0.2010)
)  # mean of images' std


CIFAR10_AS_IMAGENET = Preprocessing(input_size=CIFAR, mean=IMAGENET.mean, std=IMAGENET.std)


CIFAR100 = Preprocessing(
    input_size=CIFAR, mean=(0.5071, 0.4865, 0.4409), std=(0.2673, 0.2564, 0.2762)
)


def caffe_preprocessing(*mean: float) -> Preprocessing:
    """Images of 0..255 in BGR order, less a mean: in a card's terms, where images are 0..1."""
    shares = tuple(value / 255 for value in mean)
    return Preprocessing(
        input_size=IMAGENET_SIZE,
        mean=shares,
        std=(1 / 255,) * 3,
        channel_order="BGR",
        crop_pct=0.875,
    )


CAFFE_PREPROCESSING = {"imagenet": caffe_preprocessing(103.939, 116.779, 123.68)}


TORCH_PREPROCESSING: dict[str, Preprocessing] = {
    "imagenet": IMAGENET,
    "cifar10": CIFAR10,
    "cifar100": CIFAR100,
}


NARROW_STD_PREPROCESSING: dict[str, Preprocessing] = {
    **TORCH_PREPROCESSING,
    "cifar10": CIFAR10_NARROW,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One way to name and feed models.

    Every pattern of `signs` matches the start of a name in such a file and none of `without` does. `rules` are
    (pattern, replacement), tried in turn on each name; in a replacement `{2}` is what group 2 matched and `{2-1}` a
    number reckoned from it (a letter counts from a = 0). `steps` are operations of `reshape`, in order. `options` are
    the model's where it has a trait (`Structure.traits`); `open` are those that such a file leaves open: the option's
    other values. `inputs` is by data set, `epsilon` batch norm's. Names that are `shared` are used
    by several projects, so they decide no option; `guess` says in words what is then guessed about the images.
    """

    name: str
    required_keys: tuple[str, ...] = ()
    forbidden_keys: tuple[str, ...] = ()
    key_rules: KeyRules = ()
    conversions: tuple[str, ...] = ()
    model_kwargs: Mapping[str, Mapping[str, Any]] = field(
        default_factory=dict[str, Mapping[str, Any]]
    )
    ambiguous_kwargs: Mapping[str, Mapping[str, Any]] = field(
        default_factory=dict[str, Mapping[str, Any]]
    )
    preprocessing: Mapping[str, Preprocessing] = field(default_factory=lambda: TORCH_PREPROCESSING)
    bn_eps: float | None = None
    is_ambiguous: bool = False
    caveat: str = ""


RESNET_V1: dict[str, Any] = {"stride_in": "1x1"}


CEIL_POOL: dict[str, Any] = {"stem_pool": "ceil"}


CAFFE_KWARGS = {"imagenet": CEIL_POOL, "bottleneck": RESNET_V1}

# The order counts: a row that a file of another row would fit too stands behind that row.
DIALECTS: tuple[Dialect, ...] = (
    Dialect(
        name="Caffe",
        required_keys=(r"bn_conv1[/.:_](?:0|mean)", r"scale_conv1", r"res2a_branch2a"),
        key_rules=CAFFE_BLOBS + HE_2015,
        conversions=("divide_caffe_bn_factor", "hwio_to_oihw", "flatten_classifier", "fold_conv_bias_into_bn"),
        model_kwargs=CAFFE_KWARGS,
        preprocessing=CAFFE_PREPROCESSING,
    ),
    Dialect(
        name="Paddle",
        required_keys=(r"res2a_branch2a_weights$", r"bn_conv1_scale$"),
        key_rules=PADDLE + HE_2015,
        conversions=("transpose_classifier",),
    ),
    Dialect(
        name="Keras",
        required_keys=(
            r"(?:.*/)?res2a_branch2a[/._](?:kernel|W|weight)",
            r"(?:.*/)?bn_?2a_branch2a[/._]",
        ),
        key_rules=KERAS + HE_2015,
        conversions=("hwio_to_oihw", "transpose_classifier", "fold_conv_bias_into_bn"),
        model_kwargs={"bottleneck": RESNET_V1},
        preprocessing=CAFFE_PREPROCESSING,
        bn_eps=1e-3,
    ),
    Dialect(
        name="Keras",  # from 2.3 on
        required_keys=(r"(?:.*/)?conv1_conv[/.]", r"(?:.*/)?conv2_block1_1_conv[/.]"),
        key_rules=KERAS + KERAS_BLOCKS,
        conversions=("hwio_to_oihw", "transpose_classifier", "fold_conv_bias_into_bn"),
        model_kwargs={"bottleneck": RESNET_V1},
        preprocessing=CAFFE_PREPROCESSING,
        bn_eps=1.001e-5,
    ),
    Dialect(
        name="Caffe-SENet",
        required_keys=(r"conv1/7x7_s2", r"conv2_1_1x1_reduce", r"conv2_1_1x1_down"),
        key_rules=CAFFE_BLOBS + CAFFE_SE,
        conversions=("divide_caffe_bn_factor", "hwio_to_oihw", "flatten_classifier", "fold_conv_bias_into_bn", "se_linear_to_conv"),
        model_kwargs=CAFFE_KWARGS,
        preprocessing={"imagenet": caffe_preprocessing(104, 117, 123)},
    ),
    Dialect(
        name="legacy SE (Cadene)",
        required_keys=(
            r"layer0\.conv1\.weight$",
            r"layer1\.0\.se_module\.fc1\.weight$",
            r"last_linear\.weight$",
        ),
        key_rules=CADENE_SE,
        model_kwargs={**CAFFE_KWARGS, "basic": {"se_pre_relu": True}},
    ),
    Dialect(
        name="weiaicunzai",
        required_keys=(r"conv2_x\.0\.residual_function\.0\.weight$", r"conv1\.0\.weight$"),
        key_rules=(
            (r"^conv1\.0\.", "conv1."),
            (r"^conv1\.1\.", "bn1."),
            (r"^conv([2-5])_x\.", "layer{1-1}."),
            *RESIDUAL,
            *LINEAR_HEAD,
        ),
    ),
    Dialect(
        name="weiaicunzai",  # its SE networks, whose convolutions have biases and whose SE stands behind a ReLU
        required_keys=(
            r"pre\.0\.weight$",
            r"stage1\.0\.residual\.0\.weight$",
            r"stage1\.0\.excitation\.0\.weight$",
        ),
        key_rules=(
            (r"^pre\.0\.", "conv1."),
            (r"^pre\.1\.", "bn1."),
            (r"^stage(\d)\.", "layer{1}."),
            *RESIDUAL,
            *SE_LINEAR,
            *LINEAR_HEAD,
        ),
        conversions=("fold_conv_bias_into_bn", "se_linear_to_conv"),
        model_kwargs={"se": {"se_pre_relu": True}},
    ),
    Dialect(
        name="moskomule",
        required_keys=(r"layer1\.0\.se\.fc\.0\.weight$", r"fc\.weight$"),
        key_rules=SE_LINEAR,
        conversions=("se_linear_to_conv",),
        preprocessing=NARROW_STD_PREPROCESSING,
    ),
    Dialect(
        name="pytorchcv",
        required_keys=(r"features\.init_block\.", r"features\.stage1\.unit1\.body\."),
        key_rules=PYTORCHCV,
        model_kwargs={
            "imagenet bottleneck": RESNET_V1,
            "preact": {"share_first": False},
            "preact bottleneck": {"stride_in": "3x3"},
        },
        ambiguous_kwargs={"imagenet bottleneck": {"stride_in": "3x3"}},
        preprocessing=NARROW_STD_PREPROCESSING,
    ),
    Dialect(
        name="pytorchcv",
        required_keys=(r"features\.init_block\.", r"features\.stage1\.unit1\.conv1?\.bn\."),
        key_rules=PYTORCHCV_DENSENET,
        preprocessing=NARROW_STD_PREPROCESSING,
    ),
    Dialect(
        name="kuangliu",
        required_keys=(r"dense1\.0\.bn1\.weight$", r"trans1\.bn\.weight$", r"linear\.weight$"),
        key_rules=KUANGLIU_DENSE,
        conversions=("newest_first_to_oldest_first",),
        preprocessing=NARROW_STD_PREPROCESSING,
    ),
    Dialect(
        name="kuangliu",
        required_keys=(r"layer1\.0\.conv1\.weight$", r"layer4\.0\.", r"linear\.weight$"),
        key_rules=(*LINEAR_HEAD, (r"^(layer\d\.\d+)\.fc([12])\.", "{1}.se.fc{2}.")),
        preprocessing=NARROW_STD_PREPROCESSING,
    ),
    Dialect(
        name="akamaster",
        required_keys=(r"layer1\.0\.conv1\.weight$", r"linear\.weight$"),
        forbidden_keys=(r"layer4\.", r"layer1\.0\.bn3"),
        key_rules=LINEAR_HEAD,
        model_kwargs={"bare": {"shortcut_type": "A"}},
        preprocessing={**TORCH_PREPROCESSING, "cifar10": CIFAR10_AS_IMAGENET},
    ),
    Dialect(
        name="gpleiss",
        required_keys=(
            r"features\.denseblock1\.denselayer1\.norm1\.weight$",
            r"features\.norm_final\.",
        ),
        key_rules=((r"^features\.norm_final\.", "features.norm5."),),
    ),
    Dialect(
        name="timm",
        required_keys=(r"layer1\.0\.se\.fc1\.weight$", r"layer4\.0\.", r"fc\.weight$"),
        is_ambiguous=True,
    ),
    Dialect(
        name="chenyaofo or torchvision",  # torchvision's names on a model that torchvision does not have
        required_keys=(
            r"layer1\.0\.conv1\.weight$",
            r"layer2\.0\.downsample\.1\.weight$",
            r"fc\.weight$",
        ),
        forbidden_keys=(r"layer4\.", r"layer1\.0\.(?:se|bn3)\.", r"bn\.weight$"),
        preprocessing=NARROW_STD_PREPROCESSING,
        is_ambiguous=True,
        caveat="the names are torchvision's on a model for CIFAR, as chenyaofo's and others' are, so mean and std are "
        "guessed (chenyaofo's)",
    ),
    Dialect(
        name="torchvision",
        required_keys=(r"layer1\.0\.conv1\.weight$", r"layer4\.0\.", r"fc\.weight$"),
        is_ambiguous=True,
    ),
    Dialect(
        name="torchvision",
        required_keys=(
            r"features\.denseblock1\.denselayer1\.norm\.?1\.weight$",
            r"features\.norm0\.",
            r"classifier\.weight$",
        ),
        key_rules=OLD_DENSENET,
        is_ambiguous=True,
    ),
    Dialect(
        name="torchvision",
        required_keys=(r"inception3a\.branch1\.conv\.weight$",),
        forbidden_keys=(r"inception3c\.",),
        is_ambiguous=True,
    ),
    Dialect(
        name="torchvision",
        required_keys=(r"Mixed_5b\.branch1x1\.conv\.weight$",),
        is_ambiguous=True,
    ),
    Dialect(
        name="torchvision",
        required_keys=(r"features\.0\.weight$", r"classifier\.6\.weight$"),
        is_ambiguous=True,
    ),
    Dialect(
        name="timm",
        required_keys=(r"conv2d_1a\.conv\.weight$", r"mixed_5b\."),
        preprocessing={"imagenet": MEAN_STD_HALF},
        is_ambiguous=True,
    ),
    Dialect(name="lightning-resnets", is_ambiguous=True),
)


UNKNOWN = Dialect(name="unknown", is_ambiguous=True)


def detect_dialect(names: Iterable[str]) -> Dialect:
    """Whose names these are; the last row, ours, takes what no other knows."""
    text = "\n".join(names)
    return next(dialect for dialect in DIALECTS if _speaks(dialect, text))


def _speaks(dialect: Dialect, text: str) -> bool:
    return all(_sign(sign).search(text) for sign in dialect.required_keys) and not any(
        _sign(sign).search(text) for sign in dialect.forbidden_keys
    )


@cache
def _sign(pattern: str) -> re.Pattern[str]:
    return re.compile(f"^{pattern}", re.MULTILINE)
