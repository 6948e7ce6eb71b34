"""Captions of painted maps: a heading above them, a footer with color bar and text below."""

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QPainter

from gui.feature_maps import FeatureMapAtlas
from gui.theme import Theme
from gui.views import qt_style
from gui.views.tiled_image import draw_colorbar

HEADER_HEIGHT = 24.0  # pixels
FOOTER_HEIGHT = 26.0  # pixels
COLORBAR_WIDTH = 64.0  # pixels
LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter


def draw_heading(painter: QPainter, area: QRectF, title: str, note: str, theme: Theme) -> None:
    """Draw a heading: a bold title and a note in a soft color beside it.

    Args:
        painter: Painter of the view.
        area: Where to draw; a note that does not fit is left out.
        title: The title.
        note: What to add to it, "" for nothing.
        theme: The colors to use.
    """
    painter.setFont(qt_style.make_font(bold=True))
    painter.setPen(QColor(theme.text))
    painter.drawText(area, LEFT, title)
    title_width = painter.fontMetrics().horizontalAdvance(title) + 12
    painter.setFont(qt_style.make_font(relative=0.9))
    painter.setPen(QColor(theme.secondary_text))
    # Half a note would be misread, so it is drawn whole or not at all.
    if title_width + painter.fontMetrics().horizontalAdvance(note) <= area.width():
        painter.drawText(area.adjusted(title_width, 0, 0, 0), LEFT, note)


def draw_footer(
    painter: QPainter, area: QRectF, text: str, theme: Theme, atlas: FeatureMapAtlas | None = None
) -> None:
    """Draw the line below the maps.

    Args:
        painter: Painter of the view.
        area: Where to draw.
        text: What to say of the values.
        theme: The colors to use.
        atlas: The maps whose color bar stands before the text; None for no color bar.
    """
    left = area.x()
    if atlas is not None:
        bar = QRectF(area.x(), area.y() + 4, COLORBAR_WIDTH, 9)
        draw_colorbar(painter, bar, atlas, theme)
        left = bar.right() + 10
    painter.setPen(QColor(theme.secondary_text))
    painter.setFont(qt_style.make_font(relative=0.9))
    painter.drawText(QRectF(left, area.y(), area.right() - left, area.height()), LEFT, text)


def footer_area(width: float, height: float, left: float = 0.0) -> QRectF:
    """Return the area of the footer of a view.

    Args:
        width: Width of the view in pixels.
        height: Height of the view in pixels.
        left: Where the footer begins.

    Returns:
        The area at the foot of the view.
    """
    return QRectF(left, height - FOOTER_HEIGHT + 8, width - left, FOOTER_HEIGHT - 8)
