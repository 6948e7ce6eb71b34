"""Record the nodes of a forward pass while it runs, for models that torch.fx refuses.

The model runs once on fake tensors, under a TorchFunctionMode that sees every call of torch. The
result is an ordinary fx.Graph. It is valid for one input size, since sizes are constants in it,
and for any batch size. Where the model branches on a tensor, the fake tensor decides, and every
later pass is checked to decide the same: the graph is one of several possible ones.
"""

import inspect
import numbers
import operator
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.node import map_aggregate
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from lightning_resnets.graph.fake_tensors import (
    MAX_ACTIVATION_NUMEL,
    constant_tensor,
    fake_tensor,
    run_function_fake,
    run_module_fake,
)
from lightning_resnets.graph.fx_tracer import ModuleOutputs, is_inplace_name, is_leaf
from lightning_resnets.graph.recorded_ops import apply_out_of_place, check_branch, check_image_size
from lightning_resnets.graph.storage_aliases import StorageAliases

REFLECTED_OPS = {
    "__rsub__": operator.sub,
    "__rdiv__": operator.truediv,
    "__rtruediv__": operator.truediv,
    "__rpow__": operator.pow,
    "__rfloordiv__": operator.floordiv,
    "__rmatmul__": operator.matmul,
}


DATA_DEPENDENT_OPS = {
    "__float__",
    "__int__",
    "__index__",
    "__complex__",
    "__contains__",
    "item",
    "tolist",
    "numpy",
    "__array__",
    "equal",
    "allclose",
    "is_nonzero",
}


def record_graph(model: nn.Module, image: Tensor) -> tuple[fx.Graph, ModuleOutputs]:
    """Record the forward pass of a fake model.

    Args:
        model: the fake model.
        image: fake image (N, C, H, W).

    Returns:
        The nodes, and the module of each.

    Raises:
        ValueError: an operation cannot be recorded; the model may raise other exceptions.
    """
    recorder = GraphRecorder(model)
    with torch.random.fork_rng(devices=[]), torch.no_grad(), recorder.patch_modules():
        recorder.run(image)
    return recorder.graph, recorder.outputs


class GraphRecorder(TorchFunctionMode):
    """Records every call of torch as a node; a module that is one operation is one node."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.graph, self.outputs = model, fx.Graph(), ModuleOutputs()
        self.known: dict[int, fx.Node] = {}  # the step that made a tensor
        # Known tensors stay alive, so that no other tensor gets their id.
        self.kept: list[Tensor] = []
        # Tensors that depend neither on the image nor on weights have their real values.
        self.constant: set[int] = set()
        self.parts: list[fx.Node] = []  # steps that take a tuple apart
        self.aliases = StorageAliases()
        self.origins: dict[int, tuple[Tensor, Any]] = {}  # slices: of what, and which
        self.stack: dict[str, tuple[str, type]] = {}
        named = (*model.named_parameters(), *model.named_buffers())
        self.weights = {id(weight): name for name, weight in named}
        self.total, self.images, self.busy = 0, 1, False

    def run(self, image: Tensor) -> None:
        name = next(iter(inspect.signature(self.model.forward).parameters), "x")
        self.image = self.graph.placeholder(name)
        self.graph.call_function(check_image_size, (self.image, tuple(image.shape[1:])))
        given, self.images = fake_tensor(image), len(image)
        self.bind_tensor(given, self.image)
        with self:
            value = self.model(given)
        self.graph.output(self.map_to_nodes(value))
        for part in self.parts:
            if not part.users:
                self.graph.erase_node(part)

    @contextmanager
    def patch_modules(self) -> Iterator[None]:
        """Patch every module except the model itself to note its calls."""
        with ExitStack() as stack:
            for path, module in self.model.named_modules():
                if path:
                    own = vars(module).get("forward")
                    vars(module)["forward"] = self.wrap_forward(module, path, module.forward)
                    undo = (lambda m=module, f=own: vars(m).update(forward=f)) if own else None
                    stack.callback(undo or (lambda m=module: vars(m).pop("forward")))
            yield

    def wrap_forward(
        self, module: nn.Module, path: str, forward: Callable[..., Any]
    ) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if self.busy:
                return forward(*args, **kwargs)
            before, self.stack = self.stack, {**self.stack, path: (path, type(module))}
            try:
                self.busy = True
                try:
                    leaf = is_leaf(module, args, kwargs)
                finally:
                    self.busy = False
                value = (
                    self.record_module(module, path, forward, args, kwargs)
                    if leaf
                    else forward(*args, **kwargs)
                )
            finally:
                self.stack = before
            if isinstance(value, Tensor) and id(value) in self.known:
                self.outputs.record_output(path, self.node_for_tensor(value))
            return value

        return call

    def record_module(
        self,
        module: nn.Module,
        path: str,
        forward: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        inplace = vars(module).get("inplace") is True
        self.busy = True
        try:
            if inplace:
                vars(module)["inplace"] = False
            value = run_module_fake(module, forward, args, kwargs)
            node = self.add_node("call_module", path, args, kwargs)
            return (
                self.rebind_tensor(args[0], node)
                if inplace and args
                else self.bind_output(value, node, args, kwargs, False)
            )
        finally:
            self.busy = False
            if inplace:
                vars(module)["inplace"] = True

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if self.busy:
            return func(*args, **kwargs)
        self.busy = True
        try:
            return self.record_call(func, args, kwargs)
        finally:
            self.busy = False

    def record_call(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        name = getattr(func, "__name__", "")
        tensors = _tensors((args, kwargs))
        constant = all(id(tensor) in self.constant for tensor in tensors)
        if not constant and (name == "__bool__" or name in DATA_DEPENDENT_OPS):
            return self.record_branch(name, tensors)
        if kwargs.get("out") is not None:
            raise ValueError(
                f"'{name}' writes into a tensor that it is given, and that cannot be written down"
            )
        if kwargs.get("inplace") or name == "__setitem__" or is_inplace_name(name):
            if constant:
                func(*args, **kwargs)
            return self.record_inplace(func, name, args, kwargs, constant)
        value = func(*args, **kwargs) if constant else run_function_fake(func, args, kwargs)
        if not _tensors(value):
            return value
        made = self.bind_output(
            value, self.node_for_call(func, name, args, kwargs), args, kwargs, constant
        )
        if name == "__getitem__" and self.aliases.share_storage(args[0], made):
            self.origins[id(made)] = (args[0], args[1])
        return made

    def record_branch(self, name: str, tensors: list[Tensor]) -> bool:
        where = f" in '{list(self.stack)[-1]}'" if self.stack else ""
        if name != "__bool__" or id(tensors[0]) in self.weights:
            raise ValueError(
                f"its steps depend on values: '{name.strip('_')}' takes one out of a tensor{where}"
            )
        answer = bool(tensors[0])
        self.add_node("call_function", check_branch, (tensors[0], answer), {})
        return answer

    def record_inplace(
        self, func: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], constant: bool
    ) -> Tensor:
        """Record an in-place call: later nodes read its result instead of the tensor."""
        base = name[:-1]
        places = (*((functional, torch) if not _is_method(func, name) else ()), Tensor)
        if kwargs.get("inplace"):
            node = self.add_node("call_function", func, args, {**kwargs, "inplace": False})
        elif name != "__setitem__" and places[0] is Tensor and hasattr(Tensor, base):
            node = self.add_node("call_method", base, args, kwargs)
        elif name != "__setitem__" and (
            home := next((place for place in places if hasattr(place, base)), None)
        ):
            node = self.add_node("call_function", getattr(home, base), args, kwargs)
        else:
            node = self.add_node(
                "call_function", apply_out_of_place, (args[0], name, *args[1:]), kwargs
            )
        return self.rebind_tensor(args[0], node, constant)

    def rebind_tensor(self, tensor: Tensor, node: fx.Node, constant: bool = False) -> Tensor:
        """Let a tensor stand for a node from now on, and write a slice back to its source."""
        whole, index = self.origins.get(id(tensor), (tensor, None))
        sound = whole is not tensor and not self.aliases.is_stale(whole)
        self.aliases.mark_written(tensor)
        self.known[id(tensor)] = node
        if not constant:
            self.constant.discard(id(tensor))
        if sound:
            self.aliases.mark_valid(whole)
            self.rebind_tensor(
                whole,
                self.add_node(
                    "call_function", apply_out_of_place, (whole, "__setitem__", index, tensor), {}
                ),
                constant,
            )
            self.aliases.mark_valid(tensor)
        return tensor

    def node_for_call(
        self, func: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> fx.Node:
        """Add the node of a call, as torch.fx would write it."""
        if name == "__get__":
            return self.add_node("call_function", getattr, (args[0], func.__self__.__name__), {})
        if name in REFLECTED_OPS:
            return self.add_node("call_function", REFLECTED_OPS[name], args[::-1], {})
        if name == "__getitem__":
            return self.add_node("call_function", operator.getitem, args, {})
        if _is_method(func, name):
            return self.add_node("call_method", name, args, kwargs)
        return self.add_node("call_function", func, args, kwargs)

    def add_node(
        self, op: str, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> fx.Node:
        nodes, named = self.map_to_nodes(args), self.map_to_nodes(kwargs)
        if isinstance(
            named.get("device"), torch.device
        ):  # what is made on the way is made where the image is
            named = {
                **named,
                "device": self.tag_module_stack(
                    self.graph.call_function(getattr, (self.image, "device"))
                ),
            }
        return self.tag_module_stack(self.graph.create_node(op, target, nodes, named))

    def tag_module_stack(self, node: fx.Node) -> fx.Node:
        node.meta["nn_module_stack"] = self.stack
        return node

    def bind_output(self, value: Any, node: fx.Node, args: Any, kwargs: Any, constant: bool) -> Any:
        """Return the output of a node as fake tensors that stand for it."""
        if isinstance(value, Tensor):
            made = self.fake_output(value, constant)
            self.bind_tensor(made, node, constant)
            self.aliases.register(made, value, _tensors((args, kwargs)), is_whole=True)
            return made
        if not isinstance(value, (tuple, list)):
            raise ValueError(
                f"'{node.target}' gives a {type(value).__name__}, and that cannot be written down"
            )
        parts = [
            self.fake_output(part, constant) if isinstance(part, Tensor) else part for part in value
        ]
        for i, (part, old) in enumerate(zip(parts, value, strict=True)):
            if isinstance(part, Tensor):
                self.parts.append(
                    self.tag_module_stack(self.graph.call_function(operator.getitem, (node, i)))
                )
                self.bind_tensor(part, self.parts[-1], constant)
                self.aliases.register(part, old, _tensors((args, kwargs)), is_whole=False)
        if isinstance(value, list):
            return parts
        return type(value)(parts) if not hasattr(value, "_fields") else type(value)(*parts)

    def fake_output(self, value: Tensor, constant: bool) -> Tensor:
        self.total += value.numel()
        if self.total > MAX_ACTIVATION_NUMEL * self.images:
            raise ValueError(f"its activations exceed {MAX_ACTIVATION_NUMEL * 4 / 2**30:.1f} GB")
        return value if constant else constant_tensor(value)

    def bind_tensor(self, tensor: Tensor, node: fx.Node, constant: bool = False) -> None:
        self.known[id(tensor)] = node
        self.kept.append(tensor)
        if constant:
            self.constant.add(id(tensor))

    def map_to_nodes(self, value: Any) -> Any:
        """Replace every tensor in a value by its node."""

        def node(item: Any) -> Any:
            if isinstance(item, Tensor):
                return self.node_for_tensor(item)
            plain = type(item) in (int, float, bool, complex) or not isinstance(item, numbers.Real)
            return (
                item if plain else int(item) if isinstance(item, numbers.Integral) else float(item)
            )  # numpy's

        return map_aggregate(value, node)

    def node_for_tensor(self, tensor: Tensor) -> fx.Node:
        if self.aliases.is_stale(tensor):
            raise ValueError(
                "a tensor is used again after a part of it was overwritten, and that cannot be written down"
            )
        found = self.known.get(id(tensor))
        if found is None:
            found = self.tag_module_stack(
                self.graph.get_attr(
                    self.weights.get(id(tensor)) or self.attribute_for_tensor(tensor)
                )
            )
            self.bind_tensor(tensor, found)
        return found

    def attribute_for_tensor(self, tensor: Tensor) -> str:
        """Name a tensor that a module holds without having registered it."""
        for module in self.model.modules():
            if any(item is tensor for value in vars(module).values() for item in _tensors(value)):
                count = sum(name.startswith("_tensor_constant") for name in vars(self.model))
                setattr(self.model, name := f"_tensor_constant{count}", tensor)
                return name
        raise ValueError("a tensor comes from where torch's calls cannot be seen")


def _tensors(value: Any) -> list[Tensor]:
    found: list[Tensor] = []
    map_aggregate(value, lambda item: found.append(item) if isinstance(item, Tensor) else None)
    return found


def _is_method(func: Any, name: str) -> bool:
    return getattr(Tensor, name, None) is func or getattr(func, "__qualname__", "").startswith(
        ("Tensor.", "TensorBase.")
    )
