"""Tensors that the inspector shows, taken from a forward pass."""

from collections.abc import Sequence

import numpy as np

from gui.details import (
    AddDetail,
    ConcatDetail,
    ConcatPart,
    Detail,
    FeatureMaps,
    GateDetail,
    ReceptiveField,
    Span,
)
from gui.graph import Graph, Node
from gui.tensor_layout import Maps, to_maps
from lightning_resnets.interactive.model import InferenceResult, InteractiveModel


def make_detail(
    diagram: Graph, name: str | None, now: InferenceResult, before: InferenceResult | None = None
) -> Detail | None:
    """Collect the tensors of a node.

    Args:
        diagram: the folded graph.
        name: name of the node.
        now: the forward pass to show.
        before: the forward pass without edits, None without edits.

    Returns:
        The tensors; None for an unknown node and for one without an output.
    """
    node = diagram.node(name)
    if node is None:
        return None
    size = now.input.shape[:2]
    if node.kind == "input":
        # Pixels are channels-last, maps channels-first.
        return FeatureMaps(node.name, now.input.transpose(2, 0, 1).astype(np.float32))
    if node.kind == "output":
        return _feature_maps(node, now.logits, size)
    output = now.outputs.get(node.hook_point)
    if output is None:
        return None
    operands = now.operands.get(node.hook_point, ())
    special: Detail | None = None
    if node.kind == "add":
        special = _add_detail(node, operands, output, size)
    elif node.kind == "gate":
        special = _gate_detail(node, operands, output, size)
        if special and before:
            operands_before = before.operands.get(node.hook_point, ())
            special = _with_weight_before(special, operands_before, size)
    elif node.kind == "concat":
        special = _concat_detail(diagram, node, operands, output, size)
    return special or _feature_maps(node, output, size)


def _feature_maps(node: Node, values: np.ndarray, size: tuple[int, int]) -> FeatureMaps:
    maps = to_maps(values, size)
    return FeatureMaps(node.name, maps.values, maps.class_token)


def _add_detail(
    node: Node, operands: Sequence[np.ndarray], total: np.ndarray, size: tuple[int, int]
) -> AddDetail | None:
    """Collect shortcut, branch and sum; None for a sum of another number of operands."""
    if len(operands) != 2:
        return None
    # An operand may be a parameter of fewer dimensions.
    tensors = [np.broadcast_to(values, total.shape) for values in operands]
    parts = [to_maps(values, size) for values in (*tensors, total)]
    shortcut, branch, whole = (part.values for part in parts)
    return AddDetail(node.name, shortcut, branch, whole, _class_tokens(parts))


def _class_tokens(parts: list[Maps]) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    tokens = [part.class_token for part in parts]
    if any(token is None for token in tokens):
        return None
    shortcut, branch, total = (token for token in tokens if token is not None)
    return shortcut, branch, total


def _gate_detail(
    node: Node, operands: Sequence[np.ndarray], output: np.ndarray, size: tuple[int, int]
) -> GateDetail | None:
    """Collect weights and maps; None for a gate that does not weigh channels."""
    split = _split_gate(operands, size)
    if split is None:
        return None
    weight, before = split
    return GateDetail(node.name, weight, before, to_maps(output, size).values)


def _split_gate(
    operands: Sequence[np.ndarray], size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return weights (C,) and the maps (C, H, W) that they scale."""
    if len(operands) != 2:
        return None
    # Usually the weight is the second operand, but `weight * x` is as common as `x * weight`.
    for values, weight in (operands, operands[::-1]):
        maps = to_maps(values, size).values
        # One axis has all the elements: a vector with one weight per channel.
        if weight.size == max(weight.shape, default=1) == len(maps):
            return weight.reshape(-1), maps
    return None


def _with_weight_before(
    detail: GateDetail, operands: Sequence[np.ndarray], size: tuple[int, int]
) -> GateDetail:
    """Add the weights without edits."""
    split = _split_gate(operands, size)
    weight = split[0] if split else None
    return GateDetail(detail.name, detail.weight, detail.before, detail.after, weight)


def _concat_detail(
    diagram: Graph,
    node: Node,
    operands: Sequence[np.ndarray],
    output: np.ndarray,
    size: tuple[int, int],
) -> ConcatDetail | None:
    """Collect the maps and their sources; None for a concatenation of anything but channels."""
    values = to_maps(output, size).values
    parts = [to_maps(part, size).values for part in operands]
    widths = [len(part) for part in parts]
    # Along another axis one output channel would belong to several operands.
    is_of_channels = all(part.shape[1:] == values.shape[1:] for part in parts)
    if not parts or not is_of_channels or sum(widths) != len(values):
        return None
    return ConcatDetail(node.name, values, concat_parts(diagram, node.name, widths))


def concat_parts(diagram: Graph, merge: str, widths: list[int]) -> tuple[ConcatPart, ...]:
    """Find the source of each channel of a concatenation.

    Args:
        diagram: the folded graph.
        merge: name of the concatenation.
        widths: channels of each operand.

    Returns:
        The parts in the order of the operands, numbered as the sources of the dense block.
    """
    sources: dict[str, dict[int, str]] = {}
    for edge in diagram.edges:
        sources.setdefault(edge.target, {})[edge.operand] = edge.source
    own = sources.get(merge, {})
    # Counted over the whole dense block, so a source keeps its color from layer to layer.
    block = _dense_block_sources(diagram, sources, own.get(0))
    parts = []
    start = 0
    for i, width in enumerate(widths):
        stop = start + width
        parts.append(ConcatPart(own[i], start, stop, block.index(own[i]), len(block)))
        start = stop
    return tuple(parts)


def _dense_block_sources(
    diagram: Graph, sources: dict[str, dict[int, str]], first: str | None
) -> list[str]:
    """List the sources of all concatenations with the same first source."""
    found: list[str] = []
    for node in diagram.nodes:
        own = sources.get(node.name, {})
        if node.kind == "concat" and own.get(0) == first:
            found += [source for _, source in sorted(own.items())]
    # Each once, in the order of first use.
    return list(dict.fromkeys(found))


def find_receptive_field(
    interactive: InteractiveModel, diagram: Graph, name: str | None
) -> ReceptiveField | None:
    """Find which pixels the positions of a node's map depend on.

    Args:
        interactive: the model.
        diagram: its folded graph.
        name: name of the node.

    Returns:
        The receptive field; None for a node without a map of positions, and where it is unknown.
    """
    node = diagram.node(name)
    if node is None or len(node.shape) != 3 or not node.hook_point:
        return None
    spans = interactive.receptive_spans(node.hook_point)
    if spans is None:
        return None
    height, width = (Span(span.stride, span.first, span.last) for span in spans)
    return ReceptiveField(height, width)


def relative_changes(
    diagram: Graph, before: InferenceResult, now: InferenceResult
) -> dict[str, float]:
    """Compute how much edits changed each node's output.

    Args:
        diagram: the folded graph.
        before: the forward pass without edits.
        now: the forward pass with edits.

    Returns:
        |now - before| / |before| by name of the node.
    """
    changes: dict[str, float] = {}
    for node in diagram.nodes:
        old = before.outputs.get(node.hook_point)
        new = now.outputs.get(node.hook_point)
        if old is None or new is None or old.shape != new.shape:
            continue
        norm = float(np.linalg.norm(old))
        changes[node.name] = float(np.linalg.norm(new - old)) / norm if norm else 0.0
    return changes
