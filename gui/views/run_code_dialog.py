"""Dialog before a custom model is opened: its code runs only after the user types its name."""

from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QHBoxLayout, QLineEdit, QPushButton, QVBoxLayout, QWidget

from gui.views import qt_style

TITLE = "Run this model's code?"
EXPLANATION = """\
{file} contains a custom model:

        {model}

Opening it imports the part before the colon as a Python module and runs it on this computer. Do \
that only with code that is yours or that you trust: type the name to continue. Python looks for \
the module on its path and in the folder in which the app was started."""


class RunCodeDialog(QDialog):
    """Names the code that a file asks for; accepted only after the user has typed that name.

    Args:
        path: The checkpoint file.
        model: The custom model that it names, "module:function".
        parent: The widget over which the dialog opens.
    """

    def __init__(self, path: str, model: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        qt_style.set_accessible_name(self, TITLE, "page")
        self.setWindowTitle(TITLE)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setMinimumWidth(520)
        self._run = self._make_run_button()
        self._line = qt_style.set_accessible_name(QLineEdit(), "Name of the model")
        self._line.setPlaceholderText("type the name here")
        self._line.textChanged.connect(lambda text: self._run.setEnabled(text.strip() == model))
        column = QVBoxLayout(self)
        column.setContentsMargins(28, 24, 28, 24)
        column.setSpacing(12)
        column.addWidget(qt_style.make_label(TITLE, bold=True, relative=1.2))
        column.addWidget(_make_explanation(path, model))
        column.addWidget(self._line)
        column.addLayout(self._make_buttons())
        self._line.setFocus()

    def _make_run_button(self) -> QPushButton:
        button = QPushButton("Run and open")
        qt_style.set_accessible_name(button, "Run and open", "primary")
        button.setDefault(True)
        button.setEnabled(False)
        button.clicked.connect(self.accept)
        return button

    def _make_buttons(self) -> QHBoxLayout:
        cancel = qt_style.set_accessible_name(QPushButton("Cancel"), "Do not open the file")
        cancel.clicked.connect(self.reject)
        row = QHBoxLayout()
        row.addStretch(1)
        row.addWidget(cancel)
        row.addWidget(self._run)
        return row


def _make_explanation(path: str, model: str) -> QWidget:
    # Both texts come from a file, so they are shortened and shown as plain text.
    file = qt_style.shorten_text(Path(path).name, 80)
    text = EXPLANATION.format(file=file, model=qt_style.shorten_text(model, 80))
    label = qt_style.make_label(text, "Explanation")
    label.setWordWrap(True)
    return label
