"""Places are modules: an operation of the net itself, a pool in front of its head, is none."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_resnets.analysis.places import places
from lightning_resnets.analysis.receptive import receptive
from lightning_resnets.graph import follow
from lightning_resnets.graph.reveal import reveal
from lightning_resnets.zoo import build


class Stage(nn.Module):
    """Joins its layers itself, as torchvision's dense blocks do."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU())
        self.two = nn.Sequential(nn.Conv2d(8, 4, 3, padding=1), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([x, self.one(x)], 1)
        return torch.cat([x, self.two(x)], 1)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.stage, self.head = nn.Conv2d(3, 4, 3, padding=1), Stage(), nn.Linear(12, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.adaptive_avg_pool2d(F.relu(self.stage(self.stem(x))), 1).flatten(1))


def check(net: nn.Module, size: tuple[int, int, int]) -> None:
    modules = dict(net.named_modules(remove_duplicate=False))
    found = places(net, follow(net, size))
    assert found
    assert all(place.point in modules and place.block in modules for place in found)


def test_functions_of_the_net_itself_are_no_places() -> None:
    net, size = Net().eval(), (3, 16, 16)
    check(net, size)
    check(reveal(net, size), size)
    assert "stem" in receptive(net, size, pictures=1).effective


@pytest.mark.slow  # torchvision's nets
@pytest.mark.parametrize("name", ["mobilenet_v2", "mnasnet0_5", "densenet121"])
def test_torchvisions_nets_have_places(name: str) -> None:
    net, size = build(f"torchvision/{name}", 10).eval(), (3, 64, 64)
    check(net, size)
    check(reveal(net, size), size)
    assert not receptive(net, size, pictures=0).unknown
