"""The named merges against plain arithmetic, and what they must not have."""

import torch

from lightning_resnets import Add, Concat, Gate, MergeKind


def test_merges_are_the_plain_operations() -> None:
    a, b = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4)
    weight = torch.rand(2, 3, 1, 1)
    assert torch.equal(Add()(a, b), a + b)
    assert torch.equal(Concat()(a, b, a), torch.cat((a, b, a), dim=1))
    assert torch.equal(Gate()(a, weight), a * weight)


def test_operands_are_not_overwritten() -> None:
    a, b = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4)
    before = a.clone(), b.clone()
    Add()(a, b), Gate()(a, b), Concat()(a, b)
    assert torch.equal(a, before[0])
    assert torch.equal(b, before[1])


def test_kinds_and_no_state() -> None:
    assert [merge.kind for merge in (Add, Concat, Gate)] == [
        MergeKind.ADD,
        MergeKind.CONCAT,
        MergeKind.GATE,
    ]
    assert Add.operands == ("shortcut", "branch")
    assert Gate.operands == ("x", "weight")
    assert not any(merge().state_dict() for merge in (Add, Concat, Gate))
