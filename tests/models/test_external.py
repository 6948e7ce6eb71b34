"""Models of torchvision and timm by name: known ones only, blank without cost, with their package or a sentence."""

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


def test_a_net_of_torchvision_is_torchvision_s() -> None:
    from torchvision import models

    mine, theirs = (
        external.create_external("torchvision/shufflenet_v2_x0_5", 7),
        models.shufflenet_v2_x0_5(num_classes=7),
    )
    mine.load_state_dict(theirs.state_dict(), strict=True)
    x = torch.randn(1, 3, 64, 64)
    assert torch.equal(logits(mine, x), logits(theirs, x))


@need_timm
def test_a_net_of_timm_is_timm_s() -> None:
    import timm

    mine, theirs = (
        registry.create_model("timm/resnet10t", 7),
        timm.create_model("resnet10t", num_classes=7),
    )
    mine.load_state_dict(theirs.state_dict(), strict=True)
    x = torch.randn(1, 3, 64, 64)
    assert torch.equal(logits(mine, x), logits(theirs, x))


@need_timm
@pytest.mark.parametrize(
    "name", ["timm/vit_tiny_patch16_224", "timm/swin_s3_tiny_224", "torchvision/swin_v2_t"]
)
def test_a_blank_net_that_is_filled_is_the_net(name: str) -> None:
    """What is no weight (tables of positions, masks) is computed on blanks as ever."""
    real = registry.create_model(name, 3)
    with skip_init():
        blank = registry.create_model(name, 3)
    blank.load_state_dict(real.state_dict(), strict=True, assign=True)
    x = torch.randn(1, 3, *index.known_models()[name].input_size[1:])
    assert torch.equal(logits(blank, x), logits(real, x))


def test_inception_s_input_is_what_its_published_weights_were_trained_with() -> None:
    """torchvision changes the image inside the model (`transform_input`) where it builds it with published weights."""
    from torchvision import models

    told = models.googlenet(aux_logits=False, transform_input=True, init_weights=False)
    mine = registry.create_model("torchvision/googlenet", 1000)
    mine.load_state_dict(told.state_dict(), strict=True)
    pixels = torch.rand(1, 3, 64, 64)
    wants = index.known_models()["torchvision/googlenet"]
    usual = models.GoogLeNet_Weights.DEFAULT.transforms()
    outer, inner = (
        (pixels - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
        for mean, std in ((usual.mean, usual.std), (wants.mean, wants.std))
    )
    torch.testing.assert_close(logits(mine, inner), logits(told, outer), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_every_net_of_torchvision_is_built_blank_with_any_number_of_classes() -> None:
    names = [name for name in index.known_models() if name.startswith("torchvision/")]
    for name in names:
        with skip_init():
            model = registry.create_model(name, 5)
        (entry,) = [entry for entry in index.load_index().entries if name in dict(entry.models)]
        assert {
            model.state_dict()[weight].shape[axis] for weight, axis in entry.classifier_keys
        } == {5}, name


@need_timm
def test_a_giant_is_built_blank_without_touching_its_memory() -> None:
    if not STATM.exists():
        pytest.skip("this system does not say how much memory is in use")
    before = resident()
    with skip_init():
        model = registry.create_model("timm/vit_giant_patch14_224", 3)
    assert sum(weight.numel() for weight in model.parameters()) > 10**9
    assert resident() - before < 2**28


def resident() -> int:
    """Bytes of memory in use."""
    return int(STATM.read_text().split()[1]) * resource.getpagesize()


def test_nothing_in_a_net_works_in_place() -> None:
    model = registry.create_model("torchvision/mobilenet_v3_small", 2)
    assert not [name for name, module in model.named_modules() if getattr(module, "inplace", False)]


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_auxiliary_classifiers_stay_away(name: str) -> None:
    with skip_init():
        model = registry.create_model(f"torchvision/{name}", 4)
    assert not [weight for weight in model.state_dict() if "aux" in weight.lower()]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("torchvision/resnet51", "near: torchvision/resnet"),
        ("timm/hf-hub:someone/model", "There is no model"),
        ("timm/local-dir:folder", "There is no model"),
        ("os/system", "There is no model"),
        ("torchvision/", "There is no model"),
        ("/", "There is no model"),
    ],
)
def test_a_name_that_is_not_listed_imports_and_builds_nothing(name: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        external.create_external(name)


@pytest.mark.parametrize(
    "option", ["weights", "pretrained", "checkpoint_path", "num_classes", "aux_logits"]
)
def test_options_are_refused(option: str) -> None:
    with pytest.raises(ValueError, match="takes no options"):
        external.create_external("torchvision/resnet18", 10, **{option: "x"})


def test_the_zoo_refuses_options_of_foreign_nets() -> None:
    with pytest.raises(ValueError, match="takes no options"):
        registry.create_model("torchvision/resnet18", 10, weights="DEFAULT")


def test_without_timm_a_sentence_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ValueError, match=r"pip install timm\.$"):
        registry.create_model("timm/resnet26", 10)


def test_a_release_without_the_net_is_told_from_one_that_has_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from torchvision import models

    monkeypatch.setattr(models, "list_models", lambda module: ["resnet18"])
    with pytest.raises(
        ValueError, match="has no model resnet34: pip install --upgrade torchvision"
    ):
        registry.create_model("torchvision/resnet34", 10)


def test_the_zoo_lists_its_own_nets_only() -> None:
    assert not [name for name in registry.list_models() if "/" in name]
