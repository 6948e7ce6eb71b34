"""Record the nodes of a forward pass while it runs, for models that torch.fx refuses.

The model runs once on fake tensors, under a TorchFunctionMode that sees every call of torch. The
result is an ordinary fx.Graph. It is valid for one input size, since sizes are constants in it,
and for any batch size. Where the model branches on a tensor, the fake tensor decides, and every
later pass is checked to decide the same: the graph is one of several possible ones.
"""

import operator
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from lightning_resnets.graph.fake_tensors import fake_tensor, run_function_fake, run_module_fake
from lightning_resnets.graph.fx_tracer import ModuleOutputs, is_inplace_name, is_leaf
from lightning_resnets.graph.model_input import NamedInputs, call_model
from lightning_resnets.graph.node_writer import NodeWriter, tensors_in
from lightning_resnets.graph.recorded_ops import apply_out_of_place, check_branch, check_image_size

# Methods whose operands come in reverse order, and the functions that torch.fx writes instead.
REFLECTED_OPS = {
    "__rsub__": operator.sub,
    "__rdiv__": operator.truediv,
    "__rtruediv__": operator.truediv,
    "__rpow__": operator.pow,
    "__rfloordiv__": operator.floordiv,
    "__rmatmul__": operator.matmul,
}

# These take values out of a tensor, so the following operations may depend on the image.
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


def record_graph(model: nn.Module, inputs: NamedInputs) -> tuple[fx.Graph, ModuleOutputs]:
    """Record the forward pass of a fake model.

    Args:
        model: the fake model.
        inputs: fake inputs by name, the images (N, C, H, W) first.

    Returns:
        The nodes, and the module of each.

    Raises:
        ValueError: an operation cannot be recorded; the model may raise other exceptions.
    """
    recorder = GraphRecorder(model)
    # Dropout and stochastic depth must not move the user's random numbers.
    with torch.random.fork_rng(devices=[]), torch.no_grad(), recorder.patch_modules():
        recorder.run(inputs)
    return recorder.writer.graph, recorder.outputs


class GraphRecorder(TorchFunctionMode):
    """Records every call of torch as a node; a module that is one operation is one node.

    Args:
        model: the fake model.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.writer = NodeWriter(model)
        self.outputs = ModuleOutputs()
        # True while a call is recorded: the calls within it are not nodes of their own.
        self.busy = False

    def run(self, inputs: NamedInputs) -> None:
        """Run the model once and record its nodes.

        Args:
            inputs: fake inputs by name.
        """
        tensors = {name: value for name, value in inputs.items() if isinstance(value, Tensor)}
        nodes = {name: self.writer.add_image(name) for name in tensors}
        fresh = dict(inputs)
        for name, tensor in tensors.items():
            size = tuple(tensor.shape[1:])
            self.writer.graph.call_function(check_image_size, (nodes[name], size))
            # A tensor of its own for each input: the recorder knows tensors by identity.
            fresh[name] = fake_tensor(tensor)
            self.writer.bind_tensor(fresh[name], nodes[name])
        self.writer.images = max(
            (len(tensor) for tensor in tensors.values() if tensor.dim()), default=1
        )
        with self:
            value = call_model(self.model, fresh)
        self.writer.add_output(value)

    @contextmanager
    def patch_modules(self) -> Iterator[None]:
        """Patch every module except the model itself to note its calls."""
        with ExitStack() as stack:
            for path, module in self.model.named_modules():
                # The model itself is called once, by `run`.
                if path:
                    own = vars(module).get("forward")
                    vars(module)["forward"] = self._wrap_forward(module, path, module.forward)
                    stack.callback(_restore_forward, module, own)
            yield

    def _wrap_forward(
        self, module: nn.Module, path: str, forward: Callable[..., Any]
    ) -> Callable[..., Any]:
        """Return a forward method that notes its module and its output."""

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            """Run the module, as one node if it is one operation."""
            if self.busy:
                return forward(*args, **kwargs)
            outer_stack = self.writer.stack
            # A new dict: nodes keep the one of their time.
            self.writer.stack = {**outer_stack, path: (path, type(module))}
            try:
                if self._is_leaf(module, args, kwargs):
                    value = self._record_module(module, path, forward, args, kwargs)
                else:
                    value = forward(*args, **kwargs)
            finally:
                self.writer.stack = outer_stack
            if isinstance(value, Tensor) and id(value) in self.writer.known:
                self.outputs.record_output(path, self.writer.node_for_tensor(value))
            return value

        return wrapped

    def _is_leaf(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Return True for a module that is one operation, without recording the question."""
        self.busy = True
        try:
            return is_leaf(module, args, kwargs)
        finally:
            self.busy = False

    def _record_module(
        self,
        module: nn.Module,
        path: str,
        forward: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """Record a module as one node."""
        is_inplace = vars(module).get("inplace") is True
        self.busy = True
        try:
            # A fake tensor is one number in memory, so nothing can be written into it.
            if is_inplace:
                vars(module)["inplace"] = False
            value = run_module_fake(module, forward, args, kwargs)
            node = self.writer.add_node("call_module", path, args, kwargs)
            if is_inplace and args:
                return self.writer.rebind_tensor(args[0], node)
            return self.writer.bind_output(value, node, tensors_in((args, kwargs)))
        finally:
            self.busy = False
            if is_inplace:
                vars(module)["inplace"] = True

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Record a call of torch, unless it happens within another."""
        kwargs = kwargs or {}
        if self.busy:
            return func(*args, **kwargs)
        self.busy = True
        try:
            return self._record_call(func, args, kwargs)
        finally:
            self.busy = False

    def _record_call(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Record a function or a method of a tensor as a node, and return its fake output."""
        name = getattr(func, "__name__", "")
        tensors = tensors_in((args, kwargs))
        constant = all(id(tensor) in self.writer.constant for tensor in tensors)
        if not constant and (name == "__bool__" or name in DATA_DEPENDENT_OPS):
            return self._record_branch(name, tensors)
        # The caller reads the argument, of which the graph knows nothing.
        if kwargs.get("out") is not None:
            raise ValueError(f"'{name}' writes into its argument 'out', which cannot be recorded")
        if kwargs.get("inplace") or name == "__setitem__" or is_inplace_name(name):
            if constant:
                func(*args, **kwargs)
            return self._record_inplace(func, name, args, kwargs, constant)
        # Constants have real values, so that a model may branch on them.
        value = func(*args, **kwargs) if constant else run_function_fake(func, args, kwargs)
        if not tensors_in(value):
            return value
        node = self._node_for_call(func, name, args, kwargs)
        output = self.writer.bind_output(value, node, tensors, constant)
        if name == "__getitem__" and self.writer.aliases.share_storage(args[0], output):
            self.writer.origins[id(output)] = (args[0], args[1])
        return output

    def _record_branch(self, name: str, tensors: list[Tensor]) -> bool:
        """Record how the model branches on a tensor, as a check for later images."""
        stack = list(self.writer.stack)
        where = ""
        if stack:
            where = f" in '{stack[-1]}'"
        if name != "__bool__" or id(tensors[0]) in self.writer.weights:
            raise ValueError(
                f"its operations depend on values: '{name.strip('_')}' reads one from a "
                f"tensor{where}"
            )
        answer = bool(tensors[0])
        self.writer.add_node("call_function", check_branch, (tensors[0], answer), {})
        return answer

    def _record_inplace(
        self, func: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], constant: bool
    ) -> Tensor:
        """Record an in-place call: later nodes read its result instead of the tensor."""
        node = self._node_for_inplace(func, name, args, kwargs)
        return self.writer.rebind_tensor(args[0], node, constant)

    def _node_for_inplace(
        self, func: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> fx.Node:
        """Add the node of the same operation out of place."""
        add_node = self.writer.add_node
        if kwargs.get("inplace"):
            return add_node("call_function", func, args, {**kwargs, "inplace": False})
        base = name[:-1]
        if name != "__setitem__":
            if _is_method(func, name) and hasattr(Tensor, base):
                return add_node("call_method", base, args, kwargs)
            owners = (Tensor,) if _is_method(func, name) else (functional, torch, Tensor)
            owner = next((owner for owner in owners if hasattr(owner, base)), None)
            if owner:
                return add_node("call_function", getattr(owner, base), args, kwargs)
        # No out-of-place form exists: a copy is changed instead.
        return add_node("call_function", apply_out_of_place, (args[0], name, *args[1:]), kwargs)

    def _node_for_call(
        self, func: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> fx.Node:
        """Add the node of a call, as torch.fx would write it."""
        add_node = self.writer.add_node
        # The getter of an attribute, such as `x.shape`.
        if name == "__get__":
            return add_node("call_function", getattr, (args[0], func.__self__.__name__), {})
        if name in REFLECTED_OPS:
            return add_node("call_function", REFLECTED_OPS[name], args[::-1], {})
        if name == "__getitem__":
            return add_node("call_function", operator.getitem, args, {})
        if _is_method(func, name):
            return add_node("call_method", name, args, kwargs)
        return add_node("call_function", func, args, kwargs)


def _restore_forward(module: nn.Module, forward: Callable[..., Any] | None) -> None:
    """Undo the patch of a module; `forward` is the one that it had as an attribute of its own."""
    if forward:
        vars(module)["forward"] = forward
    else:
        del vars(module)["forward"]


def _is_method(func: Any, name: str) -> bool:
    """Return True for a method of a tensor."""
    return getattr(Tensor, name, None) is func or getattr(func, "__qualname__", "").startswith(
        ("Tensor.", "TensorBase.")
    )
