"""A banner for messages."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QSizePolicy,
    QToolButton,
    QWidget,
)

from gui.views import qt_style


class Banner(QFrame):
    """One sentence about what went wrong, until it is dismissed."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        qt_style.set_accessible_name(self, "Message", "banner")
        row = QHBoxLayout(self)
        row.setContentsMargins(14, 8, 8, 8)
        self._text = qt_style.make_label("", "Message")
        self._text.setWordWrap(True)
        self._text.setMinimumWidth(1)  # a long word out of a file must not widen the window
        self._text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._text.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        close = qt_style.set_accessible_name(QToolButton(), "Dismiss the message", "quiet")
        close.setText("✕")
        close.clicked.connect(self.hide)
        row.addWidget(qt_style.make_label("⚠", "Warning", relative=1.2))
        row.addWidget(self._text, 1)
        row.addWidget(close)
        self.hide()

    def set_text(self, text: str) -> None:
        """Show a sentence; the empty text takes the banner away."""
        text = qt_style.shorten_text(text)
        self._text.setText(text)
        self.setAccessibleDescription(text)
        self.setVisible(bool(text))

    @property
    def text(self) -> str:
        return self._text.text()
