"""Models that torchvision or timm has too: equal state dicts both ways, logits equal to the bit."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn

from lightning_resnets import create_model
from lightning_resnets.models.pretrained import rename_published_keys
from lightning_resnets.models.registry import MODELS
from lightning_resnets.utils.skip_init import skip_init

ALIKE: dict[str, Any] = {"aux_logits": False, "transform_input": False, "init_weights": False}
NONE: Mapping[str, Any] = MappingProxyType({})
LEGACY: dict[str, Any] = {"stem_pool": "ceil", "se_divisor": 1}


class Reference(NamedTuple):
    """One of our models and the same model of another package.

    Attributes:
        ours: name of our model.
        package: "torchvision" or "timm".
        theirs: the package's name of it.
        model_kwargs: options of our model.
        their_kwargs: options of the package's model.
        image_size: side of the test image.
    """

    ours: str
    package: str
    theirs: str
    model_kwargs: Mapping[str, Any] = NONE
    their_kwargs: Mapping[str, Any] = NONE
    image_size: int = 64


TORCHVISION = [
    *(
        Reference(name, "torchvision", name)
        for name in MODELS
        if name.startswith(("resnet", "resnext", "wide"))
        and name in torchvision.models.list_models()
    ),
    *(
        Reference(f"densenet{depth}", "torchvision", f"densenet{depth}")
        for depth in (121, 161, 169, 201)
    ),
    Reference("googlenet", "torchvision", "googlenet", their_kwargs=ALIKE, image_size=96),
    Reference("inception_v3", "torchvision", "inception_v3", their_kwargs=ALIKE, image_size=75),
    Reference("alexnet", "torchvision", "alexnet"),
    *(
        Reference(name, "torchvision", name, image_size=32)
        for name in ("vgg16", "vgg16_bn", "vgg19", "vgg19_bn")
    ),
]
TIMM = [
    *(Reference(f"resnet{depth}", "timm", f"resnet{depth}") for depth in (18, 50)),
    Reference("resnext101_32x4d", "timm", "resnext101_32x4d"),
    *(
        Reference(name, "timm", name)
        for name in MODELS
        if name.startswith(("seresnet", "seresnext")) and "1000" in str(MODELS[name].num_classes)
    ),
    *(
        Reference(
            f"seresnet{depth}", "timm", f"legacy_seresnet{depth}", {**LEGACY, "stride_in": "1x1"}
        )
        for depth in (50, 101, 152)
    ),
    *(
        Reference(f"seresnext{depth}_32x4d", "timm", f"legacy_seresnext{depth}_32x4d", LEGACY)
        for depth in (50, 101)
    ),
    # timm's basic blocks have a ReLU between the second batch norm and SE. Neither the paper nor
    # the Caffe model has one.
    *(
        Reference(
            f"seresnet{depth}", "timm", f"legacy_seresnet{depth}", {**LEGACY, "se_pre_relu": True}
        )
        for depth in (18, 34)
    ),
    Reference("senet154", "timm", "senet154"),
    Reference("densenet121", "timm", "densenet121"),
    Reference("densenet161", "timm", "densenet161"),
    Reference("inception_v3", "timm", "inception_v3", image_size=75),
    Reference("inception_resnet_v2", "timm", "inception_resnet_v2", image_size=75),
]
REFERENCES = [*TORCHVISION, *TIMM]
# Parameters of the auxiliary classifier, which our model leaves out.
AUXILIARY = {"inception_v3": (768 + 2) * 128 + (25 * 128 + 2) * 768 + (768 + 1) * 1000}
# These take seconds on one core; the others cover every kind of block.
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
    "senet154",
    "vgg16",
    "vgg16_bn",
    "vgg19",
    "vgg19_bn",
    "inception_resnet_v2",
}


def build_theirs(reference: Reference) -> nn.Module:
    if reference.package == "timm":
        return timm.create_model(
            reference.theirs, pretrained=False, num_classes=10, **reference.their_kwargs
        ).eval()
    return torchvision.models.get_model(
        reference.theirs, weights=None, num_classes=10, **reference.their_kwargs
    ).eval()


def randomize_weights(model: nn.Module) -> nn.Module:
    """Fill weights and statistics with random values that keep channels and logits alive."""
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


def case(reference: Reference) -> Any:
    marks = [pytest.mark.slow] if reference.ours in SLOW else []
    return pytest.param(reference, id=f"{reference.package}-{reference.theirs}", marks=marks)


@pytest.mark.parametrize("reference", [case(reference) for reference in REFERENCES])
def test_state_dicts_and_logits_are_equal(reference: Reference) -> None:
    with skip_init():
        ours = create_model(reference.ours, 10, **reference.model_kwargs)
        other = build_theirs(reference)
    state = randomize_weights(other).state_dict()
    renamed = rename_published_keys(state)
    ours.load_state_dict(renamed, strict=True)
    mine = ours.state_dict()
    assert list(renamed) == list(mine) or reference.theirs.startswith(("legacy", "inception"))
    other.load_state_dict(
        dict(zip(state, [mine[name] for name in renamed], strict=True)), strict=True
    )
    x = torch.randn(
        2, 3, reference.image_size, reference.image_size, generator=torch.Generator().manual_seed(1)
    )
    with torch.inference_mode():
        a = ours.eval()(x)
        b = other(x)
    assert b.std() > 0
    assert torch.isfinite(b).all()
    assert torch.equal(a, b), f"{relative_error(a, b):.1e} of the largest logit apart"


def relative_error(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max() / b.abs().max())


@pytest.mark.parametrize(
    "reference", [pytest.param(reference, id=reference.theirs) for reference in TORCHVISION]
)
def test_parameter_counts_are_those_of_torchvision(reference: Reference) -> None:
    published = torchvision.models.get_model_weights(reference.theirs).DEFAULT.meta["num_params"]  # type: ignore[attr-defined]
    with skip_init():
        model = create_model(reference.ours, 1000, **reference.model_kwargs)
    assert sum(p.numel() for p in model.parameters()) == published - AUXILIARY.get(
        reference.theirs, 0
    )


def test_every_shared_model_is_compared() -> None:
    known = {*torchvision.models.list_models(), *timm.list_models()}
    assert {
        name for name, model in MODELS.items() if name in known and model.num_classes == 1000
    } == {reference.ours for reference in REFERENCES}


def load_legacy_senet154(theirs: nn.Module, ours: nn.Module) -> None:
    """Copy the weights of Caffe's model, whose stem has other names."""
    stem = {"conv1": "conv1.0", "bn1": "conv1.1", "conv2": "conv1.3", "bn2": "conv1.4"}
    stem |= {"conv3": "conv1.6", "bn3": "bn1"}
    state: dict[str, Tensor] = {}
    for key, value in theirs.state_dict().items():
        first, second, *rest = key.split(".")
        parts = [stem[second], *rest] if first == "layer0" else [first, second, *rest]
        renamed = ".".join(parts).replace("se_module", "se").replace("last_linear", "fc")
        state[renamed] = value
    ours.load_state_dict(state, strict=True)


@pytest.mark.slow
def test_senet154_is_the_model_of_the_paper() -> None:
    """Compare it with the conversion of the authors' Caffe model."""
    with skip_init():
        ours = create_model("senet154", stem_pool="ceil").eval()
        theirs = timm.create_model("legacy_senet154", pretrained=False).eval()
    randomize_weights(theirs)
    load_legacy_senet154(theirs, ours)
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        a = ours(x)
        b = theirs(x)
    assert b.std() > 0
    assert torch.equal(a, b), f"{relative_error(a, b):.1e} of the largest logit apart"


@pytest.mark.parametrize(
    ("name", "parameters"), [("senet154", 115_088_984), ("densenet264", 33_337_704)]
)
def test_parameter_counts_of_models_that_torchvision_lacks(name: str, parameters: int) -> None:
    with skip_init():
        model = create_model(name)
    assert sum(p.numel() for p in model.parameters()) == parameters


@pytest.mark.slow
def test_densenet264_is_that_of_torchvision() -> None:
    """Huang et al. 2017, table 1: 6, 12, 64 and 48 layers, growth rate 32."""
    with skip_init():
        ours = create_model("densenet264").eval()
        theirs = torchvision.models.DenseNet(32, (6, 12, 64, 48), 64).eval()
    ours.load_state_dict(randomize_weights(theirs).state_dict(), strict=True)
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        assert torch.equal(ours(x), theirs(x))
