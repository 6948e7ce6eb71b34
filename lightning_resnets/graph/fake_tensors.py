"""Run a model on fake tensors for its output shapes, without weights and memory.

A fake tensor is one zero, expanded. The meta device would import the compiler at the first
operation, which takes 3 s.
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

# Largest number of activations for one image: a caller that records them keeps them all.
MAX_ACTIVATION_NUMEL = 10**9


def fake_tensor(tensor: Tensor) -> Tensor:
    """Return a fake tensor of the same shape.

    Args:
        tensor: any tensor.

    Returns:
        One zero, expanded; float32 for floats of any width.
    """
    dtype = torch.float32 if tensor.is_floating_point() else tensor.dtype
    return torch.zeros((), dtype=dtype).expand(tensor.shape)


def constant_tensor(tensor: Tensor) -> Tensor:
    """Return a fake tensor with the first value of a tensor, if it is finite.

    Args:
        tensor: the output of an operation on fake tensors, which is uniform.

    Returns:
        That value, expanded; else zeros.
    """
    if not tensor.numel():
        return fake_tensor(tensor)
    first = tensor[(0,) * tensor.dim()].clone()
    if not bool(first.isfinite()):
        return fake_tensor(tensor)
    return (first.float() if tensor.is_floating_point() else first).expand(tensor.shape)


def without_graph(model: nn.Module) -> nn.Module:
    """Return the modules of a traced model without its nodes, which a copy would detach.

    Args:
        model: any model.

    Returns:
        A plain module for an fx.GraphModule, else the model.
    """
    if not isinstance(model, fx.GraphModule):
        return model
    shell = nn.Module()
    kept = {name for name, value in vars(model).items() if isinstance(value, Tensor)}
    vars(shell).update(
        {name: vars(model)[name] for name in {*kept, "_modules", "_parameters", "_buffers"}}
    )
    return shell


def fake_copy(model: nn.Module) -> nn.Module:
    """Copy the structure of a model with fake weights and without hooks.

    Args:
        model: the model, on any device.

    Returns:
        The fake copy in evaluation mode, on the CPU.
    """
    # One for all: ten new dictionaries per module would double the time of a copy.
    none = OrderedDict[int, Any]()
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
    """Return attributes computed from weights (by the old weight norm), which deepcopy refuses.

    Args:
        model: any model.

    Returns:
        The tensors.
    """
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
    """Run a module on fake tensors; of common modules only the shape is computed.

    Args:
        module: the module.
        forward: its forward method.
        args: arguments.
        kwargs: keyword arguments.

    Returns:
        The fake output.
    """
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
    """Run a function on fake tensors, never in place: they cannot be written to.

    Args:
        function: the function.
        args: arguments.
        kwargs: keyword arguments.

    Returns:
        The fake output.
    """
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
    # A function that writes to its own tensors needs real memory.
    return function(*full[0], **full[1])  # pyright: ignore[reportCallIssue]


class ShapePropagator(fx.Interpreter):
    """Runs a graph once on fake tensors and keeps the fake output of every node."""

    def __init__(self, model: nn.Module, fx_graph: fx.Graph) -> None:
        super().__init__(model, graph=fx_graph)
        self.fx_graph = fx_graph

    def propagate(self, image: Tensor) -> dict[fx.Node, Any]:
        """Run the graph.

        Args:
            image: fake image (N, C, H, W).

        Returns:
            The fake output of each node.

        Raises:
            ValueError: the activations would take too much memory.
        """
        self.kept: dict[fx.Node, Any] = {}
        self.total = 0
        self.args_iter = iter([image])
        with torch.no_grad():
            # Not self.run: it makes a progress bar, whose thread stays.
            for node in self.fx_graph.nodes:
                self.env[node] = self.run_node(node)
        return self.kept

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        self.total += value.numel() if isinstance(value, Tensor) else 0
        if self.total > MAX_ACTIVATION_NUMEL:
            raise ValueError(f"its activations exceed {MAX_ACTIVATION_NUMEL * 4 / 2**30:.1f} GB")
        self.kept[n] = (
            fake_tensor(value)
            if isinstance(value, Tensor) and not isinstance(value, nn.Parameter)
            else value
        )
        return value

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if target is check_branch:
            return None  # the recorder has answered it
        return run_function_fake(target, args, kwargs)

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        module = self.fetch_attr(target)
        return run_module_fake(module, module, args, kwargs)
