"""Atlas in a rectangle of a widget: draws itself and finds the map element under a point."""

import numpy as np
from PySide6.QtCore import QPointF, QRectF
from PySide6.QtGui import QColor, QImage, QPainter, QPen

from gui.feature_maps import FeatureMapAtlas, best_grid, make_atlas
from gui.theme import LIGHT, Theme
from gui.views.atlas_image import atlas_image, color_table

# Device pixels per atlas pixel. Below this, unsmoothed pixels would come out unequally wide.
SMOOTH_ZOOM_LIMIT = 1.9


class TiledImage:
    """Maps (C, H, W) as tiles in a rectangle, or one channel enlarged to fill it.

    Attributes:
        atlas: The tiles as one image, None without maps.
        values: The maps (C, H, W).
        room: The rectangle that is available, in pixels of the widget.
        enlarged: The channel that fills the rectangle, None for all channels.
    """

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
        """Show other maps, or the same in another rectangle.

        Args:
            values: Maps (C, H, W).
            room: The rectangle that is available, in pixels of the widget.
            theme: The colors to use.
            shared: True for one color scale for all channels.
            span: Fixes the color scale to -span..span, whatever the values are.
        """
        self.values = values
        self.room = room
        self._theme = theme
        # While a window opens its views have no size yet.
        if values.size == 0 or room.width() < 2 or room.height() < 2:
            self.clear()
            return
        grid = best_grid(*values.shape, room=(room.height(), room.width()))
        self.atlas = make_atlas(values, grid, shared, span)
        self._image = atlas_image(self.atlas, theme, theme.panel)

    def clear(self) -> None:
        """Show nothing."""
        self.atlas = None
        self._image = QImage()

    def zoom(self) -> float:
        """Return the widget pixels per atlas pixel, as many as fit."""
        if self.atlas is None:
            return 1.0
        height, width = self._size_without_border(self.atlas)
        return float(min(self.room.height() / max(height, 1), self.room.width() / max(width, 1)))

    def covered_rect(self) -> QRectF:
        """Return the part of the rectangle that the tiles cover."""
        if self.atlas is None:
            return QRectF(self.room.topLeft(), self.room.topLeft())
        if self.enlarged is not None:
            grid = self.atlas.grid
            zoom = min(self.room.width() / grid.width, self.room.height() / grid.height)
            return QRectF(self.room.x(), self.room.y(), grid.width * zoom, grid.height * zoom)
        zoom = self.zoom()
        height, width = self._size_without_border(self.atlas)
        return QRectF(self.room.x(), self.room.y(), width * zoom, height * zoom)

    def tile(self, channel: int) -> QRectF:
        """Return the rectangle of a channel.

        Args:
            channel: Number of the channel.

        Returns:
            Its tile in pixels of the widget; all of it where a channel is enlarged.
        """
        if self.atlas is None or self.enlarged is not None:
            return self.covered_rect()
        grid = self.atlas.grid
        zoom = self.zoom()
        y, x = grid.tile_origin(channel)
        # The gap around all tiles is not drawn, so positions count from the first tile.
        corner = QPointF((x - grid.gap) * zoom, (y - grid.gap) * zoom) + self.room.topLeft()
        return QRectF(corner.x(), corner.y(), grid.width * zoom, grid.height * zoom)

    def locate(self, at: QPointF) -> tuple[int, int, int] | None:
        """Find the map element under a point.

        Args:
            at: A point in pixels of the widget.

        Returns:
            (channel, y, x), or None beside the tiles.
        """
        if self.atlas is None or not self.covered_rect().contains(at):
            return None
        inside = at - self.room.topLeft()
        if self.enlarged is not None:
            return self._locate_enlarged(inside, self.enlarged, self.atlas)
        grid = self.atlas.grid
        zoom = self.zoom()
        return grid.locate(inside.y() / zoom + grid.gap, inside.x() / zoom + grid.gap)

    def draw(self, painter: QPainter) -> None:
        """Draw the tiles, or the enlarged channel.

        Args:
            painter: Painter of the widget.
        """
        if self.atlas is None:
            return
        area = self.covered_rect()
        source = self._source_rect(self.atlas)
        # In device pixels: on a dense screen bare pixels come out evenly at a smaller zoom.
        zoom = area.width() / source.width() * painter.device().devicePixelRatio()
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, zoom < SMOOTH_ZOOM_LIMIT)
        painter.drawImage(area, self._image, source)

    def draw_channel(self, painter: QPainter, channel: int, area: QRectF) -> None:
        """Draw one channel enlarged.

        Args:
            painter: Painter of the widget.
            channel: Number of the channel.
            area: The rectangle to fill, in pixels of the widget.
        """
        assert self.atlas
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, False)
        painter.drawImage(area, self._image, _channel_source(self.atlas, channel))

    def draw_tile_frame(self, painter: QPainter, channel: int, color: str) -> None:
        """Draw a frame around one tile.

        Args:
            painter: Painter of the widget.
            channel: Number of the channel.
            color: Color "#rrggbb" of the frame.
        """
        painter.setPen(QPen(QColor(color), 2))
        painter.drawRect(self.tile(channel).adjusted(-1, -1, 1, 1))

    def _size_without_border(self, atlas: FeatureMapAtlas) -> tuple[int, int]:
        """Return (height, width) of the atlas without the gap around all tiles."""
        height, width = atlas.grid.size
        border = 2 * atlas.grid.gap
        return height - border, width - border

    def _source_rect(self, atlas: FeatureMapAtlas) -> QRectF:
        """Return the part of the atlas that is drawn."""
        if self.enlarged is not None:
            return _channel_source(atlas, self.enlarged)
        gap = atlas.grid.gap
        return QRectF(gap, gap, self._image.width() - 2 * gap, self._image.height() - 2 * gap)

    def _locate_enlarged(
        self, inside: QPointF, channel: int, atlas: FeatureMapAtlas
    ) -> tuple[int, int, int]:
        area = self.covered_rect()
        grid = atlas.grid
        y = int(inside.y() / area.height() * grid.height)
        x = int(inside.x() / area.width() * grid.width)
        # A point on the very edge belongs to the last element.
        return channel, min(y, grid.height - 1), min(x, grid.width - 1)


def draw_colorbar(painter: QPainter, area: QRectF, atlas: FeatureMapAtlas, theme: Theme) -> None:
    """Draw the color map of an atlas as a small bar, the minimum on the left.

    Args:
        painter: Painter of the widget.
        area: The rectangle to fill.
        atlas: The atlas whose color map to draw.
        theme: The colors to use.
    """
    # Without the last color, which is that of the gaps.
    colors = color_table(atlas.colormap, theme, theme.panel)[:-1]
    line = QImage(len(colors), 1, QImage.Format.Format_RGB32)
    for i, color in enumerate(colors):
        line.setPixel(i, 0, color)
    painter.drawImage(area, line)


def _channel_source(atlas: FeatureMapAtlas, channel: int) -> QRectF:
    """Return the rectangle of one tile in pixels of the atlas."""
    y, x = atlas.grid.tile_origin(channel)
    return QRectF(x, y, atlas.grid.width, atlas.grid.height)
