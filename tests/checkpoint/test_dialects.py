"""Keys of every dialect become ours, prefixes are removed, and dialects do not overlap."""

from itertools import islice, product

import pytest
import timm
import torch
import torchvision
from torch import Tensor

from lightning_resnets.checkpoint.identify.detect_dialect import detect_dialect
from lightning_resnets.checkpoint.identify.dialect_table import DIALECTS
from lightning_resnets.checkpoint.identify.dialects import Dialect
from lightning_resnets.checkpoint.identify.model_parts import find_model_parts, rename_weights
from lightning_resnets.checkpoint.identify.translate import translate_names
from lightning_resnets.errors import CheckpointError
from lightning_resnets.models import registry
from lightning_resnets.models.rename_keys import rename_key
from lightning_resnets.utils.skip_init import skip_init
from tests.helpers.third_party_models import (
    Akamaster,
    KuangliuDense,
    Moskomule,
    Weiaicunzai,
    he_shapes,
    norm_of,
    osmr_densenet40,
    osmr_preresnet20,
)


def keras_names() -> list[str]:
    layers = list(he_shapes())
    leaves = ("gamma", "beta", "moving_mean", "moving_variance")
    kernels = [f"{layer}/{leaf}" for layer in layers for leaf in ("kernel", "bias")]
    return kernels + [
        f"{norm_of(layer)}/{leaf}" for layer in layers if layer != "fc1000" for leaf in leaves
    ]


def blobs(layers: list[str], norms: dict[str, str], scales: dict[str, str]) -> list[str]:
    names = [f"{layer}/0" for layer in layers]
    names += [f"{norm}/{blob}" for norm in norms.values() for blob in (0, 1, 2)]
    return names + [f"{scale}/{blob}" for scale in scales.values() for blob in (0, 1)]


def caffe_names() -> list[str]:
    layers = list(he_shapes())
    norms = {layer: norm_of(layer) for layer in layers if layer != "fc1000"}
    return [*blobs(layers, norms, {layer: norm_of(layer, "scale") for layer in norms}), "fc1000/1"]


def caffe_se_names() -> list[str]:
    layers = ["conv1/7x7_s2"]
    for stage, depth in enumerate((3, 4, 6, 3), 2):
        for block in range(1, depth + 1):
            layers += [
                f"conv{stage}_{block}_{part}" for part in ("1x1_reduce", "3x3", "1x1_increase")
            ]
            layers += [f"conv{stage}_1_1x1_proj"] if block == 1 else []
    norms = {layer: f"{layer}/bn" for layer in layers}
    gates = [
        f"conv{s}_{b}_1x1_{way}/{blob}"
        for s, d in enumerate((3, 4, 6, 3), 2)
        for b in range(1, d + 1)
        for way in ("down", "up")
        for blob in (0, 1)
    ]
    scales = {layer: f"{layer}/bn/scale" for layer in layers}
    return blobs(layers, norms, scales) + gates + ["classifier/0", "classifier/1"]


def paddle_names() -> list[str]:
    layers = [layer for layer in he_shapes() if layer != "fc1000"]
    norms = [
        f"{norm_of(layer)}_{leaf}"
        for layer in layers
        for leaf in ("scale", "offset", "mean", "variance")
    ]
    return [f"{layer}_weights" for layer in layers] + norms + ["fc_0.w_0", "fc_0.b_0"]


def blank(name: str, **options: object) -> dict[str, Tensor]:
    with skip_init():
        return registry.create_model(name, **options).state_dict()


SPOKEN = {
    "Caffe": (caffe_names, "resnet50", {}),
    "Keras": (keras_names, "resnet50", {}),
    "Paddle": (paddle_names, "resnet50", {}),
    "Caffe-SENet": (caffe_se_names, "seresnet50", {}),
    "akamaster": (lambda: Akamaster().state_dict(), "resnet20", {}),
    "kuangliu": (lambda: KuangliuDense().state_dict(), "densenet121", {"stem": "cifar"}),
    "weiaicunzai": (lambda: Weiaicunzai().state_dict(), "seresnet18", {}),
    "moskomule": (
        lambda: Moskomule().state_dict(),
        "seresnet20",
        {"shortcut_type": "B", "se_bias": False},
    ),
    "legacy SE (Cadene)": (
        lambda: timm.create_model("legacy_seresnet50").state_dict(),
        "seresnet50",
        {},
    ),
    "timm": (lambda: timm.create_model("seresnet50").state_dict(), "seresnet50", {}),
    "torchvision": (lambda: torchvision.models.resnet18().state_dict(), "resnet18", {}),
    "chenyaofo or torchvision": (
        lambda: blank("resnet20", shortcut_type="B"),
        "resnet20",
        {"shortcut_type": "B"},
    ),
    "gpleiss": (
        lambda: {k.replace("norm5", "norm_final"): w for k, w in blank("densenet121").items()},
        "densenet121",
        {},
    ),
    "lightning-resnets": (lambda: blank("highway19"), "highway19", {}),
}


def our_names(theirs: dict[str, Tensor] | list[str], dialect: Dialect) -> set[str]:
    """Name keys of another framework by its rules, those of PyTorch by the table of spellings."""
    if isinstance(theirs, list):
        return {rename_key(name, dialect.key_rules) for name in theirs}
    (part, *_) = find_model_parts(theirs)
    return set(translate_names(part, {}).state_dict)


@pytest.mark.parametrize("name", SPOKEN)
def test_keys_of_each_dialect_become_ours(name: str) -> None:
    make, model, options = SPOKEN[name]
    theirs = make()
    dialect = detect_dialect(theirs)
    assert dialect.name == name
    ours = our_names(theirs, dialect)
    wanted = {each for each in blank(model, **options) if not each.endswith("num_batches_tracked")}
    assert wanted <= ours
    left = {
        each
        for each in ours - wanted
        if not each.endswith(("num_batches_tracked", ".factor", ".bias"))
    }
    assert not left


@pytest.mark.parametrize(
    ("model", "ours"), [(osmr_preresnet20, "preresnet20"), (osmr_densenet40, "densenet_40_12")]
)
def test_pytorchcv_keys_become_ours(model: object, ours: str) -> None:
    (part, *_) = find_model_parts(model().state_dict())  # type: ignore[operator]
    named = translate_names(part, {})
    assert named.dialect.name == "pytorchcv"
    assert set(named.state_dict) == set(blank(ours))


# Spellings of four parts of a ResNet, and what the parts are called in our models.
STEMS = ("conv1 bn1", "conv bn", "conv_1 bn_1", "stem.0 stem.1", "pre.0 pre.1", "0 1")
BLOCKS = ("layer{}.{}", "stage{}.{}", "stage_{}.block{}", "conv{}_x.{}", "blocks.{}.{}", "res{}.{}")
BRANCHES = (
    "conv1 bn1 conv2 bn2",
    "left.0 left.1 left.3 left.4",
    "conv_a bn_a conv_b bn_b",
    "body.conv1.conv body.conv1.bn body.conv2.conv body.conv2.bn",
    "layer.0.convolution layer.0.normalization layer.1.convolution layer.1.normalization",
)
SHORTCUTS = (
    "downsample.0 downsample.1",
    "shortcut.0 shortcut.1",
    "skip.conv skip.bn",
    "shortcut shortcut.norm",
    "conv_shortcut bn_shortcut",
)
HEADS = ("fc", "linear", "classifier", "head.fc", "output", "fc.1")


def respell(weights: dict[str, Tensor], spelling: tuple[str, ...], first: int) -> dict[str, Tensor]:
    """Rename a ResNet's weights; blocks are counted from `first`, and stages, too, or from 2."""
    stem, block, branch, shortcut, head = spelling
    names = dict(zip(("conv1", "bn1"), stem.split(), strict=True)) | {"fc": head}
    layers = dict(zip(("conv1", "bn1", "conv2", "bn2"), branch.split(), strict=True))
    layers |= dict(zip(("downsample.0", "downsample.1"), shortcut.split(), strict=True))
    renamed = dict[str, Tensor]()
    for key, weight in weights.items():
        layer, _, leaf = key.rpartition(".")
        stage, _, rest = layer.partition(".")
        if stage.startswith("layer"):
            number, _, inner = rest.partition(".")
            first_stage = 2 if block.startswith(("conv", "res")) else first
            start = block.format(int(stage[5:]) - 1 + first_stage, int(number) + first)
            layer = f"{start}.{layers[inner]}"
        renamed[f"{names.get(layer, layer)}.{leaf}"] = weight
    return renamed


def test_spellings_of_all_parts_combine() -> None:
    weights = blank("resnet20", shortcut_type="B")
    spellings = product(STEMS, BLOCKS, BRANCHES, SHORTCUTS, HEADS)
    # Every 67th of 5,400 combinations; 67 divides none of the numbers of spellings.
    for number, spelling in enumerate(islice(spellings, 0, None, 67)):
        (part, *_) = find_model_parts(respell(weights, spelling, first=number % 2))
        assert translate_names(part, {}).state_dict.keys() == weights.keys(), spelling


@pytest.mark.parametrize(
    ("row", "theirs", "ours"),
    [
        ("Caffe", "res4b22_branch2c/0", "layer3.22.conv3.weight"),
        ("Caffe", "res4b_branch2c/0", "layer3.1.conv3.weight"),
        ("Caffe", "scale5c_branch2b/1", "layer4.2.bn2.bias"),
        ("Caffe", "bn2a_branch1/2", "layer1.0.downsample.1.factor"),
        ("Caffe", "bn_conv1.1", "bn1.running_var"),
        ("Keras", "bn3d_branch2a/moving_variance:0", "layer2.3.bn1.running_var"),
        ("Keras", "res2a_branch2a/res2a_branch2a_W_1:0", "layer1.0.conv1.weight"),
        ("Keras", "bn2a_branch2a/bn2a_branch2a/gamma:0", "layer1.0.bn1.weight"),
        ("Keras", "bn_conv1_running_std_1", "bn1.running_var"),
        ("Keras", "fc1000.kernel", "fc.weight"),
        ("Paddle", "bn4b7_branch2a_offset", "layer3.7.bn1.bias"),
        ("Paddle", "fc_weights", "fc.weight"),
        ("Caffe-SENet", "conv3_2_1x1_increase/bn/scale/1", "layer2.1.bn3.bias"),
        ("Caffe-SENet", "conv5_1_1x1_down/0", "layer4.0.se.fc1.weight"),
        ("Caffe2", "res4_5_branch2b_bn_s", "layer3.5.bn2.weight"),
    ],
)
def test_single_keys_are_renamed(row: str, theirs: str, ours: str) -> None:
    rules = next(dialect.key_rules for dialect in DIALECTS if dialect.name == row)
    assert rename_key(theirs, rules) == ours


def test_keras_keys_since_2_3() -> None:
    names = [
        "conv1_conv/kernel:0",
        "conv1_bn/gamma:0",
        "conv2_block1_1_conv/kernel:0",
        "conv4_block6_3_bn/beta:0",
    ]
    dialect = detect_dialect(names)
    assert (dialect.name, dialect.bn_eps) == ("Keras", 1.001e-5)
    ours = [rename_key(name, dialect.key_rules) for name in names]
    assert ours == ["conv1.weight", "bn1.weight", "layer1.0.conv1.weight", "layer3.5.bn3.bias"]


def test_old_dotted_keys_of_densenet() -> None:
    old = "features.denseblock2.denselayer11.norm.2.running_mean"
    names = [
        "features.denseblock1.denselayer1.norm.1.weight",
        "features.norm0.weight",
        "classifier.weight",
        old,
    ]
    dialect = detect_dialect(names)
    assert dialect.name == "torchvision"
    assert (
        rename_key(old, dialect.key_rules) == "features.denseblock2.denselayer11.norm2.running_mean"
    )


@pytest.mark.parametrize("dialect", DIALECTS[:-1], ids=lambda dialect: dialect.name)
def test_every_dialect_has_patterns_and_valid_preprocessing(dialect: Dialect) -> None:
    assert dialect.required_keys
    assert set(dialect.preprocessing) <= {"imagenet", "cifar10", "cifar100"}
    for view in dialect.preprocessing.values():
        assert len(view.mean) == len(view.std) == 3
        assert all(0 < value < 1 for value in (*view.mean, *view.std))


def test_caffe_images_are_bgr_in_0_to_255() -> None:
    view = next(dialect for dialect in DIALECTS if dialect.name == "Caffe").preprocessing[
        "imagenet"
    ]
    black = -torch.tensor(view.mean) / torch.tensor(view.std)
    assert view.channel_order == "BGR"
    assert torch.allclose(black, torch.tensor([-103.939, -116.779, -123.68]))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["module.a.weight", "module.b"], ["", "module."]),
        (["net._orig_mod.a.weight", "net._orig_mod.b"], ["", "net."]),
        (["net.a", "val_f1.tp", "confmat.confmat", "n_averaged"], ["", "net."]),
        (["learner.net.a.weight", "learner.net.b"], ["", "learner.", "learner.net."]),
        (["backbone.a", "fc.weight"], [""]),
        (["a", "b"], [""]),
    ],
)
def test_common_prefixes_are_found(names: list[str], expected: list[str]) -> None:
    parts = find_model_parts({name: torch.zeros(1) for name in names})
    assert [part.prefix for part in parts] == expected
    assert set(parts[0].ignored_keys) == {name for name in names if "." not in name} & {
        "n_averaged"
    } | {name for name in names if name.startswith(("val_f1", "confmat"))}


def test_everything_before_a_stem_may_be_a_prefix() -> None:
    image, other = torch.zeros(8, 3, 3, 3), torch.zeros(8, 8, 3, 3)
    weights = {"backbone.body.conv1.weight": image, "backbone.fpn.weight": other, "rpn.w": other}
    parts = find_model_parts(weights)
    assert [part.prefix for part in parts] == ["", "backbone.", "backbone.body."]
    assert list(parts[2].beside) == ["backbone.fpn.weight", "rpn.w"]


def test_conflicting_keys_raise_unless_weights_are_equal() -> None:
    one, other = torch.arange(3.0), torch.arange(3.0) + 1
    assert list(rename_weights({"a": one, "A": one.clone(), "b": other}, str.lower)) == ["a", "b"]
    for clash in (other, one.double(), one[:2]):
        with pytest.raises(CheckpointError, match="'a' and 'A', would both be 'a'") as caught:
            rename_weights({"a": one, "A": clash}, str.lower)
        assert str(caught.value).endswith("Remove the wrong one from the file.")
