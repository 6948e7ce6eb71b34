"""A model's structure filled with blanks, so that it can be run for shapes: no weight is touched, no memory taken.

torch's own way, the meta device, imports its compiler at the first operation (3 s); a blank is one zero, expanded.
"""

import copy
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.node import map_aggregate

from lightning_resnets.graph.ops import FUNCTION_SHAPE_RULES, MODULE_SHAPE_RULES
from lightning_resnets.graph.recorded_ops import check_branch

MAX_ACTIVATION_NUMEL = (
    10**9
)  # numbers that pass through a model for one image: who looks at it keeps them all


def fake_tensor(tensor: Tensor) -> Tensor:
    """As many zeros, of which one is in memory; floats of any width count as float32."""
    dtype = torch.float32 if tensor.is_floating_point() else tensor.dtype
    return torch.zeros((), dtype=dtype).expand(tensor.shape)


def constant_tensor(tensor: Tensor) -> Tensor:
    """The same with the first of its values in the place of zero, if it is finite: what blanks make is uniform."""
    if not tensor.numel():
        return fake_tensor(tensor)
    first = tensor[(0,) * tensor.dim()].clone()
    if not bool(first.isfinite()):
        return fake_tensor(tensor)
    return (first.float() if tensor.is_floating_point() else first).expand(tensor.shape)


def without_graph(model: nn.Module) -> nn.Module:
    """A revealed model without its steps, which a copy would tear out of their modules."""
    if not isinstance(model, fx.GraphModule):
        return model
    shell = nn.Module()
    kept = {name for name, value in vars(model).items() if isinstance(value, Tensor)}
    vars(shell).update(
        {name: vars(model)[name] for name in {*kept, "_modules", "_parameters", "_buffers"}}
    )
    return shell


def fake_copy(model: nn.Module) -> nn.Module:
    """A copy of the model's structure, filled with blanks, on the CPU: no weight is copied and no hook comes along."""
    none = OrderedDict[
        int, Any
    ]()  # one for all: ten new ones a module are half of the time that a copy takes
    kept = (
        value
        for module in model.modules()
        for name, value in vars(module).items()
        if "_hooks" in name
    )
    memo: dict[int, Any] = {id(hooks): none for hooks in kept if isinstance(hooks, dict)}
    memo |= {
        id(weight): nn.Parameter(fake_tensor(weight), requires_grad=False)
        for weight in model.parameters()
    }
    memo |= {
        id(tensor): fake_tensor(tensor) for tensor in (*model.buffers(), *non_leaf_tensors(model))
    }
    return copy.deepcopy(model, memo).eval()


def non_leaf_tensors(model: nn.Module) -> list[Tensor]:
    """What modules hold that was computed of their weights (by the old weight norm): it cannot be copied."""
    values = (
        value
        for module in model.modules()
        for value in vars(module).values()
        if isinstance(value, Tensor)
    )
    return [value for value in values if not value.is_leaf]


def run_module_fake(
    module: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """What a module makes of blanks; for the common ones only the shape is computed."""
    if (
        type(module) in MODULE_SHAPE_RULES
        and len(args) == 1
        and (shape := MODULE_SHAPE_RULES[type(module)](module, args[0]))
    ):
        return torch.zeros(()).expand(shape)
    return _run(forward, args, kwargs)


def run_function_fake(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """The same for a function, never in place: a blank cannot be written to."""
    kept = {**kwargs, "inplace": False} if kwargs.get("inplace") else kwargs
    if function in FUNCTION_SHAPE_RULES and (
        shape := FUNCTION_SHAPE_RULES[function](*args, **kept)
    ):
        return torch.zeros(()).expand(shape)
    return _run(function, args, kept)


def _run(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    try:
        return function(*args, **kwargs)
    except RuntimeError as error:
        if "single memory location" not in str(error):
            raise
    full = map_aggregate(
        (args, kwargs), lambda item: item.clone() if isinstance(item, Tensor) else item
    )
    return function(*full[0], **full[1])  # pyright: ignore  what writes inside itself gets memory to write to


class ShapePropagator(fx.Interpreter):
    """Runs the graph once on blanks and keeps every value as a blank: shapes, and next to no arithmetic."""

    def __init__(self, model: nn.Module, steps: fx.Graph) -> None:
        super().__init__(model, graph=steps)
        self.steps = steps

    def propagate(self, image: Tensor) -> dict[fx.Node, Any]:
        self.kept: dict[fx.Node, Any] = {}
        self.total = 0
        self.args_iter = iter([image])
        with torch.no_grad():
            for (
                node
            ) in self.steps.nodes:  # not self.run: it makes a progress bar, whose thread stays
                self.env[node] = self.run_node(node)
        return self.kept

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        self.total += value.numel() if isinstance(value, Tensor) else 0
        if self.total > MAX_ACTIVATION_NUMEL:
            raise ValueError(f"more than {MAX_ACTIVATION_NUMEL * 4 / 2**30:.1f} GB pass through it")
        self.kept[n] = (
            fake_tensor(value)
            if isinstance(value, Tensor) and not isinstance(value, nn.Parameter)
            else value
        )
        return value

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if target is check_branch:
            return None  # the blanks of the recorder gave the answer
        return run_function_fake(target, args, kwargs)

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        module = self.fetch_attr(target)
        return run_module_fake(module, module, args, kwargs)
