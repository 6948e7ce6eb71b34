"""Summarize the output of every node in a few figures, to color a graph or to plot over depth."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lightning_resnets.graph.data import GraphData
from lightning_resnets.interactive.results import Array, InferenceResult
from lightning_resnets.merges import MergeKind


@dataclass(frozen=True, slots=True)
class NodeStatistics:
    """Figures of one node's output on one image.

    Attributes:
        mean: mean of all values.
        std: standard deviation of all values.
        zero_fraction: fraction of values that are exactly zero, as after a ReLU.
        norm: Euclidean norm.
        branch_ratio: |F| / |x|, norm of the branch over norm of the shortcut; None except at an
            Add with a shortcut, and where the shortcut is zero.
        cosine: cosine of branch and shortcut; None except at an Add with a shortcut, and where one
            of them is zero.
    """

    mean: float
    std: float
    zero_fraction: float
    norm: float
    branch_ratio: float | None = None
    cosine: float | None = None


def node_statistics(graph: GraphData, result: InferenceResult) -> dict[str, NodeStatistics]:
    """Compute the figures of all recorded nodes.

    Args:
        graph: graph of the model, folded or not; its skips tell which operand is the shortcut.
        result: forward pass with recorded outputs and operands.

    Returns:
        Figures by name of the node, for nodes whose hook point was recorded.
    """
    comparisons = compare_branches(graph, result)
    found: dict[str, NodeStatistics] = {}
    for node in graph.nodes:
        output = result.outputs.get(node.hook_point)
        # An empty map has no mean.
        if output is None or not output.size:
            continue
        ratio, cosine = comparisons.get(node.name, (None, None))
        found[node.name] = _summarize(output, ratio, cosine)
    return found


def _summarize(output: Array, ratio: float | None, cosine: float | None) -> NodeStatistics:
    """Compute the figures of one output."""
    # float64: in float32 the sums of a large map would lose digits.
    return NodeStatistics(
        float(output.mean(dtype=np.float64)),
        float(output.std(dtype=np.float64)),
        float(np.count_nonzero(output == 0) / output.size),
        _norm(output),
        ratio,
        cosine,
    )


def compare_branches(
    graph: GraphData, result: InferenceResult
) -> dict[str, tuple[float | None, float | None]]:
    """Compare branch and shortcut at every recorded Add, without reading other outputs.

    Args:
        graph: graph of the model, folded or not; its skips tell which operand is the shortcut.
        result: forward pass with recorded operands.

    Returns:
        Norm of the branch over norm of the shortcut, and their cosine, by name of the node.
    """
    # Only an Add has a branch F and a shortcut x (He et al. 2016).
    shortcuts = {skip.merge: skip.operand for skip in graph.skips if skip.kind is MergeKind.ADD}
    found: dict[str, tuple[float | None, float | None]] = {}
    for node in graph.nodes:
        operands = result.operands.get(node.hook_point, ())
        if node.name in shortcuts and len(operands) == 2:
            found[node.name] = compare_branch(operands, shortcuts[node.name])
    return found


def compare_branch(
    operands: Sequence[Array], shortcut_operand: int
) -> tuple[float | None, float | None]:
    """Compare the branch of an Add with its shortcut.

    Args:
        operands: shortcut and branch in any order, of equal shapes.
        shortcut_operand: index of the shortcut, 0 or 1.

    Returns:
        Norm of the branch over norm of the shortcut, and their cosine; None where undefined.
    """
    shortcut = operands[shortcut_operand]
    branch = operands[1 - shortcut_operand]
    shortcut_norm = _norm(shortcut)
    branch_norm = _norm(branch)
    # A ratio to zero is undefined, and so is a cosine.
    if not shortcut_norm:
        return None, None
    if not branch_norm:
        return 0.0, None
    # float64: a cosine of long float32 vectors could leave [-1, 1] by rounding.
    product = float(np.vdot(shortcut.astype(np.float64), branch.astype(np.float64)))
    cosine = float(np.clip(product / (shortcut_norm * branch_norm), -1, 1))
    return branch_norm / shortcut_norm, cosine


def _norm(values: Array) -> float:
    """Return the Euclidean norm in double precision."""
    return float(np.linalg.norm(values.astype(np.float64)))
