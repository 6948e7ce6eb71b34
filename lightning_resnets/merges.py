"""The three ways in which two paths of a model meet, as modules that can be named, hooked, cut and scaled.

Add is the residual sum (He et al. 2015, arXiv:1512.03385), Concat the dense connection (Huang et al. 2017,
arXiv:1608.06993), Gate the product with a weight (Hu et al. 2018, arXiv:1709.01507; Srivastava et al. 2015,
arXiv:1505.00387). None has parameters, so state dicts do not know of them.
"""

from enum import StrEnum
from typing import ClassVar

import torch
from torch import Tensor, nn


class MergeKind(StrEnum):
    """What a merge does with its operands."""

    ADD = "add"
    CONCAT = "concat"
    GATE = "gate"


class Merge(nn.Module):
    """A place where paths meet; `operands` names its inputs in order, empty where they are numbered."""

    kind: ClassVar[MergeKind]
    operands: ClassVar[tuple[str, ...]]


class Add(Merge):
    """Sum of two tensors of equal shape: what the block was given and what it made of it."""

    kind = MergeKind.ADD
    operands = ("shortcut", "branch")

    def forward(self, shortcut: Tensor, branch: Tensor) -> Tensor:
        return (
            shortcut + branch
        )  # (N, C, H, W), never in place: a recorded operand must not be overwritten


class Concat(Merge):
    """All parts behind one another along the channels: the width grows."""

    kind = MergeKind.CONCAT
    operands = ()

    def forward(self, *parts: Tensor) -> Tensor:
        return torch.cat(parts, 1)  # (N, sum of C, H, W)


class Gate(Merge):
    """A tensor weighed by another: one weight a channel (SE) or one an element (Highway)."""

    kind = MergeKind.GATE
    operands = ("x", "weight")

    def forward(self, x: Tensor, weight: Tensor) -> Tensor:
        return x * weight  # weight is (N, C, 1, 1) or (N, C, H, W)
