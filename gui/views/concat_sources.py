"""Marks of a concatenation's sources on its maps: a bar under each tile, each name once."""

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QPainter

from gui.colormaps import source_color
from gui.details import ConcatPart
from gui.graph import name_suffix
from gui.theme import Theme
from gui.views import qt_style
from gui.views.tiled_image import TiledImage

BAR_HEIGHT = 3.0


def draw_sources(
    painter: QPainter, image: TiledImage, parts: tuple[ConcatPart, ...], theme: Theme
) -> None:
    """Draw a bar in the source's color under each tile, and the name on each source's first tile.

    Args:
        painter: Painter of the widget.
        image: The maps of the concatenation.
        parts: Its parts, which say which channels come from which source.
        theme: The colors to use.
    """
    painter.setFont(qt_style.make_font(relative=0.85))
    # Colors are those of the ribbon in the graph.
    for part in parts:
        color = QColor(source_color(part.index, part.count, theme))
        for channel in range(part.start, part.stop):
            tile = image.tile(channel)
            bar = QRectF(tile.x(), tile.bottom() - BAR_HEIGHT, tile.width(), BAR_HEIGHT)
            painter.fillRect(bar, color)
        _draw_name(painter, image, part, color, theme)


def _draw_name(
    painter: QPainter, image: TiledImage, part: ConcatPart, color: QColor, theme: Theme
) -> None:
    metrics = painter.fontMetrics()
    name = name_suffix(part.source)
    first = image.tile(part.start)
    room = _first_row_right(image, part) - first.x()
    width = min(room, metrics.horizontalAdvance(name) + 8.0)
    text = metrics.elidedText(name, Qt.TextElideMode.ElideRight, int(width - 4))
    # Left out where the tile is too low, or the name too short to be recognized.
    if first.height() >= 2 * metrics.height() and text.startswith(name[:3]):
        plate = QRectF(first.x(), first.bottom() - metrics.height(), width, metrics.height())
        painter.fillRect(plate, color)
        painter.setPen(QColor(theme.panel))
        painter.drawText(plate, Qt.AlignmentFlag.AlignCenter, text)


def _first_row_right(image: TiledImage, part: ConcatPart) -> float:
    """Return the right end of a source's tiles in the row of its first tile."""
    tiles = [image.tile(channel) for channel in range(part.start, part.stop)]
    return max(tile.right() for tile in tiles if tile.y() == tiles[0].y())
