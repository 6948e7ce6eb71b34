"""The question before a model of somebody's own is opened: its code runs only where the user types its name."""

from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QHBoxLayout, QLineEdit, QPushButton, QVBoxLayout, QWidget

from gui.views import qt_style


class RunCodeDialog(QDialog):
    """Says which code a file asks for; accepted where the user has typed that very name."""

    def __init__(self, path: str, model: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        qt_style.set_accessible_name(self, "Run this model's code?", "page")
        self.setWindowTitle("Run this model's code?")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        column = QVBoxLayout(self)
        column.setContentsMargins(28, 24, 28, 24)
        column.setSpacing(12)
        column.addWidget(qt_style.make_label("Run this model's code?", bold=True, relative=1.2))
        column.addWidget(self._text(path, model))
        self._line = qt_style.set_accessible_name(QLineEdit(), "Name of the model")
        self._line.setPlaceholderText("type the name here")
        self._line.textChanged.connect(lambda text: self._run.setEnabled(text.strip() == model))
        column.addWidget(self._line)
        column.addLayout(self._buttons())
        self.setMinimumWidth(520)
        self._line.setFocus()

    def _text(self, path: str, model: str) -> QWidget:
        text = qt_style.make_label(
            f"{qt_style.shorten_text(Path(path).name, 80)} holds a model that somebody wrote himself:\n\n"
            f"        {qt_style.shorten_text(model, 80)}\n\n"
            "To open it, the part before the colon is imported as a Python module and run on this computer. Do that "
            "only with code that is yours or that you trust: type the name to go on. The module is looked for where "
            "Python looks, and in the folder that the app was started in.",
            "What is asked",
        )
        text.setWordWrap(True)
        return text

    def _buttons(self) -> QHBoxLayout:
        cancel = qt_style.set_accessible_name(QPushButton("Cancel"), "Leave it closed")
        cancel.clicked.connect(self.reject)
        self._run = qt_style.set_accessible_name(
            QPushButton("Run and open"), "Run and open", "primary"
        )
        self._run.setDefault(True)
        self._run.setEnabled(False)
        self._run.clicked.connect(self.accept)
        row = QHBoxLayout()
        row.addStretch(1)
        row.addWidget(cancel)
        row.addWidget(self._run)
        return row
