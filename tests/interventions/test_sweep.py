"""Sweeps against one forward pass per item; half of the nodes, and constant memory."""

import gc
from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from lightning_resnets.errors import HookPointError, InterventionError
from lightning_resnets.graph import trace_nodes
from lightning_resnets.graph.insert_merges import insert_merges
from lightning_resnets.interventions import intervene
from lightning_resnets.interventions.edits import (
    BypassBlock,
    Intervention,
    KeepChannels,
    RemoveBlock,
    ScaleInput,
    SwapBlocks,
    ZeroChannels,
)
from lightning_resnets.interventions.sweep import SweepRunner, sweep
from lightning_resnets.models.registry import create_model
from tests.helpers.reference_forward import (
    IMAGES,
    ReferenceForward,
    compositions,
    make_all_merges_model,
)

MODEL = make_all_merges_model()
EVERY: list[Intervention] = [
    *map(RemoveBlock, ["a", "b", "c", *(f"dense.denselayer{i}" for i in (1, 2, 3)), "dense"]),
    ZeroChannels("stem", 1),
    KeepChannels("a.conv", [0, 2]),
    ZeroChannels("fc", 3),
    BypassBlock("b"),
    BypassBlock("c.norm"),
    SwapBlocks("a", "b"),
    SwapBlocks("b", "c"),
    ScaleInput("dense.concat", "c", 0.5),
]


def naive(model: nn.Module, *interventions: Intervention) -> Tensor:
    with intervene(model, *interventions):
        return model(IMAGES)


@pytest.mark.parametrize("first", [0, 1])
def test_the_input_of_bypassed_blocks_is_kept_to_the_later_end(first: int) -> None:
    """`layer1` and its first block read the same tensor and end at different nodes."""
    model = create_model("resnet20").eval()
    changes = [BypassBlock("layer1"), BypassBlock("layer1.0")]
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = dict(sweep(model, images, changes[first:] + changes[:first]))
        for change in changes:
            with intervene(model, change):
                assert torch.equal(found[change], model(images))


def test_every_item_matches_its_own_pass() -> None:
    found = dict(sweep(MODEL, IMAGES, [*EVERY, ()]))
    assert found.keys() == {*EVERY, ()}
    assert torch.equal(found[()], MODEL(IMAGES))
    for op in EVERY:
        assert torch.equal(found[op], naive(MODEL, op)), op
    assert torch.equal(
        found[RemoveBlock("b")], found[BypassBlock("b")]
    )  # what comes from a ReLU is left by one as it is
    assert len({str(logits) for logits in found.values()}) == len(found) - 1


@settings(deadline=None, max_examples=25)
@given(changes=st.lists(compositions(3).map(tuple), min_size=1, max_size=5))
def test_any_items_match_the_reference(changes: list[tuple[Intervention, ...]]) -> None:
    swept = list(sweep(MODEL, IMAGES, changes))
    assert Counter(change for change, _ in swept) == Counter(changes)
    for change, logits in swept:
        assert torch.equal(logits, ReferenceForward(MODEL, change)(IMAGES))


def test_a_model_with_inserted_merges_is_swept() -> None:
    with_merges = insert_merges(MODEL, (3, 6, 6))
    for change, logits in sweep(with_merges, IMAGES, EVERY):
        assert torch.equal(logits, naive(MODEL, change))


def test_the_input_is_a_hook_point() -> None:
    images = IMAGES.clone()
    images[:, 1] = 0
    (_, cut), (_, whole) = sweep(MODEL, IMAGES, [ZeroChannels("input", 1), ()])
    assert torch.equal(cut, MODEL(images))
    assert torch.equal(whole, MODEL(IMAGES))


def test_half_of_the_nodes_are_run_and_nothing_is_kept() -> None:
    traced = trace_nodes(MODEL, (3, 6, 6))
    one = SweepRunner(MODEL, traced, [RemoveBlock("a"), RemoveBlock("b"), RemoveBlock("c")])
    for batch in (IMAGES, -IMAGES, IMAGES[:1]):
        for change, logits in one.run(batch):
            with intervene(MODEL, change):
                assert torch.equal(logits, MODEL(batch))
    steps, behind = (
        len(one.executor.nodes),
        [one.executor.position[traced.node_by_name[f"{block}.add"]] for block in "abc"],
    )
    assert one.executor.num_run == 3 * (steps + sum(steps - place for place in behind))
    assert len(one.executor.env) == 1


def tensors() -> int:
    gc.collect()
    return sum(issubclass(type(thing), Tensor) for thing in gc.get_objects())


def test_memory_does_not_grow_with_the_items() -> None:
    def most(changes: list[tuple[Intervention, ...]]) -> int:
        return max(tensors() for _ in sweep(MODEL, IMAGES, changes, traced))

    traced = trace_nodes(MODEL, (3, 6, 6))
    few: list[tuple[Intervention, ...]] = [(ScaleInput("a.add", 1, 0.5),), (SwapBlocks("b", "c"),)]
    assert most(few) == most([*few, *few, *few])


def test_a_sweep_that_ends_early_restores_the_model() -> None:
    before = dict(MODEL.named_parameters())
    one = sweep(MODEL, IMAGES, [SwapBlocks("a", "b"), RemoveBlock("c")])
    next(one)
    assert all(weight is before[name] for name, weight in MODEL.named_parameters())
    with pytest.raises(InterventionError, match="cannot be bypassed"):
        list(
            sweep(
                MODEL,
                IMAGES,
                [
                    (SwapBlocks("a", "b"), ScaleInput("a.add", 0, 0)),
                    (SwapBlocks("a", "c"), BypassBlock("dense")),
                ],
            )
        )
    assert all(weight is before[name] for name, weight in MODEL.named_parameters())


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (RemoveBlock("stem"), InterventionError),
        ((RemoveBlock("a"), ZeroChannels("d", 1)), HookPointError),
    ],
)
def test_invalid_items_raise_before_the_first_pass(
    change: Intervention, error: type[ValueError]
) -> None:
    with pytest.raises(error):
        sweep(MODEL, IMAGES, [RemoveBlock("a"), change])


def test_a_single_item_and_lists_of_items() -> None:
    ((op, logits),) = sweep(MODEL, IMAGES, RemoveBlock("a"))
    assert op == RemoveBlock("a")
    assert torch.equal(logits, naive(MODEL, RemoveBlock("a")))
    both: list[Intervention] = [RemoveBlock("a"), ZeroChannels("stem", 1)]
    ((_, together),) = sweep(MODEL, IMAGES, [both])
    assert torch.equal(together, naive(MODEL, *both))


@pytest.mark.parametrize("changes", ["a", ["a"], [("a", "b")], [None]])
def test_other_objects_raise(changes: Any) -> None:
    with pytest.raises(InterventionError, match="is not an intervention: pass ScaleInput"):
        sweep(MODEL, IMAGES, changes)


def test_images_without_a_batch_raise() -> None:
    with pytest.raises(
        InterventionError,
        match=r"images must have the shape \(N, C, H, W\), got \(3, 6, 6\): .*image\[None\]\.$",
    ):
        sweep(MODEL, IMAGES[0], [RemoveBlock("a")])


def test_a_model_in_training_mode_is_swept_in_evaluation_mode() -> None:
    model = make_all_merges_model().train()
    model.a.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for change, logits in sweep(model, IMAGES, EVERY):
        assert (model.training, model.a.norm.training, model.b.norm.training) == (True, False, True)
        assert torch.equal(logits, naive(MODEL, change))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


class InPlace(nn.Module):
    """In-place operations that differ if they are done twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.act, self.fc = (
            nn.Conv2d(3, 4, 3),
            nn.Hardswish(inplace=True),
            nn.Conv2d(4, 4, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.conv(x))
        x = functional.leaky_relu(self.fc(x), 0.5, inplace=True).mul_(2)
        return functional.elu_(x).mean((2, 3))


def test_in_place_operations_are_done_on_copies() -> None:
    torch.manual_seed(0)
    model = InPlace().eval().requires_grad_(False)
    changes: list[Intervention] = [
        ZeroChannels(point, 1)
        for point in ("input", "conv", "act", "fc", "leaky_relu", "product", "elu")
    ]
    for own in (changes, changes[::-1]):
        for change, logits in sweep(model, IMAGES, [*own, ()]):
            if isinstance(change, ZeroChannels) and change.hook_point not in ("conv", "act", "fc"):
                continue
            assert torch.equal(logits, naive(model, *([change] if change else [])))
    (*_, (_, whole)) = sweep(model, IMAGES, [*changes, ()])
    assert torch.equal(whole, model(IMAGES))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_sweep_on_a_gpu() -> None:
    model, images = make_all_merges_model().cuda(), IMAGES.cuda()
    for change, logits in sweep(model, images, EVERY):
        with intervene(model, change):
            torch.testing.assert_close(logits, model(images))
