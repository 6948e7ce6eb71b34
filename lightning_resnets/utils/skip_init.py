"""Building a model without filling its weights: for who will load them, or wants to know their shapes only."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

INIT_FUNCTIONS = frozenset((Tensor.normal_, Tensor.uniform_))


IN_PLACE_FUNCTIONS = frozenset(
    (
        Tensor.add_,
        Tensor.clamp_,
        Tensor.copy_,
        Tensor.div_,
        Tensor.erfinv_,
        Tensor.exp_,
        Tensor.fill_,
        Tensor.log_,
        Tensor.mul_,
        Tensor.neg_,
        Tensor.pow_,
        Tensor.sub_,
        Tensor.zero_,
    )
)


COMPARISON_FUNCTIONS = frozenset((Tensor.__lt__, Tensor.__gt__, Tensor.lt, Tensor.gt))


class skip_init(TorchFunctionMode):
    """New models keep whatever memory held: weights are not filled, so no size that is asked for costs time or memory.

    A parameter counts as having no values: what would change it in place leaves it alone, and a comparison with it says
    no, which ends the loops that draw until no weight is extreme. Buffers are computed as ever. The meta device would
    serve too, but its first operation imports torch's compiler, 3 s.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in INIT_FUNCTIONS or getattr(func, "__module__", "") == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        if args and isinstance(args[0], nn.Parameter):
            if func in IN_PLACE_FUNCTIONS:
                return args[0]
            if func in COMPARISON_FUNCTIONS:
                return torch.zeros((), dtype=torch.bool)
        return func(*args, **(kwargs or {}))
