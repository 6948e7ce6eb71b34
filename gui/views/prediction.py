"""The likeliest classes as bars; with edits active, where each bar stood before them."""

import math

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetrics, QPainter, QPainterPath, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from gui.state import Bar
from gui.theme import LIGHT, Theme
from gui.views import style

ROW = 36.0
BAR = 10.0


class PredictionView(QWidget):
    """Up to five classes, best first: the filled bar is now, the outlined one is without the edits."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        style.named(self, "Prediction, the five likeliest classes")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._theme: Theme = LIGHT
        self._bars: tuple[Bar, ...] = ()

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self.update()

    def set_bars(self, bars: tuple[Bar, ...]) -> None:
        self._bars = bars
        words = (f"{bar.label} {percent(bar.share)}{self._was(bar)}" for bar in bars)
        self.setAccessibleDescription(", ".join(words))
        lines = (f"{style.brief(bar.label, 80)}: {100 * bar.share:.4f} %{self._was(bar)}" for bar in bars)
        self.setToolTip(style.tip("\n".join(lines)))
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(240, int(ROW * 5))

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for i, bar in enumerate(self._bars):
            self._draw(painter, bar, QRectF(0, i * ROW, self.width(), ROW), first=i == 0)

    def _draw(self, painter: QPainter, bar: Bar, row: QRectF, first: bool) -> None:
        text = row.adjusted(0, 0, 0, -BAR - 8)
        painter.setFont(style.font(bold=first))
        painter.setPen(QColor(self._theme.ink))
        number = percent(bar.share)
        was = "" if bar.before is None else f"was {percent(bar.before)}"
        small = QFontMetrics(style.font(relative=0.85))
        room = text.width() - painter.fontMetrics().horizontalAdvance(number) - small.horizontalAdvance(was) - 10
        label = painter.fontMetrics().elidedText(style.brief(bar.label, 80), Qt.TextElideMode.ElideRight, int(room))
        painter.drawText(text, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignBottom, label)
        painter.drawText(text, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignBottom, number)
        if was:
            used = painter.fontMetrics().horizontalAdvance(number) + 8
            painter.setFont(style.font(relative=0.85))
            painter.setPen(QColor(self._theme.soft))
            beside = text.adjusted(0, 0, -used, 0)
            painter.drawText(beside, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignBottom, was)
        track = QRectF(row.x() + 0.5, row.bottom() - BAR - 5, row.width() - 1, BAR)
        painter.fillPath(_pill(track), QColor(self._theme.line))
        now = QRectF(track.x(), track.y(), max(track.width() * bar.share, BAR * 0.6), BAR)
        painter.fillPath(_pill(now), QColor(self._theme.focus if first else self._theme.edge))
        if bar.before is not None:
            ghost = QRectF(track.x(), track.y(), max(track.width() * bar.before, BAR * 0.6), BAR)
            painter.setPen(QPen(QColor(self._theme.ink), 1.4, Qt.PenStyle.DotLine))
            painter.drawPath(_pill(ghost))

    @staticmethod
    def _was(bar: Bar) -> str:
        return "" if bar.before is None else f" (was {percent(bar.before)})"


def _pill(where: QRectF) -> QPainterPath:
    path = QPainterPath()
    path.addRoundedRect(where, min(where.height(), where.width()) / 2, where.height() / 2)
    return path


def percent(share: float) -> str:
    return f"{100 * share:.1f} %" if math.isfinite(share) else "no number"
