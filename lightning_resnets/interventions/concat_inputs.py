"""Find which modules compute the operands of a Concat, and which of them are dense layers."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from torch import fx, nn

from lightning_resnets.errors import InterventionError
from lightning_resnets.graph import TracedModel
from lightning_resnets.graph.gate_rules import target_name
from lightning_resnets.interventions.hook_points import is_inside, modules_called_twice
from lightning_resnets.merges import Concat

# Functions that keep the channels apart, so a cut before them equals a cut behind them.
ACTIVATIONS = (
    "relu",
    "relu6",
    "relu_",
    "leaky_relu",
    "elu",
    "selu",
    "celu",
    "gelu",
    "silu",
    "mish",
    "sigmoid",
    "tanh",
    "softplus",
    "hardswish",
    "hardtanh",
    "hardsigmoid",
    "clamp",
    "dropout",
)


@dataclass(frozen=True, slots=True)
class ConcatInput:
    """One operand of a Concat.

    Attributes:
        module_names: all names of its source, the outermost module first.
        is_dense_growth: computed from another operand, as the output of a dense layer is and a
            branch of Inception is not.
        node_index: number of its node, the same in every Concat.
        activation_of: names of the modules of which it is the activation.
        module: the outermost module that returns it and is called once; "" if there is none.
        only_read_by_concats: no other node reads it.
    """

    module_names: tuple[str, ...]
    is_dense_growth: bool
    node_index: int
    activation_of: tuple[str, ...]
    module: str
    only_read_by_concats: bool

    def matches(self, source: str) -> bool:
        """Return whether the operand comes from a module.

        Args:
            source: name of the module.

        Returns:
            True if it is the output of the module or the activation of it.
        """
        return source in self.module_names or source in self.activation_of


# Operands by the name of the Concat.
ConcatInputs = Mapping[str, tuple[ConcatInput, ...]]


def concat_inputs_of(model: nn.Module, traced: TracedModel) -> ConcatInputs:
    """Find the operands of every Concat of a traced model.

    Args:
        model: the model.
        traced: its trace.

    Returns:
        Operands by the name of the Concat.
    """
    finder = _ConcatInputFinder(model, traced)
    return {
        str(node.target): finder.operands(node)
        for node in traced.fx_graph.nodes
        if _calls(model, node, Concat)
    }


def operands_from_module(inputs: ConcatInputs, concat: str, source: str) -> list[int]:
    """Find the operands of a Concat that come from a module.

    Args:
        inputs: operands of every Concat.
        concat: name of the Concat.
        source: name of the module.

    Returns:
        Numbers of the operands.

    Raises:
        InterventionError: there is none; the message lists the sources.
    """
    parts = inputs.get(concat, ())
    numbers = [i for i, part in enumerate(parts) if part.matches(source)]
    if numbers:
        return numbers
    known = "numbered from 0"
    # The user may have meant one of the sources.
    if names := [_source_name(i, part) for i, part in enumerate(parts)]:
        known += f" and come from {', '.join(names)}"
    raise InterventionError(f"'{concat}' has no operand '{source}': its operands are {known}.")


def dense_layers_in(inputs: ConcatInputs, block: str) -> list[ConcatInput]:
    """Find the outputs of dense layers that a block computes.

    Args:
        inputs: operands of every Concat.
        block: name of a dense layer or of a block of them.

    Returns:
        Each output once.
    """
    # A dense layer is read by every Concat behind it.
    by_node: dict[int, ConcatInput] = {}
    for parts in inputs.values():
        by_node.update((part.node_index, part) for part in parts if part.is_dense_growth)
    return [
        part
        for part in by_node.values()
        if any(is_inside(name, block) for name in (*part.module_names, *part.activation_of))
    ]


def consumers_of(inputs: ConcatInputs, source: ConcatInput) -> list[tuple[str, int]]:
    """Find the Concats that read an operand.

    Args:
        inputs: operands of every Concat.
        source: an operand of one of them.

    Returns:
        Names of Concats and the operand's number in each.
    """
    found: list[tuple[str, int]] = []
    for concat, parts in inputs.items():
        for number, part in enumerate(parts):
            if part.node_index == source.node_index:
                found.append((concat, number))
    return found


class _ConcatInputFinder:
    """Describes the operands of the Concats of one traced model."""

    def __init__(self, model: nn.Module, traced: TracedModel) -> None:
        self.model = model
        fx_graph = traced.fx_graph
        self.position = {node: i for i, node in enumerate(fx_graph.nodes)}
        self.names = _names_by_node(traced)
        self.ancestors = _ancestors(self.position)
        # Such a module has two outputs, so its name means neither.
        self.called_twice = _submodules_called_twice(fx_graph) | modules_called_twice(fx_graph)

    def operands(self, concat: fx.Node) -> tuple[ConcatInput, ...]:
        """Describe the operands of a Concat's call.

        Args:
            concat: the call.

        Returns:
            The operands in order.
        """
        # Concat takes its parts by position.
        sources = [arg for arg in concat.args if isinstance(arg, fx.Node)]
        return tuple(self._describe(source, sources, str(concat.target)) for source in sources)

    def _describe(self, source: fx.Node, sources: list[fx.Node], concat: str) -> ConcatInput:
        """Describe one operand."""
        names = self._source_names(source, concat)
        activation_of: list[str] = []
        for node in _activated_nodes(self.model, source):
            activation_of += self._source_names(node, concat)
        return ConcatInput(
            module_names=names,
            # A dense layer reads the features to which it adds; a branch of Inception does not.
            is_dense_growth=any(self._leads_to(other, source) for other in sources),
            node_index=self.position[source],
            activation_of=tuple(activation_of),
            module=next((name for name in names if self._is_called_once(name)), ""),
            only_read_by_concats=all(_calls(self.model, user, Concat) for user in source.users),
        )

    def _source_names(self, node: fx.Node, concat: str) -> tuple[str, ...]:
        """Return the names of a node, the outermost first, without blocks around the Concat."""
        # An innermost module may not be in the graph by its own name.
        names = {*self.names.get(node, ())}
        if node.op == "call_module":
            names.add(str(node.target))
        return tuple(sorted((name for name in names if not is_inside(concat, name)), key=len))

    def _is_called_once(self, name: str) -> bool:
        """Return whether a name is that of a module that is called once."""
        if not name or name in self.called_twice:
            return False
        try:
            # A node of a function has a name, but no module.
            return bool(self.model.get_submodule(name))
        except AttributeError:
            return False

    def _leads_to(self, node: fx.Node, other: fx.Node) -> bool:
        """Return whether another node depends on a node."""
        return node is not other and bool(self.ancestors[other] >> self.position[node] & 1)


def _source_name(number: int, part: ConcatInput) -> str:
    """Return the outermost module that computes an operand."""
    return next(iter(part.module_names), f"no module ({number})")


def _calls(model: nn.Module, node: fx.Node, kind: type[nn.Module]) -> bool:
    """Return whether a node calls a module of a class."""
    return node.op == "call_module" and isinstance(model.get_submodule(str(node.target)), kind)


def _submodules_called_twice(fx_graph: fx.Graph) -> set[str]:
    """Return the innermost modules that are called more than once."""
    counts = Counter(str(node.target) for node in fx_graph.nodes if node.op == "call_module")
    return {name for name, count in counts.items() if count > 1}


def _names_by_node(traced: TracedModel) -> dict[fx.Node, list[str]]:
    """Return the names of all modules whose output a node computes."""
    names: dict[fx.Node, list[str]] = {}
    for name, node in traced.node_by_name.items():
        names.setdefault(node, []).append(name)
    for node in traced.fx_graph.nodes:
        if node.op == "placeholder":
            # The name that the graph gives the image.
            names.setdefault(node, []).append("input")
    return names


def _ancestors(position: Mapping[fx.Node, int]) -> dict[fx.Node, int]:
    """Return every node's ancestors and itself, as a bit set of positions."""
    # Integers as bit sets: a union is one operation.
    ancestors: dict[fx.Node, int] = {}
    for node, i in position.items():
        ancestors[node] = 1 << i
        for source in node.all_input_nodes:
            ancestors[node] |= ancestors[source]
    return ancestors


def _activated_nodes(model: nn.Module, node: fx.Node) -> list[fx.Node]:
    """Return the nodes that lead to this one through activations only."""
    found: list[fx.Node] = []
    while _is_activation(model, node) and len(node.all_input_nodes) == 1:
        source = node.all_input_nodes[0]
        # Another reader would see the value before the activation.
        if len(source.users) != 1:
            break
        node = source
        found.append(node)
    return found


def _is_activation(model: nn.Module, node: fx.Node) -> bool:
    """Return whether a node is an activation function or dropout."""
    if node.op == "call_module":
        kind = type(model.get_submodule(str(node.target)))
        return kind.__module__ in ("torch.nn.modules.activation", "torch.nn.modules.dropout")
    return node.op in ("call_function", "call_method") and target_name(node) in ACTIVATIONS
