"""Where everything of a model lies on the canvas: frozen plain data in scene units, 1 unit = 1 pixel at zoom 1."""

from dataclasses import dataclass
from typing import Literal

from gui.graph import Edge, Graph, MergeKind, Node

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


# In units: between stages, between lines of one stage, around the lines of a stage, around everything.
LANE_GAP, LINE_GAP, PAD, MARGIN = 12.0, 8.0, 9.0, 8.0


@dataclass(frozen=True, slots=True)
class Rect:
    """An upright rectangle by its left top corner and its size."""

    x: float
    y: float
    w: float
    h: float

    @property
    def right(self) -> float:
        return self.x + self.w

    @property
    def bottom(self) -> float:
        return self.y + self.h

    @property
    def center(self) -> Point:
        return self.x + self.w / 2, self.y + self.h / 2

    def intersects(self, other: "Rect") -> bool:
        """True where the two share more than an edge."""
        apart = (
            self.right <= other.x
            or other.right <= self.x
            or self.bottom <= other.y
            or other.bottom <= self.y
        )
        return not apart

    def contains(self, point: Point, slack: float = 0.01) -> bool:
        x, y = point
        return (
            self.x - slack <= x <= self.right + slack and self.y - slack <= y <= self.bottom + slack
        )


@dataclass(frozen=True, slots=True)
class NodeBox:
    """One node: its rectangle, what shape it has in there and the words that fit; `row` counts stages."""

    name: str
    rect: Rect
    shape: Shape
    lines: tuple[str, ...]
    row: int


@dataclass(frozen=True, slots=True)
class Wire:
    """The way of one link that is no skip, a polyline whose corners are rounded by `radius`."""

    source: str
    target: str
    operand: int
    points: tuple[Point, ...]
    role: WireRole
    radius: float


@dataclass(frozen=True, slots=True)
class Arc:
    """The way of one skip, from its fork to its merge."""

    kind: MergeKind
    source: str
    merge: str
    operand: int
    projected: str | None
    points: tuple[Point, ...]
    radius: float


@dataclass(frozen=True, slots=True)
class MatrixCell:
    """One connection of a dense block; `skip` is False for the chain, the layer directly before."""

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
    consumers: tuple[str, ...]  # what stands behind each concat
    cells: tuple[MatrixCell, ...]
    rect: Rect
    caption: str


@dataclass(frozen=True, slots=True)
class RibbonStrip:
    """One layer of a ribbon: the channels of `source` (number `index` of `count`) on their way to the last concat."""

    source: str
    index: int
    count: int
    rect: Rect
    root: Point  # where it leaves its source
    end: str  # the concat where the ribbon ends


@dataclass(frozen=True, slots=True)
class StageBand:
    """The ground of one stage with its two lines of title."""

    rect: Rect
    title: str
    subtitle: str
    at: Point
    stacked: bool


@dataclass(frozen=True, slots=True)
class GraphLayout:
    """Everything to draw, nodes in execution order."""

    style: LayoutStyle = "spine"
    boxes: tuple[NodeBox, ...] = ()
    wires: tuple[Wire, ...] = ()
    arcs: tuple[Arc, ...] = ()
    matrices: tuple[ConnectivityMatrix, ...] = ()
    strips: tuple[RibbonStrip, ...] = ()
    bands: tuple[StageBand, ...] = ()
    bounds: Rect = Rect(0, 0, 0, 0)

    def box(self, name: str | None) -> NodeBox | None:
        return next((place for place in self.boxes if place.name == name), None)


def input_edges(diagram: Graph) -> dict[str, tuple[Edge, ...]]:
    """The links into each node, by operand."""
    found: dict[str, list[Edge]] = {node.name: [] for node in diagram.nodes}
    for link in diagram.edges:
        found[link.target].append(link)
    return {
        name: tuple(sorted(links, key=lambda link: link.operand)) for name, links in found.items()
    }


def spatial_size(node: Node) -> tuple[int, ...]:
    """The spatial size of a node's output, () for a vector."""
    return node.shape[1:] if len(node.shape) == 3 else ()


def format_spatial_size(node: Node) -> str:
    return "×".join(str(side) for side in spatial_size(node)) or "vector"


def text_width(words: str, size: float) -> float:
    """About how wide `words` are at a font of `size` units, on the safe side."""
    return len(words) * size * 0.6


def bounding_rect(rects: list[Rect], margin: float) -> Rect:
    left, top = min(r.x for r in rects), min(r.y for r in rects)
    right, bottom = max(r.right for r in rects), max(r.bottom for r in rects)
    return Rect(left - margin, top - margin, right - left + 2 * margin, bottom - top + 2 * margin)
