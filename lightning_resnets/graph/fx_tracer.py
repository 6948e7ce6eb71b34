"""Trace a forward pass with torch.fx, and note the module of each node."""

import operator
import re
from collections.abc import Mapping
from itertools import chain
from typing import Any

from torch import Tensor, fx, nn

from lightning_resnets.graph.functional_merges import may_contain_merge
from lightning_resnets.graph.gate_rules import target_name
from lightning_resnets.graph.ops import LEAF_MODULES


class ModuleOutputs:
    """The value that each module returned, and the module of each node."""

    def __init__(self) -> None:
        self.outputs: dict[str, fx.Node] = {}  # what each module returned last
        self.inner: dict[fx.Node, str] = {}  # the innermost module that returned a value

    def record_output(self, path: str, node: fx.Node) -> None:
        """Note that a module has returned the output of a node.

        Args:
            path: name of the module.
            node: the node.
        """
        self.outputs[path] = node
        # Inner modules return first, so the first entry is the innermost.
        self.inner.setdefault(node, path)

    def replace_node(self, old: fx.Node, new: fx.Node) -> None:
        """Replace a node by another.

        Args:
            old: the node.
            new: its replacement.
        """
        self.outputs = {path: new if node is old else node for path, node in self.outputs.items()}
        if new is not old and old in self.inner:
            self.inner[new] = self.inner.pop(old)

    def store_in_meta(self) -> None:
        """Store the modules in the meta of the nodes, for `load_from_meta`."""
        for node, path in self.inner.items():
            node.meta["inner"] = path
        for path, node in self.outputs.items():
            node.meta.setdefault("gives", []).append(path)

    def load_from_meta(self, graph: fx.Graph) -> fx.Graph:
        """Read the modules from the meta of a traced model's nodes.

        Args:
            graph: the nodes.

        Returns:
            The same graph.
        """
        self.inner = {node: node.meta["inner"] for node in graph.nodes if "inner" in node.meta}
        self.outputs = {}
        for node in graph.nodes:
            self.outputs |= dict.fromkeys(node.meta.get("gives", ()), node)
        return graph

    @staticmethod
    def module_path(node: fx.Node) -> str:
        """Return the module whose forward pass contains a node.

        Args:
            node: the node; fx writes `name@1` for a module's second call.

        Returns:
            The name of the module.
        """
        # A function of the model itself has no module around it.
        stack = list((node.meta.get("nn_module_stack") or {"": ("",)}).values())
        return re.sub(r"@\d+", "", str(stack[-1][0]))


def is_leaf(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Return True for a module that is one operation.

    These are layers of torch, and modules of one input without submodules, weights and merges.

    Args:
        module: the module.
        args: arguments of the call.
        kwargs: keyword arguments of the call.
    """
    # A Sequential lies in torch.nn but has parts.
    if isinstance(module, nn.Sequential):
        return False
    is_of_torch = module.__module__.startswith(("torch.nn", "torch.ao.nn"))
    if is_of_torch or isinstance(module, LEAF_MODULES):
        return True
    if len(args) != 1 or kwargs or isinstance(args[0], (list, tuple, dict)):
        return False
    # Weights make a module more than one operation: its sums may be shortcuts.
    own = chain(module.children(), module.parameters(recurse=False), module.buffers(recurse=False))
    return next(own, None) is None and not contains_hidden_merge(module)


def contains_hidden_merge(module: nn.Module) -> bool:
    """Return True if paths meet within a module without parts: `torch.cat((x, -x), 1)`.

    Args:
        module: a module without submodules, weights and buffers.
    """
    try:
        return may_contain_merge(fx.Tracer().trace(module))
    except Exception:  # noqa: BLE001 - it branches on values or calls unregistered modules
        # A module that cannot be traced stays one operation.
        return False


# Operations whose output may share the memory of their first argument.
VIEW_OPS = {
    "chunk",
    "contiguous",
    "detach",
    "dropout",
    "expand",
    "expand_as",
    "flatten",
    "getitem",
    "narrow",
    "permute",
    "reshape",
    "split",
    "squeeze",
    "t",
    "to",
    "transpose",
    "unbind",
    "unflatten",
    "unsqueeze",
    "view",
}


# Modules that do so in evaluation mode.
VIEW_MODULES = (nn.Identity, nn.Flatten, nn.Unflatten, nn.Dropout, nn.Dropout2d)


def is_inplace_name(name: str) -> bool:
    """Return True for the name of an in-place method: `add_`, not `__add__`.

    Args:
        name: name of a method.
    """
    return name.endswith("_") and not name.endswith("__")


def check_inplace_safety(graph: fx.Graph, model: nn.Module, values: Mapping[fx.Node, Any]) -> None:
    """Check that no tensor is used after it was overwritten, which torch.fx cannot see.

    Args:
        graph: the traced nodes.
        model: the model.
        values: fake output of each node.

    Raises:
        ValueError: a tensor is used again after an in-place operation.
    """
    order = {node: i for i, node in enumerate(graph.nodes)}
    modules = dict(model.named_modules(remove_duplicate=False))
    for node in graph.nodes:
        if not node.args or not _is_inplace(node, modules):
            continue
        if isinstance(values.get(node), Tensor) and _is_reused(node, order, modules):
            raise ValueError("a tensor is used again after it was overwritten")


def _is_inplace(node: fx.Node, modules: Mapping[str, nn.Module]) -> bool:
    """Return True if a node overwrites its first argument."""
    if node.op == "call_module":
        return vars(modules[str(node.target)]).get("inplace") is True
    name = target_name(node)
    # `+=` leaves no other trace in the graph.
    marked = "in place" in node.meta or bool(node.kwargs.get("inplace"))
    return marked or name == "setitem" or (node.op != "get_attr" and is_inplace_name(name))


def _is_reused(
    node: fx.Node, order: Mapping[fx.Node, int], modules: Mapping[str, nn.Module]
) -> bool:
    """Return True if what a node overwrites is used later, by itself or through a view."""

    def has_later_user(source: fx.Node) -> bool:
        """Return True if the node or a view of it has a later user."""
        if any(order[user] > order[node] for user in source.users):
            return True
        # The node's own output has the new values, so its users are right.
        views = (user for user in source.users if user is not node and _is_view(user, modules))
        return any(has_later_user(view) for view in views)

    # Up to the tensor that owns the memory.
    source = node.args[0]
    while isinstance(source, fx.Node):
        if has_later_user(source):
            return True
        if not source.args or not _is_view(source, modules):
            return False
        source = source.args[0]
    return False


def _is_view(node: fx.Node, modules: Mapping[str, nn.Module]) -> bool:
    """Return True if the output may share the memory of the first argument."""
    if node.op == "call_module":
        return isinstance(modules[str(node.target)], VIEW_MODULES)
    return target_name(node) in VIEW_OPS


class _Proxy(fx.Proxy):
    """Marks `x += y`, which torch.fx takes for `x = x + y`."""

    def __iadd__(self, other: Any) -> Any:
        return _mark_inplace(operator.add(self, other))

    def __isub__(self, other: Any) -> Any:
        return _mark_inplace(operator.sub(self, other))

    def __imul__(self, other: Any) -> Any:
        return _mark_inplace(operator.mul(self, other))

    def __itruediv__(self, other: Any) -> Any:
        return _mark_inplace(operator.truediv(self, other))


def _mark_inplace(proxy: fx.Proxy) -> fx.Proxy:
    """Note that an operation overwrites its first operand."""
    proxy.node.meta["in place"] = True
    return proxy


class ModuleTracer(fx.Tracer):
    """Stops at single operations, and notes which module returned which value."""

    def __init__(self) -> None:
        super().__init__()
        self.outputs = ModuleOutputs()
        self._leaf = False

    def proxy(self, node: fx.Node) -> fx.Proxy:
        """Return a proxy that marks in-place operators.

        Args:
            node: the node.

        Returns:
            The proxy of the node.
        """
        return _Proxy(node, self)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Return True if `call_module` has found the module to be one operation.

        Args:
            m: the module; its arguments have decided already.
            module_qualified_name: its name.

        Returns:
            The answer of `is_leaf` for this call.
        """
        return self._leaf

    def call_module(
        self, m: nn.Module, forward: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Trace the call of a module and note what it returned.

        Args:
            m: the module.
            forward: its forward method.
            args: arguments of the call.
            kwargs: keyword arguments of the call.

        Returns:
            Its output, of proxies.
        """
        # fx asks `is_leaf_module` without the arguments, which decide here.
        self._leaf = is_leaf(m, args, kwargs)
        value = super().call_module(m, forward, args, kwargs)
        if isinstance(value, fx.Proxy):
            self.outputs.record_output(self.path_of_module(m), value.node)
        return value

    @staticmethod
    def scope(node: fx.Node) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return the module whose forward pass contains a node.

        Args:
            node: the node.
        """
        return ModuleOutputs.module_path(node)
