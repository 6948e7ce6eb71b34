"""Replace functional merges of a traced graph by Add, Concat and Gate modules."""

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor, fx, nn

from lightning_resnets.graph.data import SkipConnection
from lightning_resnets.graph.functional_merges import FunctionalMerge, match_merge
from lightning_resnets.graph.fused_add import FusedAdd
from lightning_resnets.graph.fx_tracer import ModuleOutputs
from lightning_resnets.graph.gate_rules import MergeContext, target_name
from lightning_resnets.merges import Add, Merge, MergeKind


def insert_merge_modules(
    model: nn.Module, graph: fx.Graph, values: dict[fx.Node, Any], outputs: ModuleOutputs
) -> int:
    """Replace every functional merge of a graph by a module.

    Args:
        model: model that the nodes refer to; it gets the new modules.
        graph: its nodes, changed in place.
        values: output of each node, kept up to date.
        outputs: module of each node, kept up to date.

    Returns:
        The number of merges.
    """
    count = 0
    context = MergeContext(model, values, set(), _count_axes(graph, values))
    # A list: nodes are inserted and erased on the way.
    for node in list(graph.nodes):
        _make_out_of_place(node)
        # Constants never merge with a path.
        if node.op != "placeholder" and not _depends_on(node, values, context.image_nodes):
            continue
        context.image_nodes.add(node)
        merge = match_merge(node, context)
        if merge is None:
            continue
        added = _replace_by_modules(model, graph, node, merge)
        count += len(added)
        context.image_nodes.update(added)
        _update_facts(node, added, values, outputs)
        # Read before the node is erased.
        sources = node.all_input_nodes
        graph.erase_node(node)
        _erase_unread(graph, sources)
    return count


def _update_facts(
    node: fx.Node, added: list[fx.Node], values: dict[fx.Node, Any], outputs: ModuleOutputs
) -> None:
    """Give the calls of new merges the facts about the node that they replace."""
    # The last of several sums is what the module returned.
    outputs.replace_node(node, added[-1])
    for new in added:
        values[new] = values[node]
        outputs.inner[new] = str(new.target)


def _count_axes(graph: fx.Graph, values: Mapping[fx.Node, Any]) -> int:
    """Return the number of axes of the input, with the batch; 4 unless it is a signal or clip."""
    for node in graph.nodes:
        value = values.get(node)
        if node.op == "placeholder" and isinstance(value, Tensor) and value.dim() in (3, 4, 5):
            return value.dim()
    return 4


def _erase_unread(graph: fx.Graph, nodes: Iterable[fx.Node]) -> None:
    """Erase the stack of a sum that nothing else reads."""
    for node in nodes:
        if not node.users and node.op == "call_function":
            graph.erase_node(node)


def put_shortcut_first(
    model: nn.Module, nodes: Mapping[str, fx.Node], skips: Iterable[SkipConnection]
) -> bool:
    """Reorder the operands of each Add so that the skip is the first, as in our own models.

    The sum is the same either way.

    Args:
        model: model that the nodes refer to.
        nodes: node of each merge.
        skips: skip connections of the graph.

    Returns:
        True if any node has changed.
    """
    changed = False
    for skip in skips:
        if skip.kind is MergeKind.ADD and skip.operand == 1:
            _exchange_operands(model, nodes[skip.merge])
            changed = True
    return changed


def _exchange_operands(model: nn.Module, node: fx.Node) -> None:
    """Exchange the two summands of an Add; a weight stays behind them."""
    shortcut, branch, *extras = node.args
    node.args = (branch, shortcut, *extras)
    merge = model.get_submodule(str(node.target))
    # Its factors belong to the order of the original call.
    if isinstance(merge, FusedAdd):
        merge.is_reversed = not merge.is_reversed


def _depends_on(node: fx.Node, values: Mapping[fx.Node, Any], image_nodes: set[fx.Node]) -> bool:
    """Return True for a node with tensors that depend on the image."""
    if not isinstance(values.get(node), (Tensor, tuple, list)):
        return False
    return any(source in image_nodes for source in _value_inputs(node))


def _value_inputs(node: fx.Node) -> list[fx.Node]:
    """Return the inputs whose values matter, without those that only set a shape."""
    if node.op in ("call_function", "call_method"):
        name = target_name(node)
        # `zeros_like(x)` depends on the shape of x, not on its values.
        if name.endswith("_like") or name.startswith("new_"):
            return []
        if name.endswith("_as"):
            return [item for item in node.args[:1] if isinstance(item, fx.Node)]
    return node.all_input_nodes


def _replace_by_modules(
    model: nn.Module, graph: fx.Graph, node: fx.Node, found: FunctionalMerge
) -> list[fx.Node]:
    """Write a merge as a call of a module, several stacked tensors as several sums."""
    first, *others = found.operands
    steps = [found.operands]
    if found.merge.kind is MergeKind.ADD:
        # A stack of three or more is summed one by one, as torch does.
        steps = [(first, other) for other in others]
    new: list[fx.Node] = []
    for operands in steps:
        # Each sum adds the next tensor to the one before.
        merge = found.merge
        if new:
            merge = Add()
            operands = (new[-1], *operands[1:])
        new.append(_call_new_module(model, graph, node, merge, (*operands, *found.extras)))
    node.replace_all_uses_with(new[-1])
    return new


def _call_new_module(
    model: nn.Module,
    graph: fx.Graph,
    node: fx.Node,
    merge: Merge,
    args: tuple[fx.Node, ...],
) -> fx.Node:
    """Add a merge to the module that owns the node: `layer1.0.add`, or `layer1.0.add_1`."""
    path = ModuleOutputs.module_path(node)
    owner = model.get_submodule(path)
    name = _free_name(owner, str(merge.kind))
    owner.add_module(name, merge)
    with graph.inserting_before(node):
        new = graph.call_module(f"{path}.{name}" if path else name, args)
    # The module stack tells the block; a copy, since each node edits its own.
    new.meta = dict(node.meta)
    return new


def _free_name(owner: nn.Module, name: str) -> str:
    """Append a number to a name that the module uses already."""
    free = name
    count = 0
    # Not only modules: an attribute or a method may have the name.
    while hasattr(owner, free):
        count += 1
        free = f"{name}_{count}"
    return free


def _make_out_of_place(node: fx.Node) -> None:
    """Turn an in-place operation into the one that returns a new tensor."""
    if node.kwargs.get("inplace"):
        node.kwargs = {**node.kwargs, "inplace": False}
    if node.op != "call_method":
        return
    name = str(node.target)
    is_inplace = name.endswith("_") and not name.endswith("__")
    if is_inplace and hasattr(Tensor, name[:-1]):
        node.target = name[:-1]
