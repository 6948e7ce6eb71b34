"""Prediction: the most probable classes as bars, with edits also before the edits."""

import math

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetrics, QPainter, QPainterPath, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from gui.theme import LIGHT, Theme
from gui.view_state import ClassBar
from gui.views import qt_style

ROW_HEIGHT = 36.0  # pixels
BAR_HEIGHT = 10.0  # pixels
MAX_BARS = 5
MIN_BAR_WIDTH = BAR_HEIGHT * 0.6  # so that a class of almost zero is still seen
LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignBottom
RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignBottom


class PredictionView(QWidget):
    """Up to five classes, best first.

    The filled bar is the probability now, the dotted outline the one before the edits.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        qt_style.set_accessible_name(self, "Prediction, the five most probable classes")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._theme: Theme = LIGHT
        self._bars: tuple[ClassBar, ...] = ()

    def set_theme(self, theme: Theme) -> None:
        """Color the bars anew.

        Args:
            theme: The colors to use.
        """
        self._theme = theme
        self.update()

    def set_bars(self, bars: tuple[ClassBar, ...]) -> None:
        """Show another prediction.

        Args:
            bars: The classes, best first; empty for no prediction.
        """
        self._bars = bars
        spoken = [f"{bar.label} {format_percent(bar.probability)}{_was(bar)}" for bar in bars]
        self.setAccessibleDescription(", ".join(spoken))
        self.setToolTip(qt_style.tooltip_html("\n".join(_tooltip_line(bar) for bar in bars)))
        self.update()

    def sizeHint(self) -> QSize:
        """Return the preferred size."""
        return QSize(240, int(ROW_HEIGHT * MAX_BARS))

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint one row per class."""
        with qt_style.painting(self) as painter:
            self._paint(painter)

    def _paint(self, painter: QPainter) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for i, bar in enumerate(self._bars):
            row = QRectF(0, i * ROW_HEIGHT, self.width(), ROW_HEIGHT)
            self._draw_text(painter, bar, row.adjusted(0, 0, 0, -BAR_HEIGHT - 8), is_best=i == 0)
            self._draw_bar(painter, bar, row, is_best=i == 0)

    def _draw_text(self, painter: QPainter, bar: ClassBar, area: QRectF, is_best: bool) -> None:
        """Draw the label on the left and the probability, now and before, on the right."""
        number = format_percent(bar.probability)
        before = _was(bar).strip(" ()")
        font = qt_style.make_font(bold=is_best)
        small = qt_style.make_font(relative=0.85)
        metrics = QFontMetrics(font)
        number_width = metrics.horizontalAdvance(number)
        before_width = QFontMetrics(small).horizontalAdvance(before)
        room = int(area.width() - number_width - before_width - 10)
        label = qt_style.shorten_text(bar.label, 80)
        painter.setFont(font)
        painter.setPen(QColor(self._theme.text))
        # The label gives way: the numbers are always shown in full.
        elided = metrics.elidedText(label, Qt.TextElideMode.ElideRight, room)
        painter.drawText(area, LEFT, elided)
        painter.drawText(area, RIGHT, number)
        painter.setFont(small)
        painter.setPen(QColor(self._theme.secondary_text))
        painter.drawText(area.adjusted(0, 0, -number_width - 8, 0), RIGHT, before)

    def _draw_bar(self, painter: QPainter, bar: ClassBar, row: QRectF, is_best: bool) -> None:
        track = QRectF(row.x() + 0.5, row.bottom() - BAR_HEIGHT - 5, row.width() - 1, BAR_HEIGHT)
        color = self._theme.focus if is_best else self._theme.outline
        # The track shows what 100 % would be.
        painter.fillPath(_pill(track), QColor(self._theme.hairline))
        painter.fillPath(_pill(_filled(track, bar.probability)), QColor(color))
        # Dotted and hollow: the shape, not only the color, tells it from the value now.
        if bar.before is not None:
            painter.setPen(QPen(QColor(self._theme.text), 1.4, Qt.PenStyle.DotLine))
            painter.drawPath(_pill(_filled(track, bar.before)))


def format_percent(probability: float) -> str:
    """Format a probability.

    Args:
        probability: A number from 0 to 1, or NaN.

    Returns:
        Percent with one decimal place.
    """
    if math.isfinite(probability):
        return f"{100 * probability:.1f} %"
    return "NaN"


def _was(bar: ClassBar) -> str:
    """Return the probability before the edits in brackets, "" without edits."""
    if bar.before is None:
        return ""
    return f" (was {format_percent(bar.before)})"


def _tooltip_line(bar: ClassBar) -> str:
    label = qt_style.shorten_text(bar.label, 80)
    # More digits than on the screen, to tell nearly equal classes apart.
    return f"{label}: {100 * bar.probability:.4f} %{_was(bar)}"


def _filled(track: QRectF, probability: float) -> QRectF:
    """Return the part of a track that a probability fills."""
    width = max(track.width() * probability, MIN_BAR_WIDTH)
    return QRectF(track.x(), track.y(), width, BAR_HEIGHT)


def _pill(area: QRectF) -> QPainterPath:
    """Return the outline of a bar with round ends."""
    path = QPainterPath()
    # Round ends wider than a narrow bar would overlap.
    radius = min(area.height(), area.width()) / 2
    path.addRoundedRect(area, radius, area.height() / 2)
    return path
