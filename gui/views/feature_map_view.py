"""Feature maps of a node as one image: hover reads a value, a click enlarges a map."""

import numpy as np
from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from gui.details import ConcatDetail, ConcatPart, FeatureMaps
from gui.feature_maps import FeatureMapAtlas
from gui.graph import short_name
from gui.state import Contrast
from gui.views import qt_style
from gui.views.channel_view import ChannelView, Element
from gui.views.concat_sources import draw_sources
from gui.views.map_captions import FOOTER_HEIGHT, draw_footer, footer_area
from gui.views.map_image import MapImage, describe_position

ENLARGED_FRACTION = 0.4  # of the width, for the enlarged map at most
INVITATION = "Select a block in the graph to see its maps"


class FeatureMapView(ChannelView):
    """All maps as one image, as large as fits; beside them the enlarged map, if there is one."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Feature maps of the selected block", 110, parent)
        self._maps: FeatureMaps | ConcatDetail | None = None
        self._contrast: Contrast = "channel"
        self._image = MapImage()

    def set_contrast(self, contrast: Contrast) -> None:
        """Choose the color scale.

        Args:
            contrast: "channel" for one scale per map, "layer" for one for all maps.
        """
        self._contrast = contrast
        self.update_layout()

    def set_maps(self, maps: FeatureMaps | ConcatDetail | None) -> None:
        """Show other maps; the enlarged channel stays enlarged while the node is the same.

        Args:
            maps: Maps (C, H, W) of one node; None for an invitation to select one.
        """
        if maps is None or self._maps is None or maps.name != self._maps.name:
            self._enlarged = None
        self._maps = maps
        self.update_layout()
        self.describe_again()

    def channel_count(self) -> int:
        """Return the number of channels, 0 without maps."""
        if self._maps is None:
            return 0
        return len(self._maps.values)

    @property
    def atlas(self) -> FeatureMapAtlas | None:
        """Return all maps as one image, None without maps."""
        return self._image.atlas

    @property
    def image(self) -> MapImage:
        """Return the maps in their rectangle."""
        return self._image

    def sizeHint(self) -> QSize:
        """Return the preferred size."""
        return QSize(800, 240)

    def tile_rect(self, channel: int) -> QRectF:
        """Return the rectangle of a channel.

        Args:
            channel: Number of the channel.

        Returns:
            Its tile in pixels of this widget.
        """
        return self._image.tile(channel)

    def enlarged_rect(self) -> QRectF:
        """Return the rectangle of the enlarged map: at the right, in its own proportions."""
        max_height = self.height() - FOOTER_HEIGHT
        _, rows, columns = (1, 1, 1) if self._maps is None else self._maps.values.shape
        zoom = min(max_height / rows, self.width() * ENLARGED_FRACTION / columns)
        return QRectF(self.width() - columns * zoom, 0, columns * zoom, rows * zoom)

    def locate(self, at: QPointF) -> Element | None:
        """Find the map element under a point, among the tiles or in the enlarged map.

        Args:
            at: A point in pixels of this widget.

        Returns:
            (channel, y, x), or None beside all maps.
        """
        frame = self.enlarged_rect()
        if self._enlarged is None or self._maps is None or not frame.contains(at):
            return self._image.locate(at)
        _, height, width = self._maps.values.shape
        inside = at - frame.topLeft()
        y = int(inside.y() / frame.height() * height)
        x = int(inside.x() / frame.width() * width)
        return self._enlarged, y, x

    # Text

    def describe_value(self, element: Element | None) -> str:
        """Describe a map element for the status bar.

        Args:
            element: (channel, y, x), or None.

        Returns:
            Channel, position, value and, at a concatenation, the source; "" for None.
        """
        if element is None or self._maps is None:
            return ""
        channel, y, x = element
        parts = [f"channel {channel}"]
        token = self._class_token
        # A vector has no positions.
        if self._maps.values[0].size > 1:
            parts.append(describe_position(y, x, 1 if token is None else len(token)))
        value = self._maps.values[element]
        # Rows below zero count the tokens without a position, see `MapImage.locate`.
        if y < 0 and token is not None:
            value = token[-1 - y, channel]
        parts.append(f"{value:.6g}")
        if source := self._part_of(channel):
            parts.append(f"from {short_name(source.source)}")
        return " · ".join(parts)

    def caption(self, channel: int) -> str:
        """Describe a whole map.

        Args:
            channel: Number of the channel.

        Returns:
            Channel, minimum, mean and maximum.
        """
        assert self._maps
        values = self._maps.values[channel]
        numbers = f"min {values.min():.4g} · mean {values.mean():.4g} · max {values.max():.4g}"
        return f"channel {channel} · {numbers}"

    def legend(self) -> str:
        """Return how many maps there are, and what the colors mean."""
        if self.atlas is None or self._maps is None:
            return ""
        count, height, width = self._maps.values.shape
        if height * width == 1:
            return f"{count} values · {_shared_scale_text(self.atlas)}"
        size = f"{count} channels of {height} × {width}"
        if self._class_token is not None:
            size = f"{count} channels of {height} × {width} tokens, class token at the right"
        if self._contrast == "layer":
            return f"{size} · {_shared_scale_text(self.atlas)}"
        zero = ", zero in the middle" if self.atlas.colormap == "signed" else ""
        return f"{size} · color scale per map{zero}"

    # Events

    def clicked_channel(self, found: Element | None) -> int | None:
        """Choose the channel to enlarge: a click on the enlarged map, or beside all, ends it."""
        is_new = found is not None and found[0] != self._enlarged
        if found and is_new:
            return found[0]
        return None

    def key_steps(self) -> dict[Qt.Key, int]:
        """Return how many channels each arrow key goes on: up and down go by rows."""
        columns = self.atlas.grid.columns if self.atlas else 1
        vertical = {Qt.Key.Key_Down: columns, Qt.Key.Key_Up: -columns}
        return super().key_steps() | vertical

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the maps and what is marked, or the invitation."""
        with qt_style.painting(self) as painter:
            self._paint(painter)

    def _paint(self, painter: QPainter) -> None:
        if self.atlas is None or self._maps is None:
            painter.setPen(QColor(self.theme.secondary_text))
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, INVITATION)
            return
        self._image.draw(painter)
        if isinstance(self._maps, ConcatDetail):
            draw_sources(painter, self._image, self._maps.parts, self.theme)
        if self._hovered_channel is not None:
            self._image.draw_tile_frame(painter, self._hovered_channel, self.theme.secondary_text)
        if self._enlarged is not None:
            self._image.draw_tile_frame(painter, self._enlarged, self.theme.focus)
            self._image.draw_channel(painter, self._enlarged, self.enlarged_rect())
        self._draw_legend(painter, self.atlas)

    # Painting

    def _draw_legend(self, painter: QPainter, atlas: FeatureMapAtlas) -> None:
        text = self.legend()
        if self._enlarged is not None:
            text = f"{text}   ·   {self.caption(self._enlarged)}"
        draw_footer(painter, footer_area(self.width(), self.height()), text, self.theme, atlas)

    # Layout

    def update_layout(self) -> None:
        """Place tiles and the enlarged map anew and repaint."""
        if self._maps is None or self._maps.values.size == 0:
            self._image.clear()
        else:
            values = self._maps.values
            # A vector has one value per tile, which on a scale of its own would say nothing.
            is_shared = self._contrast == "layer" or values[0].size == 1
            self._image.set_maps(
                values,
                self._tiles_room(),
                self.theme,
                shared=is_shared,
                class_token=self._class_token,
            )
            self.setAccessibleDescription(self.legend())
        self.update()

    def _tiles_room(self) -> QRectF:
        """Return the rectangle for the tiles, left of the enlarged map."""
        room = QRectF(1, 1, self.width() - 2, self.height() - FOOTER_HEIGHT - 2)
        if self._enlarged is not None:
            room.setRight(self.enlarged_rect().left() - qt_style.SPACING)
        return room

    @property
    def _class_token(self) -> np.ndarray | None:
        if not isinstance(self._maps, FeatureMaps):
            return None
        return self._maps.class_token

    def _part_of(self, channel: int) -> ConcatPart | None:
        """Return the part of a concatenation that a channel belongs to."""
        if not isinstance(self._maps, ConcatDetail):
            return None
        for part in self._maps.parts:
            if part.start <= channel < part.stop:
                return part
        return None


def _shared_scale_text(atlas: FeatureMapAtlas) -> str:
    return f"shared color scale: {atlas.low[0]:.3g} to {atlas.high[0]:.3g}"
