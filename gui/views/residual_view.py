"""View of an addition: shortcut, branch and sum on one color scale, with norms and cosine."""

import numpy as np
from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from gui.details import AddDetail
from gui.feature_maps import ResidualStats, residual_stats, robust_range
from gui.views import qt_style
from gui.views.channel_view import ChannelView, Element
from gui.views.map_captions import (
    FOOTER_HEIGHT,
    HEADER_HEIGHT,
    draw_footer,
    draw_heading,
    footer_area,
)
from gui.views.map_image import MapImage, describe_position
from gui.views.residual_panel import PANEL_WIDTH, draw_residual_panel, format_stats

SIGN_WIDTH = 44.0  # of the plus and the equals sign between columns
PANEL_MARGIN = 28  # pixels between the sum and the panel
MIN_WIDTH_WITH_PANEL = 680  # pixels of the view; below, the numbers stand in the footer
TITLES = ("shortcut  x", "branch  F(x)", "sum  x + F(x)")


class ResidualView(ChannelView):
    """Three columns on one color scale.

    Hover reads a value in all three; a click enlarges its channel in all three.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Shortcut, branch and sum of the selected addition", 130, parent)
        self._residual: AddDetail | None = None
        self._stats: ResidualStats | None = None
        self._images = (MapImage(), MapImage(), MapImage())
        self._span = 1.0

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
            tensors = _flat_tensors(residual)
            self._stats = residual_stats(*tensors)
            self._span = robust_range(*tensors)
        self.setAccessibleDescription(self.summary())
        self.update_layout()
        self.describe_again()

    def channel_count(self) -> int:
        """Return the number of channels, 0 without an addition."""
        if self._residual is None:
            return 0
        return len(self._residual.total)

    @property
    def value_range(self) -> float:
        """Return the value at the end of the color scale, which begins at its negative."""
        return self._span

    @property
    def images(self) -> tuple[MapImage, MapImage, MapImage]:
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

    def describe_value(self, element: Element | None) -> str:
        """Describe an element of all three tensors, so that the sum can be checked.

        Args:
            element: (channel, y, x), or None.

        Returns:
            Channel, position and values; "" for None.
        """
        if element is None or self._residual is None:
            return ""
        channel, y, x = element
        tokens = self._residual.class_tokens
        if y < 0 and tokens is not None:
            values = [token[-1 - y, channel] for token in tokens]
        else:
            values = [tensor[element] for tensor in _tensors(self._residual)]
        shortcut, branch, total = values
        numbers = f"{shortcut:.5g} + {branch:.5g} = {total:.5g}"
        position = describe_position(y, x, len(tokens[0]) if tokens else 1)
        return f"channel {channel} · {position} · {numbers}"

    # Events

    def clicked_channel(self, found: Element | None) -> int | None:
        """Choose the channel to enlarge: a second click anywhere shows all channels again."""
        if found and self._enlarged is None:
            return found[0]
        return None

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint columns, signs, footer and, where there is room, the panel with the numbers."""
        with qt_style.painting(self) as painter:
            self._paint(painter)

    def _paint(self, painter: QPainter) -> None:
        if self._residual is None or self._stats is None:
            return
        self._draw_columns(painter, self._stats)
        for image, sign in zip(self._images[1:], "+=", strict=True):
            self._draw_sign(painter, image.room.left() - SIGN_WIDTH / 2, sign)
        self._draw_footer(painter)
        panel = self._panel_rect()
        if panel.width() > 0:
            draw_residual_panel(painter, panel, self._stats, self.theme)

    # Painting

    def _draw_columns(self, painter: QPainter, stats: ResidualStats) -> None:
        norms = (stats.shortcut, stats.branch, stats.total)
        for image, title, norm in zip(self._images, TITLES, norms, strict=True):
            area = QRectF(image.room.x(), 0, image.room.width(), HEADER_HEIGHT - 4)
            draw_heading(painter, area, title, f"norm {norm:.4g}", self.theme)
            image.draw(painter)
            if self._hovered_channel is not None and self._enlarged is None:
                image.draw_tile_frame(painter, self._hovered_channel, self.theme.focus)

    def _draw_sign(self, painter: QPainter, x: float, sign: str) -> None:
        center = QPointF(x, HEADER_HEIGHT + self._images[0].covered_rect().height() / 2)
        pen = QPen(QColor(self.theme.add), 2.4)
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
        # The frames around tiles are drawn to the pixel.
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)

    def _draw_footer(self, painter: QPainter) -> None:
        atlas = self._images[0].atlas
        if atlas is None:
            return
        parts = [f"shared color scale, −{self._span:.2g} to {self._span:.2g}"]
        if self._enlarged is not None:
            parts.insert(0, f"channel {self._enlarged}")
        elif self._residual and self._residual.class_tokens:
            parts.append("class token at the right")
        text = " · ".join(parts)
        # Without the panel its two numbers stand in the footer.
        if self._panel_rect().width() == 0:
            text = f"{text}   ·   {self.summary()}"
        draw_footer(painter, footer_area(self.width(), self.height()), text, self.theme, atlas)

    # Layout

    def _panel_rect(self) -> QRectF:
        """Return the rectangle of the numbers at the right; of no width in a narrow window."""
        width = PANEL_WIDTH if self.width() > MIN_WIDTH_WITH_PANEL else 0.0
        return QRectF(self.width() - width, HEADER_HEIGHT, width, self._maps_height())

    def _maps_height(self) -> float:
        return self.height() - HEADER_HEIGHT - FOOTER_HEIGHT

    def locate(self, at: QPointF) -> Element | None:
        """Find the element under a point in any of the columns."""
        for image in self._images:
            found = image.locate(at)
            if found is not None:
                return found
        return None

    def update_layout(self) -> None:
        """Place the three columns anew and repaint."""
        if self._residual is not None:
            panel = self._panel_rect()
            room = panel.x() - 2 * SIGN_WIDTH
            if panel.width():
                room -= PANEL_MARGIN
            width = room / 3
            tokens = self._residual.class_tokens or (None, None, None)
            columns = zip(self._images, _tensors(self._residual), tokens, strict=True)
            for i, (image, values, token) in enumerate(columns):
                x = i * (width + SIGN_WIDTH) + 1
                area = QRectF(x, HEADER_HEIGHT, width - 2, self._maps_height())
                image.enlarged = self._enlarged
                # One span for all three, so that equal values have equal colors.
                image.set_maps(values, area, self.theme, span=self._span, class_token=token)
        self.update()


def _tensors(residual: AddDetail) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return residual.shortcut, residual.branch, residual.total


def _flat_tensors(residual: AddDetail) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return all elements of the three tensors, with those of the class token."""
    tensors = _tensors(residual)
    if residual.class_tokens is None:
        return tensors
    pairs = zip(tensors, residual.class_tokens, strict=True)
    shortcut, branch, total = (np.append(maps.ravel(), token.ravel()) for maps, token in pairs)
    return shortcut, branch, total
