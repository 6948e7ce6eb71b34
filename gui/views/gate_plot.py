"""Bar chart of a gate's weights, drawn with pyqtgraph.

Importing this module imports pyqtgraph (about 0.4 s), so only the first gate that is shown does it.
"""

from collections.abc import Iterator

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtWidgets import QWidget

from gui.theme import LIGHT, Theme
from gui.views import qt_style

# pyqtgraph's clean-up at exit walks over every Python object, which takes long once torch is there.
pg.setConfigOption("exitCleanup", False)

AXIS_WIDTH = 38  # pixels, room for the tick labels
MARGIN = 8  # pixels above and below the plot area, room for half a tick label
BAR_FRACTION = 0.75  # of the space per channel; the rest is the gap
MAX_CHANNELS_WITH_GAPS = 300  # with more channels than this a gap would be thinner than a pixel
OUTLINE_WIDTH = 1.4  # pixels, of the weights without edits


class GatePlot(pg.GraphicsView):
    """One bar per channel over an axis from 0 to the largest weight, at least to 1.

    The plot takes no mouse events: the view around it asks `bar_index_at` and calls `set_hovered`.
    It is built of pyqtgraph's parts because a `PlotWidget` brings menus that outlive it.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        qt_style.set_accessible_name(self, "Bar chart of the gate's weights", "plot")
        # The view around it reads the pointer, for bars and maps alike.
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._theme: Theme = LIGHT
        # Weights as they are, heights as they are drawn.
        self._weights = np.zeros(0, np.float32)
        self._heights = self._weights
        self._bar_width = BAR_FRACTION
        self._hovered: int | None = None
        self._view_box = pg.ViewBox(enableMenu=False, enableMouse=False, defaultPadding=0.0)
        # Ticks are texts only: the grid lines already mark their heights.
        self._axis = pg.AxisItem("left", linkView=self._view_box, maxTickLength=0)
        self._bars = pg.BarGraphItem(x=[], height=[], width=BAR_FRACTION)
        self._highlight = pg.BarGraphItem(x=[], height=[], width=BAR_FRACTION)
        # One line over all channels: a rectangle per bar would hide the bars of wide layers.
        self._outline = pg.PlotCurveItem([0.0, 1.0], [0.0], stepMode="center")
        self._outline_heights: np.ndarray | None = None
        self._grid_lines = [pg.InfiniteLine(angle=0) for _ in range(3)]
        self._add_items()
        self.set_theme(self._theme)

    def set_theme(self, theme: Theme) -> None:
        """Color ground, axis, grid lines and bars.

        Args:
            theme: The colors to use.
        """
        self._theme = theme
        self.setBackground(theme.panel)
        self._axis.setPen(theme.hairline)
        self._axis.setTextPen(theme.secondary_text)
        self._axis.setTickFont(qt_style.make_font(relative=0.85))
        for line in self._grid_lines:
            line.setPen(pg.mkPen(theme.hairline, width=1))
        self._bars.setOpts(brush=theme.gate, pen=None)
        self._highlight.setOpts(brush=theme.focus, pen=None)
        self._outline.setPen(pg.mkPen(theme.text, width=OUTLINE_WIDTH))

    def set_weights(self, weights: np.ndarray, outline: np.ndarray | None = None) -> None:
        """Show one bar per weight.

        Args:
            weights: Weights (C,) in the order in which to show them, left to right.
            outline: Other weights (C,) in the same order, drawn as an outline over the bars.
        """
        self._weights = weights
        self._hovered = None
        self._bar_width = BAR_FRACTION
        if len(weights) > MAX_CHANNELS_WITH_GAPS:
            self._bar_width = 1.0
        self._heights = _bar_heights(weights)
        x = np.arange(len(weights))
        self._bars.setOpts(x=x, height=self._heights, width=self._bar_width)
        # The bar that was under the pointer belongs to the previous weights.
        self._highlight.setOpts(x=[], height=[], width=self._bar_width)
        self._set_outline(outline)
        self._set_range()

    def outline_heights(self) -> np.ndarray | None:
        """Return the heights (C,) of the outline, None without one."""
        return self._outline_heights

    def set_hovered(self, index: int | None) -> None:
        """Highlight one bar.

        Args:
            index: Position of the bar from the left, None for no highlight.
        """
        if index == self._hovered:
            return
        self._hovered = index
        positions = np.zeros(0, int)
        if index is not None:
            positions = np.array([index])
        self._highlight.setOpts(x=positions, height=self._heights[positions])

    def max_weight(self) -> float:
        """Return the value at the top of the axis: 1, or the largest weight where it exceeds 1."""
        # A diverged model has weights of NaN, which must not be the end of the axis.
        finite = self._weights[np.isfinite(self._weights)]
        top = max(1.0, float(finite.max(initial=0.0)))
        if self._outline_heights is not None:
            top = max(top, float(self._outline_heights.max(initial=0.0)))
        return top

    def vertical_margin(self) -> int:
        """Return the pixels above and below the bars that belong to the tick labels."""
        return MARGIN

    def plot_area(self) -> QRectF:
        """Return the rectangle of the bars without the axis, in pixels of this widget."""
        return self._view_box.mapRectToScene(self._view_box.rect())

    def bar(self, index: int) -> QRectF:
        """Return the rectangle of a bar.

        Args:
            index: Position of the bar from the left.

        Returns:
            The bar in pixels of this widget.
        """
        left = index - self._bar_width / 2
        bar = QRectF(left, 0.0, self._bar_width, float(self._heights[index]))
        # In two steps: from weights to the box, from the box to pixels.
        return self._view_box.mapRectToScene(self._view_box.childTransform().mapRect(bar))

    def bar_index_at(self, at: QPointF) -> int | None:
        """Find the bar in the column under a point.

        Args:
            at: A point in pixels of this widget.

        Returns:
            Position of the bar from the left, None outside the plot area.
        """
        if not len(self._weights) or not self.plot_area().contains(at):
            return None
        # Bars stand at whole numbers, so the nearest one is that of the column.
        column = self._view_box.mapSceneToView(at).x()
        return int(np.clip(np.rint(column), 0, len(self._weights) - 1))

    def _place_items(self) -> None:
        """Give the bars all the room beside the axis."""
        height = max(self.height() - 2 * MARGIN, 1)
        self._axis.setGeometry(QRectF(0, MARGIN, AXIS_WIDTH, height))
        self._view_box.setGeometry(QRectF(AXIS_WIDTH, MARGIN, self.width() - AXIS_WIDTH, height))

    def _add_items(self) -> None:
        # Fixed, so that the bars do not move when the tick labels get longer.
        self._axis.setWidth(AXIS_WIDTH)
        self.addItem(self._view_box)
        self.addItem(self._axis)
        for line in self._grid_lines:
            # Behind the bars, as in a printed chart.
            line.setZValue(-1)
            self._view_box.addItem(line, ignoreBounds=True)
        self._view_box.addItem(self._bars)
        self._view_box.addItem(self._highlight)
        self._view_box.addItem(self._outline, ignoreBounds=True)
        # Emitted after each change of size, when scene units are pixels of the widget again.
        self.sigDeviceRangeChanged.connect(self._place_items)

    def _set_outline(self, weights: np.ndarray | None) -> None:
        """Draw steps at the heights of other weights, or nothing."""
        self._outline_heights = None if weights is None else _bar_heights(weights)
        self._outline.setVisible(weights is not None)
        if self._outline_heights is not None:
            # Steps need one edge more than there are heights.
            edges = np.arange(len(self._outline_heights) + 1) - 0.5
            self._outline.setData(edges, self._outline_heights)

    def _set_range(self) -> None:
        top = self.max_weight()
        count = max(len(self._weights), 1)
        # Half a bar of room on each side: bars are centered on their numbers.
        self._view_box.setRange(xRange=(-0.5, count - 0.5), yRange=(0.0, top), padding=0)
        self._axis.setTicks([list(_ticks(top))])
        for line, (value, _) in zip(self._grid_lines, _ticks(top), strict=True):
            line.setValue(value)


def _bar_heights(weights: np.ndarray) -> np.ndarray:
    """Return the heights of bars; one cannot show NaN or inf, which footer and hover do."""
    return np.nan_to_num(np.maximum(weights, 0.0), posinf=0.0)


def _ticks(top: float) -> Iterator[tuple[float, str]]:
    """Yield (value, text) of the three ticks of the axis."""
    for value in (0.0, top / 2, top):
        yield value, f"{value:.2g}"
