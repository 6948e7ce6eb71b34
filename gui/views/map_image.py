"""Maps with the tokens that have no position on them, side by side in one rectangle."""

import numpy as np
from PySide6.QtCore import QPointF, QRectF
from PySide6.QtGui import QPainter

from gui.theme import Theme
from gui.views.tiled_image import TiledImage

TOKEN_FRACTION = 0.2  # of the width, for the class token
TOKEN_GAP = 12.0  # pixels


class MapImage(TiledImage):
    """Maps as tiles and, right of them, one value per channel of the class token.

    Attributes:
        tokens: the class token, empty for maps without tokens.
    """

    def __init__(self) -> None:
        super().__init__()
        self.tokens = TiledImage()

    def set_maps(
        self,
        values: np.ndarray,
        room: QRectF,
        theme: Theme,
        *,
        shared: bool = False,
        span: float | None = None,
        class_token: np.ndarray | None = None,
    ) -> None:
        """Show other maps, or the same in another rectangle.

        Args:
            values: Maps (C, H, W).
            room: The rectangle that is available, in pixels of the widget.
            theme: The colors to use.
            shared: True for one color scale for all channels.
            span: Fixes the color scale to -span..span, whatever the values are.
            class_token: Values (P, C) of tokens without a position.
        """
        self.tokens.clear()
        # An enlarged channel has all the room.
        if class_token is not None and self.enlarged is None:
            width = room.width() * TOKEN_FRACTION
            token_room = QRectF(room.right() - width, room.y(), width, room.height())
            room = room.adjusted(0, 0, -width - TOKEN_GAP, 0)
            # One scale: a single value on a scale of its own would say nothing.
            columns = np.ascontiguousarray(class_token.T)[:, :, None]
            self.tokens.set_maps(columns, token_room, theme, shared=True, span=span)
        super().set_maps(values, room, theme, shared=shared, span=span)

    def locate(self, at: QPointF) -> tuple[int, int, int] | None:
        """Find the map element under a point.

        Args:
            at: A point in pixels of the widget.

        Returns:
            (channel, y, x), with y = -1 for the first token without a position, -2 for the
            second and so on; None beside the tiles.
        """
        found = self.tokens.locate(at)
        if found:
            channel, token, _ = found
            # Below zero, so that a token is not taken for a row of the map.
            return channel, -1 - token, 0
        return super().locate(at)

    def draw(self, painter: QPainter) -> None:
        """Draw the tiles, or the enlarged channel.

        Args:
            painter: Painter of the widget.
        """
        super().draw(painter)
        self.tokens.draw(painter)

    def draw_tile_frame(self, painter: QPainter, channel: int, color: str) -> None:
        """Draw a frame around one tile, and around its value in the class token.

        Args:
            painter: Painter of the widget.
            channel: Number of the channel.
            color: Color "#rrggbb" of the frame.
        """
        super().draw_tile_frame(painter, channel, color)
        if self.tokens.atlas is not None:
            self.tokens.draw_tile_frame(painter, channel, color)


def describe_position(y: int, x: int, count: int = 1) -> str:
    """Describe where an element is.

    Args:
        y: Its row; below 0 for a token without a position.
        x: Its column.
        count: Number of tokens without a position.

    Returns:
        "y 3, x 5", "class token" and the like.
    """
    if y >= 0:
        return f"y {y}, x {x}"
    # Only the first of several is the class token; others are registers or for distillation.
    if y == -1:
        return "class token"
    return f"extra token {-y} of {count}"
