"""Figures of nodes that the graph can be colored by and that the depth strip shows."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from gui.graph import Graph, Node, short_name

Values = Mapping[str, float]  # by name of the node


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure of a node.

    Attributes:
        name: its name in requests and results.
        title: its name on the screen.
        reading: how to read it, one sentence.
        is_signed: True if zero is the middle of the scale.
        is_of_image: True if it depends on the image.
    """

    name: str
    title: str
    reading: str
    is_signed: bool = False
    is_of_image: bool = True


BRANCH_RATIO = "branch_ratio"
HEAD = "head"

MEASURES: tuple[Measure, ...] = (
    Measure(
        BRANCH_RATIO,
        "|F| / |x|",
        "Norm of the branch over norm of the shortcut: a small value says that the block changes "
        "little.",
    ),
    Measure(
        "cosine",
        "cosine of F and x",
        "Below zero the branch takes away from what the shortcut carries, above it adds to it.",
        is_signed=True,
    ),
    Measure("std", "standard deviation", "Spread of all values of the output."),
    Measure("mean", "mean", "Mean of all values of the output.", is_signed=True),
    Measure("zeros", "share of zeros", "Part of the output that is exactly zero, after a ReLU."),
    Measure(
        "gradient",
        "gradient norm",
        "Norm of the gradient of the predicted class's logit: how much the prediction depends on "
        "this output.",
    ),
    Measure(
        HEAD,
        "head says",
        "What the head would predict here if the blocks that follow added nothing: probability of "
        "the class that the whole model predicts.",
    ),
    Measure("change", "change by edits", "Relative change of the output by the active edits."),
    Measure("parameters", "parameters", "Number of parameters.", is_of_image=False),
    Measure("macs", "MACs", "Multiply-adds for one image.", is_of_image=False),
)

MEASURE_BY_NAME = {measure.name: measure for measure in MEASURES}


@dataclass(frozen=True, slots=True)
class MeasureValues:
    """Values of one measure.

    Attributes:
        name: name of the measure.
        values: value by name of the node, for nodes that have one.
        notes: more about a value, by name of the node.
    """

    name: str
    values: dict[str, float]
    notes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DepthCell:
    """One block in the depth strip.

    Attributes:
        node: node to select, the merge at the end of the block where there is one.
        label: name of the block.
        value: the figure, None if the block has none.
        starts_stage: True for the first block of another map size.
        note: more about the value, "" for nothing.
    """

    node: str
    label: str
    value: float | None
    starts_stage: bool = False
    note: str = ""


def block_nodes(diagram: Graph) -> tuple[Node, ...]:
    """Choose one node per block: the merge at its end, otherwise the block itself.

    Args:
        diagram: the folded graph.

    Returns:
        Nodes in order of execution, without input and output, gates, and the side paths of
        blocks.
    """
    last: dict[str, Node] = {}
    for node in diagram.nodes:
        # A gate is a part of its block, which ends with the addition.
        if node.kind not in ("input", "output", "gate"):
            # Later nodes replace earlier ones: the merge is the last of its block.
            last[short_name(node.name)] = node
    names = set(last)
    return tuple(node for name, node in last.items() if not _is_part_of_other(name, names))


def _is_part_of_other(name: str, names: set[str]) -> bool:
    """Return True for "layer2.0.downsample" beside "layer2.0"."""
    parts = name.split(".")
    return any(".".join(parts[:i]) in names for i in range(1, len(parts)))


def default_measure(diagram: Graph) -> str:
    """Choose the measure that tells most about a model.

    Args:
        diagram: the folded graph.

    Returns:
        Name of the measure: branch to shortcut where the model adds, else the deviation.
    """
    if any(skip.kind == "add" for skip in diagram.skips):
        return BRANCH_RATIO
    return "std"


def depth_cells(
    diagram: Graph, values: Values, notes: Mapping[str, str] | None = None
) -> tuple[DepthCell, ...]:
    """Make the cells of the depth strip.

    Args:
        diagram: the folded graph.
        values: the figure by name of the node.
        notes: more about values, by name of the node.

    Returns:
        One cell per block, in order of execution.
    """
    cells = []
    size: tuple[int, ...] = ()
    for node in block_nodes(diagram):
        # Channels grow from layer to layer in a dense block; the map size marks a stage.
        starts_stage = bool(size) and node.shape[1:] != size
        size = node.shape[1:]
        value = values.get(node.name)
        # A bar of NaN or inf has no height, so the cell is drawn as empty.
        if value is not None and not math.isfinite(value):
            value = None
        note = (notes or {}).get(node.name, "")
        cells.append(DepthCell(node.name, short_name(node.name), value, starts_stage, note))
    return tuple(cells)


def scale_of(measure: Measure, values: Values) -> tuple[float, float]:
    """Choose the range of the scale for all nodes.

    Args:
        measure: the figure.
        values: its values by name of the node.

    Returns:
        Lowest and highest value of the scale: from zero, or symmetric about zero for a signed
        figure. Shares and probabilities always go from 0 to 1, cosines from -1 to 1.
    """
    # Natural limits, so that the colors of different images compare.
    if measure.name in ("zeros", HEAD):
        return 0.0, 1.0
    if measure.name == "cosine":
        return -1.0, 1.0
    finite = [abs(value) for value in values.values() if math.isfinite(value)]
    # Not zero, because values are divided by it.
    top = max(finite, default=0.0) or 1.0
    return (-top if measure.is_signed else 0.0), top


def format_value(measure: Measure, value: float | None) -> str:
    """Format a value for the screen.

    Args:
        measure: the figure.
        value: its value; None if there is none.

    Returns:
        "0.41", "12.3 %", "1,280" and the like; "none" for None.
    """
    if value is None:
        return "none"
    if measure.name in ("zeros", HEAD, "change"):
        return f"{100 * value:.1f} %"
    if not measure.is_of_image:
        return f"{value:,.0f}"
    return f"{value:.3g}"
