"""A sweep against one whole forward pass for each change; half of the steps, and no more memory for more changes."""

import gc
from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from lightning_resnets.errors import InterventionError
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
from lightning_resnets.interventions.record import HookPointError
from lightning_resnets.interventions.sweep import SweepRunner, sweep
from lightning_resnets.models.registry import create_model
from tests.helpers.reference_forward import IMAGES, Slow, compositions, patient

MODEL = patient()
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


def naive(model: nn.Module, *ops: Intervention) -> Tensor:
    with intervene(model, *ops):
        return model(IMAGES)


@pytest.mark.parametrize("first", [0, 1])
def test_what_two_passed_blocks_begin_with_is_kept_for_the_later_end(first: int) -> None:
    """`layer1` and its first block read the same tensor, and give theirs at different steps."""
    model = create_model("resnet20").eval()
    changes = [BypassBlock("layer1"), BypassBlock("layer1.0")]
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = dict(sweep(model, images, changes[first:] + changes[:first]))
        for change in changes:
            with intervene(model, change):
                assert torch.equal(found[change], model(images))


def test_every_change_is_a_pass_of_its_own() -> None:
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
def test_any_changes_are_the_passes_by_hand(changes: list[tuple[Intervention, ...]]) -> None:
    swept = list(sweep(MODEL, IMAGES, changes))
    assert Counter(change for change, _ in swept) == Counter(changes)
    for change, logits in swept:
        assert torch.equal(logits, Slow(MODEL, change)(IMAGES))


def test_a_revealed_net_is_swept_alike() -> None:
    shown = insert_merges(MODEL, (3, 6, 6))
    for change, logits in sweep(shown, IMAGES, EVERY):
        assert torch.equal(logits, naive(MODEL, change))


def test_the_picture_itself_is_a_place_too() -> None:
    images = IMAGES.clone()
    images[:, 1] = 0
    (_, cut), (_, whole) = sweep(MODEL, IMAGES, [ZeroChannels("input", 1), ()])
    assert torch.equal(cut, MODEL(images))
    assert torch.equal(whole, MODEL(IMAGES))


def test_half_of_the_steps_are_run_and_nothing_is_kept() -> None:
    followed = trace_nodes(MODEL, (3, 6, 6))
    one = SweepRunner(MODEL, followed, [RemoveBlock("a"), RemoveBlock("b"), RemoveBlock("c")])
    for batch in (IMAGES, -IMAGES, IMAGES[:1]):
        for change, logits in one.run(batch):
            with intervene(MODEL, change):
                assert torch.equal(logits, MODEL(batch))
    steps, behind = (
        len(one.walker.nodes),
        [one.walker.place[followed.node_by_name[f"{block}.add"]] for block in "abc"],
    )
    assert one.walker.ran == 3 * (steps + sum(steps - place for place in behind))
    assert len(one.walker.env) == 1


def tensors() -> int:
    gc.collect()
    return sum(issubclass(type(thing), Tensor) for thing in gc.get_objects())


def test_memory_does_not_grow_with_the_changes() -> None:
    def most(changes: list[tuple[Intervention, ...]]) -> int:
        return max(tensors() for _ in sweep(MODEL, IMAGES, changes, followed))

    followed = trace_nodes(MODEL, (3, 6, 6))
    few: list[tuple[Intervention, ...]] = [(ScaleInput("a.add", 1, 0.5),), (SwapBlocks("b", "c"),)]
    assert most(few) == most([*few, *few, *few])


def test_a_sweep_that_ends_early_leaves_the_net_as_it_was() -> None:
    before = dict(MODEL.named_parameters())
    one = sweep(MODEL, IMAGES, [SwapBlocks("a", "b"), RemoveBlock("c")])
    next(one)
    assert all(weight is before[name] for name, weight in MODEL.named_parameters())
    with pytest.raises(InterventionError, match="does not take the place"):
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
def test_what_does_not_fit_is_said_before_the_first_pass(
    change: Intervention, error: type[ValueError]
) -> None:
    with pytest.raises(error):
        sweep(MODEL, IMAGES, [RemoveBlock("a"), change])


def test_one_change_alone_and_changes_in_lists() -> None:
    ((op, logits),) = sweep(MODEL, IMAGES, RemoveBlock("a"))
    assert op == RemoveBlock("a")
    assert torch.equal(logits, naive(MODEL, RemoveBlock("a")))
    both: list[Intervention] = [RemoveBlock("a"), ZeroChannels("stem", 1)]
    ((_, together),) = sweep(MODEL, IMAGES, [both])
    assert torch.equal(together, naive(MODEL, *both))


@pytest.mark.parametrize("changes", ["a", ["a"], [("a", "b")], [None]])
def test_what_is_no_change(changes: Any) -> None:
    with pytest.raises(InterventionError, match="is no operation: give Scale"):
        sweep(MODEL, IMAGES, changes)


def test_a_picture_without_a_batch_is_said() -> None:
    with pytest.raises(
        InterventionError,
        match=r"takes images \(N, C, H, W\), not \(3, 6, 6\): .*`image\[None\]`\.$",
    ):
        sweep(MODEL, IMAGES[0], [RemoveBlock("a")])


def test_a_net_in_training_is_swept_in_evaluation_and_its_statistics_stay() -> None:
    model = patient().train()
    model.a.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for change, logits in sweep(model, IMAGES, EVERY):
        assert (model.training, model.a.norm.training, model.b.norm.training) == (True, False, True)
        assert torch.equal(logits, naive(MODEL, change))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


class InPlace(nn.Module):
    """Steps that are not the same when they are done twice in place."""

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


def test_what_works_in_place_is_done_to_copies() -> None:
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
    model, images = patient().cuda(), IMAGES.cuda()
    for change, logits in sweep(model, images, EVERY):
        with intervene(model, change):
            torch.testing.assert_close(logits, model(images))
