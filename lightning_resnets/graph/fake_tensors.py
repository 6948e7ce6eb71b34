"""Run a model on fake tensors for its output shapes, without weights and memory.

A fake tensor is one zero, expanded. The meta device would import the compiler at the first
operation, which takes 3 s.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.node import map_aggregate

from lightning_resnets.graph.ops import FUNCTION_SHAPE_RULES, MODULE_SHAPE_RULES
from lightning_resnets.graph.recorded_ops import check_branch
from lightning_resnets.graph.wrappers import copy_without_wrappers

# Largest number of activations for one image: a caller that records them keeps them all.
MAX_ACTIVATION_NUMEL = 10**9


def fake_tensor(tensor: Tensor) -> Tensor:
    """Return a fake tensor of the same shape.

    Args:
        tensor: any tensor.

    Returns:
        One zero, expanded; float32 for floats of any width.
    """
    dtype = tensor.dtype
    # Models in half precision would otherwise meet operations that the CPU lacks.
    if tensor.is_floating_point():
        dtype = torch.float32
    # Expanded: a map of any size takes the memory of one number.
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
    # NaN would decide branches and spread through the model.
    if not bool(first.isfinite()):
        return fake_tensor(tensor)
    if tensor.is_floating_point():
        first = first.float()
    return first.expand(tensor.shape)


def fake_copy(model: nn.Module) -> nn.Module:
    """Copy the structure of a model with fake weights and without hooks.

    Args:
        model: the model, on any device.

    Returns:
        The fake copy in evaluation mode, on the CPU.
    """
    # deepcopy takes what it finds in the memo instead of a copy.
    memo: dict[int, Any] = {}
    # One for all: ten new dictionaries per module would double the time of a copy.
    no_hooks = OrderedDict[int, Any]()
    for module in model.modules():
        for name, value in vars(module).items():
            if "_hooks" in name and isinstance(value, dict):
                memo[id(value)] = no_hooks
    for weight in model.parameters():
        # By identity: weights that are shared stay shared.
        memo[id(weight)] = nn.Parameter(fake_tensor(weight), requires_grad=False)
    for tensor in (*model.buffers(), *non_leaf_tensors(model)):
        memo[id(tensor)] = fake_tensor(tensor)
    return copy_without_wrappers(model, memo).eval()


def non_leaf_tensors(model: nn.Module) -> list[Tensor]:
    """Return attributes computed from weights (by the old weight norm), which deepcopy refuses.

    Args:
        model: any model.

    Returns:
        The tensors.
    """
    found: list[Tensor] = []
    for module in model.modules():
        values = [value for value in vars(module).values() if isinstance(value, Tensor)]
        # Only these have a grad_fn, which cannot be copied.
        found += [value for value in values if not value.is_leaf]
    return found


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
    rule = MODULE_SHAPE_RULES.get(type(module))
    if rule is not None and len(args) == 1:
        shape = rule(module, args[0])
        # A rule leaves rare settings to torch.
        if shape:
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
    if kwargs.get("inplace"):
        # A new dict: that of the caller stays as it is.
        kwargs = {**kwargs, "inplace": False}
    rule = FUNCTION_SHAPE_RULES.get(function)
    # A rule returns nothing where only torch can tell the shape.
    if rule and (shape := rule(*args, **kwargs)):
        return torch.zeros(()).expand(shape)
    return _run(function, args, kwargs)


def _run(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run a function on fake tensors, or on copies in real memory if it writes to them."""
    try:
        return function(*args, **kwargs)
    except RuntimeError as error:
        # torch's words for a write to an expanded tensor.
        if "single memory location" not in str(error):
            raise
    copied: Any = map_aggregate((args, kwargs), _clone_tensor)
    return function(*copied[0], **copied[1])


def _clone_tensor(item: Any) -> Any:
    """Return a copy of a tensor with memory of its own, anything else as it is."""
    return item.clone() if isinstance(item, Tensor) else item


class ShapePropagator(fx.Interpreter):
    """Runs a graph once on fake tensors and keeps the fake output of every node."""

    def __init__(self, model: nn.Module, fx_graph: fx.Graph) -> None:
        super().__init__(model, graph=fx_graph)
        self.fx_graph = fx_graph

    def propagate(self, inputs: Mapping[str, Any]) -> dict[fx.Node, Any]:
        """Run the graph.

        Args:
            inputs: fake inputs by name; other arguments have their defaults.

        Returns:
            The fake output of each node.

        Raises:
            ValueError: the activations would take too much memory.
        """
        self.kept: dict[fx.Node, Any] = {}
        self.total = 0
        self.inputs = inputs
        with torch.no_grad():
            # Not self.run: it makes a progress bar, whose thread stays.
            for node in self.fx_graph.nodes:
                self.env[node] = self.run_node(node)
        return self.kept

    def placeholder(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return the input of this name, or its default.

        Args:
            target: name of the argument.
            args: its default, if any.
            kwargs: keyword arguments.

        Returns:
            The fake input.
        """
        if str(target) in self.inputs:
            return self.inputs[str(target)]
        self.args_iter = iter(())
        return super().placeholder(target, args, kwargs)

    def run_node(self, n: fx.Node) -> Any:
        """Run one node and keep its fake output.

        Args:
            n: the node.

        Returns:
            The fake output.

        Raises:
            ValueError: the activations would take too much memory.
        """
        value = super().run_node(n)
        is_tensor = isinstance(value, Tensor)
        if is_tensor:
            # Counted before it is kept, so a huge map raises first.
            self.total += value.numel()
        if self.total > MAX_ACTIVATION_NUMEL:
            raise ValueError(f"its activations exceed {MAX_ACTIVATION_NUMEL * 4 / 2**30:.1f} GB")
        # Parameters keep their identity, by which shared ones count once.
        is_activation = is_tensor and not isinstance(value, nn.Parameter)
        self.kept[n] = value
        if is_activation:
            self.kept[n] = fake_tensor(value)
        return value

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a function on fake tensors.

        Args:
            target: the function.
            args: positional arguments.
            kwargs: keyword arguments.

        Returns:
            The fake output; None for a check of a branch.
        """
        # The recorder has answered it.
        if target is check_branch:
            return None
        return run_function_fake(target, args, kwargs)

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a module on fake tensors.

        Args:
            target: name of the module.
            args: positional arguments.
            kwargs: keyword arguments.

        Returns:
            The fake output.
        """
        module = self.fetch_attr(target)
        return run_module_fake(module, module, args, kwargs)
