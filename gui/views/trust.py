"""The question before a net of somebody's own is opened: its code runs only where the user types its name."""

from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QHBoxLayout, QLineEdit, QPushButton, QVBoxLayout, QWidget

from gui.views import style


class Trust(QDialog):
    """Says which code a file asks for; accepted where the user has typed that very name."""

    def __init__(self, path: str, net: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        style.named(self, "Run this net's code?", "page")
        self.setWindowTitle("Run this net's code?")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        column = QVBoxLayout(self)
        column.setContentsMargins(28, 24, 28, 24)
        column.setSpacing(12)
        column.addWidget(style.label("Run this net's code?", bold=True, relative=1.2))
        column.addWidget(self._text(path, net))
        self._line = style.named(QLineEdit(), "Name of the net")
        self._line.setPlaceholderText("type the name here")
        self._line.textChanged.connect(lambda text: self._run.setEnabled(text.strip() == net))
        column.addWidget(self._line)
        column.addLayout(self._buttons())
        self.setMinimumWidth(520)
        self._line.setFocus()

    def _text(self, path: str, net: str) -> QWidget:
        text = style.label(
            f"{style.brief(Path(path).name, 80)} holds a net that somebody wrote himself:\n\n"
            f"        {style.brief(net, 80)}\n\n"
            "To open it, the part before the colon is imported as a Python module and run on this computer. Do that "
            "only with code that is yours or that you trust: type the name to go on. The module is looked for where "
            "Python looks, and in the folder that the app was started in.",
            "What is asked",
        )
        text.setWordWrap(True)
        return text

    def _buttons(self) -> QHBoxLayout:
        cancel = style.named(QPushButton("Cancel"), "Leave it closed")
        cancel.clicked.connect(self.reject)
        self._run = style.named(QPushButton("Run and open"), "Run and open", "primary")
        self._run.setDefault(True)
        self._run.setEnabled(False)
        self._run.clicked.connect(self.accept)
        row = QHBoxLayout()
        row.addStretch(1)
        row.addWidget(cancel)
        row.addWidget(self._run)
        return row
