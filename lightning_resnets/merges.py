"""The three ways in which paths of a model merge, as modules that can be named and hooked.

Add is the residual sum (He et al. 2015, arXiv:1512.03385). Concat is the dense connection
(Huang et al. 2017, arXiv:1608.06993). Gate is the product with a weight (Hu et al. 2018,
arXiv:1709.01507; Srivastava et al. 2015, arXiv:1505.00387). None has parameters, so state dicts
are the same with and without them.
"""

from enum import StrEnum
from typing import ClassVar

import torch
from torch import Tensor, nn


class MergeKind(StrEnum):
    """Operation that a merge applies to its operands."""

    ADD = "add"
    CONCAT = "concat"
    GATE = "gate"


class Merge(nn.Module):
    """Base of the modules in which paths merge.

    Attributes:
        kind: the operation.
        operands: names of the inputs in order; empty where they are numbered.
    """

    # On the class: a merge has no state of its own.
    kind: ClassVar[MergeKind]
    operands: ClassVar[tuple[str, ...]]


class Add(Merge):
    """Sum of two tensors of equal shape: the input of a block and the output of its branch."""

    kind = MergeKind.ADD
    operands = ("shortcut", "branch")

    def forward(self, shortcut: Tensor, branch: Tensor) -> Tensor:
        """Add the operands.

        Args:
            shortcut: (N, C, H, W).
            branch: (N, C, H, W).

        Returns:
            Their sum, (N, C, H, W).
        """
        # Never in place: a recorded operand must not be overwritten.
        return shortcut + branch


class Concat(Merge):
    """Concatenation of all parts along the channels: the width grows."""

    kind = MergeKind.CONCAT
    # A Concat has any number of parts.
    operands = ()

    def forward(self, *parts: Tensor) -> Tensor:
        """Concatenate the operands.

        Args:
            parts: (N, C_i, H, W) each.

        Returns:
            All channels, (N, sum of C_i, H, W).
        """
        # Axis 1 is the channels, also of a signal or a clip.
        return torch.cat(parts, 1)


class Gate(Merge):
    """Product of a tensor with a weight for each channel (SE) or each element (Highway)."""

    kind = MergeKind.GATE
    operands = ("x", "weight")

    def forward(self, x: Tensor, weight: Tensor) -> Tensor:
        """Multiply the operands.

        Args:
            x: (N, C, H, W).
            weight: (N, C, 1, 1) or (N, C, H, W).

        Returns:
            The product, (N, C, H, W).
        """
        # A weight per channel is broadcast over positions.
        return x * weight
