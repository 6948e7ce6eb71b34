"""Whole pickled modules open exactly as their layers are set, or are rejected."""

from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_resnets.checkpoint.inspect import inspect_checkpoint
from lightning_resnets.checkpoint.load import load_checkpoint
from lightning_resnets.errors import CheckpointError
from tests.helpers.third_party_models import randomize_stats

SIZE = 64


def small_stem(keep_pool: bool) -> nn.Module:
    """Build torchvision's ResNet-18 with a 3x3 stem, as for CIFAR."""
    model = torchvision.models.resnet18(num_classes=10)
    model.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
    if not keep_pool:
        model.maxpool = nn.Identity()  # type: ignore[assignment]
    return model


def without_pool() -> nn.Module:
    model = torchvision.models.resnet34(num_classes=7)
    model.maxpool = nn.Identity()  # type: ignore[assignment]
    return model


def strided_first() -> nn.Module:
    model = torchvision.models.resnet50(num_classes=7)
    for stage in (model.layer2, model.layer3, model.layer4):
        block = stage[0]
        block.conv1.stride, block.conv2.stride = (2, 2), (1, 1)  # type: ignore[union-attr, assignment]
    return model


def dilated(*replaced: bool) -> nn.Module:
    return torchvision.models.resnet50(replace_stride_with_dilation=list(replaced))


def with_eps() -> nn.Module:
    model = torchvision.models.resnet18(num_classes=10)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-3
    return model


def ceil_pool() -> nn.Module:
    model = torchvision.models.resnet18(num_classes=10)
    model.maxpool = nn.MaxPool2d(3, 2, ceil_mode=True)
    return model


def stem_stride_two() -> nn.Module:
    model = torchvision.models.resnet18(num_classes=10)
    model.conv1 = nn.Conv2d(3, 64, 3, 2, 1, bias=False)
    return model


EXACT: dict[str, Callable[[], nn.Module]] = {
    "resnet18": lambda: torchvision.models.resnet18(num_classes=10),
    "3x3 stem, pool kept": lambda: small_stem(keep_pool=True),
    "3x3 stem, no pool": lambda: small_stem(keep_pool=False),
    "3x3 stem of stride 2": stem_stride_two,
    "7x7 stem, no pool": without_pool,
    "ceil pool": ceil_pool,
    "stride in the 1x1": strided_first,
    "dilated": lambda: dilated(False, True, True),
    "last stage dilated": lambda: dilated(False, False, True),
    "epsilon": with_eps,
    "dropout head": lambda: headed(nn.Sequential(nn.Dropout(0.5), nn.Linear(512, 3))),
    "densenet121": lambda: torchvision.models.densenet121(num_classes=5),
    "mobilenet": lambda: torchvision.models.mobilenet_v3_small(num_classes=5),
}


def headed(head: nn.Module) -> nn.Module:
    model = torchvision.models.resnet18()
    model.fc = head  # type: ignore[assignment]
    return model


@pytest.mark.parametrize("name", EXACT)
def test_settings_of_a_whole_module_are_used(name: str, tmp_path: Path) -> None:
    theirs = randomize_stats(EXACT[name]())
    path = tmp_path / "whole.pth"
    torch.save(theirs, path)
    loaded = load_checkpoint(path)
    x = torch.randn(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        ours, wanted = loaded.model(x), theirs(x)
    assert float((ours - wanted).abs().max() / wanted.abs().max()) < 1e-5
    assert loaded.identification is not None
    assert loaded.identification.confidence == "certain"


def changed(model: nn.Module, change: Callable[[nn.Module], object]) -> nn.Module:
    change(model)
    return model


def set_layer(path: str, layer: nn.Module) -> Callable[[nn.Module], object]:
    def change(model: nn.Module) -> None:
        parent, _, child = path.rpartition(".")
        setattr(model.get_submodule(parent), child, layer)

    return change


def set_value(path: str, name: str, value: object) -> Callable[[nn.Module], object]:
    return lambda model: setattr(model.get_submodule(path), name, value)


# Models that no option describes.
REJECTED: dict[str, tuple[Callable[[nn.Module], object], str]] = {
    "one dilated layer": (set_value("layer3.1.conv2", "dilation", (2, 2)), "dilation"),
    "another padding": (set_value("layer3.1.conv2", "padding_mode", "reflect"), "padding_mode"),
    "another stride": (set_value("layer3.0.conv1", "stride", (1, 1)), "stride"),
    "another pool": (set_layer("maxpool", nn.MaxPool2d(2, 2)), "MaxPool2d 2 2"),
    "another activation": (set_layer("layer1.0.relu", nn.SiLU()), "SiLU"),
    "pool in a shortcut": (
        set_layer("layer1.1.downsample", nn.AvgPool2d(1, 1)),
        "AvgPool2d",
    ),
    "another pool before the head": (set_layer("avgpool", nn.AdaptiveMaxPool2d(1)), "AdaptiveMax"),
    "an activation less": (set_layer("layer1.0.relu", nn.Identity()), "layer1.0.relu is Identity"),
    "more padding": (
        lambda model: model.get_submodule("layer4").append(nn.ZeroPad2d(3)),  # type: ignore[operator]
        "ZeroPad2d",
    ),
    "one epsilon": (set_value("layer1.0.bn1", "eps", 0.1), "eps"),
}


@pytest.mark.parametrize("name", REJECTED)
def test_modules_that_no_model_is_like_are_rejected(name: str, tmp_path: Path) -> None:
    change, word = REJECTED[name]
    path = tmp_path / "whole.pth"
    torch.save(changed(torchvision.models.resnet18(num_classes=10), change), path)
    with pytest.raises(CheckpointError, match=rf"differs from resnet18 .*{word}"):
        load_checkpoint(path)


@pytest.mark.parametrize("first", [nn.Upsample(scale_factor=2), nn.InstanceNorm2d(3)], ids=repr)
def test_layers_before_the_body_are_not_left_out(first: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "whole.pth"
    torch.save(nn.Sequential(first, torchvision.models.resnet18(num_classes=10)), path)
    with pytest.raises(CheckpointError, match="differs from resnet18"):
        load_checkpoint(path)


@pytest.mark.parametrize("pool", ["max", "avgmax"])
def test_another_pool_of_timm_is_rejected(pool: str, tmp_path: Path) -> None:
    path = tmp_path / "whole.pth"
    torch.save(timm.create_model("resnet18", num_classes=10, global_pool=pool), path)
    with pytest.raises(CheckpointError, match=r"differs from resnet18 .*Max"):
        load_checkpoint(path)


def test_partial_dilation_is_rejected(tmp_path: Path) -> None:
    torch.save(dilated(False, True, False), tmp_path / "whole.pth")
    with pytest.raises(CheckpointError, match="differs from resnet50"):
        load_checkpoint(tmp_path / "whole.pth")


class OwnBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(16, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        self.conv2, self.bn2 = nn.Conv2d(16, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))


class OwnNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(OwnBlock(), OwnBlock())
        self.linear = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.layer1(F.relu(self.bn1(self.conv1(x)))).mean((2, 3)))


def test_code_of_the_user_is_assumed_not_known(tmp_path: Path) -> None:
    path = tmp_path / "whole.pth"
    theirs = randomize_stats(OwnNet())
    torch.save(theirs, path)
    loaded = load_checkpoint(path)
    found = loaded.identification
    assert found is not None
    assert (found.arch, found.confidence) == ("resnet", "likely")
    assert any("was not run" in note and "OwnNet" in note for note in loaded.notes)
    x = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        assert torch.allclose(loaded.model(x), theirs(x), atol=1e-4)


def test_a_state_dict_of_the_same_weights_is_never_certain(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    torch.save(small_stem(keep_pool=True).state_dict(), path)
    found = inspect_checkpoint(path).identification
    assert found is not None
    assert (found.confidence, found.arch) == ("likely", "resnet18")
    assert "resnet18,stem_pool=pad" in found.alternatives
    theirs = randomize_stats(small_stem(keep_pool=True))
    torch.save(theirs.state_dict(), path)
    loaded = load_checkpoint(path, "resnet18,stem_pool=pad")
    x = torch.randn(1, 3, SIZE, SIZE)
    with torch.no_grad():
        assert torch.allclose(loaded.model(x), theirs(x), rtol=1e-4, atol=1e-4)
