"""What a gate does: its weights as bars, by channel or sorted, and the maps before and after it."""

import numpy as np
from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QPen, QResizeEvent
from PySide6.QtWidgets import QWidget

from gui.feature_maps import robust_range
from gui.state import Contrast, GateDetail, Order
from gui.theme import LIGHT, Theme
from gui.views import qt_style
from gui.views.tiled_image import TiledImage

HEADER_HEIGHT, FOOTER_HEIGHT, AXIS_WIDTH = 24.0, 26.0, 34.0


CHART_FRACTION = 0.5  # share of the width that the bars take


class GateView(QWidget):
    """Bars on the left, one a channel; before and after on the right, on the same scale and in the same order."""

    hovered = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        qt_style.set_accessible_name(
            self, "Weights of the selected gate, and the maps before and after it"
        )
        self.setMouseTracking(True)
        self.setMinimumHeight(130)
        self._theme: Theme = LIGHT
        self._gates: GateDetail | None = None
        self._order: Order = "channel"
        self._contrast: Contrast = "channel"
        self._sequence = np.zeros(0, int)
        self._plates = (TiledImage(), TiledImage())
        self._under: int | None = None

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self._lay()

    def set_order(self, order: Order) -> None:
        self._order = order
        self._lay()

    def set_contrast(self, contrast: Contrast) -> None:
        self._contrast = contrast
        self._lay()

    def set_gates(self, gates: GateDetail | None) -> None:
        """Weights (C,) and the maps before and after, each (C, H, W)."""
        self._gates = gates
        self._lay()

    @property
    def channel_order(self) -> np.ndarray:
        """Channel numbers in the order in which they are shown, (C,)."""
        return self._sequence

    def sizeHint(self) -> QSize:
        return QSize(800, 240)

    def chart(self) -> QRectF:
        """Where the bars stand."""
        return QRectF(
            AXIS_WIDTH,
            HEADER_HEIGHT,
            self.width() * CHART_FRACTION - AXIS_WIDTH,
            self.height() - HEADER_HEIGHT - FOOTER_HEIGHT,
        )

    def max_weight(self) -> float:
        """The weight at the top of the chart: 1, the greatest a sigmoid gives, or more where a weight is greater."""
        return max(1.0, float(self._gates.weight.max(initial=0))) if self._gates else 1.0

    def bar(self, place: int) -> QRectF:
        """The bar at a place from the left."""
        assert self._gates
        chart, count = self.chart(), len(self._sequence)
        step = chart.width() / max(count, 1)
        weight = max(float(self._gates.weight[self._sequence[place]]), 0.0)
        height = chart.height() * weight / self.max_weight()
        gap = min(step * 0.25, 4.0)
        return QRectF(
            chart.x() + place * step + gap / 2,
            chart.bottom() - height,
            max(step - gap, 1.0),
            height,
        )

    def describe_channel(self, channel: int) -> str:
        assert self._gates
        before, after = self._gates.before[channel], self._gates.after[channel]
        weight = self._gates.weight[channel]
        return f"channel {channel} · weight {weight:.5g} · mean {before.mean():.4g} before, {after.mean():.4g} after"

    # events

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._lay()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self._under = self._place_at(event.position())
        self.hovered.emit(
            "" if self._under is None else self.describe_channel(int(self._sequence[self._under]))
        )
        self.update()

    def leaveEvent(self, event: QEvent) -> None:
        self._under = None
        self.hovered.emit("")
        self.update()

    # painting

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        if self._gates is None:
            return
        self._title(
            painter,
            self.chart().x(),
            "weights",
            "sorted" if self._order == "weight" else "by channel",
        )
        self._draw_axis(painter)
        for place in range(len(self._sequence)):
            lit = place == self._under
            painter.fillRect(
                self.bar(place), QColor(self._theme.focus if lit else self._theme.gate)
            )
        for plate, title, note in zip(
            self._plates, ("before", "after"), ("", "same scale"), strict=True
        ):
            self._title(painter, plate.room.x(), title, note)
            plate.draw(painter)
            if self._under is not None:
                plate.draw_tile_frame(painter, self._under, self._theme.focus)
        self._draw_foot(painter)

    def _title(self, painter: QPainter, x: float, title: str, note: str) -> None:
        where = QRectF(x, 0, self.width(), HEADER_HEIGHT - 4)
        align = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        painter.setFont(qt_style.make_font(bold=True))
        painter.setPen(QColor(self._theme.text))
        painter.drawText(where, align, title)
        used = painter.fontMetrics().horizontalAdvance(title) + 12
        painter.setFont(qt_style.make_font(relative=0.9))
        painter.setPen(QColor(self._theme.secondary_text))
        painter.drawText(where.adjusted(used, 0, 0, 0), align, note)

    def _draw_axis(self, painter: QPainter) -> None:
        chart, top = self.chart(), self.max_weight()
        painter.setFont(qt_style.make_font(relative=0.85))
        for value in (0.0, top / 2, top):
            y = chart.bottom() - chart.height() * value / top
            painter.setPen(QPen(QColor(self._theme.hairline), 1))
            painter.drawLine(QPointF(chart.x(), y), QPointF(chart.right(), y))
            painter.setPen(QColor(self._theme.secondary_text))
            where = QRectF(0, y - 8, AXIS_WIDTH - 6, 16)
            painter.drawText(
                where, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, f"{value:.2g}"
            )

    def _draw_foot(self, painter: QPainter) -> None:
        assert self._gates
        weight = self._gates.weight
        painter.setFont(qt_style.make_font(relative=0.9))
        painter.setPen(QColor(self._theme.secondary_text))
        text = f"{len(weight)} weights · least {weight.min():.3g} · mean {weight.mean():.3g} · greatest {weight.max():.3g}"
        foot = QRectF(
            self.chart().x(), self.height() - FOOTER_HEIGHT + 8, self.width(), FOOTER_HEIGHT - 8
        )
        painter.drawText(foot, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, text)

    # geometry

    def _place_at(self, at: QPointF) -> int | None:
        for plate in self._plates:
            if found := plate.locate(at):
                return found[0]
        chart, count = self.chart(), len(self._sequence)
        return (
            int((at.x() - chart.x()) / chart.width() * count)
            if count and chart.contains(at)
            else None
        )

    def _lay(self) -> None:
        if self._gates is not None:
            weight, both = self._gates.weight, (self._gates.before, self._gates.after)
            by_weight = np.argsort(-weight, kind="stable")
            self._sequence = by_weight if self._order == "weight" else np.arange(len(weight))
            span = robust_range(*both)
            left = self.width() * CHART_FRACTION + 2 * qt_style.SPACING
            room = (self.width() - left - 2 * qt_style.SPACING) / 2
            for i, (plate, values) in enumerate(zip(self._plates, both, strict=True)):
                where = QRectF(
                    left + i * (room + 2 * qt_style.SPACING),
                    HEADER_HEIGHT,
                    room,
                    self.height() - HEADER_HEIGHT - FOOTER_HEIGHT,
                )
                plate.set_maps(values[self._sequence], where, self._theme, span=span)
            self.setAccessibleDescription(
                f"{len(weight)} weights, from {weight.min():.3g} to {weight.max():.3g}"
            )
        self.update()
