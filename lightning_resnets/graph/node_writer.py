"""Write the nodes of a recorded graph, and remember which node each fake tensor stands for."""

import numbers
import operator
from itertools import chain
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.node import map_aggregate

from lightning_resnets.graph.fake_tensors import MAX_ACTIVATION_NUMEL, constant_tensor
from lightning_resnets.graph.recorded_ops import apply_out_of_place
from lightning_resnets.graph.storage_aliases import StorageAliases


class NodeWriter:
    """Writes the nodes of one graph.

    Args:
        model: the fake model.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.graph = fx.Graph()
        self.image: fx.Node | None = None  # the first input
        self.known: dict[int, fx.Node] = {}  # the node whose output a tensor is, by id
        # Known tensors stay alive, so that no other tensor gets their id.
        self.kept: list[Tensor] = []
        # Tensors that depend neither on the image nor on weights have their real values.
        self.constant: set[int] = set()
        self.parts: list[fx.Node] = []  # nodes that take a tuple apart
        self.aliases = StorageAliases()
        self.origins: dict[int, tuple[Tensor, Any]] = {}  # of slices: the tensor and the index
        self.stack: dict[str, tuple[str, type]] = {}
        # By identity: operations receive the tensors, not their names.
        named = (*model.named_parameters(), *model.named_buffers())
        self.weights = {id(weight): name for name, weight in named}
        self.total = 0
        self.images = 1

    def add_image(self, name: str) -> fx.Node:
        """Add an input of the model.

        Args:
            name: name of the argument.

        Returns:
            The placeholder.
        """
        node = self.graph.placeholder(name)
        # Batch size and device are read from the first input.
        if self.image is None:
            self.image = node
        return node

    def add_output(self, value: Any) -> None:
        """Add the output of the model and remove parts of tuples that nothing reads.

        Args:
            value: what the model returned.
        """
        self.graph.output(self.map_to_nodes(value))
        for part in self.parts:
            if not part.users:
                self.graph.erase_node(part)

    def add_node(
        self, op: str, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> fx.Node:
        """Add a node.

        Args:
            op: kind of the node, as in torch.fx.
            target: module name, function or method name.
            args: arguments; tensors become nodes.
            kwargs: keyword arguments.

        Returns:
            The node.
        """
        node_args = self.map_to_nodes(args)
        node_kwargs = self.map_to_nodes(kwargs)
        # A tensor that the model creates must be on the device of the image, not on the recorded.
        if isinstance(node_kwargs.get("device"), torch.device):
            device = self.graph.call_function(getattr, (self.image, "device"))
            node_kwargs = {**node_kwargs, "device": self.tag_module_stack(device)}
        return self.tag_module_stack(self.graph.create_node(op, target, node_args, node_kwargs))

    def tag_module_stack(self, node: fx.Node) -> fx.Node:
        """Note the modules that are running, as torch.fx does.

        Args:
            node: the node.

        Returns:
            The same node.
        """
        node.meta["nn_module_stack"] = self.stack
        return node

    def bind_output(
        self, value: Any, node: fx.Node, inputs: list[Tensor], constant: bool = False
    ) -> Any:
        """Return the output of a node as fake tensors that stand for it.

        Args:
            value: the output, a tensor or a tuple or list with tensors.
            node: its node.
            inputs: input tensors, whose memory the output may share.
            constant: True if it depends neither on the image nor on weights.

        Returns:
            The fake output, of the same type.

        Raises:
            ValueError: the output is something else.
        """
        if isinstance(value, Tensor):
            fake = self.fake_output(value, constant)
            self.bind_tensor(fake, node, constant)
            self.aliases.register(fake, value, inputs, is_whole=True)
            return fake
        # A dataclass or a string has no node that could take it apart.
        if not isinstance(value, (tuple, list)):
            raise ValueError(
                f"'{node.target}' returns a {type(value).__name__}, which cannot be recorded"
            )
        parts: list[Any] = []
        for i, part in enumerate(value):
            if isinstance(part, Tensor):
                parts.append(self._bind_part(part, node, i, inputs, constant))
            else:
                parts.append(part)
        return _rebuild(value, parts)

    def _bind_part(
        self, part: Tensor, node: fx.Node, index: int, inputs: list[Tensor], constant: bool
    ) -> Tensor:
        """Return a fake tensor for one of several outputs, which a node of its own takes out."""
        fake = self.fake_output(part, constant)
        item = self.graph.call_function(operator.getitem, (node, index))
        self.parts.append(self.tag_module_stack(item))
        self.bind_tensor(fake, item, constant)
        self.aliases.register(fake, part, inputs, is_whole=False)
        return fake

    def fake_output(self, value: Tensor, constant: bool) -> Tensor:
        """Return a fake tensor for an output, and count its elements.

        Args:
            value: the output.
            constant: True to keep its values.

        Returns:
            The fake tensor.

        Raises:
            ValueError: all activations together would take too much memory.
        """
        self.total += value.numel()
        # The limit is for one image, the recording may be of two.
        if self.total > MAX_ACTIVATION_NUMEL * self.images:
            raise ValueError(f"its activations exceed {MAX_ACTIVATION_NUMEL * 4 / 2**30:.1f} GB")
        if constant:
            return value
        return constant_tensor(value)

    def bind_tensor(self, tensor: Tensor, node: fx.Node, constant: bool = False) -> None:
        """Let a new tensor stand for a node.

        Args:
            tensor: the fake tensor.
            node: its node.
            constant: True if it depends neither on the image nor on weights.
        """
        self.known[id(tensor)] = node
        self.kept.append(tensor)
        if constant:
            self.constant.add(id(tensor))

    def map_to_nodes(self, value: Any) -> Any:
        """Replace every tensor in a value by its node, and NumPy's numbers by Python's.

        Args:
            value: any nesting of tuples, lists and dictionaries.

        Returns:
            The same nesting.
        """
        return map_aggregate(value, self._map_item)

    def _map_item(self, item: Any) -> Any:
        """Return the node of a tensor, a plain number for a number of NumPy."""
        if isinstance(item, Tensor):
            return self.node_for_tensor(item)
        # Exact types: NumPy's float64 is a float too.
        if type(item) in (int, float, bool, complex) or not isinstance(item, numbers.Real):
            return item
        if isinstance(item, numbers.Integral):
            return int(item)
        return float(item)

    def node_for_tensor(self, tensor: Tensor) -> fx.Node:
        """Return the node that a tensor stands for; add one for a weight.

        Args:
            tensor: the tensor.

        Returns:
            The node.

        Raises:
            ValueError: the tensor was partly overwritten, or its origin is unknown.
        """
        if self.aliases.is_stale(tensor):
            raise ValueError(
                "a tensor is used again after a part of it was overwritten, "
                "which cannot be recorded"
            )
        node = self.known.get(id(tensor))
        if node is None:
            name = self.weights.get(id(tensor)) or self.attribute_for_tensor(tensor)
            node = self.tag_module_stack(self.graph.get_attr(name))
            self.bind_tensor(tensor, node)
        return node

    def attribute_for_tensor(self, tensor: Tensor) -> str:
        """Name a tensor that a module holds without having registered it.

        Args:
            tensor: the tensor.

        Returns:
            The name of a new attribute of the model.

        Raises:
            ValueError: no module holds it.
        """
        for module in self.model.modules():
            if _holds_tensor(module, tensor):
                count = sum(name.startswith("_tensor_constant") for name in vars(self.model))
                name = f"_tensor_constant{count}"
                setattr(self.model, name, tensor)
                return name
        raise ValueError("a tensor comes from outside of torch, so its origin cannot be recorded")

    def rebind_tensor(self, tensor: Tensor, node: fx.Node, constant: bool = False) -> Tensor:
        """Let a tensor stand for a node from now on, and write a slice back to its source.

        Args:
            tensor: the tensor that was overwritten.
            node: the node of its new value.
            constant: True if the new value depends neither on the image nor on weights.

        Returns:
            The same tensor.
        """
        whole, index = self.origins.get(id(tensor), (tensor, None))
        is_valid_slice = whole is not tensor and not self.aliases.is_stale(whole)
        self.aliases.mark_written(tensor)
        self.known[id(tensor)] = node
        if not constant:
            self.constant.discard(id(tensor))
        if is_valid_slice:
            self.aliases.mark_valid(whole)
            # A slice of a slice is written back step by step.
            args = (whole, "__setitem__", index, tensor)
            written = self.add_node("call_function", apply_out_of_place, args, {})
            self.rebind_tensor(whole, written, constant)
            self.aliases.mark_valid(tensor)
        return tensor


def tensors_in(value: Any) -> list[Tensor]:
    """Return the tensors in any nesting of tuples, lists and dictionaries.

    Args:
        value: the nesting.
    """
    found: list[Tensor] = []
    map_aggregate(value, lambda item: found.append(item) if isinstance(item, Tensor) else None)
    return found


def _holds_tensor(module: nn.Module, tensor: Tensor) -> bool:
    """Return True if an attribute of the module is or contains this very tensor."""
    attributes = list(vars(module).values())
    return any(item is tensor for item in chain.from_iterable(map(tensors_in, attributes)))


def _rebuild(value: Any, parts: list[Any]) -> Any:
    """Return the parts in the type of a list, tuple or named tuple."""
    if isinstance(value, list):
        return parts
    # A named tuple takes its fields one by one.
    if hasattr(value, "_fields"):
        return type(value)(*parts)
    return type(value)(parts)
