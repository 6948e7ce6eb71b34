"""View of an addition: shortcut, branch and sum on one color scale, with norms and cosine."""

import numpy as np
from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen, QResizeEvent
from PySide6.QtWidgets import QWidget

from gui.feature_maps import ResidualStats, residual_stats, robust_range
from gui.state import AddDetail
from gui.theme import LIGHT, Theme
from gui.views.map_captions import (
    FOOTER_HEIGHT,
    HEADER_HEIGHT,
    draw_footer,
    draw_heading,
    footer_area,
)
from gui.views.residual_panel import PANEL_WIDTH, draw_residual_panel, format_stats
from gui.views.tiled_image import TiledImage

SIGN_WIDTH = 44.0  # of the plus and the equals sign between columns
PANEL_MARGIN = 28
MIN_WIDTH_WITH_PANEL = 680  # pixels of the view; below, the numbers stand in the footer
TITLES = ("shortcut  x", "branch  F(x)", "sum  x + F(x)")


class ResidualView(QWidget):
    """Three columns on one color scale.

    Hover reads a value in all three; a click enlarges its channel in all three.

    Signals:
        hovered(text): Describes the element under the pointer, "" beside all maps.
    """

    hovered = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Shortcut, branch and sum of the selected addition")
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumHeight(130)
        self._theme: Theme = LIGHT
        self._residual: AddDetail | None = None
        self._stats: ResidualStats | None = None
        self._images = (TiledImage(), TiledImage(), TiledImage())
        self._span = 1.0
        self._enlarged: int | None = None
        self._hovered_channel: int | None = None

    def set_theme(self, theme: Theme) -> None:
        """Color the maps anew.

        Args:
            theme: The colors to use.
        """
        self._theme = theme
        self._update_layout()

    def set_residual(self, residual: AddDetail | None) -> None:
        """Show another addition; the enlarged channel stays while the addition is the same.

        Args:
            residual: Three tensors of one shape (C, H, W); None for nothing.
        """
        if residual is None or self._residual is None or residual.name != self._residual.name:
            self._enlarged = None
        self._residual = residual
        self._stats = None
        # The range leaves out a few extreme values, which would make all others pale.
        if residual is not None:
            self._stats = residual_stats(residual.shortcut, residual.branch, residual.total)
            self._span = robust_range(*_tensors(residual))
        self.setAccessibleDescription(self.summary())
        self._update_layout()

    @property
    def value_range(self) -> float:
        """Return the value at the end of the color scale, which begins at its negative."""
        return self._span

    @property
    def images(self) -> tuple[TiledImage, TiledImage, TiledImage]:
        """Return the maps of shortcut, branch and sum."""
        return self._images

    def sizeHint(self) -> QSize:
        """Return the preferred size."""
        return QSize(800, 240)

    def summary(self) -> str:
        """Return the norm of the branch relative to the shortcut's, and their cosine."""
        if self._stats is None:
            return ""
        ratio, cosine = format_stats(self._stats)
        return f"|F| / |x| = {ratio}   ·   cosine of F and x = {cosine}"

    def describe_value(self, element: tuple[int, int, int] | None) -> str:
        """Describe an element of all three tensors, so that the sum can be checked.

        Args:
            element: (channel, y, x), or None.

        Returns:
            Channel, position and values; "" for None.
        """
        if element is None or self._residual is None:
            return ""
        channel, y, x = element
        shortcut, branch, total = (float(values[element]) for values in _tensors(self._residual))
        numbers = f"{shortcut:.5g} + {branch:.5g} = {total:.5g}"
        return f"channel {channel} · y {y}, x {x} · {numbers}"

    def enlarge(self, channel: int | None) -> None:
        """Show one channel alone in all three columns.

        Args:
            channel: Number of the channel, None for all channels.
        """
        self._enlarged = channel
        self._update_layout()

    # Events

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Lay the columns out anew."""
        self._update_layout()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Read the element under the pointer."""
        found = self._locate(event.position())
        self._hovered_channel = found[0] if found else None
        self.hovered.emit(self.describe_value(found))
        self.update()

    def leaveEvent(self, event: QEvent) -> None:
        """Forget the element under the pointer."""
        self._hovered_channel = None
        self.hovered.emit("")
        self.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Enlarge the channel under the pointer, or show all channels again."""
        found = self._locate(event.position())
        # A second click anywhere leads back to all channels.
        is_new = found is not None and self._enlarged is None
        self.enlarge(found[0] if found and is_new else None)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Walk through the channels by the arrow keys; Escape ends it."""
        if self._residual is None:
            return
        step = {Qt.Key.Key_Right: 1, Qt.Key.Key_Left: -1}.get(Qt.Key(event.key()))
        if event.key() == Qt.Key.Key_Escape and self._enlarged is not None:
            self.enlarge(None)
        elif step is not None:
            # The first press enters at the first channel.
            current = -1 if self._enlarged is None else self._enlarged
            self.enlarge(int(np.clip(current + step, 0, len(self._residual.total) - 1)))
        else:
            super().keyPressEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint columns, signs, footer and, where there is room, the panel with the numbers."""
        painter = QPainter(self)
        if self._residual is None or self._stats is None:
            return
        self._draw_columns(painter, self._stats)
        for image, sign in zip(self._images[1:], "+=", strict=True):
            self._draw_sign(painter, image.room.left() - SIGN_WIDTH / 2, sign)
        self._draw_footer(painter)
        panel = self._panel_rect()
        if panel.width() > 0:
            draw_residual_panel(painter, panel, self._stats, self._theme)

    # Painting

    def _draw_columns(self, painter: QPainter, stats: ResidualStats) -> None:
        norms = (stats.shortcut, stats.branch, stats.total)
        for image, title, norm in zip(self._images, TITLES, norms, strict=True):
            area = QRectF(image.room.x(), 0, image.room.width(), HEADER_HEIGHT - 4)
            draw_heading(painter, area, title, f"norm {norm:.4g}", self._theme)
            image.draw(painter)
            if self._hovered_channel is not None and self._enlarged is None:
                image.draw_tile_frame(painter, self._hovered_channel, self._theme.focus)

    def _draw_sign(self, painter: QPainter, x: float, sign: str) -> None:
        center = QPointF(x, HEADER_HEIGHT + self._images[0].covered_rect().height() / 2)
        pen = QPen(QColor(self._theme.add), 2.4)
        pen.setCapStyle(Qt.PenCapStyle.RoundCap)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(pen)
        arm = QPointF(6.0, 0.0)
        if sign == "+":
            painter.drawEllipse(center, 12, 12)
            painter.drawLine(center - arm, center + arm)
            painter.drawLine(center - arm.transposed(), center + arm.transposed())
        else:
            for dy in (-3.5, 3.5):
                middle = center + QPointF(0, dy)
                painter.drawLine(middle - arm, middle + arm)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)

    def _draw_footer(self, painter: QPainter) -> None:
        atlas = self._images[0].atlas
        if atlas is None:
            return
        parts = [f"shared color scale, −{self._span:.2g} to {self._span:.2g}"]
        if self._enlarged is not None:
            parts.insert(0, f"channel {self._enlarged}")
        text = " · ".join(parts)
        # Without the panel its two numbers stand in the footer.
        if self._panel_rect().width() == 0:
            text = f"{text}   ·   {self.summary()}"
        draw_footer(painter, footer_area(self.width(), self.height()), text, self._theme, atlas)

    # Layout

    def _panel_rect(self) -> QRectF:
        """Return the rectangle of the numbers at the right; of no width in a narrow window."""
        width = PANEL_WIDTH if self.width() > MIN_WIDTH_WITH_PANEL else 0.0
        return QRectF(self.width() - width, HEADER_HEIGHT, width, self._maps_height())

    def _maps_height(self) -> float:
        return self.height() - HEADER_HEIGHT - FOOTER_HEIGHT

    def _locate(self, at: QPointF) -> tuple[int, int, int] | None:
        """Return (channel, y, x) under a point in any of the columns."""
        for image in self._images:
            found = image.locate(at)
            if found is not None:
                return found
        return None

    def _update_layout(self) -> None:
        if self._residual is not None:
            panel = self._panel_rect()
            room = panel.x() - 2 * SIGN_WIDTH
            if panel.width():
                room -= PANEL_MARGIN
            width = room / 3
            columns = zip(self._images, _tensors(self._residual), strict=True)
            for i, (image, values) in enumerate(columns):
                x = i * (width + SIGN_WIDTH) + 1
                area = QRectF(x, HEADER_HEIGHT, width - 2, self._maps_height())
                image.enlarged = self._enlarged
                # One span for all three, so that equal values have equal colors.
                image.set_maps(values, area, self._theme, span=self._span)
        self.update()


def _tensors(residual: AddDetail) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return residual.shortcut, residual.branch, residual.total
