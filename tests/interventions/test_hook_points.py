"""Invalid hook points: the message lists similar names, and each of those can be recorded."""

import re

import pytest
import torch
from torch import Tensor, nn

from lightning_resnets.errors import HookPointError
from lightning_resnets.graph.insert_merges import insert_merges
from lightning_resnets.interventions.hook_points import get_submodule
from lightning_resnets.interventions.record import record_activations

SIZE = (3, 8, 8)


class Model(nn.Module):
    """Modules in a list, added by functions."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 3, 1)
        self.blocks = nn.ModuleList(
            [nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU()), nn.Conv2d(3, 3, 1)]
        )
        self.nested = nn.ModuleDict({"one": nn.ModuleList([nn.Conv2d(3, 3, 1)])})
        self.empty = nn.ModuleList()

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.stem(x))
        for block in self.blocks:
            x = x + block(x)
        return self.nested["one"][0](x)


def error_message(model: nn.Module, name: str) -> str:
    with pytest.raises(HookPointError) as caught, record_activations(model, [name]):
        pass
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "name", ["", "relu", "input", "output", "add", "blocks.0.sum", "blocks.7", "no.such", "stme"]
)
def test_similar_names_can_be_recorded(name: str) -> None:
    model = Model()
    text = error_message(model, name)
    found = re.fullmatch(
        r"This model has no module called '.*'; similar names are ([^()]*?)(?: \(.*\))?\.", text
    )
    assert found, text
    names = found[1].split(", ")
    assert 0 < len(names) <= 5
    with record_activations(model, names) as recording:
        model(torch.zeros(1, *SIZE))
    assert set(recording.outputs) == set(names)


def test_the_most_similar_names_come_first() -> None:
    assert "similar names are stem." in error_message(Model(), "stme")
    assert "similar names are blocks.1, blocks.0, blocks.0.1" in error_message(Model(), "blocks.7")


def test_functional_merges_hint_at_insert_merges() -> None:
    model = Model()
    for name in ("add", "add_1", "sum", "blocks.0.join"):
        assert "`insert_merges` turns additions" in error_message(model, name)
    assert "insert_merges" not in error_message(model, "stme")
    assert "insert_merges" not in error_message(insert_merges(model, SIZE), "add_7")


def test_containers_raise() -> None:
    for model in (Model(), insert_merges(Model(), SIZE)):
        assert (
            error_message(model, "blocks")
            == "'blocks' is never called: choose one of blocks.0, blocks.1."
        )
        assert (
            error_message(model, "nested")
            == "'nested' is never called: choose one of nested.one.0."
        )
    assert error_message(Model(), "empty") == "'empty' is never called."
    assert get_submodule(Model(), "blocks") is not None  # to drop what is in it, say


def test_one_hook_point_needs_no_list() -> None:
    model = Model()
    with record_activations(model, "stem") as recording:
        model(torch.zeros(1, *SIZE))
    assert list(recording.outputs) == ["stem"]


class Two(nn.Module):
    """A block that ends in a function of two modules."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.maximum(self.one(x), self.other(x))


def test_a_block_that_ends_in_a_function_lists_its_submodules() -> None:
    with_merges = insert_merges(nn.Sequential(nn.Conv2d(3, 3, 1), Two()), SIZE)
    assert (
        error_message(with_merges, "1")
        == "'1' does not return a single tensor. Use one of its submodules (1.one, 1.other)."
    )
