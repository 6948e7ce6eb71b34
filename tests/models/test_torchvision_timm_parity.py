"""Every model that torchvision or timm has too: the same state dict both ways, and the same logits to the bit."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn

from lightning_resnets import create_model
from lightning_resnets.models.pretrained import renamed
from lightning_resnets.models.registry import MODELS
from lightning_resnets.utils.skip_init import skip_init

ALIKE: dict[str, Any] = {"aux_logits": False, "transform_input": False, "init_weights": False}
NONE: Mapping[str, Any] = MappingProxyType({})
LEGACY: dict[str, Any] = {"pool": "ceil", "se_divisor": 1}


class Twin(NamedTuple):
    """A model of ours (`ours`, `options`), whose it is else, how it is called and made there, and an image's side."""

    ours: str
    package: str
    theirs: str
    options: Mapping[str, Any] = NONE
    made: Mapping[str, Any] = NONE
    side: int = 64


TORCHVISION = [
    *(
        Twin(name, "torchvision", name)
        for name in MODELS
        if name.startswith(("resnet", "resnext", "wide"))
        and name in torchvision.models.list_models()
    ),
    *(
        Twin(f"densenet{depth}", "torchvision", f"densenet{depth}")
        for depth in (121, 161, 169, 201)
    ),
    Twin("googlenet", "torchvision", "googlenet", made=ALIKE, side=96),
    Twin("inception_v3", "torchvision", "inception_v3", made=ALIKE, side=75),
    Twin("alexnet", "torchvision", "alexnet"),
    Twin("vgg16", "torchvision", "vgg16", side=32),
    Twin("vgg19", "torchvision", "vgg19", side=32),
]
TIMM = [
    *(Twin(f"resnet{depth}", "timm", f"resnet{depth}") for depth in (18, 50)),
    Twin("resnext101_32x4d", "timm", "resnext101_32x4d"),
    *(
        Twin(name, "timm", name)
        for name in MODELS
        if name.startswith(("seresnet", "seresnext")) and "1000" in str(MODELS[name].num_classes)
    ),
    *(
        Twin(f"seresnet{depth}", "timm", f"legacy_seresnet{depth}", {**LEGACY, "stride_in": "1x1"})
        for depth in (50, 101, 152)
    ),
    *(
        Twin(f"seresnext{depth}_32x4d", "timm", f"legacy_seresnext{depth}_32x4d", LEGACY)
        for depth in (50, 101)
    ),
    # timm's basic blocks have a ReLU between the second batch norm and SE, which neither paper nor Caffe model has.
    *(
        Twin(f"seresnet{depth}", "timm", f"legacy_seresnet{depth}", {**LEGACY, "se_pre_relu": True})
        for depth in (18, 34)
    ),
    Twin("densenet121", "timm", "densenet121"),
    Twin("densenet161", "timm", "densenet161"),
    Twin("inception_v3", "timm", "inception_v3", side=75),
    Twin("inception_resnet_v2", "timm", "inception_resnet_v2", side=75),
]
TWINS = [*TORCHVISION, *TIMM]
# Parameters of the classifier half way up that torchvision counts and ours leave out: 1x1, 5x5, last layer.
AUXILIARY = {"inception_v3": (768 + 2) * 128 + (25 * 128 + 2) * 768 + (768 + 1) * 1000}
# Seconds on one core; each kind of block is there without them.
SLOW = {
    "resnet101",
    "resnet152",
    "resnext101_32x4d",
    "resnext101_32x8d",
    "resnext101_64x4d",
    "wide_resnet50_2",
    "wide_resnet101_2",
    "densenet161",
    "densenet169",
    "densenet201",
    "seresnet101",
    "seresnet152",
    "seresnext101_32x4d",
    "seresnext101_32x8d",
    "seresnext101_64x4d",
    "vgg16",
    "vgg19",
    "inception_resnet_v2",
}


def theirs(twin: Twin) -> nn.Module:
    if twin.package == "timm":
        return timm.create_model(twin.theirs, pretrained=False, num_classes=10, **twin.made).eval()
    return torchvision.models.get_model(
        twin.theirs, weights=None, num_classes=10, **twin.made
    ).eval()


def lively(model: nn.Module) -> nn.Module:
    """Weights and statistics at random, of a size that keeps every channel alive and the logits finite."""
    rng = torch.Generator().manual_seed(0)
    for name, weight in model.state_dict().items():
        if not weight.is_floating_point():
            continue
        if weight.dim() > 1:
            spread = (6 / weight[0].numel()) ** 0.5
            weight.uniform_(-spread, spread, generator=rng)
        elif name.endswith(("running_var", "weight")):
            weight.uniform_(0.5, 1.5, generator=rng)
        else:
            weight.normal_(0, 0.1, generator=rng)
    return model.eval()


def case(twin: Twin) -> Any:
    marks = [pytest.mark.slow] if twin.ours in SLOW else []
    return pytest.param(twin, id=f"{twin.package}-{twin.theirs}", marks=marks)


@pytest.mark.parametrize("twin", [case(twin) for twin in TWINS])
def test_a_twin_has_the_same_state_and_gives_the_same_logits(twin: Twin) -> None:
    with skip_init():
        ours, other = create_model(twin.ours, 10, **twin.options), theirs(twin)
    state = lively(other).state_dict()
    names = renamed(state)
    ours.load_state_dict(names, strict=True)
    mine = ours.state_dict()
    assert list(names) == list(mine) or twin.theirs.startswith(("legacy", "inception"))
    other.load_state_dict(
        dict(zip(state, [mine[name] for name in names], strict=True)), strict=True
    )
    x = torch.randn(2, 3, twin.side, twin.side, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        a, b = ours.eval()(x), other(x)
    assert b.std() > 0
    assert torch.isfinite(b).all()
    assert torch.equal(a, b), f"{apart(a, b):.1e} of the largest logit apart"


def apart(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max() / b.abs().max())


@pytest.mark.parametrize("twin", [pytest.param(twin, id=twin.theirs) for twin in TORCHVISION])
def test_a_twin_has_as_many_parameters_as_torchvision_publishes(twin: Twin) -> None:
    published = torchvision.models.get_model_weights(twin.theirs).DEFAULT.meta["num_params"]  # type: ignore[attr-defined]
    with skip_init():
        model = create_model(twin.ours, 1000, **twin.options)
    assert sum(p.numel() for p in model.parameters()) == published - AUXILIARY.get(twin.theirs, 0)


def test_no_twin_is_forgotten() -> None:
    """The models of ours whose names torchvision or timm have, and that are made for the same images."""
    known = {*torchvision.models.list_models(), *timm.list_models()}
    assert {
        name for name, model in MODELS.items() if name in known and model.num_classes == 1000
    } == {twin.ours for twin in TWINS}
