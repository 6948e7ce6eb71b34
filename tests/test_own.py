"""A net of the user's own: twenty lines, built by `module:function`, trained and seen like any other."""

import sys
from pathlib import Path

import pytest
import torch

from lightning_resnets import build
from lightning_resnets.graph import trace
from lightning_resnets.merge import Kind

EXAMPLE = """
from torch import nn

from lightning_resnets import Add, Concat
from lightning_resnets.resnet import ResNet


class TwoWindows(nn.Module):
    def __init__(self, inplanes, planes, stride=1):
        super().__init__()
        self.small = nn.Conv2d(inplanes, planes // 2, 3, stride, padding=1)
        self.large = nn.Conv2d(inplanes, planes // 2, 5, stride, padding=2)
        self.concat, self.bn, self.relu, self.add = Concat(), nn.BatchNorm2d(planes), nn.ReLU(), Add()
        self.fit = nn.Conv2d(inplanes, planes, 1, stride)

    def forward(self, x):
        return self.relu(self.add(self.fit(x), self.bn(self.concat(self.small(x), self.large(x)))))


def net(classes=10, depth=2):
    return ResNet(TwoWindows, (depth,) * 3, classes, stem="cifar")
"""


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "twowindows.py").write_text(EXAMPLE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "twowindows", raising=False)
    return "twowindows:net"


def test_a_block_of_ones_own_is_stacked_trained_and_followed(example: str) -> None:
    path = list(sys.path)
    net = build(example, classes=3, depth=1)
    assert sys.path == path
    net(torch.randn(2, 3, 32, 32)).sum().backward()
    assert all(weight.grad is not None for weight in net.parameters())
    graph = trace(net)
    assert [skip.merge for skip in graph.skips if skip.kind is Kind.ADD] == [f"layer{i}.0.add" for i in (1, 2, 3)]
    assert graph.merges[0].name == "layer1.0.concat"
    assert graph.fold().merges == graph.fold().fold().merges


def test_mistakes_get_a_sentence(example: str) -> None:
    with pytest.raises(ValueError, match=r"no net 'nowhere:net' \(No module named 'nowhere'\)"):
        build("nowhere:net")
    with pytest.raises(ValueError, match="no net 'twowindows:nets'"):
        build("twowindows:nets")
    with pytest.raises(ValueError, match="does not take these options"):
        build(example, colour="red")
    with pytest.raises(ValueError, match="gave dict, not a net"):
        build("builtins:dict")
    with pytest.raises(ValueError, match="no net ':'"):
        build(":")
