"""Build models without initializing their weights."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

# Fill any tensor, parameter or not.
INIT_FUNCTIONS = frozenset((Tensor.normal_, Tensor.uniform_))
# Skipped for parameters only: buffers must be computed.
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


class skip_init(TorchFunctionMode):  # noqa: N801 - a context manager, written like a function
    """Context manager in which new models keep uninitialized weights.

    No weight is filled, so that a model of any size costs neither time nor memory. Buffers are
    computed as usual. The meta device would serve as well, but its first operation imports torch's
    compiler, which takes 3 s.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Skip functions that fill a parameter.

        Args:
            func: function of torch that is called.
            types: unused.
            args: its arguments.
            kwargs: its keyword arguments.

        Returns:
            The unchanged parameter, or the function's result.
        """
        # Modules initialize by these functions or by torch.nn.init.
        if func in INIT_FUNCTIONS or getattr(func, "__module__", "") == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        if args and isinstance(args[0], nn.Parameter):
            if func in IN_PLACE_FUNCTIONS:
                return args[0]
            # Some initializations draw again while a weight is extreme: end such loops.
            if func in COMPARISON_FUNCTIONS:
                return torch.zeros((), dtype=torch.bool)
        return func(*args, **(kwargs or {}))
