"""Shapes of a drawing: boxes, lines, ribbons, bands of stages, frames of repeats.

Units are pixels; y grows downwards.
"""

from dataclasses import dataclass, field

from lightning_resnets.graph.data import Node

Point = tuple[float, float]
Rect = tuple[float, float, float, float]  # left, top, width, height

BOX_WIDTH = 256.0
BOX_HEIGHT = 42.0
MERGE_SIZE = 26.0
CONCAT_BAR_WIDTH = 96.0
CONCAT_BAR_HEIGHT = 14.0
ROW_GAP = 20.0

MARGIN = 16.0
TITLE_WIDTH = 132.0  # of the stage titles left of the spine
RIBBON_WIDTH = 92.0
RIBBON_ROOM = RIBBON_WIDTH + 30
ARC_ROOM = 14.0  # between a box and its innermost arc
ARC_STEP = 10.0
LANE_GAP = 34.0


@dataclass(frozen=True, slots=True)
class NodeBox:
    """A node and its rectangle."""

    node: Node
    rect: Rect

    @property
    def middle(self) -> Point:
        """Return the center of the box."""
        x, y, width, height = self.rect
        return x + width / 2, y + height / 2

    @property
    def bottom(self) -> float:
        """Return the y of the lower edge."""
        return self.rect[1] + self.rect[3]

    @property
    def right(self) -> float:
        """Return the x of the right edge."""
        return self.rect[0] + self.rect[2]


@dataclass(frozen=True, slots=True)
class EdgeLine:
    """A line from one node to another.

    Attributes:
        points: its corners.
        style: `flow`, or the kind of the merge whose skip it is.
        dashed: True for a projection.
    """

    points: tuple[Point, ...]
    style: str
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class RibbonStripe:
    """The channels that one node adds to a ribbon."""

    rect: Rect
    source: str
    number: int


@dataclass(slots=True)
class Drawing:
    """All shapes of a graph, and the size of the whole."""

    boxes: dict[str, NodeBox] = field(default_factory=dict)
    lines: list[EdgeLine] = field(default_factory=list)
    # Lines from a ribbon to its merges; they are drawn above it.
    ribbon_edges: list[EdgeLine] = field(default_factory=list)
    stripes: list[RibbonStripe] = field(default_factory=list)
    bands: list[tuple[Rect, str]] = field(default_factory=list)
    frames: list[tuple[Rect, int]] = field(default_factory=list)
    width: float = 0.0
    height: float = 0.0
