"""Models of torchvision and timm by name: known ones only, uninitialized at no cost."""

import importlib.util
import resource
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from lightning_resnets.models import external, registry
from lightning_resnets.models.known import index
from lightning_resnets.utils.skip_init import skip_init

STATM = Path("/proc/self/statm")
need_timm = pytest.mark.skipif(
    importlib.util.find_spec("timm") is None, reason="timm is not installed"
)


def logits(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(x)


def test_torchvision_models_are_unchanged() -> None:
    from torchvision import models

    ours = external.create_external("torchvision/shufflenet_v2_x0_5", 7)
    theirs = models.shufflenet_v2_x0_5(num_classes=7)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    x = torch.randn(1, 3, 64, 64)
    assert torch.equal(logits(ours, x), logits(theirs, x))


@need_timm
def test_timm_models_are_unchanged() -> None:
    import timm

    ours = registry.create_model("timm/resnet10t", 7)
    theirs = timm.create_model("resnet10t", num_classes=7)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    x = torch.randn(1, 3, 64, 64)
    assert torch.equal(logits(ours, x), logits(theirs, x))


@need_timm
@pytest.mark.parametrize(
    "name", ["timm/vit_tiny_patch16_224", "timm/swin_s3_tiny_224", "torchvision/swin_v2_t"]
)
def test_an_uninitialized_model_with_loaded_weights_is_equal(name: str) -> None:
    """Buffers such as position tables and masks are computed as usual."""
    real = registry.create_model(name, 3)
    with skip_init():
        uninitialized = registry.create_model(name, 3)
    uninitialized.load_state_dict(real.state_dict(), strict=True, assign=True)
    x = torch.randn(1, 3, *index.known_models()[name].input_size[1:])
    assert torch.equal(logits(uninitialized, x), logits(real, x))


def test_googlenet_preprocessing_replaces_transform_input() -> None:
    """torchvision changes the image inside a model with published weights (`transform_input`)."""
    from torchvision import models

    theirs = models.googlenet(aux_logits=False, transform_input=True, init_weights=False)
    ours = registry.create_model("torchvision/googlenet", 1000)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    pixels = torch.rand(1, 3, 64, 64)
    preprocessing = index.known_models()["torchvision/googlenet"]
    transforms = models.GoogLeNet_Weights.DEFAULT.transforms()
    outer, inner = (
        (pixels - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
        for mean, std in (
            (transforms.mean, transforms.std),
            (preprocessing.mean, preprocessing.std),
        )
    )
    torch.testing.assert_close(logits(ours, inner), logits(theirs, outer), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_every_torchvision_model_builds_with_any_number_of_classes() -> None:
    names = [name for name in index.known_models() if name.startswith("torchvision/")]
    for name in names:
        with skip_init():
            model = registry.create_model(name, 5)
        (entry,) = [entry for entry in index.load_index().entries if name in dict(entry.models)]
        assert {
            model.state_dict()[weight].shape[axis] for weight, axis in entry.classifier_keys
        } == {5}, name


@need_timm
def test_a_giant_model_is_built_without_touching_its_memory() -> None:
    if not STATM.exists():
        pytest.skip("this system does not report memory in use")
    before = resident()
    with skip_init():
        model = registry.create_model("timm/vit_giant_patch14_224", 3)
    assert sum(weight.numel() for weight in model.parameters()) > 10**9
    assert resident() - before < 2**28


def resident() -> int:
    """Return the bytes of memory in use."""
    return int(STATM.read_text().split()[1]) * resource.getpagesize()


def test_no_module_works_in_place() -> None:
    model = registry.create_model("torchvision/mobilenet_v3_small", 2)
    assert not [name for name, module in model.named_modules() if getattr(module, "inplace", False)]


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_auxiliary_classifiers_are_left_out(name: str) -> None:
    with skip_init():
        model = registry.create_model(f"torchvision/{name}", 4)
    assert not [weight for weight in model.state_dict() if "aux" in weight.lower()]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("torchvision/resnet51", "near: torchvision/resnet"),
        ("timm/hf-hub:someone/model", "There is no model"),
        ("timm/local-dir:folder", "There is no model"),
        ("os/system", "There is no model"),
        ("torchvision/", "There is no model"),
        ("/", "There is no model"),
    ],
)
def test_unknown_names_raise(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        external.create_external(name)


@pytest.mark.parametrize(
    "option", ["weights", "pretrained", "checkpoint_path", "progress", "aux_logits"]
)
def test_options_raise(option: str) -> None:
    with pytest.raises(ValueError, match="takes no options"):
        external.create_external("torchvision/resnet18", 10, **{option: "x"})


def test_create_model_rejects_options_of_external_models() -> None:
    with pytest.raises(ValueError, match="takes no options"):
        registry.create_model("torchvision/resnet18", 10, weights="DEFAULT")


def test_missing_timm_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ValueError, match=r"pip install timm\.$"):
        registry.create_model("timm/resnet26", 10)


def test_an_old_release_raises(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from torchvision import models

    monkeypatch.setattr(models, "list_models", lambda module: ["resnet18"])
    with pytest.raises(
        ValueError, match="has no model resnet34: pip install --upgrade torchvision"
    ):
        registry.create_model("torchvision/resnet34", 10)


def test_list_models_has_built_in_models_only() -> None:
    assert not [name for name in registry.list_models() if "/" in name]
