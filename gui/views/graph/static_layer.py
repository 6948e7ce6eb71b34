"""Cached drawing of everything that the pointer does not change, drawn in short steps.

A large graph takes longer than a frame to draw. Each step takes a few milliseconds, so that the
window stays responsive; meanwhile the previous drawing is shown, moved and scaled to fit.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPixmap, QTransform

STEP_SECONDS = 0.008  # half a frame; the other half is for everything else

Part = Callable[[QPainter], None]  # draws in scene units


@dataclass(frozen=True, slots=True)
class LayerKey:
    """Everything that a drawing depends on.

    Attributes:
        zoom: Pixels per scene unit.
        left: Position of the scene's origin in pixels.
        top: Position of the scene's origin in pixels.
        width: Pixels of the view.
        height: Pixels of the view.
        ratio: Device pixels per pixel.
        version: Changes with the content.
    """

    zoom: float
    left: float
    top: float
    width: int
    height: int
    ratio: float
    version: int

    @property
    def transform(self) -> QTransform:
        """Return the transform from scene units to pixels."""
        return QTransform(self.zoom, 0, 0, self.zoom, self.left, self.top)


class StaticLayer:
    """A drawing, and the newer one that is being drawn."""

    def __init__(self) -> None:
        self._shown: QPixmap | None = None
        self._shown_key: LayerKey | None = None
        self._next: QPixmap | None = None
        self._next_key: LayerKey | None = None
        self._parts: Iterator[Part] = iter(())

    def reset(self, keep_shown: bool = False) -> None:
        """Forget the parts, which may no longer exist.

        Args:
            keep_shown: True to show the old drawing until there is a new one.
        """
        self._parts = iter(())
        self._next = self._next_key = None
        if not keep_shown:
            self._shown = self._shown_key = None

    def is_current(self, key: LayerKey) -> bool:
        """Return True if the drawing is the one for a key.

        Args:
            key: What it should depend on.
        """
        return self._shown_key == key

    def advance(
        self,
        key: LayerKey,
        make_parts: Callable[[LayerKey], Iterator[Part]],
        seconds: float = STEP_SECONDS,
    ) -> bool:
        """Draw for a while.

        A drawing that was begun is finished before a newer one is begun: while the user drags, the
        newest would never be finished.

        Args:
            key: What the drawing should depend on.
            make_parts: Returns its parts from bottom to top.
            seconds: How long to draw; at least one part is drawn.

        Returns:
            True if the drawing is current.
        """
        end = time.perf_counter() + seconds
        while not self.is_current(key):
            if self._next is None or self._next_key is None:
                self._begin(key, make_parts)
            if not self._draw_until(end):
                return False
        return True

    def paint(self, painter: QPainter, key: LayerKey) -> None:
        """Paint the drawing, moved and scaled if it is not current.

        Args:
            painter: Painter in pixels of the view.
            key: What it should depend on.
        """
        if self._shown is None or self._shown_key is None:
            return
        if self.is_current(key):
            painter.drawPixmap(0, 0, self._shown)
            return
        old = self._shown_key
        factor = key.zoom / old.zoom
        left = key.left - old.left * factor
        top = key.top - old.top * factor
        # The old drawing lies here under the new zoom and pan.
        target = QRectF(left, top, old.width * factor, old.height * factor)
        painter.drawPixmap(target, self._shown, QRectF(self._shown.rect()))

    def _begin(self, key: LayerKey, make_parts: Callable[[LayerKey], Iterator[Part]]) -> None:
        self._next_key = key
        self._next = QPixmap(QSize(key.width, key.height) * key.ratio)
        self._next.setDevicePixelRatio(key.ratio)
        # A new pixmap holds whatever was in memory.
        self._next.fill(Qt.GlobalColor.transparent)
        self._parts = make_parts(key)

    def _draw_until(self, end: float) -> bool:
        """Draw parts until a time; return True if the drawing is finished, and show it."""
        assert self._next is not None
        assert self._next_key is not None
        painter = QPainter(self._next)
        try:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setRenderHint(QPainter.RenderHint.TextAntialiasing)
            painter.setTransform(self._next_key.transform)
            for part in self._parts:
                part(painter)
                # After the part, so that each step makes some progress.
                if time.perf_counter() >= end:
                    return False
        finally:
            # Qt allows one painter per pixmap, also after an exception.
            painter.end()
        # Shown only when whole: half a graph would flicker.
        self._shown = self._next
        self._shown_key = self._next_key
        self._next = self._next_key = None
        return True
