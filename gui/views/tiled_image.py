"""An atlas laid into a rectangle of the screen: draws itself, and finds the map element under a point."""

import numpy as np
from PySide6.QtCore import QPointF, QRectF
from PySide6.QtGui import QColor, QImage, QPainter, QPen

from gui.feature_maps import FeatureMapAtlas, best_grid, make_atlas
from gui.theme import LIGHT, Theme
from gui.views import qt_style

SMOOTH_ZOOM_LIMIT = (
    1.9  # device pixels an atlas pixel; below, bare pixels would come out unequally wide
)


class TiledImage:
    """Maps (C, H, W) in a room; `enlarged` fills the room with one channel instead."""

    def __init__(self) -> None:
        self.atlas: FeatureMapAtlas | None = None
        self.values = np.zeros((0, 1, 1), np.float32)
        self.room = QRectF()
        self.enlarged: int | None = None
        self._image = QImage()
        self._theme: Theme = LIGHT

    def set_maps(
        self,
        values: np.ndarray,
        room: QRectF,
        theme: Theme,
        *,
        shared: bool = False,
        span: float | None = None,
    ) -> None:
        """Compose anew; `span` fixes the scale to -span..span whatever the values are."""
        self.values, self.room, self._theme = values, room, theme
        if values.size == 0 or room.width() < 2 or room.height() < 2:
            self.clear()
            return
        self.atlas = make_atlas(
            values, best_grid(*values.shape, room=(room.height(), room.width())), shared, span
        )
        self._image = qt_style.atlas_image(self.atlas, theme, theme.panel)

    def clear(self) -> None:
        self.atlas, self._image = None, QImage()

    def zoom(self) -> float:
        """Screen pixels an atlas pixel, as many as fit."""
        if self.atlas is None:
            return 1.0
        (height, width), gap = self.atlas.grid.size, 2 * self.atlas.grid.gap
        return float(
            min(self.room.height() / max(height - gap, 1), self.room.width() / max(width - gap, 1))
        )

    def covered_rect(self) -> QRectF:
        """What the tiles really cover of the room."""
        if self.atlas is None:
            return QRectF(self.room.topLeft(), self.room.topLeft())
        if self.enlarged is not None:
            grid = self.atlas.grid
            side = min(self.room.width() / grid.width, self.room.height() / grid.height)
            return QRectF(self.room.x(), self.room.y(), grid.width * side, grid.height * side)
        zoom, (height, width), gap = self.zoom(), self.atlas.grid.size, 2 * self.atlas.grid.gap
        return QRectF(self.room.x(), self.room.y(), (width - gap) * zoom, (height - gap) * zoom)

    def tile(self, channel: int) -> QRectF:
        """Where a channel lies on the screen."""
        if self.atlas is None or self.enlarged is not None:
            return self.covered_rect()
        grid, zoom = self.atlas.grid, self.zoom()
        y, x = grid.tile_origin(channel)
        top = QPointF((x - grid.gap) * zoom, (y - grid.gap) * zoom) + self.room.topLeft()
        return QRectF(top.x(), top.y(), grid.width * zoom, grid.height * zoom)

    def locate(self, at: QPointF) -> tuple[int, int, int] | None:
        """(channel, y, x) under a point, None beside the tiles."""
        if self.atlas is None or not self.covered_rect().contains(at):
            return None
        grid, inside = self.atlas.grid, at - self.room.topLeft()
        if self.enlarged is not None:
            area = self.covered_rect()
            y, x = (
                int(inside.y() / area.height() * grid.height),
                int(inside.x() / area.width() * grid.width),
            )
            return self.enlarged, min(y, grid.height - 1), min(x, grid.width - 1)
        return grid.locate(inside.y() / self.zoom() + grid.gap, inside.x() / self.zoom() + grid.gap)

    def draw(self, painter: QPainter) -> None:
        if self.atlas is None:
            return
        area, gap = self.covered_rect(), self.atlas.grid.gap
        source = QRectF(gap, gap, self._image.width() - 2 * gap, self._image.height() - 2 * gap)
        if self.enlarged is not None:
            source = self._source(self.enlarged)
        zoom = area.width() / source.width() * painter.device().devicePixelRatio()
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, zoom < SMOOTH_ZOOM_LIMIT)
        painter.drawImage(area, self._image, source)

    def draw_channel(self, painter: QPainter, channel: int, where: QRectF) -> None:
        """One channel, enlarged into `where`."""
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, False)
        painter.drawImage(where, self._image, self._source(channel))

    def draw_tile_frame(self, painter: QPainter, channel: int, color: str) -> None:
        """A line around one tile."""
        painter.setPen(QPen(QColor(color), 2))
        painter.drawRect(self.tile(channel).adjusted(-1, -1, 1, 1))

    def _source(self, channel: int) -> QRectF:
        assert self.atlas
        y, x = self.atlas.grid.tile_origin(channel)
        return QRectF(x, y, self.atlas.grid.width, self.atlas.grid.height)


def draw_colorbar(painter: QPainter, where: QRectF, atlas: FeatureMapAtlas, theme: Theme) -> None:
    """The ramp of an atlas as a small bar, least on the left."""
    colors = qt_style.color_table(atlas.colormap, theme, theme.panel)[:-1]
    line = QImage(len(colors), 1, QImage.Format.Format_RGB32)
    for i, color in enumerate(colors):
        line.setPixel(i, 0, color)
    painter.drawImage(where, line)
