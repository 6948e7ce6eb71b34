"""Banner for messages."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QSizePolicy, QToolButton, QWidget

from gui.views import qt_style


class Banner(QFrame):
    """A message about what went wrong, until it is dismissed."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        qt_style.set_accessible_name(self, "Message", "banner")
        self._text = self._make_text()
        close = qt_style.set_accessible_name(QToolButton(), "Dismiss the message", "quiet")
        close.setText("✕")
        close.clicked.connect(self.hide)
        row = QHBoxLayout(self)
        row.setContentsMargins(14, 8, 8, 8)
        row.addWidget(qt_style.make_label("⚠", "Warning", relative=1.2))
        row.addWidget(self._text, 1)
        row.addWidget(close)
        self.hide()

    def set_text(self, text: str) -> None:
        """Show a message.

        Args:
            text: The message; an empty text hides the banner.
        """
        text = qt_style.shorten_text(text)
        self._text.setText(text)
        self.setAccessibleDescription(text)
        self.setVisible(bool(text))

    @property
    def text(self) -> str:
        """Return the message as it is shown."""
        return self._text.text()

    def _make_text(self) -> QLabel:
        text = qt_style.make_label("", "Message")
        text.setWordWrap(True)
        # A long word from a file must not widen the window.
        text.setMinimumWidth(1)
        text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        text.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        return text
