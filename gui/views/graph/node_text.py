"""Text and icons in the boxes of nodes."""

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QPainter

from gui import layout
from gui.descriptions import typeset_op
from gui.views.graph.painting import PaintState
from gui.views.graph.strokes import draw_fitted_text

NARROW_WIDTH = 20  # scene units; a narrower box has upright text
LINE_HEIGHT = 1.32  # of the font size
# Opacities of the nine pixels of the input's icon, widths of the three bars of the output's.
PIXEL_OPACITIES = (0.85, 0.35, 0.6, 0.25, 0.95, 0.45, 0.6, 0.3, 0.75)
BAR_WIDTHS = (1.0, 0.55, 0.3)


def has_caption(box: QRectF) -> bool:
    """Return True if an icon's box has room for its word below.

    Args:
        box: The box in scene units.

    Returns:
        True if both fit.
    """
    return box.height() > 36 and box.width() > 30


def draw_icon(painter: QPainter, box: QRectF, shape: str, state: PaintState) -> None:
    """Draw the input as a grid of pixels or the output as bars, above the word.

    Args:
        painter: The painter.
        box: Box of the node.
        shape: "input" or "output".
        state: What all painters read.
    """
    side = min(box.width(), box.height()) * 0.5
    lift = 0
    if has_caption(box):
        # Smaller and higher, to leave room for the word below.
        side *= 0.72
        lift = 6
    left = box.center().x() - side / 2
    top = box.center().y() - side / 2 - lift
    painter.setPen(Qt.PenStyle.NoPen)
    if shape == "input":
        _draw_pixels(painter, QRectF(left, top, side, side), state)
    else:
        _draw_bars(painter, QRectF(left, top, side, side), state)


def draw_lines(
    painter: QPainter, box: QRectF, node_box: layout.NodeBox, zoom: float, state: PaintState
) -> None:
    """Draw the lines of a box in its middle, smaller the less room there is.

    Args:
        painter: The painter.
        box: Box of the node as Qt's rectangle.
        node_box: Shape and lines of the node.
        zoom: Pixels per scene unit.
        state: What all painters read.
    """
    is_icon = node_box.shape in ("input", "output")
    is_small = node_box.shape in ("pill", "side") or len(node_box.lines) == 1
    height = box.height()
    sizes = _font_sizes(node_box, box, is_small)
    steps = [size * LINE_HEIGHT for size in sizes]
    margin = 2.5
    if box.width() < NARROW_WIDTH:
        margin = 1.0
    y = box.center().y() - sum(steps) / 2
    if is_icon:
        # Below the icon.
        y += height * 0.28
    for i, (text, size, step) in enumerate(zip(node_box.lines, sizes, steps, strict=True)):
        is_name = i == 0 and not is_icon
        room = QRectF(box.x() + margin, y, box.width() - 2 * margin, step)
        is_upright = is_small and not is_icon and len(text) > 3 and height > 1.3 * box.width()
        length = height - 4 if is_upright else 0
        is_bold = i == 0 and not is_small
        painter.setPen(state.color("text" if is_name else "secondary_text"))
        draw_fitted_text(painter, room, typeset_op(text), size, zoom, is_bold, length)
        y += step


def _font_sizes(node_box: layout.NodeBox, box: QRectF, is_small: bool) -> list[float]:
    """Return the font size of each line, in scene units."""
    if box.width() < NARROW_WIDTH and box.height() > 12:
        return [8.0]
    first = 11.0
    if is_small:
        first = min(9.5, box.height() * 0.66)
    return [first] + [9.0] * (len(node_box.lines) - 1)


def _draw_pixels(painter: QPainter, area: QRectF, state: PaintState) -> None:
    color = state.color("secondary_text")
    side = area.width() / 3
    for i, opacity in enumerate(PIXEL_OPACITIES):
        row, column = divmod(i, 3)
        color.setAlphaF(opacity)
        painter.setBrush(color)
        corner = (area.x() + side * column, area.y() + side * row)
        painter.drawRect(QRectF(*corner, side - 0.8, side - 0.8))


def _draw_bars(painter: QPainter, area: QRectF, state: PaintState) -> None:
    painter.setBrush(state.color("secondary_text"))
    step = area.height() / 3
    for i, fraction in enumerate(BAR_WIDTHS):
        bar = QRectF(area.x(), area.y() + step * i, area.width() * fraction, step - 1.4)
        painter.drawRect(bar)
