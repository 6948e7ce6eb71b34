"""Incremental runs against a hand-written forward pass and hooks, and what they recompute."""

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
from tests.helpers.reference_forward import (
    IMAGES,
    WIDTHS,
    ReferenceForward,
    compositions,
    make_all_merges_model,
)

MODEL = make_all_merges_model()
WITH_MERGES = insert_merges(MODEL, (3, 6, 6))
MERGES = [f"{block}.{name}" for block in "abc" for name in ("se.gate", "add")] + ["dense.concat"]
POINTS = list(dict.fromkeys([*WIDTHS, *MERGES]))


def make_runner(model: nn.Module = MODEL) -> IncrementalRunner:
    return IncrementalRunner(model, trace_nodes(model, (3, 6, 6)))


def run_with_hooks(
    model: nn.Module, interventions: list[Intervention], image: Tensor = IMAGES
) -> tuple[Tensor, Recording]:
    with intervene(model, *interventions), record_activations(model, POINTS) as recording:
        return model(image), recording


@settings(deadline=None, max_examples=40)
@example(
    walk=[[SwapBlocks("a", "b")], [SwapBlocks("b", "c"), SwapBlocks("a", "b")]]
)  # the same words, and another block comes to a
@given(walk=st.lists(compositions(4), min_size=1, max_size=4))
def test_a_series_of_interventions_matches_the_reference(walk: list[list[Intervention]]) -> None:
    runner = make_runner()
    for interventions in walk:
        reference = ReferenceForward(MODEL, interventions)
        expected = reference(IMAGES)
        logits, recording = runner.run_image(IMAGES, POINTS, interventions)
        assert torch.equal(logits, expected)
        for point in POINTS:
            assert torch.equal(recording.outputs[point], reference.outputs[point]), point
        assert recording.operands.keys() == {*MERGES, "dense.denselayer3.concat"}
        for merge, parts in recording.operands.items():
            assert all(map(torch.equal, parts, reference.operands[merge])), merge


@settings(deadline=None, max_examples=25)
@given(walk=st.lists(compositions(3), min_size=1, max_size=3))
def test_a_model_with_inserted_merges_matches_its_hooks(walk: list[list[Intervention]]) -> None:
    runner = make_runner(WITH_MERGES)
    for interventions in walk:
        expected, hooks = run_with_hooks(WITH_MERGES, interventions)
        logits, recording = runner.run_image(IMAGES, POINTS, interventions)
        assert torch.equal(logits, expected)
        assert (recording.outputs.keys(), recording.operands.keys()) == (
            hooks.outputs.keys(),
            hooks.operands.keys(),
        )
        for point, value in hooks.outputs.items():
            assert torch.equal(recording.outputs[point], value), point
        for merge, parts in hooks.operands.items():
            assert all(map(torch.equal, recording.operands[merge], parts)), merge


def test_a_block_of_a_model_with_inserted_merges_is_bypassed() -> None:
    logits, _ = make_runner(WITH_MERGES).run_image(IMAGES, [], [BypassBlock("b")])
    assert torch.equal(logits, ReferenceForward(MODEL, [BypassBlock("b")])(IMAGES))


def test_only_downstream_nodes_are_recomputed() -> None:
    runner = make_runner()
    num_nodes = len(runner.nodes)
    runner.run_image(IMAGES, [], [])
    assert runner.num_computed == num_nodes
    for interventions in (
        [ZeroChannels("c", 0)],
        [ZeroChannels("c", 0), KeepChannels("fc", 1)],
        [SwapBlocks("b", "c")],
        [SetInput("c.add", 0, 1.0)],
        [],
    ):
        runner.run_image(IMAGES, [], interventions)
        assert 0 < runner.num_computed < num_nodes
        runner.run_image(IMAGES, [], list(interventions))
        assert runner.num_computed == 0


def test_a_value_changed_by_the_caller_is_a_new_value() -> None:
    runner = make_runner()
    value = torch.zeros(4)
    first, _ = runner.run_image(IMAGES, [], [SetInput("a.add", 0, value)])
    value += 1
    second, _ = runner.run_image(IMAGES, [], [SetInput("a.add", 0, value)])
    assert torch.equal(second, ReferenceForward(MODEL, [SetInput("a.add", 0, value)])(IMAGES))
    assert not torch.equal(first, second)


class Twice(nn.Module):
    """One block called twice, and one that returns its input."""

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU())
        self.nothing = nn.Sequential()

    def forward(self, x: Tensor) -> Tensor:
        x = self.block(x)
        return self.block(x) + self.nothing(x)


@pytest.mark.parametrize("name", ["block", "nothing"])
def test_blocks_without_a_node_of_their_own_raise(name: str) -> None:
    model = Twice().eval()
    with pytest.raises(
        InterventionError, match=rf"^'{name}' does not return a single tensor. Use one of"
    ):
        make_runner(model).run_image(IMAGES, [], [ZeroChannels(name, 0)])
    with intervene(
        model, ZeroChannels("block.0", 1)
    ):  # a part is changed in each of its calls, both ways
        expected = model(IMAGES)
    assert torch.equal(
        make_runner(model).run_image(IMAGES, [], [ZeroChannels("block.0", 1)])[0], expected
    )


def test_the_model_is_restored_after_an_error() -> None:
    before = dict(MODEL.named_parameters())
    runner = make_runner()
    intact, _ = runner.run_image(IMAGES, [], [])
    for op in (ZeroChannels("b", 99), BypassBlock("dense"), SetInput("b.add", 0, torch.ones(9))):
        with pytest.raises(InterventionError):
            runner.run_image(IMAGES, [], [SwapBlocks("a", "c"), op])
        assert all(weight is before[name] for name, weight in MODEL.named_parameters())
        assert torch.equal(runner.run_image(IMAGES, [], [])[0], intact)
    runner.run_image(IMAGES, [], [RemoveBlock("a"), SwapBlocks("a", "c")])
    assert all(weight is before[name] for name, weight in MODEL.named_parameters())
