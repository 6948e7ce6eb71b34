"""Compute the figures of all nodes that the depth strip shows and the graph is colored by."""

from collections.abc import Callable, Sequence

import numpy as np

from gui.graph import Graph
from gui.measures import HEAD, MeasureValues, block_nodes
from lightning_resnets.interactive.model import InferenceResult, InteractiveModel
from lightning_resnets.interactive.node_statistics import (
    NodeStatistics,
    compare_branches,
    node_statistics,
)
from lightning_resnets.interventions import Intervention

BRANCH_MEASURES = ("branch_ratio", "cosine")  # in the order of `compare_branches`
STATISTICS: dict[str, Callable[[NodeStatistics], float]] = {
    "std": lambda one: one.std,
    "mean": lambda one: one.mean,
    "zeros": lambda one: one.zero_fraction,
}


def measure_nodes(
    name: str,
    interactive: InteractiveModel,
    diagram: Graph,
    pixels: np.ndarray,
    interventions: Sequence[Intervention],
    result: InferenceResult,
    changes: dict[str, float],
) -> MeasureValues:
    """Compute one figure of all nodes.

    Args:
        name: name of the measure.
        interactive: the model.
        diagram: its folded graph.
        pixels: the image, (H, W, 3) uint8.
        interventions: interventions in force.
        result: the forward pass under them, with all hook points recorded.
        changes: relative change of each node's output by the edits.

    Returns:
        Values by name of the node.
    """
    if name == "change":
        return MeasureValues(name, dict(changes))
    # These belong to the model alone.
    if name in ("parameters", "macs"):
        return MeasureValues(
            name, {node.name: float(getattr(node, name)) for node in diagram.nodes if node.op}
        )
    if name == "gradient":
        return _gradient_norms(interactive, diagram, pixels, interventions)
    if name == HEAD:
        return _head_predictions(interactive, diagram, pixels, interventions, result)
    graph = interactive.folded_graph
    if name in BRANCH_MEASURES:
        # The strip shows one of these during every slider drag, so only Adds are read.
        index = BRANCH_MEASURES.index(name)
        pairs = {node: pair[index] for node, pair in compare_branches(graph, result).items()}
        return MeasureValues(name, {n: value for n, value in pairs.items() if value is not None})
    read = STATISTICS[name]
    statistics = node_statistics(graph, result)
    return MeasureValues(name, {node: read(one) for node, one in statistics.items()})


def _gradient_norms(
    interactive: InteractiveModel,
    diagram: Graph,
    pixels: np.ndarray,
    interventions: Sequence[Intervention],
) -> MeasureValues:
    """Compute the norm of the gradient of the predicted class's logit at every node."""
    hook_points = {node.name: node.hook_point for node in diagram.nodes if node.hook_point}
    found = interactive.gradients(pixels, tuple(hook_points.values()), interventions)
    norms = {point: float(np.linalg.norm(value)) for point, value in found.gradients.items()}
    return MeasureValues(
        "gradient",
        # A node that the logit does not depend on has no gradient.
        {name: norms[point] for name, point in hook_points.items() if point in norms},
    )


def _head_predictions(
    interactive: InteractiveModel,
    diagram: Graph,
    pixels: np.ndarray,
    interventions: Sequence[Intervention],
    result: InferenceResult,
) -> MeasureValues:
    """Compute the probability of the predicted class after every block, and name the best class."""
    if not result.probabilities.size:  # a feature extractor predicts nothing
        return MeasureValues(HEAD, {}, {})
    hook_points = {node.name: node.hook_point for node in block_nodes(diagram) if node.hook_point}
    found = interactive.early_predictions(pixels, tuple(hook_points.values()), interventions)
    # The class that the whole model predicts, followed from block to block.
    final = int(result.probabilities.argmax())
    values: dict[str, float] = {}
    notes: dict[str, str] = {}
    for name, point in hook_points.items():
        probabilities = found.get(point)
        # The head cannot read every output.
        if probabilities is None:
            continue
        best = int(probabilities.argmax())
        values[name] = float(probabilities[final])
        class_name = result.class_names[best]
        notes[name] = f"says {class_name}, {100 * float(probabilities[best]):.1f} %"
    return MeasureValues(HEAD, values, notes)
