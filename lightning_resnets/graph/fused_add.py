"""Sums that torch computes in one call, as merges: alpha, addcmul, lerp, the mean of a stack."""

from enum import StrEnum

import torch
from torch import Tensor

from lightning_resnets.merges import Add


class SumFunction(StrEnum):
    """The function that adds; written apart, its roundings would differ."""

    ADD = "add"
    ADDCMUL = "addcmul"
    LERP = "lerp"
    MEAN = "mean"


class FusedAdd(Add):
    """Sum with factors: `torch.add(x, y, alpha=0.5)`, `torch.lerp(x, y, weight)`.

    An operand that is cut counts as zero, so the other one keeps its factor. The output is equal
    to the bit to that of the original call.

    Args:
        function: the original call.
        factor: `alpha` of add, `value` of addcmul, a number as `weight` of lerp.
    """

    def __init__(self, function: SumFunction, factor: float = 1.0) -> None:
        super().__init__()
        self.function = function
        self.factor = factor
        # True after the operands have been exchanged, so that the shortcut is the first.
        self.is_reversed = False

    def forward(self, shortcut: Tensor, branch: Tensor, weight: Tensor | None = None) -> Tensor:
        """Add the operands.

        Args:
            shortcut: (N, C, H, W).
            branch: (N, C, H, W).
            weight: second factor of addcmul, or a tensor as weight of lerp.

        Returns:
            The sum, (N, C, H, W).
        """
        # The factors belong to the order of the original call.
        first, second = (branch, shortcut) if self.is_reversed else (shortcut, branch)
        if self.function is SumFunction.ADD:
            return torch.add(first, second, alpha=self.factor)
        if self.function is SumFunction.MEAN:
            # As the original call: (x + y) / 2 may round otherwise.
            return torch.stack((first, second)).mean(0)
        if self.function is SumFunction.ADDCMUL:
            assert weight is not None
            return torch.addcmul(first, second, weight, value=self.factor)
        return torch.lerp(first, second, self.factor if weight is None else weight)

    @property
    def scaled_operands(self) -> tuple[str, ...]:
        """Return the names of the operands that have a factor."""
        if self.function in (SumFunction.LERP, SumFunction.MEAN):
            return self.operands
        # `alpha` and `value` multiply the second summand.
        return (self.operands[0 if self.is_reversed else 1],)

    def extra_repr(self) -> str:
        """Return the function and the factor for `print(model)`."""
        return f"{self.function}, factor={self.factor:g}"
