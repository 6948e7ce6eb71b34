"""Building a net without filling its weights: for who will load them, or wants to know their shapes only."""

from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode


class Blank(TorchFunctionMode):
    """New nets keep whatever memory held: weights are not filled, so no size that is asked for costs time or memory.

    The meta device would serve too, but its first operation imports torch's compiler, 3 s.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (Tensor.normal_, Tensor.uniform_) or getattr(func, "__module__", "") == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))
