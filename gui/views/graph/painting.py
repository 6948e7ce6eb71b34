"""Base of all painters of the graph view, and the state that they share."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from PySide6.QtCore import QRectF
from PySide6.QtGui import QColor, QPainter
from PySide6.QtWidgets import QStyleOptionGraphicsItem

from gui.colormaps import blend
from gui.graph import Edit
from gui.theme import LIGHT, Theme
from gui.views.graph.node_scale import NodeScale

# Width of an edge and of a skip connection: the two lines that meet in a plus are equally wide.
EDGE_WIDTH = 2.2
MIN_TEXT_ZOOM = 0.35  # zoom below which no text is drawn

MergeInput = tuple[str, int]  # name of the merge and number of the operand


@dataclass(slots=True)
class PaintState:
    """State that all painters read; the view changes it and asks for a repaint.

    Attributes:
        theme: The colors to use.
        scales: Edits that scale or cut a merge input.
        holds: Edits that set a merge input to a constant.
        dropped: Names of the removed blocks.
        selected: Name of the selected node.
        cursor: Name of the node at the keyboard's cursor.
        focused: True while the view has the keyboard's focus.
        hovered: Nodes under the pointer, or at the ends of the merge input under it.
        hovered_input: The merge input under the pointer, or the one chosen by keyboard.
        values: Numbers to show, by node name or by merge input.
        scale: Figures that the nodes are colored by, None for plain colors.
    """

    theme: Theme = LIGHT
    scales: dict[MergeInput, Edit] = field(default_factory=dict)
    holds: dict[MergeInput, Edit] = field(default_factory=dict)
    dropped: frozenset[str] = frozenset()
    selected: str | None = None
    cursor: str | None = None
    focused: bool = False
    hovered: frozenset[str] = frozenset()
    hovered_input: MergeInput | None = None
    values: dict[object, float] = field(default_factory=dict)
    scale: NodeScale | None = None

    def edit(self, key: MergeInput) -> Edit | None:
        """Return the edit of a merge input, None without one.

        Args:
            key: The merge input.

        Returns:
            The edit that scales it, or else the one that sets it.
        """
        return self.scales.get(key) or self.holds.get(key)

    def color(self, name: str, alpha: float = 1.0) -> QColor:
        """Return a color of the theme.

        Args:
            name: A field of the theme, or any "#rrggbb".
            alpha: Opacity from 0 to 1.

        Returns:
            The color.
        """
        color = QColor(name if name.startswith("#") else getattr(self.theme, name))
        color.setAlphaF(alpha)
        return color

    def band_color(self) -> QColor:
        """Return the ground of a stage, between panel and window."""
        # In the dark theme panel and window differ less.
        fraction = 0.75 if self.theme.dark else 0.55
        return QColor(blend(self.theme.panel, self.theme.window, fraction))

    @contextmanager
    def unmarked(self) -> Iterator[None]:
        """Hide selection, cursor and hover for a while, to draw what they do not change."""
        # Kept here, so that they come back even if a painter fails.
        marks = (self.selected, self.focused, self.hovered, self.hovered_input)
        self.selected = self.hovered_input = None
        self.focused = False
        self.hovered = frozenset()
        try:
            yield
        finally:
            self.selected, self.focused, self.hovered, self.hovered_input = marks

    def is_marked(self, name: str) -> bool:
        """Return True for a node that is selected or under the pointer.

        Args:
            name: Name of the node.

        Returns:
            True if it should stand out.
        """
        return name in self.hovered or self.selected == name


class GraphItem:
    """Painter with a fixed rectangle.

    The view itself finds what is under the pointer. Qt's graphics items would do that too, but a
    thousand of them take longer than a frame.

    Args:
        state: What all painters read.
        rect: Everything that the item may paint on, in scene units.
        depth: Items of larger depth lie above those of smaller depth.
    """

    def __init__(self, state: PaintState, rect: QRectF, depth: float) -> None:
        self.state = state
        self.rect = rect
        self.depth = depth

    def paint(self, painter: QPainter) -> None:
        """Draw the item and leave the painter as it was.

        Args:
            painter: Painter in scene units.
        """
        painter.save()
        try:
            self.draw(painter, painter_zoom(painter))
        finally:
            painter.restore()

    def parts(self) -> list[Callable[[QPainter], None]]:
        """Return what draws the item, in parts of at most a few milliseconds."""
        return [self.paint]

    def draw(self, painter: QPainter, zoom: float) -> None:
        """Draw the item.

        Args:
            painter: Painter in scene units.
            zoom: Pixels per scene unit.

        Raises:
            NotImplementedError: Always; subclasses override this.
        """
        raise NotImplementedError


def painter_zoom(painter: QPainter) -> float:
    """Return the pixels per scene unit of a painter.

    Args:
        painter: The painter.

    Returns:
        Its zoom.
    """
    # Unlike the first entry of the matrix, this holds for a rotated painter too.
    return QStyleOptionGraphicsItem.levelOfDetailFromTransform(painter.worldTransform())
