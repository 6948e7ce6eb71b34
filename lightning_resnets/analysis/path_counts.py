"""Count the paths through a model by length, from its graph."""

from itertools import zip_longest

from lightning_resnets.analysis.ablation_targets import dense_layers
from lightning_resnets.analysis.paths_result import PathCounts
from lightning_resnets.errors import AnalysisError
from lightning_resnets.graph.data import Node
from lightning_resnets.graph.model_graph import ModelGraph
from lightning_resnets.merges import MergeKind

NO_SKIPS = (
    "The model has no skip connection, so it has only one path. Use a model with residual or dense "
    "blocks."
)


def count_paths(graph: ModelGraph) -> PathCounts:
    """Count the paths from input to output by length, the number of blocks that they pass.

    Args:
        graph: the model's graph.

    Returns:
        At index k the exact number of paths through k blocks.

    Raises:
        AnalysisError: the model has no residual or dense skip connection.
    """
    if not any(skip.kind in (MergeKind.ADD, MergeKind.CONCAT) for skip in graph.skips):
        raise AnalysisError(NO_SKIPS)
    shortcuts = {skip.merge: skip.operand for skip in graph.skips if skip.kind is MergeKind.ADD}
    layers = set(dense_layers(graph).values())  # a path may read their output or skip it
    inputs = _inputs_by_node(graph)
    counts: dict[str, PathCounts] = {}  # added at merges; a branch or layer adds 1 to the length
    for node in graph.nodes:
        total: PathCounts = () if inputs[node.name] else (1,)
        for operand, source in inputs[node.name]:
            is_branch = operand != shortcuts.get(node.name, operand)
            total = _add_counts(total, (0, *counts[source]) if is_branch else counts[source])
        counts[node.name] = (0, *total) if node.name in layers else total
    return counts[graph.nodes[-1].name]


def _inputs_by_node(graph: ModelGraph) -> dict[str, list[tuple[int, str]]]:
    """Return by node the operand index and source of each input that a path can take."""
    nodes: dict[str, Node] = {node.name: node for node in graph.nodes}
    inputs: dict[str, list[tuple[int, str]]] = {name: [] for name in nodes}
    for source, target, operand in graph.edges:
        # A gate multiplies its first operand; the second is a weight, not a path.
        is_gate_weight = nodes[target].kind is MergeKind.GATE and operand != 0
        if not is_gate_weight:
            inputs[target].append((operand, source))
    return inputs


def _add_counts(first: PathCounts, second: PathCounts) -> PathCounts:
    """Add path counts length by length."""
    return tuple(a + b for a, b in zip_longest(first, second, fillvalue=0))
