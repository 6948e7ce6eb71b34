"""Replace functional merges (`+`, `torch.cat`, `*`) of a traced graph by Add, Concat and Gate modules."""

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor, fx, nn

from lightning_resnets.graph.data import SkipConnection
from lightning_resnets.graph.functional_merges import match_merge, target_name
from lightning_resnets.graph.fx_tracer import ModuleOutputs
from lightning_resnets.merges import Merge, MergeKind


def insert_merge_modules(
    model: nn.Module, graph: fx.Graph, values: dict[fx.Node, Any], places: ModuleOutputs
) -> int:
    """Put a merge in the place of every join, in the steps and in the model; how many there were.

    `values` is what each step gives, `places` what is known of the steps: both are kept right.
    """
    count = 0
    seen: set[fx.Node] = set()  # nodes whose tensors depend on the image
    for node in list(graph.nodes):
        _apart(node)
        tensors = isinstance(values.get(node), (Tensor, tuple, list))
        if node.op != "placeholder" and not (
            tensors and any(given in seen for given in _values_from(node))
        ):
            continue
        join = match_merge(node, values, seen, model)
        new = _put(model, graph, node, *join) if join else node
        seen.add(new)
        values[new] = values.get(node)
        places.replace_node(node, new)
        if join:
            places.inner[new], count = str(new.target), count + 1
    return count


def put_shortcut_first(named: Mapping[str, fx.Node], skips: Iterable[SkipConnection]) -> bool:
    """Put the operand of an Add that is the skip first, as in our own models; whether any was not.

    A sum is the same either way.
    """
    turned = [
        named[skip.merge] for skip in skips if skip.kind is MergeKind.ADD and skip.operand == 1
    ]
    for node in turned:
        node.args = node.args[::-1]
    return bool(turned)


def _values_from(node: fx.Node) -> list[fx.Node]:
    """What a step takes values from: not the tensor that only tells it a shape."""
    if node.op in ("call_function", "call_method"):
        name = target_name(node)
        if name.endswith("_like") or name.startswith("new_"):
            return []
        if name.endswith("_as"):
            return [item for item in node.args[:1] if isinstance(item, fx.Node)]
    return node.all_input_nodes


def _put(
    model: nn.Module,
    graph: fx.Graph,
    node: fx.Node,
    merge: type[Merge],
    operands: tuple[fx.Node, ...],
) -> fx.Node:
    """A merge in the module that owns the join: `layer1.0.add`, and where that is taken `layer1.0.add_1`."""
    path = ModuleOutputs.module_path(node)
    owner, name, count = model.get_submodule(path), str(merge.kind), 0
    while hasattr(owner, name):
        count += 1
        name = f"{merge.kind}_{count}"
    owner.add_module(name, merge())
    with graph.inserting_after(node):
        new = graph.call_module(f"{path}.{name}" if path else name, operands)
    new.meta = dict(node.meta)
    node.replace_all_uses_with(new)
    graph.erase_node(node)
    return new


def _apart(node: fx.Node) -> None:
    """No step writes over what it was given."""
    if node.kwargs.get("inplace"):
        node.kwargs = {**node.kwargs, "inplace": False}
    name = str(node.target)
    if (
        node.op == "call_method"
        and name.endswith("_")
        and not name.endswith("__")
        and hasattr(Tensor, name[:-1])
    ):
        node.target = name[:-1]
