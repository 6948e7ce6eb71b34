"""Every name builds and returns one logit per class; unknown names and options raise."""

import importlib.metadata

import pytest
import torch

import lightning_resnets
from lightning_resnets import create_model, list_models
from lightning_resnets.errors import ModelError
from lightning_resnets.models import pretrained
from lightning_resnets.models.registry import MODELS
from lightning_resnets.utils.skip_init import skip_init

# These take seconds each; shallower models of the same kinds are covered.
SLOW = {"resnet1202", "plain1202", "preresnet1001", "densenet_bc_250_24"}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name
        for name in list_models()
    ],
)
def test_every_model_returns_one_logit_per_class(name: str) -> None:
    with torch.device("meta"):
        model = create_model(name, num_classes=7).eval()
        assert model(torch.empty(2, *MODELS[name].input_size)).shape == (2, 7)


def test_unknown_names_and_options_raise() -> None:
    with pytest.raises(ModelError, match=r"no model named 'resnet21' \(near: .*resnet20"):
        create_model("resnet21")
    with pytest.raises(
        ModelError, match=r"^The model alexnet does not take these options: color\. Use num_clas"
    ) as caught:
        create_model("alexnet", color="red")
    assert str(caught.value).endswith("Use num_classes, dropout, in_channels.")
    with pytest.raises(ModelError, match=r"options: color\. Use .* in_channels, .* se_reduction, "):
        create_model("resnet20", color="red")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name
        for name in list_models()
    ],
)
def test_every_model_takes_gray_images(name: str) -> None:
    _, *size = MODELS[name].input_size
    with torch.device("meta"):
        gray = create_model(name, 7, in_channels=1).eval()
        assert gray(torch.empty(2, 1, *size)).shape == (2, 7)
        color = create_model(name, 7)
    # Only the first convolution differs.
    shapes = {key: weight.shape for key, weight in gray.state_dict().items()}
    others = {key: weight.shape for key, weight in color.state_dict().items()}
    differing = [key for key in shapes if shapes[key] != others[key]]
    assert shapes.keys() == others.keys()
    assert len(differing) <= 4 if name.startswith("highway") else len(differing) == 1


@pytest.mark.parametrize("name", ["resnet20", "alexnet", "torchvision/resnet18"])
@pytest.mark.parametrize(
    ("option", "value"), [("in_channels", 0), ("in_channels", "1"), ("num_classes", -1)]
)
def test_invalid_counts_raise(name: str, option: str, value: object) -> None:
    least = 1 if option == "in_channels" else 0
    with pytest.raises(
        ModelError, match=rf"^{option} must be an integer of at least {least}, got {value!r}\.$"
    ):
        create_model(name, **{option: value})  # type: ignore[arg-type]


def test_pretrained_weights_do_not_fit_gray_images(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = create_model("resnet18").state_dict()
    described = (weights, None, "resnet18 with torchvision's weights")
    monkeypatch.setattr(pretrained, "load_pretrained_weights", lambda *args: described)
    with pytest.raises(ModelError, match=r"do not fit the options given \(conv1\.weight\)"):
        create_model("resnet18", pretrained=True, in_channels=1)


@pytest.mark.parametrize(
    ("name", "num_classes"),
    [("resnet20", 10), ("resnet18", 1000), ("alexnet", 1000), ("torchvision/resnet18", 1000)],
)
def test_default_number_of_classes_is_the_models_own(name: str, num_classes: int) -> None:
    with skip_init():
        weight = list(create_model(name).parameters())[-1]
    assert len(weight) == num_classes


def test_public_names() -> None:
    assert set(lightning_resnets.__all__) == {
        "Add",
        "BypassBlock",
        "Concat",
        "Gate",
        "InteractiveModel",
        "KeepChannels",
        "MergeKind",
        "ModelGraph",
        "RemoveBlock",
        "ScaleInput",
        "SetInput",
        "SkipConnection",
        "SwapBlocks",
        "UserError",
        "ZeroChannels",
        "__version__",
        "create_model",
        "insert_merges",
        "intervene",
        "list_models",
        "record_activations",
        "sweep",
        "trace",
    }
    for name in lightning_resnets.__all__:
        assert getattr(lightning_resnets, name)
    assert lightning_resnets.__version__ == importlib.metadata.version("lightning-resnets")
