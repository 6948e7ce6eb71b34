"""The dialects that files are recognized by, one row each. Read in the projects' own code."""

from typing import Any

from lightning_resnets.checkpoint.identify import framework_names as rules
from lightning_resnets.checkpoint.identify.dialects import Dialect
from lightning_resnets.checkpoint.identify.known_preprocessing import (
    CAFFE_PREPROCESSING,
    CIFAR10_AS_IMAGENET,
    DETECTRON2_PREPROCESSING,
    MEAN_STD_HALF,
    NARROW_STD_PREPROCESSING,
    TORCH_PREPROCESSING,
    caffe_preprocessing,
)
from lightning_resnets.models.rename_keys import CADENE_SE, OLD_DENSENET

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
        conversions=("divide_caffe_bn_factor", "hwio_to_oihw"),
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
        conversions=("hwio_to_oihw", "transpose_classifier"),
        model_kwargs={"bottleneck": RESNET_V1},
        preprocessing=CAFFE_PREPROCESSING,
        bn_eps=1e-3,
    ),
    Dialect(
        # Since Keras 2.3.
        name="Keras",
        required_keys=(r"(?:.*/)?conv1_conv[/.]", r"(?:.*/)?conv2_block1_1_conv[/.]"),
        key_rules=rules.KERAS + rules.KERAS_BLOCKS,
        conversions=("hwio_to_oihw", "transpose_classifier"),
        model_kwargs={"bottleneck": RESNET_V1},
        preprocessing=CAFFE_PREPROCESSING,
        bn_eps=1.001e-5,
    ),
    Dialect(
        name="Caffe-SENet",
        required_keys=(r"conv1/7x7_s2", r"conv2_1_1x1_reduce", r"conv2_1_1x1_down"),
        key_rules=rules.CAFFE_BLOBS + rules.CAFFE_SE,
        conversions=("divide_caffe_bn_factor", "hwio_to_oihw"),
        model_kwargs=CAFFE_KWARGS,
        preprocessing={"imagenet": caffe_preprocessing(104, 117, 123)},
    ),
    Dialect(
        # MSRA's models in Caffe2; detectron2 starts from them.
        name="Caffe2",
        required_keys=(r"conv1_w$", r"res_conv1_bn_s$", r"res2_0_branch2a_w$"),
        key_rules=rules.CAFFE2,
        conversions=("add_identity_statistics",),
        model_kwargs={"bottleneck": RESNET_V1},
        preprocessing=DETECTRON2_PREPROCESSING,
    ),
    Dialect(
        name="detectron2",
        required_keys=(r"stem\.conv1\.norm\.weight$", r"res2\.0\.conv1\.norm\.weight$"),
        author="torchvision",
    ),
    Dialect(
        name="detectron2",
        required_keys=(r"stem\.conv1\.norm\.weight$", r"res2\.0\.conv1\.norm\.weight$"),
        model_kwargs={"bottleneck": RESNET_V1},
        ambiguous_kwargs={"bottleneck": {"stride_in": "3x3"}},
        preprocessing=DETECTRON2_PREPROCESSING,
    ),
    Dialect(
        name="PaddleClas or paddle.vision",
        required_keys=(r"bn1\._mean$", r"layer1\.0\.bn1\._mean$"),
        conversions=("transpose_classifier",),
    ),
    Dialect(
        name="Hugging Face transformers",
        required_keys=(r"embedder\.embedder\.convolution\.", r"encoder\.stages\.0\.layers\.0\."),
        ambiguous_kwargs={"bottleneck": {"stride_in": "1x1"}},
    ),
    Dialect(
        name="mmpretrain",
        required_keys=(r"layer1\.0\.se_layer\.conv1\.conv\.", r"conv1\.weight$"),
        is_ambiguous=True,
    ),
    Dialect(
        # `nn.Sequential(*model.children())`, as fastai and lightly build it.
        name="torchvision by number",
        required_keys=(r"0\.weight$", r"4\.0\.conv1\.weight$", r"7\.0\.conv1\.weight$"),
        is_ambiguous=True,
    ),
    Dialect(
        # Shortcut A adds all zeros behind the channels.
        name="D-X-Y",
        required_keys=(r"conv_1_3x3\.weight$", r"stage_1\.0\.conv_a\."),
        model_kwargs={"bare": {"shortcut_type": "A", "shortcut_pad": "back"}},
        preprocessing=NARROW_STD_PREPROCESSING,
        is_ambiguous=True,
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
        is_ambiguous=True,
    ),
    Dialect(
        # The SE models have biases in convolutions and a ReLU before SE.
        name="weiaicunzai",
        required_keys=(
            r"pre\.0\.weight$",
            r"stage1\.0\.residual\.0\.weight$",
            r"stage1\.0\.excitation\.0\.weight$",
        ),
        model_kwargs={"se": {"se_pre_relu": True}},
        is_ambiguous=True,
    ),
    Dialect(
        name="moskomule",
        required_keys=(r"layer1\.0\.se\.fc\.0\.weight$", r"fc\.weight$"),
        preprocessing=NARROW_STD_PREPROCESSING,
        is_ambiguous=True,
    ),
    Dialect(
        name="pytorchcv",
        required_keys=(r"features\.init_block\.", r"features\.stage1\.unit1\.body\."),
        model_kwargs={
            "imagenet bottleneck": RESNET_V1,
            # Its only models with a deep stem and without SE are dilated.
            "deep bottleneck": {"stride_in": "3x3", "output_stride": 8},
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
        model_kwargs={"preact": {"share_first": False}},
        preprocessing=NARROW_STD_PREPROCESSING,
        is_ambiguous=True,
    ),
    Dialect(
        name="akamaster",
        required_keys=(r"layer1\.0\.conv1\.weight$", r"linear\.weight$"),
        forbidden_keys=(r"layer4\.", r"layer1\.0\.bn3"),
        model_kwargs={"bare": {"shortcut_type": "A"}},
        preprocessing={**TORCH_PREPROCESSING, "cifar10": CIFAR10_AS_IMAGENET},
        is_ambiguous=True,
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
        required_keys=(r"layer1\.0\.se\.fc1\.weight$", r"layer4\.0\."),
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
        # Without a last layer, too.
        required_keys=(r"conv1\.weight$", r"layer1\.0\.conv1\.weight$", r"layer4\.0\."),
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
