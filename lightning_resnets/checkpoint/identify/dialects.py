"""Recognize the naming scheme of a file's keys: one table, one row per dialect.

A row says which keys identify the dialect, how they become ours, and what its models do that no
shape tells. Read in the projects' own code.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lightning_resnets.checkpoint.identify import key_rules as rules
from lightning_resnets.checkpoint.identify.known_preprocessing import (
    CAFFE_PREPROCESSING,
    CIFAR10_AS_IMAGENET,
    MEAN_STD_HALF,
    NARROW_STD_PREPROCESSING,
    TORCH_PREPROCESSING,
    caffe_preprocessing,
)
from lightning_resnets.models.key_rules import CADENE_SE, OLD_DENSENET, KeyRules
from lightning_resnets.preprocessing import Preprocessing

KwargsByTrait = Mapping[str, Mapping[str, Any]]


def _no_kwargs() -> KwargsByTrait:
    """Return an empty table."""
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One way to name keys and to feed models.

    Attributes:
        name: project or framework.
        required_keys: patterns; each matches the start of some key.
        forbidden_keys: patterns that match no key.
        key_rules: (pattern, replacement) pairs, applied in turn to each key, see `key_rules.py`.
        conversions: names of `conversions.CONVERSIONS`, in order.
        model_kwargs: arguments of a model that has certain traits
            (`InferredArchitecture.traits`).
        ambiguous_kwargs: arguments that such a file leaves open, with their other value.
        preprocessing: by dataset.
        bn_eps: batch norm's epsilon, if it differs from ours.
        is_ambiguous: several projects use these keys, so they decide no argument.
        caveat: what is guessed about the preprocessing, as a phrase.
    """

    name: str
    required_keys: tuple[str, ...] = ()
    forbidden_keys: tuple[str, ...] = ()
    key_rules: KeyRules = ()
    conversions: tuple[str, ...] = ()
    model_kwargs: KwargsByTrait = field(default_factory=_no_kwargs)
    ambiguous_kwargs: KwargsByTrait = field(default_factory=_no_kwargs)
    preprocessing: Mapping[str, Preprocessing] = field(default_factory=lambda: TORCH_PREPROCESSING)
    bn_eps: float | None = None
    is_ambiguous: bool = False
    caveat: str = ""


# He 2015: a bottleneck strides in its first 1x1 convolution.
RESNET_V1: dict[str, Any] = {"stride_in": "1x1"}
# Caffe pools with a window that reaches outside.
CEIL_POOL: dict[str, Any] = {"stem_pool": "ceil"}
CAFFE_KWARGS = {"imagenet": CEIL_POOL, "bottleneck": RESNET_V1}

# The order counts: a row comes after every row whose files it would match too.
DIALECTS: tuple[Dialect, ...] = (
    Dialect(
        name="Caffe",
        required_keys=(r"bn_conv1[/.:_](?:0|mean)", r"scale_conv1", r"res2a_branch2a"),
        key_rules=rules.CAFFE_BLOBS + rules.HE_2015,
        conversions=(
            "divide_caffe_bn_factor",
            "hwio_to_oihw",
            "flatten_classifier",
            "fold_conv_bias_into_bn",
        ),
        model_kwargs=CAFFE_KWARGS,
        preprocessing=CAFFE_PREPROCESSING,
    ),
    Dialect(
        name="Paddle",
        required_keys=(r"res2a_branch2a_weights$", r"bn_conv1_scale$"),
        key_rules=rules.PADDLE + rules.HE_2015,
        conversions=("transpose_classifier",),
    ),
    Dialect(
        name="Keras",
        required_keys=(
            r"(?:.*/)?res2a_branch2a[/._](?:kernel|W|weight)",
            r"(?:.*/)?bn_?2a_branch2a[/._]",
        ),
        key_rules=rules.KERAS + rules.HE_2015,
        conversions=("hwio_to_oihw", "transpose_classifier", "fold_conv_bias_into_bn"),
        model_kwargs={"bottleneck": RESNET_V1},
        preprocessing=CAFFE_PREPROCESSING,
        bn_eps=1e-3,
    ),
    Dialect(
        # Since Keras 2.3.
        name="Keras",
        required_keys=(r"(?:.*/)?conv1_conv[/.]", r"(?:.*/)?conv2_block1_1_conv[/.]"),
        key_rules=rules.KERAS + rules.KERAS_BLOCKS,
        conversions=("hwio_to_oihw", "transpose_classifier", "fold_conv_bias_into_bn"),
        model_kwargs={"bottleneck": RESNET_V1},
        preprocessing=CAFFE_PREPROCESSING,
        bn_eps=1.001e-5,
    ),
    Dialect(
        name="Caffe-SENet",
        required_keys=(r"conv1/7x7_s2", r"conv2_1_1x1_reduce", r"conv2_1_1x1_down"),
        key_rules=rules.CAFFE_BLOBS + rules.CAFFE_SE,
        conversions=(
            "divide_caffe_bn_factor",
            "hwio_to_oihw",
            "flatten_classifier",
            "fold_conv_bias_into_bn",
            "se_linear_to_conv",
        ),
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
            *rules.RESIDUAL,
            *rules.LINEAR_HEAD,
        ),
    ),
    Dialect(
        # The SE models have biases in convolutions and a ReLU before SE.
        name="weiaicunzai",
        required_keys=(
            r"pre\.0\.weight$",
            r"stage1\.0\.residual\.0\.weight$",
            r"stage1\.0\.excitation\.0\.weight$",
        ),
        key_rules=(
            (r"^pre\.0\.", "conv1."),
            (r"^pre\.1\.", "bn1."),
            (r"^stage(\d)\.", "layer{1}."),
            *rules.RESIDUAL,
            *rules.SE_LINEAR,
            *rules.LINEAR_HEAD,
        ),
        conversions=("fold_conv_bias_into_bn", "se_linear_to_conv"),
        model_kwargs={"se": {"se_pre_relu": True}},
    ),
    Dialect(
        name="moskomule",
        required_keys=(r"layer1\.0\.se\.fc\.0\.weight$", r"fc\.weight$"),
        key_rules=rules.SE_LINEAR,
        conversions=("se_linear_to_conv",),
        preprocessing=NARROW_STD_PREPROCESSING,
    ),
    Dialect(
        name="pytorchcv",
        required_keys=(r"features\.init_block\.", r"features\.stage1\.unit1\.body\."),
        key_rules=rules.PYTORCHCV,
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
        key_rules=rules.PYTORCHCV_DENSENET,
        preprocessing=NARROW_STD_PREPROCESSING,
    ),
    Dialect(
        name="kuangliu",
        required_keys=(r"dense1\.0\.bn1\.weight$", r"trans1\.bn\.weight$", r"linear\.weight$"),
        key_rules=rules.KUANGLIU_DENSE,
        conversions=("newest_first_to_oldest_first",),
        preprocessing=NARROW_STD_PREPROCESSING,
    ),
    Dialect(
        name="kuangliu",
        required_keys=(r"layer1\.0\.conv1\.weight$", r"layer4\.0\.", r"linear\.weight$"),
        key_rules=(*rules.LINEAR_HEAD, (r"^(layer\d\.\d+)\.fc([12])\.", "{1}.se.fc{2}.")),
        preprocessing=NARROW_STD_PREPROCESSING,
    ),
    Dialect(
        name="akamaster",
        required_keys=(r"layer1\.0\.conv1\.weight$", r"linear\.weight$"),
        forbidden_keys=(r"layer4\.", r"layer1\.0\.bn3"),
        key_rules=rules.LINEAR_HEAD,
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
        # torchvision's keys on a model that torchvision does not have.
        name="chenyaofo or torchvision",
        required_keys=(
            r"layer1\.0\.conv1\.weight$",
            r"layer2\.0\.downsample\.1\.weight$",
            r"fc\.weight$",
        ),
        forbidden_keys=(r"layer4\.", r"layer1\.0\.(?:se|bn3)\.", r"bn\.weight$"),
        preprocessing=NARROW_STD_PREPROCESSING,
        is_ambiguous=True,
        caveat="mean and std are guessed (chenyaofo's), because several projects use torchvision's "
        "keys for CIFAR models",
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

# For weights under their own keys.
UNKNOWN = Dialect(name="unknown", is_ambiguous=True)
