"""Rectangles that are searched all at once, for thousands of painters."""

from collections.abc import Sequence

import numpy as np
from PySide6.QtCore import QPointF, QRectF


class RectIndex:
    """Finds rectangles by a point or by another rectangle.

    Args:
        rects: The rectangles.
    """

    def __init__(self, rects: Sequence[QRectF]) -> None:
        sides = [(rect.left(), rect.top(), rect.right(), rect.bottom()) for rect in rects]
        # Reshaped, because an empty list has no second axis.
        self._left, self._top, self._right, self._bottom = np.array(sides).reshape(-1, 4).T

    def around(self, at: QPointF, slack: float = 0.0) -> list[int]:
        """Find the rectangles around a point.

        Args:
            at: The point.
            slack: How far outside it may lie.

        Returns:
            Their indices, ascending.
        """
        return self.touching(QRectF(at, at), slack)

    def touching(self, rect: QRectF, slack: float = 0.0) -> list[int]:
        """Find the rectangles that share a point with another one.

        Args:
            rect: The other rectangle.
            slack: How far outside it may lie.

        Returns:
            Their indices, ascending.
        """
        is_beside = (self._right < rect.left() - slack) | (self._left > rect.right() + slack)
        is_above = (self._bottom < rect.top() - slack) | (self._top > rect.bottom() + slack)
        return np.flatnonzero(~(is_beside | is_above)).tolist()
