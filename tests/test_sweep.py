"""A sweep against one whole forward pass for each change; half of the steps, and no more memory for more changes."""

import gc
from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from patient import PICTURES, Slow, compositions, patient
from torch import Tensor, nn
from torch.nn import functional

from lightning_resnets.graph import follow
from lightning_resnets.graph.reveal import reveal
from lightning_resnets.probe import PointError
from lightning_resnets.surgery import operate
from lightning_resnets.surgery.edits import Bypass, Drop, Keep, Op, Scale, Silence, SurgeryError, Swap
from lightning_resnets.sweep import Sweep, sweep
from lightning_resnets.zoo import build

NET = patient()
EVERY: list[Op] = [
    *map(Drop, ["a", "b", "c", *(f"dense.denselayer{i}" for i in (1, 2, 3)), "dense"]),
    Silence("stem", 1), Keep("a.conv", [0, 2]), Silence("fc", 3), Bypass("b"), Bypass("c.norm"),
    Swap("a", "b"), Swap("b", "c"), Scale("dense.concat", "c", 0.5),
]  # fmt: skip


def naive(net: nn.Module, *ops: Op) -> Tensor:
    with operate(net, *ops):
        return net(PICTURES)


@pytest.mark.parametrize("first", [0, 1])
def test_what_two_passed_blocks_begin_with_is_kept_for_the_later_end(first: int) -> None:
    """`layer1` and its first block read the same tensor, and give theirs at different steps."""
    net = build("resnet20").eval()
    changes = [Bypass("layer1"), Bypass("layer1.0")]
    pictures = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = dict(sweep(net, pictures, changes[first:] + changes[:first]))
        for change in changes:
            with operate(net, change):
                assert torch.equal(found[change], net(pictures))


def test_every_change_is_a_pass_of_its_own() -> None:
    found = dict(sweep(NET, PICTURES, [*EVERY, ()]))
    assert found.keys() == {*EVERY, ()}
    assert torch.equal(found[()], NET(PICTURES))
    for op in EVERY:
        assert torch.equal(found[op], naive(NET, op)), op
    assert torch.equal(found[Drop("b")], found[Bypass("b")])  # what comes from a ReLU is left by one as it is
    assert len({str(logits) for logits in found.values()}) == len(found) - 1


@settings(deadline=None, max_examples=25)
@given(changes=st.lists(compositions(3).map(tuple), min_size=1, max_size=5))
def test_any_changes_are_the_passes_by_hand(changes: list[tuple[Op, ...]]) -> None:
    swept = list(sweep(NET, PICTURES, changes))
    assert Counter(change for change, _ in swept) == Counter(changes)
    for change, logits in swept:
        assert torch.equal(logits, Slow(NET, change)(PICTURES))


def test_a_revealed_net_is_swept_alike() -> None:
    shown = reveal(NET, (3, 6, 6))
    for change, logits in sweep(shown, PICTURES, EVERY):
        assert torch.equal(logits, naive(NET, change))


def test_the_picture_itself_is_a_place_too() -> None:
    pictures = PICTURES.clone()
    pictures[:, 1] = 0
    (_, cut), (_, whole) = sweep(NET, PICTURES, [Silence("input", 1), ()])
    assert torch.equal(cut, NET(pictures))
    assert torch.equal(whole, NET(PICTURES))


def test_half_of_the_steps_are_run_and_nothing_is_kept() -> None:
    followed = follow(NET, (3, 6, 6))
    one = Sweep(NET, followed, [Drop("a"), Drop("b"), Drop("c")])
    for batch in (PICTURES, -PICTURES, PICTURES[:1]):
        for change, logits in one.run(batch):
            with operate(NET, change):
                assert torch.equal(logits, NET(batch))
    steps, behind = len(one.walker.nodes), [one.walker.place[followed.named[f"{block}.add"]] for block in "abc"]
    assert one.walker.ran == 3 * (steps + sum(steps - place for place in behind))
    assert len(one.walker.env) == 1


def tensors() -> int:
    gc.collect()
    return sum(issubclass(type(thing), Tensor) for thing in gc.get_objects())


def test_memory_does_not_grow_with_the_changes() -> None:
    def most(changes: list[tuple[Op, ...]]) -> int:
        return max(tensors() for _ in sweep(NET, PICTURES, changes, followed))

    followed = follow(NET, (3, 6, 6))
    few: list[tuple[Op, ...]] = [(Scale("a.add", 1, 0.5),), (Swap("b", "c"),)]
    assert most(few) == most([*few, *few, *few])


def test_a_sweep_that_ends_early_leaves_the_net_as_it_was() -> None:
    before = dict(NET.named_parameters())
    one = sweep(NET, PICTURES, [Swap("a", "b"), Drop("c")])
    next(one)
    assert all(weight is before[name] for name, weight in NET.named_parameters())
    with pytest.raises(SurgeryError, match="does not take the place"):
        list(sweep(NET, PICTURES, [(Swap("a", "b"), Scale("a.add", 0, 0)), (Swap("a", "c"), Bypass("dense"))]))
    assert all(weight is before[name] for name, weight in NET.named_parameters())


@pytest.mark.parametrize(
    ("change", "error"), [(Drop("stem"), SurgeryError), ((Drop("a"), Silence("d", 1)), PointError)]
)
def test_what_does_not_fit_is_said_before_the_first_pass(change: Op, error: type[ValueError]) -> None:
    with pytest.raises(error):
        sweep(NET, PICTURES, [Drop("a"), change])


def test_one_change_alone_and_changes_in_lists() -> None:
    ((op, logits),) = sweep(NET, PICTURES, Drop("a"))
    assert op == Drop("a")
    assert torch.equal(logits, naive(NET, Drop("a")))
    both: list[Op] = [Drop("a"), Silence("stem", 1)]
    ((_, together),) = sweep(NET, PICTURES, [both])
    assert torch.equal(together, naive(NET, *both))


@pytest.mark.parametrize("changes", ["a", ["a"], [("a", "b")], [None]])
def test_what_is_no_change(changes: Any) -> None:
    with pytest.raises(SurgeryError, match="is no operation: give Scale"):
        sweep(NET, PICTURES, changes)


def test_a_picture_without_a_batch_is_said() -> None:
    with pytest.raises(SurgeryError, match=r"takes pictures \(N, C, H, W\), not \(3, 6, 6\): .*`picture\[None\]`\.$"):
        sweep(NET, PICTURES[0], [Drop("a")])


def test_a_net_in_training_is_swept_in_evaluation_and_its_statistics_stay() -> None:
    net = patient().train()
    net.a.eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    for change, logits in sweep(net, PICTURES, EVERY):
        assert (net.training, net.a.norm.training, net.b.norm.training) == (True, False, True)
        assert torch.equal(logits, naive(NET, change))
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


class InPlace(nn.Module):
    """Steps that are not the same when they are done twice in place."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.act, self.fc = nn.Conv2d(3, 4, 3), nn.Hardswish(inplace=True), nn.Conv2d(4, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.conv(x))
        x = functional.leaky_relu(self.fc(x), 0.5, inplace=True).mul_(2)
        return functional.elu_(x).mean((2, 3))


def test_what_works_in_place_is_done_to_copies() -> None:
    torch.manual_seed(0)
    net = InPlace().eval().requires_grad_(False)
    changes: list[Op] = [Silence(point, 1) for point in ("input", "conv", "act", "fc", "leaky_relu", "product", "elu")]
    for own in (changes, changes[::-1]):
        for change, logits in sweep(net, PICTURES, [*own, ()]):
            if isinstance(change, Silence) and change.point not in ("conv", "act", "fc"):
                continue
            assert torch.equal(logits, naive(net, *([change] if change else [])))
    (*_, (_, whole)) = sweep(net, PICTURES, [*changes, ()])
    assert torch.equal(whole, net(PICTURES))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_sweep_on_a_gpu() -> None:
    net, pictures = patient().cuda(), PICTURES.cuda()
    for change, logits in sweep(net, pictures, EVERY):
        with operate(net, change):
            torch.testing.assert_close(logits, net(pictures))
