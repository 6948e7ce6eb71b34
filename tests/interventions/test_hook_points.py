"""Names that are no points: the sentence lists real ones near, and each of those can be probed."""

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
    """Parts in a list, joined by functions."""

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


def refusal(model: nn.Module, name: str) -> str:
    with pytest.raises(HookPointError) as caught, record_activations(model, [name]):
        pass
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "name", ["", "relu", "input", "output", "add", "blocks.0.sum", "blocks.7", "no.such", "stme"]
)
def test_what_is_listed_can_be_probed(name: str) -> None:
    model = Model()
    text = refusal(model, name)
    found = re.fullmatch(
        r"This model has no part called '.*'; near it are ([^()]*?)(?: \(.*\))?\.", text
    )
    assert found, text
    names = found[1].split(", ")
    assert 0 < len(names) <= 5
    with record_activations(model, names) as seen:
        model(torch.zeros(1, *SIZE))
    assert set(seen.outputs) == set(names)


def test_the_nearest_come_first() -> None:
    assert "near it are stem." in refusal(Model(), "stme")
    assert "near it are blocks.1, blocks.0, blocks.0.1" in refusal(Model(), "blocks.7")


def test_a_join_by_a_function_is_sent_to_reveal() -> None:
    model = Model()
    for name in ("add", "add_1", "sum", "blocks.0.join"):
        assert "in the model that `reveal` gives" in refusal(model, name)
    assert "reveal" not in refusal(model, "stme")
    assert "reveal" not in refusal(insert_merges(model, SIZE), "add_7")


def test_what_only_holds_others_is_never_called() -> None:
    for model in (Model(), insert_merges(Model(), SIZE)):
        assert (
            refusal(model, "blocks")
            == "'blocks' is never called: choose one of blocks.0, blocks.1."
        )
        assert refusal(model, "nested") == "'nested' is never called: choose one of nested.one.0."
    assert refusal(Model(), "empty") == "'empty' is never called."
    assert get_submodule(Model(), "blocks") is not None  # to drop what is in it, say


def test_one_point_needs_no_list() -> None:
    model = Model()
    with record_activations(model, "stem") as seen:
        model(torch.zeros(1, *SIZE))
    assert list(seen.outputs) == ["stem"]


class Two(nn.Module):
    """A block that ends in a function of two parts."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.maximum(self.one(x), self.other(x))


def test_a_block_that_no_module_ends_lists_its_parts() -> None:
    shown = insert_merges(nn.Sequential(nn.Conv2d(3, 3, 1), Two()), SIZE)
    assert (
        refusal(shown, "1")
        == "'1' gives no single tensor to take hold of: choose a part inside it (1.one, 1.other)."
    )
