"""Base of views whose values are read by the pointer."""

from PySide6.QtCore import QEvent, QPointF, Signal
from PySide6.QtGui import QHideEvent, QMouseEvent
from PySide6.QtWidgets import QWidget

from gui.theme import LIGHT, Theme
from gui.views import qt_style


class HoverView(QWidget):
    """Reports what is under the pointer, again whenever the values change.

    Args:
        name: accessible name.
        min_height: in pixels.
        parent: the widget around it.

    Signals:
        hovered(text): Describes what is under the pointer, "" for nothing.
    """

    hovered = Signal(str)

    def __init__(self, name: str, min_height: int, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        qt_style.set_accessible_name(self, name)
        # Otherwise Qt reports moves only while a button is down.
        self.setMouseTracking(True)
        self.setMinimumHeight(min_height)
        self.theme: Theme = LIGHT
        self._pointer: QPointF | None = None

    def read_pointer(self, at: QPointF | None) -> str:
        """Mark and describe what is under the pointer; subclasses override this.

        Args:
            at: the pointer in pixels of the widget, None if it is elsewhere.

        Returns:
            The description, "" for nothing.
        """
        return ""

    def describe_again(self) -> None:
        """Report what is under the pointer after the values have changed."""
        if self._pointer is not None:
            self.hovered.emit(self.read_pointer(self._pointer))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Read what is under the pointer."""
        self._pointer = event.position()
        self.describe_again()
        self.update()

    def leaveEvent(self, event: QEvent) -> None:
        """Forget the pointer."""
        self._forget_pointer()

    def hideEvent(self, event: QHideEvent) -> None:
        """Forget the pointer: another view is shown in this place."""
        if self._pointer is not None:
            self._forget_pointer()

    def _forget_pointer(self) -> None:
        self._pointer = None
        self.hovered.emit(self.read_pointer(None))
        self.update()
