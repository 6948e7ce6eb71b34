"""Identified models give the logits of the models that the weights came from."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_resnets.checkpoint.identify.identification import Identification
from lightning_resnets.checkpoint.open_checkpoint import identify
from lightning_resnets.errors import CheckpointError
from lightning_resnets.models import registry
from lightning_resnets.models.model_names import join_options
from lightning_resnets.preprocessing import preprocess
from lightning_resnets.utils.image_files import read_image
from lightning_resnets.utils.skip_init import skip_init
from tests.helpers.third_party_models import (
    Akamaster,
    KuangliuDense,
    Moskomule,
    Weiaicunzai,
    he_layers,
    he_resnet50,
    norm_of,
    osmr_densenet40,
    osmr_preresnet20,
    randomize_stats,
)

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


def built(found: Identification) -> nn.Module:
    """Build the identified model and load its weights strictly."""
    model = registry.create_model(found.arch, num_classes=found.num_classes, **found.model_kwargs)
    model.load_state_dict(found.state_dict, strict=True)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d) and found.bn_eps is not None:
            module.eps = found.bn_eps
    return model.eval()


def logits(model: Callable[[Tensor], Tensor], side: int) -> Tensor:
    with torch.inference_mode():
        return model(torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1)))


def assert_same(
    found: Identification,
    theirs: Callable[[Tensor], Tensor],
    side: int = 32,
    tolerance: float = 1e-4,
) -> None:
    ours, wanted = logits(built(found), side), logits(theirs, side)
    assert float((ours - wanted).abs().max() / wanted.abs().max()) <= tolerance


def blank(name: str, classes: int = 10, **options: object) -> dict[str, Tensor]:
    """Return uninitialized weights with the right keys and shapes."""
    with skip_init():
        return registry.create_model(name, classes, **options).state_dict()


THIRD_PARTY = {
    "akamaster": (Akamaster, "resnet20", {}, "likely", "cifar10"),
    "kuangliu": (
        KuangliuDense,
        "densenet121",
        {"growth_rate": 12, "stem_width": 24, "stem": "cifar"},
        "certain",
        "cifar10",
    ),
    "weiaicunzai": (
        Weiaicunzai,
        "seresnet18",
        {"stem": "cifar", "stem_width": 64, "se_divisor": 1, "se_pre_relu": True},
        "likely",
        "cifar100",
    ),
    "moskomule": (
        Moskomule,
        "seresnet20",
        {"shortcut_type": "B", "se_bias": False},
        "likely",
        "cifar10",
    ),
    "pytorchcv": (osmr_preresnet20, "preresnet20", {"share_first": False}, "certain", "cifar10"),
    "pytorchcv dense": (
        osmr_densenet40,
        "densenet_40_12",
        {"stem_width": 24, "compression": 0.5},
        "certain",
        "cifar10",
    ),
}


@pytest.mark.parametrize("name", THIRD_PARTY)
def test_third_party_models_give_the_same_logits(name: str) -> None:
    make, arch, options, sure, data = THIRD_PARTY[name]
    theirs = randomize_stats(make())
    found = identify({f"module.{name}": weight for name, weight in theirs.state_dict().items()})
    assert (found.dialect, found.arch, found.model_kwargs) == (name.split()[0], arch, options)
    assert (found.confidence, found.dataset) == (sure, data)
    assert found.fits
    assert_same(found, theirs, tolerance=1e-5)


Made = tuple[dict[str, Tensor], Callable[[Tensor], Tensor]]


def statistics(planes: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    """Gamma, beta, mean, variance."""
    gamma, variance = (torch.rand(planes, generator=generator) + 0.5 for _ in range(2))
    beta, mean = (torch.randn(planes, generator=generator) * 0.2 for _ in range(2))
    return gamma, beta, mean, variance


def padded(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 3, 2, 1)


def keras() -> Made:
    """Build Keras' ResNet-50: (height, width, in, out), biases, epsilon 1e-3, stride in the 1x1."""
    generator, weights = torch.Generator().manual_seed(3), dict[str, Tensor]()
    for layer, weight in he_layers().items():
        bias = torch.randn(len(weight), generator=generator) * 0.2
        weights |= {
            f"{layer}/kernel": weight.permute(*reversed(range(2, weight.ndim)), 1, 0),
            f"{layer}/bias": bias,
        }
        if layer != "fc1000":
            leaves = ("gamma", "beta", "moving_mean", "moving_variance")
            made = zip(leaves, statistics(len(weight), generator), strict=True)
            weights |= {f"{norm_of(layer)}/{leaf}": value for leaf, value in made}

    def conv(x: Tensor, layer: str, stride: int) -> Tensor:
        kernel = weights[f"{layer}/kernel"].permute(3, 2, 0, 1)
        x = F.conv2d(x, kernel, weights[f"{layer}/bias"], stride, kernel.shape[-1] // 2)
        norm = norm_of(layer)
        scale = weights[f"{norm}/gamma"] / (weights[f"{norm}/moving_variance"] + 1e-3).sqrt()
        moved = x - weights[f"{norm}/moving_mean"].view(-1, 1, 1)
        return moved * scale.view(-1, 1, 1) + weights[f"{norm}/beta"].view(-1, 1, 1)

    def model(x: Tensor) -> Tensor:
        return (
            he_resnet50(conv, padded, True, x) @ weights["fc1000/kernel"] + weights["fc1000/bias"]
        )

    return weights, model


def caffe() -> Made:
    """Build Caffe's ResNet-50: batch norm factors, separate scales, one bias, ceil-mode pooling."""
    generator, weights = torch.Generator().manual_seed(4), dict[str, Tensor]()
    for layer, weight in he_layers().items():
        weights[f"{layer}/0"] = weight
        if layer in ("conv1", "fc1000"):
            weights[f"{layer}/1"] = torch.randn(len(weight), generator=generator) * 0.2
        if layer != "fc1000":
            gamma, beta, mean, variance = statistics(len(weight), generator)
            bn, scale = norm_of(layer), norm_of(layer, "scale")
            weights |= {
                f"{bn}/0": mean * 999.98,
                f"{bn}/1": variance * 999.98,
                f"{bn}/2": torch.tensor([999.98]),
            }
            weights |= {f"{scale}/0": gamma, f"{scale}/1": beta}

    def conv(x: Tensor, layer: str, stride: int) -> Tensor:
        kernel, bn, scale = weights[f"{layer}/0"], norm_of(layer), norm_of(layer, "scale")
        x = F.conv2d(x, kernel, weights.get(f"{layer}/1"), stride, kernel.shape[-1] // 2)
        mean, variance = (weights[f"{bn}/{blob}"] / weights[f"{bn}/2"] for blob in (0, 1))
        return F.batch_norm(x, mean, variance, weights[f"{scale}/0"], weights[f"{scale}/1"])

    def model(x: Tensor) -> Tensor:
        pooled = he_resnet50(conv, lambda x: F.max_pool2d(x, 3, 2, ceil_mode=True), True, x)
        return F.linear(pooled, weights["fc1000/0"], weights["fc1000/1"])

    return weights, model


def paddle() -> Made:
    """Build Paddle's ResNet-50: stride in the 3x3, a last layer of (in, out), else as torch."""
    generator, weights = torch.Generator().manual_seed(5), dict[str, Tensor]()
    layers = he_layers()
    weights |= {
        "fc_0.w_0": layers.pop("fc1000").T,
        "fc_0.b_0": torch.randn(1000, generator=generator),
    }
    for layer, weight in layers.items():
        weights[f"{layer}_weights"] = weight
        made = zip(
            ("scale", "offset", "mean", "variance"), statistics(len(weight), generator), strict=True
        )
        weights |= {f"{norm_of(layer)}_{leaf}": value for leaf, value in made}

    def conv(x: Tensor, layer: str, stride: int) -> Tensor:
        kernel = weights[f"{layer}_weights"]
        x = F.conv2d(x, kernel, None, stride, kernel.shape[-1] // 2)
        return F.batch_norm(
            x,
            *(
                weights[f"{norm_of(layer)}_{leaf}"]
                for leaf in ("mean", "variance", "scale", "offset")
            ),
        )

    def model(x: Tensor) -> Tensor:
        return he_resnet50(conv, padded, False, x) @ weights["fc_0.w_0"] + weights["fc_0.b_0"]

    return weights, model


@pytest.mark.parametrize(
    ("make", "dialect", "options", "epsilon", "channels"),
    [
        (keras, "Keras", {"stride_in": "1x1"}, 1e-3, "BGR"),
        (caffe, "Caffe", {"stride_in": "1x1", "stem_pool": "ceil"}, None, "BGR"),
        (paddle, "Paddle", {}, None, "RGB"),
    ],
)
def test_models_of_other_frameworks_give_the_same_logits(
    make: Callable[[], Made],
    dialect: str,
    options: dict[str, object],
    epsilon: float | None,
    channels: str,
) -> None:
    weights, model = make()
    found = identify(weights)
    assert (found.dialect, found.arch, found.model_kwargs) == (dialect, "resnet50", options)
    assert (found.bn_eps, found.preprocessing.channel_order, found.dataset) == (
        epsilon,
        channels,
        "imagenet",
    )
    assert found.confidence == "certain"
    assert_same(found, model, 64)


@pytest.mark.parametrize(
    ("name", "arch", "options"),
    [
        (
            "legacy_seresnet18",
            "seresnet18",
            {"stem_pool": "ceil", "se_pre_relu": True, "se_divisor": 1},
        ),
        ("legacy_seresnet50", "seresnet50", {"stem_pool": "ceil", "stride_in": "1x1"}),
        ("legacy_seresnext50_32x4d", "seresnext50_32x4d", {"stem_pool": "ceil"}),
        ("seresnet18", "seresnet18", {}),
    ],
)
def test_timm_and_legacy_se_models_are_distinguished(
    name: str, arch: str, options: dict[str, object]
) -> None:
    theirs = randomize_stats(timm.create_model(name, pretrained=False))
    found = identify(theirs.state_dict())
    sure = "likely" if name == "seresnet18" else "certain"
    assert (found.arch, found.model_kwargs, found.confidence) == (arch, options, sure)
    assert torch.equal(logits(built(found), 64), logits(theirs, 64))


def test_models_known_only_to_the_index() -> None:
    theirs = randomize_stats(timm.create_model("resnet14t", pretrained=False, num_classes=7))
    found = identify({f"model.{name}": weight for name, weight in theirs.state_dict().items()})
    assert (found.arch, found.num_classes, found.fits) == ("timm/resnet14t", 7, True)
    assert torch.equal(logits(built(found), 64), logits(theirs, 64))


def test_auxiliary_classifiers_are_ignored_and_reported() -> None:
    model = randomize_stats(torchvision.models.googlenet(init_weights=False))
    found = identify(model.state_dict())
    assert (found.arch, found.fits) == ("googlenet", True)
    assert found.ignored_keys
    assert all(name.startswith("aux") for name in found.ignored_keys)
    assert any("auxiliary" in words for words in found.conversions)
    assert torch.equal(logits(built(found), 96), logits(model, 96))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("resnet20", {"shortcut_type": "B"}),
        ("resnet20", {"shortcut_type": "C"}),
        ("seresnet20", {"shortcut_type": "B", "se_reduction": 4, "se_bias": False}),
        ("seresnet18", {"se_divisor": 1}),
        ("resnext50_32x4d", {}),
        ("wide_resnet50_2", {}),
        ("resnet18", {"stem": "cifar"}),
        ("seresnet50", {"se_placement": "3x3", "se_divisor": 1}),
        ("wrn_16_8", {"widen_factor": 2}),
        ("preresnet164", {}),
        ("sepreresnet110", {"stem_norm": True, "last_norm": False}),
        ("densenet_bc_40_12", {"growth_rate": 6, "stem_width": 12}),
        ("densenet_40_12", {}),
        ("densenet161", {}),
        ("highway32", {}),
        ("bn_inception", {}),
        ("se_bn_inception", {}),
    ],
)
def test_architecture_is_inferred_from_shapes(name: str, options: dict[str, object]) -> None:
    found = identify(blank(name, 12, **options))
    wanted, given = (
        blank(found.arch, found.num_classes, **found.model_kwargs),
        blank(name, 12, **options),
    )
    assert found.fits
    assert {key: value.shape for key, value in wanted.items()} == {
        key: value.shape for key, value in given.items()
    }
    assert (found.arch, found.model_kwargs, found.num_classes, found.dataset) == (
        name,
        options,
        12,
        "",
    )


def test_names_in_the_file_decide_between_equal_shapes() -> None:
    weights = blank("plain20")
    found = identify(weights)
    assert (found.arch, found.confidence, found.alternatives) == (
        "resnet20",
        "likely",
        ("plain20", "resnet20,shortcut_pad=back"),
    )
    found = identify(weights, {"arch": "plain20"})
    assert (found.arch, found.model_kwargs, found.confidence) == ("plain20", {}, "certain")
    found = identify(blank("resnet50", 1000))
    assert (found.arch, found.confidence) == ("resnet50", "likely")
    assert "timm/resnetblur50" in found.alternatives
    assert identify(blank("resnet50", 1000), {"arch": "resnet50"}).confidence == "certain"
    assert identify(blank("resnet50", 1000), {"arch": "resnetblur50"}).arch == "timm/resnetblur50"


# Arguments without weights: the model is identified without them, and they are alternatives.
UNSEEN = {
    "resnet101": [{"stride_in": "1x1"}, {"stem_pool": "ceil"}],
    "resnext50_32x4d": [{"stride_in": "1x1"}],
    "wide_resnet50_2": [{"stride_in": "1x1"}],
    "plain18": [{"stem_pool": "ceil"}],
    "seresnet50": [
        {"stride_in": "1x1"},
        {"se_placement": "post"},
        {"se_placement": "identity"},
        {"se_pool": "max"},
        {"se_pre_relu": True},
    ],
    "seresnet20": [
        {"shortcut_type": "none"},
        {"se_placement": "post"},
        {"se_placement": "3x3"},
        {"se_pool": "max"},
    ],
    "preresnet20": [{"share_first": False}],
    "preresnet164": [{"stride_in": "3x3"}],
    "se_bn_inception": [{"se_pool": "max"}],
}


@pytest.mark.parametrize("name", UNSEEN)
def test_kwargs_without_weights_are_listed_and_never_certain(name: str) -> None:
    classes = registry.MODELS[name].num_classes
    for options in UNSEEN[name]:
        found = identify(blank(name, classes, **options))
        assert (found.arch, found.fits, found.confidence) == (name, True, "likely")
        assert join_options(name, options) in found.alternatives
        assert "no other" not in found.reason
    assert identify(blank(name, classes), {"arch": name}).confidence == "certain"


@pytest.mark.parametrize("name", ["seresnet20", "preresnet20", "resnet50"])
def test_alternatives_load_the_weights_and_differ(name: str) -> None:
    """Each alternative can be built, loads the same weights strictly, and gives other logits."""
    ours = randomize_stats(registry.create_model(name, num_classes=10))
    found = identify(ours.state_dict())
    variants = [words for words in found.alternatives if words.startswith(f"{name},")]
    assert variants
    side = 32 if registry.MODELS[name].input_size[1] == 32 else 80
    for variant in variants:
        other = registry.create_model(variant, 10)
        other.load_state_dict(ours.state_dict(), strict=True)
        assert not torch.allclose(logits(other.eval(), side), logits(ours.eval(), side), rtol=1e-3)
        # The name works, and settles the matter.
        again = identify(ours.state_dict(), model=variant)
        assert (again.fits, again.confidence, again.alternatives) == (True, "certain", ())
        assert torch.equal(logits(built(again), side), logits(other, side))


def test_models_with_the_same_names_and_shapes_are_never_certain() -> None:
    found = identify(blank("densenet121", 1000))
    assert (found.arch, found.confidence, found.alternatives) == ("densenet121", "certain", ())
    for name, other in (
        ("resnet18", "timm/resnetblur18"),
        ("resnet34", "resnet34,stem_pool=none"),
        ("seresnet18", "seresnet18,se_pool=max"),
        ("resnet50", "resnet50,output_stride=8"),
    ):
        found = identify(blank(name, 1000))
        assert (found.arch, found.confidence) == (name, "likely")
        assert other in found.alternatives
        assert "cannot distinguish" in found.reason


def test_cifar_models_with_torchvision_keys_have_guessed_mean_and_std() -> None:
    found = identify(blank("resnet20", shortcut_type="B"))
    assert (found.arch, found.model_kwargs, found.confidence) == (
        "resnet20",
        {"shortcut_type": "B"},
        "likely",
    )
    assert (found.dialect, found.alternatives) == ("chenyaofo or torchvision", ())
    assert "mean and std are guessed" in found.reason


def test_conflicting_keys_raise() -> None:
    weights = blank("resnet18", 1000)
    twice = {**weights, "layer1._orig_mod.0.conv1.weight": weights["layer1.0.conv1.weight"].clone()}
    weights["layer1.0.conv1.weight"].fill_(1)
    twice["layer1._orig_mod.0.conv1.weight"].fill_(1)
    assert identify(twice).fits
    twice["layer1._orig_mod.0.conv1.weight"].fill_(2)
    with pytest.raises(CheckpointError, match=r"would both be 'layer1\.0\.conv1\.weight'"):
        identify(twice)
    theirs = Akamaster().state_dict()
    for model in (None, "resnet20"):
        with pytest.raises(CheckpointError, match=r"'linear\.bias' and 'fc\.bias'"):
            identify({**theirs, "fc.bias": theirs["linear.bias"] + 1}, model=model)
    assert identify({**theirs, "fc.bias": theirs["linear.bias"]}).fits


def test_huge_last_layers_are_not_built() -> None:
    weights, started = blank("resnet20"), time.process_time()
    with pytest.raises(CheckpointError, match=r"'fc.weight' is empty \(16777216×0\)"):
        identify({**weights, "fc.weight": torch.zeros(2**24, 0)})
    found = identify({**weights, "fc.weight": torch.zeros(1, 64).expand(2**24, 64)})
    assert (found.fits, found.confidence, found.num_classes) == (False, "unsure", 100_000)
    assert time.process_time() - started < 2


def osmr_named(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """ResNet-50 under pytorchcv's names."""
    named = dict[str, Tensor]()
    for name, weight in weights.items():
        match name.split("."):
            case ["fc", leaf]:
                named[f"output.{leaf}"] = weight
            case [layer, leaf] if layer in ("conv1", "bn1"):
                named[f"features.init_block.conv.{layer[:-1]}.{leaf}"] = weight
            case [stage, block, "downsample", index, leaf]:
                place = f"features.stage{stage[5:]}.unit{int(block) + 1}.identity_conv"
                named[f"{place}.{('conv', 'bn')[int(index)]}.{leaf}"] = weight
            case [stage, block, layer, leaf]:
                place = f"features.stage{stage[5:]}.unit{int(block) + 1}.body.conv{layer[-1]}"
                named[f"{place}.{layer[:-1]}.{leaf}"] = weight
    return named


def test_pytorchcv_arch_decides_the_stride() -> None:
    weights = osmr_named(blank("resnet50", 1000))
    found = identify(weights)
    assert (found.dialect, found.model_kwargs, found.confidence) == (
        "pytorchcv",
        {"stride_in": "1x1"},
        "likely",
    )
    assert found.alternatives == ("resnet50,stride_in=3x3",)
    # The bare name does not settle it; the alternative's name does.
    again = identify(weights, model="resnet50")
    assert (again.model_kwargs, again.confidence) == ({"stride_in": "1x1"}, "likely")
    again = identify(weights, model="resnet50,stride_in=3x3")
    assert (again.model_kwargs, again.confidence) == ({"stride_in": "3x3"}, "certain")
    for arch, options in (("resnet50", {"stride_in": "1x1"}), ("resnet50b", {})):
        found = identify(weights, {"arch": arch})
        assert (found.model_kwargs, found.confidence) == (options, "certain")


def test_mismatches_are_listed_and_never_filled() -> None:
    weights = blank("resnet20", shortcut_type="B")
    weights["layer9.odd.weight"] = torch.zeros(3)
    weights["layer3.2.bn2.weight"] = torch.zeros(5)
    del weights["layer1.0.conv2.weight"]
    found = identify(weights)
    assert (found.arch, found.confidence, found.fits) == ("resnet20", "unsure", False)
    assert found.missing_keys == ("layer1.0.conv2.weight",)
    assert found.unexpected_keys == ("layer9.odd.weight",)
    assert found.mismatched_keys == (("layer3.2.bn2.weight", (5,), (64,)),)
    assert (
        not {"layer1.0.conv2.weight", "layer3.2.bn2.weight", "layer9.odd.weight"}
        & found.state_dict.keys()
    )


def test_missing_counters_are_not_missing_keys() -> None:
    weights = {
        name: weight
        for name, weight in blank("resnet18", 1000).items()
        if "num_batches" not in name
    }
    found = identify({f"module.{name}": weight for name, weight in weights.items()})
    assert found.fits
    assert int(found.state_dict["bn1.num_batches_tracked"]) == 0
    assert found.conversions == ("prefix 'module.' removed from the keys",)


def test_named_models_overrule_and_are_checked() -> None:
    weights = blank("resnet20")
    found = identify(weights, {"arch": "resnet20"}, model="plain20")
    assert (found.arch, found.model_kwargs, found.confidence) == ("plain20", {}, "certain")
    found = identify(weights, model="resnet32")
    assert (found.arch, found.confidence) == ("resnet32", "unsure")
    assert "layer1.3.conv1.weight" in found.missing_keys
    found = identify(blank("resnet50", 7), model="timm/resnetblur50")
    assert (found.arch, found.fits, found.num_classes, found.preprocessing.input_size) == (
        "timm/resnetblur50",
        True,
        7,
        (3, 224, 224),
    )
    with pytest.raises(CheckpointError, match="There is no model named 'resnet21'"):
        identify(weights, model="resnet21")


def test_custom_models_are_matched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layers = "nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4, num_classes)"
    text = f"from torch import nn\ndef model(num_classes):\n    return nn.Sequential({layers})\n"
    (tmp_path / "own_model.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    weights = {"model.0.weight": torch.zeros(4, 3, 3, 3), "model.0.bias": torch.zeros(4)}
    weights |= {"model.2.weight": torch.zeros(6, 4), "model.2.bias": torch.zeros(6)}
    found = identify(weights, model="own_model:model")
    assert (found.arch, found.num_classes, found.fits, found.preprocessing.input_size) == (
        "own_model:model",
        6,
        True,
        (3, 32, 32),
    )


def test_unknown_weights_raise() -> None:
    started = time.process_time()
    with pytest.raises(CheckpointError, match="--model") as caught:
        identify({f"nonsense.{index}.größe": torch.zeros(2, 2) for index in range(10_000)})
    assert time.process_time() - started < 1
    assert len(str(caught.value)) < 200
    with pytest.raises(CheckpointError):
        identify({})


def test_random_shapes_identify_or_raise() -> None:
    chance = torch.Generator().manual_seed(0)
    models = [
        blank(name) for name in ("resnet20", "seresnet20", "preresnet20", "densenet_bc_40_12")
    ]
    for turn in range(12):
        weights = dict(models[turn % len(models)])
        for _ in range(3):
            name = list(weights)[
                int(torch.randint(len(weights) if turn % 2 else 12, (), generator=chance))
            ]
            shape = [int(side) for side in torch.randint(0, 5, (turn % 6,), generator=chance)]
            weights[name] = torch.zeros(shape)
        try:
            assert identify(weights).arch
        except CheckpointError:
            continue


def test_deep_models_are_identified_quickly() -> None:
    weights = blank("resnet152", 1000)
    identify(weights)
    spent = []
    for _ in range(3):
        started = time.process_time()
        found = identify(weights)
        spent.append(time.process_time() - started)
    assert (found.arch, found.fits) == ("resnet152", True)
    assert min(spent) < 0.3


@pytest.mark.slow
def test_our_models_import_no_heavy_package() -> None:
    code = (
        "import sys; from lightning_resnets import create_model;"
        "from lightning_resnets.checkpoint.open_checkpoint import identify;"
        "identify(create_model('resnet20').state_dict());"
        "identify(create_model('resnet50').state_dict());"
        "assert not {'lightning', 'torchvision', 'torchmetrics', 'timm'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ}
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_real_keras_resnet50_classifies_real_images(tmp_path: Path) -> None:
    if not (SHARED / "get_data.py").is_file():
        pytest.skip("the ImageNet sample and the Keras weights are not beside the checkout")
    path = Path(os.environ.get("KERAS_RESNET50", tmp_path / "resnet50-keras.npz"))
    if not path.is_file():
        subprocess.run(
            [sys.executable, str(SHARED / "get_data.py"), "resnet50", str(tmp_path)],
            capture_output=True,
        )
    if not path.is_file():
        pytest.skip("the Keras weights could not be made: set KERAS_RESNET50 to the file")
    with np.load(path, allow_pickle=False) as file:
        found = identify({name: torch.from_numpy(file[name]) for name in file})
    assert (found.dialect, found.arch, found.bn_eps, found.confidence) == (
        "Keras",
        "resnet50",
        1e-3,
        "certain",
    )
    model, view, right = built(found), found.preprocessing, 0
    folders = sorted((SHARED / "imagenet-sample").iterdir())[::20]
    for place, folder in enumerate(folders):
        image = read_image(next(iter(sorted(folder.iterdir()))))
        x = preprocess(
            image,
            view.input_size,
            view.mean,
            view.std,
            view.channel_order,
            view.crop_pct,
            view.interpolation,
        )
        with torch.inference_mode():
            right += int(model(x).argmax()) == 20 * place
    assert right / len(folders) > 0.8
