"""Replace functional merges of a traced graph by Add, Concat and Gate modules."""

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor, fx, nn

from lightning_resnets.graph.data import SkipConnection
from lightning_resnets.graph.functional_merges import match_merge, target_name
from lightning_resnets.graph.fx_tracer import ModuleOutputs
from lightning_resnets.merges import Merge, MergeKind


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
    image_nodes: set[fx.Node] = set()  # nodes whose tensors depend on the image
    for node in list(graph.nodes):
        _make_out_of_place(node)
        if node.op != "placeholder" and not _depends_on(node, values, image_nodes):
            continue
        merge = match_merge(node, values, image_nodes, model)
        new = _replace_by_module(model, graph, node, *merge) if merge else node
        image_nodes.add(new)
        values[new] = values.get(node)
        outputs.replace_node(node, new)
        if merge:
            outputs.inner[new] = str(new.target)
            count += 1
    return count


def put_shortcut_first(nodes: Mapping[str, fx.Node], skips: Iterable[SkipConnection]) -> bool:
    """Reorder the operands of each Add so that the skip is the first, as in our own models.

    The sum is the same either way.

    Args:
        nodes: node of each merge.
        skips: skip connections of the graph.

    Returns:
        True if any node has changed.
    """
    changed = False
    for skip in skips:
        if skip.kind is MergeKind.ADD and skip.operand == 1:
            node = nodes[skip.merge]
            node.args = node.args[::-1]
            changed = True
    return changed


def _depends_on(node: fx.Node, values: Mapping[fx.Node, Any], image_nodes: set[fx.Node]) -> bool:
    """Return True for a node with tensors that depend on the image."""
    if not isinstance(values.get(node), (Tensor, tuple, list)):
        return False
    return any(source in image_nodes for source in _value_inputs(node))


def _value_inputs(node: fx.Node) -> list[fx.Node]:
    """Return the inputs whose values matter, without those that only set a shape."""
    if node.op in ("call_function", "call_method"):
        name = target_name(node)
        if name.endswith("_like") or name.startswith("new_"):
            return []
        if name.endswith("_as"):
            return [item for item in node.args[:1] if isinstance(item, fx.Node)]
    return node.all_input_nodes


def _replace_by_module(
    model: nn.Module,
    graph: fx.Graph,
    node: fx.Node,
    merge: type[Merge],
    operands: tuple[fx.Node, ...],
) -> fx.Node:
    """Add a merge to the module that owns the node: `layer1.0.add`, or `layer1.0.add_1`."""
    path = ModuleOutputs.module_path(node)
    owner = model.get_submodule(path)
    name = _free_name(owner, str(merge.kind))
    owner.add_module(name, merge())
    with graph.inserting_after(node):
        new = graph.call_module(f"{path}.{name}" if path else name, operands)
    new.meta = dict(node.meta)
    node.replace_all_uses_with(new)
    graph.erase_node(node)
    return new


def _free_name(owner: nn.Module, name: str) -> str:
    """Append a number to a name that the module uses already."""
    free = name
    count = 0
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
