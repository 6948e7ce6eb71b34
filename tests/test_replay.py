"""A replay against the forward pass written out by hand, and against hooks; and it computes only what it must."""

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from patient import PICTURES, WIDTHS, Slow, compositions, patient
from torch import Tensor, nn

from lightning_resnets.graph import follow
from lightning_resnets.graph.reveal import reveal
from lightning_resnets.probe import Recording, probe
from lightning_resnets.replay import Replay
from lightning_resnets.surgery import operate
from lightning_resnets.surgery.edits import Bypass, Drop, Hold, Keep, Op, Silence, SurgeryError, Swap

NET = patient()
REVEALED = reveal(NET, (3, 6, 6))
MERGES = [f"{block}.{name}" for block in "abc" for name in ("se.gate", "add")] + ["dense.concat"]
POINTS = list(dict.fromkeys([*WIDTHS, *MERGES]))


def replay(net: nn.Module = NET) -> Replay:
    return Replay(net, follow(net, (3, 6, 6)))


def by_hooks(net: nn.Module, ops: list[Op], picture: Tensor = PICTURES) -> tuple[Tensor, Recording]:
    with operate(net, *ops), probe(net, POINTS) as seen:
        return net(picture), seen


@settings(deadline=None, max_examples=40)
@example(walk=[[Swap("a", "b")], [Swap("b", "c"), Swap("a", "b")]])  # the same words, and another block comes to a
@given(walk=st.lists(compositions(4), min_size=1, max_size=4))
def test_a_walk_through_operations_is_the_pass_by_hand(walk: list[list[Op]]) -> None:
    one = replay()
    for ops in walk:
        slow = Slow(NET, ops)
        expected = slow(PICTURES)
        logits, seen = one.look(PICTURES, POINTS, ops)
        assert torch.equal(logits, expected)
        for point in POINTS:
            assert torch.equal(seen.outputs[point], slow.seen[point]), point
        assert seen.operands.keys() == {*MERGES, "dense.denselayer3.concat"}
        for merge, parts in seen.operands.items():
            assert all(map(torch.equal, parts, slow.met[merge])), merge


@settings(deadline=None, max_examples=25)
@given(walk=st.lists(compositions(3), min_size=1, max_size=3))
def test_a_replay_of_a_revealed_net_is_what_its_hooks_see(walk: list[list[Op]]) -> None:
    one = replay(REVEALED)
    for ops in walk:
        expected, hooks = by_hooks(REVEALED, ops)
        logits, seen = one.look(PICTURES, POINTS, ops)
        assert torch.equal(logits, expected)
        assert (seen.outputs.keys(), seen.operands.keys()) == (hooks.outputs.keys(), hooks.operands.keys())
        for point, value in hooks.outputs.items():
            assert torch.equal(seen.outputs[point], value), point
        for merge, parts in hooks.operands.items():
            assert all(map(torch.equal, seen.operands[merge], parts)), merge


def test_a_block_is_passed_by_on_a_revealed_net_too() -> None:
    logits, _ = replay(REVEALED).look(PICTURES, [], [Bypass("b")])
    assert torch.equal(logits, Slow(NET, [Bypass("b")])(PICTURES))


def test_only_what_a_change_reaches_is_computed_again() -> None:
    one, steps = replay(), len(replay().nodes)
    one.look(PICTURES, [], [])
    assert one.computed == steps
    for ops in ([Silence("c", 0)], [Silence("c", 0), Keep("fc", 1)], [Swap("b", "c")], [Hold("c.add", 0, 1.0)], []):
        one.look(PICTURES, [], ops)
        assert 0 < one.computed < steps
        one.look(PICTURES, [], list(ops))
        assert one.computed == 0


def test_a_held_tensor_that_its_owner_changes_is_another_value() -> None:
    one, value = replay(), torch.zeros(4)
    first, _ = one.look(PICTURES, [], [Hold("a.add", 0, value)])
    value += 1
    second, _ = one.look(PICTURES, [], [Hold("a.add", 0, value)])
    assert torch.equal(second, Slow(NET, [Hold("a.add", 0, value)])(PICTURES))
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
    net = Twice().eval()
    with pytest.raises(SurgeryError, match=rf"^'{name}' gives no single tensor to take hold of: choose a part"):
        replay(net).look(PICTURES, [], [Silence(name, 0)])
    with operate(net, Silence("block.0", 1)):  # a part is changed in each of its calls, both ways
        expected = net(PICTURES)
    assert torch.equal(replay(net).look(PICTURES, [], [Silence("block.0", 1)])[0], expected)


def test_the_net_is_its_own_again_after_an_error() -> None:
    before = dict(NET.named_parameters())
    one = replay()
    intact, _ = one.look(PICTURES, [], [])
    for op in (Silence("b", 99), Bypass("dense"), Hold("b.add", 0, torch.ones(9))):
        with pytest.raises(SurgeryError):
            one.look(PICTURES, [], [Swap("a", "c"), op])
        assert all(weight is before[name] for name, weight in NET.named_parameters())
        assert torch.equal(one.look(PICTURES, [], [])[0], intact)
    one.look(PICTURES, [], [Drop("a"), Swap("a", "c")])
    assert all(weight is before[name] for name, weight in NET.named_parameters())
