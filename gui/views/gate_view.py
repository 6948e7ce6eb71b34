"""View of a gate: its weights as bars, by channel or sorted, and the maps before and after it."""

from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QPointF, QRectF, QSize
from PySide6.QtGui import QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QWidget

from gui.details import GateDetail
from gui.feature_maps import robust_range
from gui.state import Contrast, Order
from gui.theme import Theme
from gui.views import qt_style
from gui.views.hover_view import HoverView
from gui.views.map_captions import (
    FOOTER_HEIGHT,
    HEADER_HEIGHT,
    draw_footer,
    draw_heading,
    footer_area,
)
from gui.views.tiled_image import TiledImage

if TYPE_CHECKING:
    from gui.views.gate_plot import GatePlot

PLOT_FRACTION = 0.5  # of the width; the maps take the rest
ORDER_NOTES: dict[Order, str] = {"channel": "by channel", "weight": "sorted"}


class GateView(HoverView):
    """Bars on the left, one per channel; maps before and after the gate on the right.

    Bars and maps have the same order, and both maps have the same color scale. After an edit, an
    outline shows each weight as it was without edits.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        name = "Weights of the selected gate, and the maps before and after it"
        super().__init__(name, 130, parent)
        self._gate: GateDetail | None = None
        self._order: Order = "channel"
        self._channels = np.zeros(0, int)
        self._images = (TiledImage(), TiledImage())
        self._plot: GatePlot | None = None
        # By position in the order shown, not by channel number.
        self._hovered_index: int | None = None

    def set_theme(self, theme: Theme) -> None:
        """Color everything anew.

        Args:
            theme: The colors to use.
        """
        self.theme = theme
        if self._plot is not None:
            self._plot.set_theme(theme)
        self._update_layout()

    def set_order(self, order: Order) -> None:
        """Choose the order of bars and maps.

        Args:
            order: "channel" for channel numbers, "weight" for the largest weight first.
        """
        self._order = order
        self._show_gate()

    def set_contrast(self, contrast: Contrast) -> None:
        """Ignore the choice: before and after share one color scale in any case.

        Args:
            contrast: The choice for other views.
        """

    def set_gates(self, gates: GateDetail | None) -> None:
        """Show another gate.

        Args:
            gates: Weights (C,) and the maps before and after, each (C, H, W); None for no gate.
        """
        self._gate = gates
        self._show_gate()

    @property
    def channel_order(self) -> np.ndarray:
        """Return channel numbers (C,) in the order in which they are shown."""
        return self._channels

    @property
    def images(self) -> tuple[TiledImage, TiledImage]:
        """Return the maps before and after the gate."""
        return self._images

    def sizeHint(self) -> QSize:
        """Return the preferred size."""
        return QSize(800, 240)

    def plot_area(self) -> QRectF:
        """Return the rectangle of the bars without their axis, in pixels of this widget."""
        plot = self._require_plot()
        return plot.plot_area().translated(QPointF(plot.pos()))

    def max_weight(self) -> float:
        """Return the weight at the top of the axis: 1, or the largest weight where it exceeds 1."""
        return self._require_plot().max_weight()

    def bar(self, index: int) -> QRectF:
        """Return the rectangle of a bar.

        Args:
            index: Position of the bar from the left.

        Returns:
            The bar in pixels of this widget.
        """
        plot = self._require_plot()
        return plot.bar(index).translated(QPointF(plot.pos()))

    def describe_channel(self, channel: int) -> str:
        """Describe one channel for the status bar.

        Args:
            channel: Number of the channel in the model, whatever the order of the bars.

        Returns:
            Its weight and the mean of its map before and after the gate.
        """
        gate = self._gate
        assert gate
        before = gate.before[channel].mean()
        after = gate.after[channel].mean()
        weight = f"weight {gate.weight[channel]:.5g}"
        if gate.weight_without_edits is not None:
            weight = f"{weight} (without edits {gate.weight_without_edits[channel]:.5g})"
        return f"channel {channel} · {weight} · mean {before:.4g} before, {after:.4g} after"

    # Events

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Lay the parts out anew."""
        self._update_layout()

    def read_pointer(self, at: QPointF | None) -> str:
        """Mark and describe the channel under the pointer."""
        index = self._index_at(at) if at is not None else None
        self._set_hovered(index)
        if index is None:
            return ""
        return self.describe_channel(int(self._channels[index]))

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint titles, maps and footer; the bars paint themselves."""
        with qt_style.painting(self) as painter:
            self._paint(painter)

    def _paint(self, painter: QPainter) -> None:
        if self._gate is None:
            return
        note = ORDER_NOTES[self._order]
        if self._gate.weight_without_edits is not None:
            note = f"{note} · outline: without edits"
        self._draw_heading(painter, self.plot_area(), "weights", note)
        titles = (("before", ""), ("after", "same scale"))
        for image, (title, note) in zip(self._images, titles, strict=True):
            self._draw_heading(painter, image.room, title, note)
            image.draw(painter)
            if self._hovered_index is not None:
                image.draw_tile_frame(painter, self._hovered_index, self.theme.focus)
        area = footer_area(self.width(), self.height(), self.plot_area().x())
        draw_footer(painter, area, _describe_weights(self._gate.weight), self.theme)

    def _draw_heading(self, painter: QPainter, below: QRectF, title: str, note: str) -> None:
        area = QRectF(below.x(), 0, below.width(), HEADER_HEIGHT - 4)
        draw_heading(painter, area, title, note, self.theme)

    # Layout

    def _show_gate(self) -> None:
        if self._plot is not None:
            self._plot.setVisible(self._gate is not None)
        if self._gate is not None:
            weight = self._gate.weight
            self._channels = _sort_channels(weight, self._order)
            before = self._gate.weight_without_edits
            outline = None if before is None else before[self._channels]
            self._require_plot().set_weights(weight[self._channels], outline)
            self.setAccessibleDescription(
                f"{len(weight)} weights, from {weight.min():.3g} to {weight.max():.3g}"
            )
        self._update_layout()
        self.describe_again()

    def _require_plot(self) -> "GatePlot":
        """Return the bar chart, created when the first gate is shown."""
        if self._plot is None:
            # Importing pyqtgraph takes about 0.4 s, which the start of the app must not pay.
            from gui.views.gate_plot import GatePlot

            self._plot = GatePlot(self)
            self._plot.set_theme(self.theme)
            self._plot.show()
        return self._plot

    def _update_layout(self) -> None:
        if self._gate is not None:
            self._place_plot()
            self._place_images(self._gate)
        self.update()

    def _place_plot(self) -> None:
        # The widget is a little higher than the bars, so that the tick labels are not cut off.
        plot = self._require_plot()
        margin = plot.vertical_margin()
        top = int(HEADER_HEIGHT) - margin
        height = int(self.height() - HEADER_HEIGHT - FOOTER_HEIGHT) + 2 * margin
        plot.setGeometry(0, top, int(self.width() * PLOT_FRACTION), max(height, 0))

    def _place_images(self, gate: GateDetail) -> None:
        pair = (gate.before, gate.after)
        # One span for both: the maps after the gate must look as pale as they are.
        span = robust_range(*pair)
        left = self.width() * PLOT_FRACTION + 2 * qt_style.SPACING
        width = (self.width() - left - 2 * qt_style.SPACING) / 2
        height = self.height() - HEADER_HEIGHT - FOOTER_HEIGHT
        for i, (image, values) in enumerate(zip(self._images, pair, strict=True)):
            x = left + i * (width + 2 * qt_style.SPACING)
            area = QRectF(x, HEADER_HEIGHT, width, height)
            image.set_maps(values[self._channels], area, self.theme, span=span)

    def _index_at(self, at: QPointF) -> int | None:
        """Return the position, in the order shown, of the bar or map under a point."""
        for image in self._images:
            if found := image.locate(at):
                return found[0]
        if self._gate is None or self._plot is None:
            return None
        return self._plot.bar_index_at(at - QPointF(self._plot.pos()))

    def _set_hovered(self, index: int | None) -> None:
        self._hovered_index = index
        if self._plot is not None:
            self._plot.set_hovered(index)
        self.update()


def _sort_channels(weight: np.ndarray, order: Order) -> np.ndarray:
    """Return channel numbers (C,) in the order in which to show them."""
    if order == "weight":
        # Stable, so that equal weights keep the order of their channels.
        return np.argsort(-weight, kind="stable")
    return np.arange(len(weight))


def _describe_weights(weight: np.ndarray) -> str:
    values = f"min {weight.min():.3g} · mean {weight.mean():.3g} · max {weight.max():.3g}"
    return f"{len(weight)} weights · {values}"
