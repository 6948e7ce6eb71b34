"""Shake-Shake (Gastaldi 2017): the shortcut of a stride has two paths of its own."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_resnets.graph import trace
from lightning_resnets.graph.insert_merges import insert_merges
from lightning_resnets.interventions import RemoveBlock, intervene
from lightning_resnets.merges import MergeKind

SIZE = (3, 32, 32)


class TwoPathShortcut(nn.Module):
    """Two 1x1 convolutions on maps that are one pixel apart, side by side."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, out // 2, 1, bias=False)
        self.conv2 = nn.Conv2d(width, out // 2, 1, bias=False)
        self.bn = nn.BatchNorm2d(out)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(x)
        one = self.conv1(F.avg_pool2d(x, 1, 2))
        other = self.conv2(F.avg_pool2d(F.pad(x, (-1, 1, -1, 1)), 1, 2))
        return self.bn(torch.cat((one, other), 1))


class SlicedShortcut(TwoPathShortcut):
    """The same without the activation, by slices."""

    def forward(self, x: Tensor) -> Tensor:
        one = self.conv1(x[:, :, ::2, ::2])
        other = self.conv2(F.avg_pool2d(F.pad(x[:, :, 1:, 1:], (0, 1, 0, 1)), 1, 2))
        return self.bn(torch.cat([one, other], dim=1))


class SummedShortcut(TwoPathShortcut):
    """Two projections that are added."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__(width, 2 * out)
        self.bn = nn.BatchNorm2d(out)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv1(F.avg_pool2d(x, 2)) + self.conv2(F.max_pool2d(x, 2)))


class Unit(nn.Module):
    """Two branches, mixed half and half as in evaluation mode, beside the shortcut."""

    def __init__(self, width: int, out: int, shortcut: type[nn.Module]) -> None:
        super().__init__()
        stride = 1 if width == out else 2
        self.branch1 = self.branch(width, out, stride)
        self.branch2 = self.branch(width, out, stride)
        self.shortcut = nn.Sequential() if width == out else shortcut(width, out)

    def branch(self, width: int, out: int, stride: int) -> nn.Sequential:
        return nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(width, out, 3, stride, 1, bias=False),
            nn.BatchNorm2d(out),
            nn.ReLU(),
            nn.Conv2d(out, out, 3, padding=1, bias=False),
            nn.BatchNorm2d(out),
        )

    def forward(self, x: Tensor) -> Tensor:
        return 0.5 * self.branch1(x) + 0.5 * self.branch2(x) + self.shortcut(x)


class ShakeShake26(nn.Module):
    """Four units a stage; nine skips with three a stage."""

    def __init__(self, shortcut: type[nn.Module], units: int = 3, width: int = 8) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        stages = []
        before = width
        for out in (width, 2 * width, 4 * width):
            stages += [Unit(before if i == 0 else out, out, shortcut) for i in range(units)]
            before = out
        self.units = nn.Sequential(*stages)
        self.fc = nn.Linear(before, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(F.relu(self.units(self.stem(x))).mean((2, 3)))


@pytest.mark.parametrize("backend", ["torch.fx", "recorder"])
@pytest.mark.parametrize("shortcut", [TwoPathShortcut, SlicedShortcut, SummedShortcut])
def test_every_unit_has_its_skip(shortcut: type[nn.Module], backend: str) -> None:
    torch.manual_seed(0)
    model = ShakeShake26(shortcut).eval()
    with_merges = insert_merges(model, SIZE, backend)  # type: ignore[arg-type]
    images = torch.randn(2, *SIZE)
    assert torch.equal(with_merges(images), model(images))
    skips = [skip for skip in trace(with_merges, SIZE).skips if skip.kind is MergeKind.ADD]
    owners = [skip.merge.rpartition(".")[0] for skip in skips]
    assert owners == [f"units.{i}" for i in range(9)]
    assert [skip.projection is not None for skip in skips] == [i in (3, 6) for i in range(9)]
    assert all("conv 1x1" in skip.projection for skip in skips if skip.projection)


def test_a_removed_unit_leaves_the_two_path_projection() -> None:
    torch.manual_seed(0)
    model = ShakeShake26(TwoPathShortcut).eval()
    with_merges = insert_merges(model, SIZE)
    images = torch.randn(2, *SIZE)
    with torch.no_grad(), intervene(with_merges, RemoveBlock("units.3")):
        removed = with_merges(images)
    unit = model.units[3]
    unit.forward = lambda x: unit.shortcut(x)  # type: ignore[method-assign,operator]
    torch.testing.assert_close(removed, model(images))
