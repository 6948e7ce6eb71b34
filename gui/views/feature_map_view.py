"""All channels of a block as one image: hover reads a value, a click enlarges a map."""

import numpy as np
from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QWidget

from gui.colormaps import source_color
from gui.feature_maps import FeatureMapAtlas
from gui.graph import name_suffix, short_name
from gui.state import ConcatDetail, ConcatPart, Contrast, FeatureMaps
from gui.theme import LIGHT, Theme
from gui.views import qt_style
from gui.views.tiled_image import TiledImage, draw_colorbar

FOOTER_HEIGHT = 26.0


SOURCE_BAR_HEIGHT = 3.0


class FeatureMapView(QWidget):
    """One uint8 atlas, scaled to the room there is; beside it the enlarged map, once one is clicked."""

    hovered = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        qt_style.set_accessible_name(self, "Feature maps of the selected block")
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumHeight(110)
        self._theme: Theme = LIGHT
        self._maps: FeatureMaps | ConcatDetail | None = None
        self._contrast: Contrast = "channel"
        self._plate = TiledImage()
        self._pinned: int | None = None
        self._under: int | None = None

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self._lay()

    def set_contrast(self, contrast: Contrast) -> None:
        self._contrast = contrast
        self._lay()

    def set_maps(self, maps: FeatureMaps | ConcatDetail | None) -> None:
        """Maps (C, H, W) of one block; the enlarged channel stays enlarged while the block is the same."""
        if maps is None or self._maps is None or maps.name != self._maps.name:
            self._pinned = None
        self._maps = maps
        self._lay()

    @property
    def atlas(self) -> FeatureMapAtlas | None:
        return self._plate.atlas

    @property
    def enlarged_channel(self) -> int | None:
        return self._pinned

    def sizeHint(self) -> QSize:
        return QSize(800, 240)

    def tile_rect(self, channel: int) -> QRectF:
        """Where a channel lies in the widget."""
        return self._plate.tile(channel)

    def locate(self, at: QPointF) -> tuple[int, int, int] | None:
        """(channel, y, x) under a point of the widget: in the atlas or in the enlarged map."""
        if self._pinned is None or self._maps is None or not self._loupe().contains(at):
            return self._plate.locate(at)
        frame, (_, height, width) = self._loupe(), self._maps.values.shape
        inside = at - frame.topLeft()
        return (
            self._pinned,
            int(inside.y() / frame.height() * height),
            int(inside.x() / frame.width() * width),
        )

    def enlarge(self, channel: int | None) -> None:
        """Enlarge one channel, or none."""
        self._pinned = channel
        self._lay()
        if channel is not None and self._maps is not None:
            self.hovered.emit(self.caption(channel))

    # words

    def describe_value(self, found: tuple[int, int, int] | None) -> str:
        """The exact value of a map element, for the status bar."""
        if found is None or self._maps is None:
            return ""
        channel, y, x = found
        part = self._part(channel)
        made = f" · made by {short_name(part.source)}" if part else ""
        place = f" · y {y}, x {x}" if self._maps.values[0].size > 1 else ""
        return f"channel {channel}{place} · {self._maps.values[channel, y, x]:.6g}{made}"

    def caption(self, channel: int) -> str:
        assert self._maps
        values = self._maps.values[channel]
        return f"channel {channel} · min {values.min():.4g} · mean {values.mean():.4g} · max {values.max():.4g}"

    def legend(self) -> str:
        """What the colors mean."""
        if self.atlas is None or self._maps is None:
            return ""
        count, height, width = self._maps.values.shape
        size = (
            f"{count} channels of {height} × {width}" if height * width > 1 else f"{count} values"
        )
        if self._contrast == "channel" and height * width > 1:
            middle = ", zero in the middle" if self.atlas.colormap == "signed" else ""
            return f"{size} · color scale per map{middle}"
        return f"{size} · one scale for all: {self.atlas.low[0]:.3g} to {self.atlas.high[0]:.3g}"

    # events

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._lay()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        found = self.locate(event.position())
        self._under = found[0] if found else None
        self.hovered.emit(self.describe_value(found))
        self.update()

    def leaveEvent(self, event: QEvent) -> None:
        self._under = None
        self.hovered.emit("")
        self.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        found = self.locate(event.position())
        self.enlarge(None if found is None or found[0] == self._pinned else found[0])

    def keyPressEvent(self, event: QKeyEvent) -> None:
        columns = self.atlas.grid.columns if self.atlas else 1
        steps = {
            Qt.Key.Key_Right: 1,
            Qt.Key.Key_Left: -1,
            Qt.Key.Key_Down: columns,
            Qt.Key.Key_Up: -columns,
        }
        step = steps.get(Qt.Key(event.key()))
        if event.key() == Qt.Key.Key_Escape and self._pinned is not None:
            self.enlarge(None)
        elif step is not None and self._maps is not None:
            now = -1 if self._pinned is None else self._pinned
            self.enlarge(int(np.clip(now + step, 0, len(self._maps.values) - 1)))
        else:
            super().keyPressEvent(event)

    # painting

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        if self.atlas is None or self._maps is None:
            painter.setPen(QColor(self._theme.secondary_text))
            painter.drawText(
                self.rect(),
                Qt.AlignmentFlag.AlignCenter,
                "Select a block in the graph to see its maps",
            )
            return
        self._plate.draw(painter)
        if isinstance(self._maps, ConcatDetail):
            self._draw_parts(painter, self._maps.parts)
        if self._under is not None:
            self._plate.draw_tile_frame(painter, self._under, self._theme.secondary_text)
        if self._pinned is not None:
            self._plate.draw_tile_frame(painter, self._pinned, self._theme.focus)
            self._plate.draw_channel(painter, self._pinned, self._loupe())
        self._draw_legend(painter, self.atlas)

    def _draw_parts(self, painter: QPainter, parts: tuple[ConcatPart, ...]) -> None:
        """A bar in the source's color under each tile, and the source's name on the first tile it made."""
        painter.setFont(qt_style.make_font(relative=0.85))
        for part in parts:
            color = QColor(source_color(part.index, part.count, self._theme))
            for channel in range(part.start, part.stop):
                tile = self._plate.tile(channel)
                painter.fillRect(
                    QRectF(
                        tile.x(), tile.bottom() - SOURCE_BAR_HEIGHT, tile.width(), SOURCE_BAR_HEIGHT
                    ),
                    color,
                )
            self._draw_name(painter, part, color)

    def _draw_name(self, painter: QPainter, part: ConcatPart, color: QColor) -> None:
        """The source's name on its first tile, as wide as its first row allows; left out where it cannot be read."""
        first, metrics = self._plate.tile(part.start), painter.fontMetrics()
        row = [
            tile
            for c in range(part.start, part.stop)
            if (tile := self._plate.tile(c)).y() == first.y()
        ]
        name = name_suffix(part.source)
        width = min(row[-1].right() - first.x(), metrics.horizontalAdvance(name) + 8.0)
        text = metrics.elidedText(name, Qt.TextElideMode.ElideRight, int(width - 4))
        if first.height() >= 2 * metrics.height() and text.startswith(name[:3]):
            plate = QRectF(first.x(), first.bottom() - metrics.height(), width, metrics.height())
            painter.fillRect(plate, color)
            painter.setPen(QColor(self._theme.panel))
            painter.drawText(plate, Qt.AlignmentFlag.AlignCenter, text)

    def _draw_legend(self, painter: QPainter, atlas: FeatureMapAtlas) -> None:
        foot = QRectF(0, self.height() - FOOTER_HEIGHT + 8, self.width(), FOOTER_HEIGHT - 8)
        draw_colorbar(painter, QRectF(foot.x(), foot.y() + 4, 64, 9), atlas, self._theme)
        painter.setPen(QColor(self._theme.secondary_text))
        painter.setFont(qt_style.make_font(relative=0.9))
        text = (
            self.legend()
            if self._pinned is None
            else f"{self.legend()}   ·   {self.caption(self._pinned)}"
        )
        align = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft
        painter.drawText(foot.adjusted(74, 0, 0, 0), align, text)

    # geometry

    def _loupe(self) -> QRectF:
        """Where the enlarged map lies: at the right, in its own proportions."""
        high = self.height() - FOOTER_HEIGHT
        _, rows, columns = self._maps.values.shape if self._maps is not None else (1, 1, 1)
        zoom = min(high / rows, self.width() * 0.4 / columns)
        return QRectF(self.width() - columns * zoom, 0, columns * zoom, rows * zoom)

    def _lay(self) -> None:
        if self._maps is None or self._maps.values.size == 0:
            self._plate.clear()
        else:
            room = QRectF(1, 1, self.width() - 2, self.height() - FOOTER_HEIGHT - 2)
            if self._pinned is not None:
                room.setRight(self._loupe().left() - qt_style.SPACING)
            values = self._maps.values
            shared = self._contrast == "layer" or values[0].size == 1
            self._plate.set_maps(values, room, self._theme, shared=shared)
            self.setAccessibleDescription(self.legend())
        self.update()

    def _part(self, channel: int) -> ConcatPart | None:
        parts = self._maps.parts if isinstance(self._maps, ConcatDetail) else ()
        return next((part for part in parts if part.start <= channel < part.stop), None)
