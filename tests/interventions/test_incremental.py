"""A replay against the forward pass written out by hand, and against hooks; and it computes only what it must."""

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lightning_resnets.errors import InterventionError
from lightning_resnets.graph import trace_nodes
from lightning_resnets.graph.insert_merges import insert_merges
from lightning_resnets.interventions import intervene
from lightning_resnets.interventions.edits import (
    BypassBlock,
    Intervention,
    KeepChannels,
    RemoveBlock,
    SetInput,
    SwapBlocks,
    ZeroChannels,
)
from lightning_resnets.interventions.incremental import IncrementalRunner
from lightning_resnets.interventions.record import Recording, record_activations
from tests.helpers.reference_forward import IMAGES, WIDTHS, Slow, compositions, patient

MODEL = patient()
REVEALED = insert_merges(MODEL, (3, 6, 6))
MERGES = [f"{block}.{name}" for block in "abc" for name in ("se.gate", "add")] + ["dense.concat"]
POINTS = list(dict.fromkeys([*WIDTHS, *MERGES]))


def replay(model: nn.Module = MODEL) -> IncrementalRunner:
    return IncrementalRunner(model, trace_nodes(model, (3, 6, 6)))


def by_hooks(
    model: nn.Module, ops: list[Intervention], image: Tensor = IMAGES
) -> tuple[Tensor, Recording]:
    with intervene(model, *ops), record_activations(model, POINTS) as seen:
        return model(image), seen


@settings(deadline=None, max_examples=40)
@example(
    walk=[[SwapBlocks("a", "b")], [SwapBlocks("b", "c"), SwapBlocks("a", "b")]]
)  # the same words, and another block comes to a
@given(walk=st.lists(compositions(4), min_size=1, max_size=4))
def test_a_walk_through_operations_is_the_pass_by_hand(walk: list[list[Intervention]]) -> None:
    one = replay()
    for ops in walk:
        slow = Slow(MODEL, ops)
        expected = slow(IMAGES)
        logits, seen = one.run(IMAGES, POINTS, ops)
        assert torch.equal(logits, expected)
        for point in POINTS:
            assert torch.equal(seen.outputs[point], slow.seen[point]), point
        assert seen.operands.keys() == {*MERGES, "dense.denselayer3.concat"}
        for merge, parts in seen.operands.items():
            assert all(map(torch.equal, parts, slow.met[merge])), merge


@settings(deadline=None, max_examples=25)
@given(walk=st.lists(compositions(3), min_size=1, max_size=3))
def test_a_replay_of_a_revealed_net_is_what_its_hooks_see(walk: list[list[Intervention]]) -> None:
    one = replay(REVEALED)
    for ops in walk:
        expected, hooks = by_hooks(REVEALED, ops)
        logits, seen = one.run(IMAGES, POINTS, ops)
        assert torch.equal(logits, expected)
        assert (seen.outputs.keys(), seen.operands.keys()) == (
            hooks.outputs.keys(),
            hooks.operands.keys(),
        )
        for point, value in hooks.outputs.items():
            assert torch.equal(seen.outputs[point], value), point
        for merge, parts in hooks.operands.items():
            assert all(map(torch.equal, seen.operands[merge], parts)), merge


def test_a_block_is_passed_by_on_a_revealed_net_too() -> None:
    logits, _ = replay(REVEALED).run(IMAGES, [], [BypassBlock("b")])
    assert torch.equal(logits, Slow(MODEL, [BypassBlock("b")])(IMAGES))


def test_only_what_a_change_reaches_is_computed_again() -> None:
    one, steps = replay(), len(replay().nodes)
    one.run(IMAGES, [], [])
    assert one.computed == steps
    for ops in (
        [ZeroChannels("c", 0)],
        [ZeroChannels("c", 0), KeepChannels("fc", 1)],
        [SwapBlocks("b", "c")],
        [SetInput("c.add", 0, 1.0)],
        [],
    ):
        one.run(IMAGES, [], ops)
        assert 0 < one.computed < steps
        one.run(IMAGES, [], list(ops))
        assert one.computed == 0


def test_a_held_tensor_that_its_owner_changes_is_another_value() -> None:
    one, value = replay(), torch.zeros(4)
    first, _ = one.run(IMAGES, [], [SetInput("a.add", 0, value)])
    value += 1
    second, _ = one.run(IMAGES, [], [SetInput("a.add", 0, value)])
    assert torch.equal(second, Slow(MODEL, [SetInput("a.add", 0, value)])(IMAGES))
    assert not torch.equal(first, second)


class Twice(nn.Module):
    """One block called twice, and one that gives what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU())
        self.nothing = nn.Sequential()

    def forward(self, x: Tensor) -> Tensor:
        x = self.block(x)
        return self.block(x) + self.nothing(x)


@pytest.mark.parametrize("name", ["block", "nothing"])
def test_what_steps_cannot_tell_apart_is_said(name: str) -> None:
    model = Twice().eval()
    with pytest.raises(
        InterventionError, match=rf"^'{name}' gives no single tensor to take hold of: choose a part"
    ):
        replay(model).run(IMAGES, [], [ZeroChannels(name, 0)])
    with intervene(
        model, ZeroChannels("block.0", 1)
    ):  # a part is changed in each of its calls, both ways
        expected = model(IMAGES)
    assert torch.equal(replay(model).run(IMAGES, [], [ZeroChannels("block.0", 1)])[0], expected)


def test_the_net_is_its_own_again_after_an_error() -> None:
    before = dict(MODEL.named_parameters())
    one = replay()
    intact, _ = one.run(IMAGES, [], [])
    for op in (ZeroChannels("b", 99), BypassBlock("dense"), SetInput("b.add", 0, torch.ones(9))):
        with pytest.raises(InterventionError):
            one.run(IMAGES, [], [SwapBlocks("a", "c"), op])
        assert all(weight is before[name] for name, weight in MODEL.named_parameters())
        assert torch.equal(one.run(IMAGES, [], [])[0], intact)
    one.run(IMAGES, [], [RemoveBlock("a"), SwapBlocks("a", "c")])
    assert all(weight is before[name] for name, weight in MODEL.named_parameters())
