"""Panel with the numbers of an addition: norms as bars, then ratio and cosine."""

import math

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QPainter

from gui.feature_maps import ResidualStats
from gui.theme import Theme
from gui.views import qt_style

PANEL_WIDTH = 190.0  # pixels
ROW_HEIGHT = 22  # pixels, of a norm with its bar
NUMBERS_TOP = 72  # pixels below the top of the panel
NUMBER_HEIGHT = 46  # pixels
LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


def draw_residual_panel(
    painter: QPainter, panel: QRectF, stats: ResidualStats, theme: Theme
) -> None:
    """Draw the norms as bars on one scale, then ratio and cosine as far as there is room.

    Args:
        painter: Painter of the widget.
        panel: The rectangle to fill.
        stats: The numbers of the addition.
        theme: The colors to use.
    """
    # Never zero, so that the bars of an all-zero sum are empty instead of a division by zero.
    maximum = max(stats.shortcut, stats.branch, stats.total, 1e-12)
    rows = (("|x|", stats.shortcut), ("|F|", stats.branch), ("|x + F|", stats.total))
    painter.setFont(qt_style.make_font(relative=0.9))
    for i, (name, norm) in enumerate(rows):
        row = QRectF(panel.x(), panel.y() + ROW_HEIGHT * i, panel.width(), 18)
        painter.setPen(QColor(theme.secondary_text))
        painter.drawText(row, LEFT, name)
        painter.drawText(row, RIGHT, f"{norm:.4g}")
        _draw_track(painter, row.adjusted(52, 5, -52, -5), bar_fraction(norm, maximum), theme)
    names = ("branch to shortcut, |F| / |x|", "cosine of F and x")
    for i, (name, number) in enumerate(zip(names, format_stats(stats), strict=True)):
        top = panel.y() + NUMBERS_TOP + NUMBER_HEIGHT * i
        # In a low window the numbers give way one by one.
        if top + 42 <= panel.bottom():
            area = QRectF(panel.x(), top, panel.width(), 42)
            _draw_number(painter, area, name, number, theme)


def bar_fraction(norm: float, maximum: float) -> float:
    """Return the fraction of a track that a norm fills.

    Args:
        norm: The norm, which is NaN or inf where a model diverged.
        maximum: The norm that fills the track.

    Returns:
        A number from 0 to 1; 0 where either is not finite.
    """
    if not math.isfinite(norm) or not math.isfinite(maximum) or maximum == 0:
        return 0.0
    return norm / maximum


def format_stats(stats: ResidualStats) -> tuple[str, str]:
    """Format the two numbers that say what the branch did.

    Args:
        stats: The numbers of the addition.

    Returns:
        Ratio of the norms and cosine, each a dash where a norm of zero leaves it undefined.
    """
    # Both numbers are undefined for a tensor of zeros.
    ratio = f"{stats.branch_to_shortcut:.2f}" if stats.shortcut else "—"
    cosine = f"{stats.cosine:+.2f}" if stats.shortcut and stats.branch else "—"
    return ratio, cosine


def _draw_track(painter: QPainter, track: QRectF, fraction: float, theme: Theme) -> None:
    painter.fillRect(track, QColor(theme.hairline))
    track.setWidth(track.width() * fraction)
    painter.fillRect(track, QColor(theme.add))


def _draw_number(painter: QPainter, area: QRectF, name: str, number: str, theme: Theme) -> None:
    """Draw a name in small type and its number in large type below."""
    painter.setFont(qt_style.make_font(relative=0.9))
    painter.setPen(QColor(theme.secondary_text))
    painter.drawText(QRectF(area.x(), area.y(), area.width(), 16), LEFT, name)
    painter.setFont(qt_style.make_font(relative=1.5, bold=True))
    painter.setPen(QColor(theme.text))
    painter.drawText(QRectF(area.x(), area.y() + 16, area.width(), 26), LEFT, number)
