"""Geometry of a layout: frozen plain data in scene units, 1 unit = 1 pixel at zoom 1."""

from dataclasses import dataclass, field
from typing import Literal

from gui.graph import Edge, Graph, MergeKind, Node, SkipConnection

Point = tuple[float, float]


Shape = Literal["box", "input", "output", "plus", "diamond", "bar", "pill", "side"]


WireRole = Literal["spine", "branch", "turn", "weight"]


LayoutStyle = Literal["spine", "dense", "layered"]


SHAPES: dict[str, Shape] = {
    "add": "plus",
    "gate": "diamond",
    "concat": "bar",
    "input": "input",
    "output": "output",
}


MERGE_KINDS = ("add", "gate", "concat")


# In units.
LANE_GAP = 12.0  # between stages
LINE_GAP = 8.0  # between lines of one stage
PAD = 9.0  # around the lines of a stage
MARGIN = 8.0  # around the whole drawing


@dataclass(frozen=True, slots=True)
class Rect:
    """An upright rectangle by its left top corner and its size."""

    x: float
    y: float
    w: float
    h: float

    @property
    def right(self) -> float:
        """Return the x of the right edge."""
        return self.x + self.w

    @property
    def bottom(self) -> float:
        """Return the y of the bottom edge."""
        return self.y + self.h

    @property
    def center(self) -> Point:
        """Return the center point."""
        return self.x + self.w / 2, self.y + self.h / 2

    def intersects(self, other: "Rect") -> bool:
        """Return True if two rectangles share more than an edge.

        Args:
            other: The other rectangle.
        """
        # Apart if one lies wholly beside or above the other.
        apart = (
            self.right <= other.x
            or other.right <= self.x
            or self.bottom <= other.y
            or other.bottom <= self.y
        )
        return not apart

    def contains(self, point: Point, slack: float = 0.01) -> bool:
        """Return True if a point is inside or on the edge.

        Args:
            point: The point.
            slack: The distance in units that a point may lie outside, for rounding errors.
        """
        x, y = point
        # The slack makes up for the rounding of sums.
        is_between = self.x - slack <= x <= self.right + slack
        return is_between and self.y - slack <= y <= self.bottom + slack


@dataclass(frozen=True, slots=True)
class NodeBox:
    """One node: its rectangle, its shape and the lines of text that fit; `row` is its stage."""

    name: str
    rect: Rect
    shape: Shape
    lines: tuple[str, ...]
    row: int


@dataclass(frozen=True, slots=True)
class Wire:
    """The polyline of one plain edge; `radius` rounds its corners."""

    source: str
    target: str
    operand: int
    points: tuple[Point, ...]
    role: WireRole
    radius: float


@dataclass(frozen=True, slots=True)
class Arc:
    """The polyline of one skip, from its fork to its merge."""

    kind: MergeKind
    source: str
    merge: str
    operand: int
    projected: str | None
    points: tuple[Point, ...]
    radius: float


@dataclass(frozen=True, slots=True)
class MatrixCell:
    """One connection of a dense block; `skip` is False for the output of the previous layer."""

    row: int
    column: int
    source: str
    merge: str
    operand: int
    skip: bool
    rect: Rect


@dataclass(frozen=True, slots=True)
class ConnectivityMatrix:
    """A dense block as a lower triangle: row = consumer (a concat), column = source."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    consumers: tuple[str, ...]  # the node after each concat
    cells: tuple[MatrixCell, ...]
    rect: Rect
    caption: str


@dataclass(frozen=True, slots=True)
class RibbonStrip:
    """One layer of a ribbon: the channels of `source` (number `index` of `count`).

    Each strip runs from its source to the last concat of its dense block.
    """

    source: str
    index: int
    count: int
    rect: Rect
    root: Point  # the point where it leaves its source
    end: str  # the concat where the ribbon ends


@dataclass(frozen=True, slots=True)
class StageBand:
    """The background of one stage with its title and subtitle."""

    rect: Rect
    title: str
    subtitle: str
    at: Point
    stacked: bool


@dataclass(frozen=True, slots=True)
class GraphLayout:
    """All items to draw, nodes in execution order."""

    style: LayoutStyle = "spine"
    boxes: tuple[NodeBox, ...] = ()
    wires: tuple[Wire, ...] = ()
    arcs: tuple[Arc, ...] = ()
    matrices: tuple[ConnectivityMatrix, ...] = ()
    strips: tuple[RibbonStrip, ...] = ()
    bands: tuple[StageBand, ...] = ()
    bounds: Rect = Rect(0, 0, 0, 0)
    # A search through the tuple would take long for a thousand nodes.
    _boxes: dict[str, NodeBox] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # The dataclass is frozen for everybody else.
        object.__setattr__(self, "_boxes", {box.name: box for box in self.boxes})

    def box(self, name: str | None) -> NodeBox | None:
        """Return the box of a node, None for an unknown name.

        Args:
            name: The name of the node.
        """
        if name is None:
            return None
        return self._boxes.get(name)


def skip_arc(skip: SkipConnection, points: tuple[Point, ...], radius: float) -> Arc:
    """Build the arc of a skip connection along a route.

    Args:
        skip: The skip connection.
        points: The corners of the route in units.
        radius: The radius of its round corners in units.

    Returns:
        The arc.
    """
    return Arc(skip.kind, skip.source, skip.merge, skip.operand, skip.projection, points, radius)


def input_edges(diagram: Graph) -> dict[str, tuple[Edge, ...]]:
    """Collect the edges into each node.

    Args:
        diagram: The folded graph.

    Returns:
        The edges by name of the node, sorted by operand.
    """
    edges: dict[str, list[Edge]] = {node.name: [] for node in diagram.nodes}
    # A stable sort by operand alone leaves the edges of each node in order.
    for edge in sorted(diagram.edges, key=lambda edge: edge.operand):
        edges[edge.target].append(edge)
    return {name: tuple(incoming) for name, incoming in edges.items()}


def spatial_size(node: Node) -> tuple[int, ...]:
    """Return the height and width of a node's output, () for a vector.

    Args:
        node: The node, with an output shape of (channels, height, width) or (features,).
    """
    if len(node.shape) == 3:
        return node.shape[1:]
    return ()


def format_spatial_size(node: Node) -> str:
    """Format the height and width of a node's output, "vector" without them.

    Args:
        node: The node.
    """
    return "×".join(str(side) for side in spatial_size(node)) or "vector"


def text_width(text: str, size: float) -> float:
    """Estimate the width of a text in units, rather too wide than too narrow.

    Args:
        text: The text.
        size: The font size in units.
    """
    # Qt is not available here to measure; 0.6 em is wider than the mean letter.
    return len(text) * size * 0.6


def bounding_rect(rects: list[Rect], margin: float) -> Rect:
    """Return the smallest rectangle around others.

    Args:
        rects: The rectangles, at least one.
        margin: The distance in units around them.
    """
    left = min(rect.x for rect in rects)
    top = min(rect.y for rect in rects)
    right = max(rect.right for rect in rects)
    bottom = max(rect.bottom for rect in rects)
    return Rect(left - margin, top - margin, right - left + 2 * margin, bottom - top + 2 * margin)
