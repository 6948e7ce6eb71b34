"""Test that block outputs are modules, in torchvision models too."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_resnets.analysis.block_outputs import block_outputs
from lightning_resnets.analysis.receptive_field import receptive_field
from lightning_resnets.graph import trace_nodes
from lightning_resnets.graph.insert_merges import insert_merges
from lightning_resnets.models.registry import create_model


class Stage(nn.Module):
    """Joins its layers itself, as torchvision's dense blocks do."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU())
        self.two = nn.Sequential(nn.Conv2d(8, 4, 3, padding=1), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([x, self.one(x)], 1)
        return torch.cat([x, self.two(x)], 1)


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.stage, self.head = nn.Conv2d(3, 4, 3, padding=1), Stage(), nn.Linear(12, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.adaptive_avg_pool2d(F.relu(self.stage(self.stem(x))), 1).flatten(1))


def check(model: nn.Module, size: tuple[int, int, int]) -> None:
    modules = dict(model.named_modules(remove_duplicate=False))
    found = block_outputs(model, trace_nodes(model, size))
    assert found
    assert all(place.hook_point in modules and place.block in modules for place in found)


def test_functional_operations_are_not_block_outputs() -> None:
    model, size = Model().eval(), (3, 16, 16)
    check(model, size)
    check(insert_merges(model, size), size)
    assert "stem" in receptive_field(model, size, images=1).effective


@pytest.mark.slow  # torchvision's models
@pytest.mark.parametrize("name", ["mobilenet_v2", "mnasnet0_5", "densenet121"])
def test_torchvision_models_have_block_outputs(name: str) -> None:
    model, size = create_model(f"torchvision/{name}", 10).eval(), (3, 64, 64)
    check(model, size)
    check(insert_merges(model, size), size)
    assert not receptive_field(model, size, images=0).unknown
