"""Base of views of channels, one of which can be enlarged."""

import numpy as np
from PySide6.QtCore import QEvent, QPointF, Qt, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent, QResizeEvent
from PySide6.QtWidgets import QWidget

from gui.theme import Theme
from gui.views.hover_view import HoverView

ZERO_KEYS = (Qt.Key.Key_Delete, Qt.Key.Key_Backspace)

Element = tuple[int, int, int]  # channel, y, x; y is below 0 in the class token


class ChannelView(HoverView):
    """Channels under the pointer; a click or the arrow keys enlarge one.

    Args:
        name: accessible name.
        min_height: in pixels.
        parent: the widget around it.

    Signals:
        zero_requested(channel): Set the enlarged channel to zero, or restore it.
        position_hovered(position): (y, x) of the map element under the pointer, None for none.
    """

    position_hovered = Signal(object)
    zero_requested = Signal(int)

    def __init__(self, name: str, min_height: int, parent: QWidget | None = None) -> None:
        super().__init__(name, min_height, parent)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._enlarged: int | None = None
        self._hovered_channel: int | None = None
        # True from a key press until the pointer moves: the status bar has the channel's caption.
        self._is_caption_shown = False

    # What subclasses define

    def channel_count(self) -> int:
        """Return the number of channels, 0 without any."""
        return 0

    def locate(self, at: QPointF) -> Element | None:
        """Find the element under a point.

        Args:
            at: a point in pixels of the widget.

        Returns:
            (channel, y, x), None beside all channels.
        """
        return None

    def describe_value(self, element: Element | None) -> str:
        """Describe an element for the status bar.

        Args:
            element: the element.

        Returns:
            Its channel, position and value; "" for None.
        """
        return ""

    def caption(self, channel: int) -> str:
        """Describe a channel as a whole.

        Args:
            channel: its number.

        Returns:
            One line, "" if there is nothing to say.
        """
        return ""

    def update_layout(self) -> None:
        """Place everything anew and repaint."""

    def key_steps(self) -> dict[Qt.Key, int]:
        """Return how many channels each arrow key goes on."""
        return {Qt.Key.Key_Right: 1, Qt.Key.Key_Left: -1}

    def clicked_channel(self, found: Element | None) -> int | None:
        """Choose the channel to enlarge after a click.

        Args:
            found: the element under the pointer.

        Returns:
            Its channel; None to show all channels alike.
        """
        if not found:
            return None
        return found[0]

    # What they share

    @property
    def enlarged_channel(self) -> int | None:
        """Return the channel that is shown enlarged, None for none."""
        return self._enlarged

    def set_theme(self, theme: Theme) -> None:
        """Color the maps anew.

        Args:
            theme: The colors to use.
        """
        self.theme = theme
        self.update_layout()

    def enlarge(self, channel: int | None) -> None:
        """Enlarge a channel.

        Args:
            channel: its number, None for no enlarged channel.
        """
        self._enlarged = channel
        self.update_layout()
        if channel is not None and self.channel_count():
            self._is_caption_shown = True
            if caption := self.caption(channel):
                self.hovered.emit(caption)

    def describe_again(self) -> None:
        """Report the element under the pointer, or the enlarged channel, after a change."""
        if self._is_caption_shown and self._enlarged is not None and self.channel_count():
            if caption := self.caption(self._enlarged):
                self.hovered.emit(caption)
        else:
            super().describe_again()

    def read_pointer(self, at: QPointF | None) -> str:
        """Mark the channel under the pointer and describe its element."""
        found = self.locate(at) if at is not None else None
        self._hovered_channel = found[0] if found else None
        # The class token has no position, so no receptive field.
        is_position = found is not None and found[1] >= 0
        self.position_hovered.emit(found[1:] if found and is_position else None)
        return self.describe_value(found)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Place everything anew."""
        self.update_layout()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Read the element under the pointer."""
        self._is_caption_shown = False
        super().mouseMoveEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        """Forget the pointer."""
        self._is_caption_shown = False
        super().leaveEvent(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Enlarge the channel under the pointer, or end that."""
        self.enlarge(self.clicked_channel(self.locate(event.position())))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Walk through the channels by the arrow keys; Escape ends it, Delete cuts one."""
        step = self.key_steps().get(Qt.Key(event.key()))
        if event.key() == Qt.Key.Key_Escape and self._enlarged is not None:
            self.enlarge(None)
        elif event.key() in ZERO_KEYS and self._enlarged is not None:
            self.zero_requested.emit(self._enlarged)
        elif step is not None and self.channel_count():
            # The first press enters at the first channel.
            current = -1 if self._enlarged is None else self._enlarged
            # Stops at both ends.
            self.enlarge(int(np.clip(current + step, 0, self.channel_count() - 1)))
        else:
            # Other keys go on to the shortcuts of the window.
            super().keyPressEvent(event)
