"""The likeliest classes as bars; with edits active, where each bar stood before them."""

import math

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetrics, QPainter, QPainterPath, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from gui.state import ClassBar
from gui.theme import LIGHT, Theme
from gui.views import qt_style

ROW_HEIGHT = 36.0


BAR_HEIGHT = 10.0


class PredictionView(QWidget):
    """Up to five classes, best first: the filled bar is now, the outlined one is without the edits."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        qt_style.set_accessible_name(self, "Prediction, the five likeliest classes")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._theme: Theme = LIGHT
        self._bars: tuple[ClassBar, ...] = ()

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self.update()

    def set_bars(self, bars: tuple[ClassBar, ...]) -> None:
        self._bars = bars
        words = (f"{bar.label} {format_percent(bar.probability)}{self._was(bar)}" for bar in bars)
        self.setAccessibleDescription(", ".join(words))
        lines = (
            f"{qt_style.shorten_text(bar.label, 80)}: {100 * bar.probability:.4f} %{self._was(bar)}"
            for bar in bars
        )
        self.setToolTip(qt_style.tooltip_html("\n".join(lines)))
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(240, int(ROW_HEIGHT * 5))

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for i, bar in enumerate(self._bars):
            self._draw(
                painter, bar, QRectF(0, i * ROW_HEIGHT, self.width(), ROW_HEIGHT), first=i == 0
            )

    def _draw(self, painter: QPainter, bar: ClassBar, row: QRectF, first: bool) -> None:
        text = row.adjusted(0, 0, 0, -BAR_HEIGHT - 8)
        painter.setFont(qt_style.make_font(bold=first))
        painter.setPen(QColor(self._theme.text))
        number = format_percent(bar.probability)
        was = "" if bar.before is None else f"was {format_percent(bar.before)}"
        small = QFontMetrics(qt_style.make_font(relative=0.85))
        room = (
            text.width()
            - painter.fontMetrics().horizontalAdvance(number)
            - small.horizontalAdvance(was)
            - 10
        )
        label = painter.fontMetrics().elidedText(
            qt_style.shorten_text(bar.label, 80), Qt.TextElideMode.ElideRight, int(room)
        )
        painter.drawText(text, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignBottom, label)
        painter.drawText(text, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignBottom, number)
        if was:
            used = painter.fontMetrics().horizontalAdvance(number) + 8
            painter.setFont(qt_style.make_font(relative=0.85))
            painter.setPen(QColor(self._theme.secondary_text))
            beside = text.adjusted(0, 0, -used, 0)
            painter.drawText(
                beside, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignBottom, was
            )
        track = QRectF(row.x() + 0.5, row.bottom() - BAR_HEIGHT - 5, row.width() - 1, BAR_HEIGHT)
        painter.fillPath(_pill(track), QColor(self._theme.hairline))
        now = QRectF(
            track.x(), track.y(), max(track.width() * bar.probability, BAR_HEIGHT * 0.6), BAR_HEIGHT
        )
        painter.fillPath(_pill(now), QColor(self._theme.focus if first else self._theme.outline))
        if bar.before is not None:
            ghost = QRectF(
                track.x(), track.y(), max(track.width() * bar.before, BAR_HEIGHT * 0.6), BAR_HEIGHT
            )
            painter.setPen(QPen(QColor(self._theme.text), 1.4, Qt.PenStyle.DotLine))
            painter.drawPath(_pill(ghost))

    @staticmethod
    def _was(bar: ClassBar) -> str:
        return "" if bar.before is None else f" (was {format_percent(bar.before)})"


def _pill(where: QRectF) -> QPainterPath:
    path = QPainterPath()
    path.addRoundedRect(where, min(where.height(), where.width()) / 2, where.height() / 2)
    return path


def format_percent(share: float) -> str:
    return f"{100 * share:.1f} %" if math.isfinite(share) else "no number"
