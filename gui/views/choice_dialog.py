"""Dialog for a file that fits several models: the user chooses one of them."""

from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QListWidget,
    QListWidgetItem,
    QVBoxLayout,
    QWidget,
)

from gui.state import ModelChoice
from gui.views import qt_style

TITLE = "Which model is this?"
EXPLANATION = "The weights in {file} fit several models, and the file does not say which one."
NAME_ROLE = Qt.ItemDataRole.UserRole


class ChoiceDialog(QDialog):
    """Lists the models that a file fits, with what tells them apart.

    Args:
        path: The checkpoint file.
        choices: The models.
        parent: The widget over which the dialog opens.

    Signals:
        chosen(architecture): The user chose a model.
    """

    chosen = Signal(str)

    def __init__(
        self, path: str, choices: tuple[ModelChoice, ...], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        qt_style.set_accessible_name(self, TITLE, "page")
        self.setWindowTitle(TITLE)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setMinimumWidth(560)
        # The name comes from a file system, so it may be of any length.
        file = qt_style.shorten_text(Path(path).name, 80)
        explanation = qt_style.make_label(EXPLANATION.format(file=file), "Explanation")
        explanation.setWordWrap(True)
        self._list = self._make_list(choices)
        column = QVBoxLayout(self)
        column.setContentsMargins(28, 24, 28, 24)
        column.setSpacing(12)
        column.addWidget(qt_style.make_label(TITLE, bold=True, relative=1.2))
        column.addWidget(explanation)
        column.addWidget(self._list)
        column.addWidget(self._make_buttons())
        self._list.setFocus()

    def accept(self) -> None:
        """Report the chosen model and close."""
        # Read first, because the dialog deletes itself when it closes.
        item = self._list.currentItem()
        super().accept()
        if item is not None:
            self.chosen.emit(item.data(NAME_ROLE))

    def _make_list(self, choices: tuple[ModelChoice, ...]) -> QListWidget:
        widget = qt_style.set_accessible_name(QListWidget(), "Models that fit")
        for choice in choices:
            text = f"{choice.architecture}\n{choice.difference}"
            item = QListWidgetItem(text if choice.difference else choice.architecture)
            item.setData(NAME_ROLE, choice.architecture)
            widget.addItem(item)
        widget.setCurrentRow(0)
        widget.setWordWrap(True)
        widget.itemDoubleClicked.connect(lambda _: self.accept())
        return widget

    def _make_buttons(self) -> QDialogButtonBox:
        standard = QDialogButtonBox.StandardButton
        buttons = QDialogButtonBox(standard.Open | standard.Cancel)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        primary = buttons.button(standard.Open)
        qt_style.set_accessible_name(primary, "Open as the chosen model", "primary")
        return buttons
