"""Every name builds and gives one logit a class; a wrong one is answered in a sentence."""

import pytest
import torch

import lightning_resnets
from lightning_resnets import create_model, list_models
from lightning_resnets.models.registry import MODELS

# Seconds each; the shallower ones of their kind are there without them.
SLOW = {"resnet1202", "plain1202", "preresnet1001", "densenet_bc_250_24"}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name
        for name in list_models()
    ],
)
def test_every_net_gives_one_logit_a_class(name: str) -> None:
    with torch.device("meta"):
        model = create_model(name, num_classes=7).eval()
        assert model(torch.empty(2, *MODELS[name].input_size)).shape == (2, 7)


def test_unknown_names_and_options_get_a_sentence() -> None:
    with pytest.raises(ValueError, match=r"no model named 'resnet21' \(near: .*resnet20"):
        create_model("resnet21")
    with pytest.raises(ValueError, match="resnet20 does not take these options"):
        create_model("resnet20", color="red")


def test_public_names() -> None:
    public = sorted(
        name for name in vars(lightning_resnets) if not name.startswith("_") and name[0].isupper()
    )
    assert public == [
        "Add",
        "BlockGraph",
        "Bypass",
        "Concat",
        "Drop",
        "Gate",
        "Hold",
        "Keep",
        "Kind",
        "Scale",
        "Silence",
        "Skip",
        "Swap",
    ]
    for name in ("build", "names", "trace", "reveal", "probe", "operate", "sweep"):
        assert callable(getattr(lightning_resnets, name))
