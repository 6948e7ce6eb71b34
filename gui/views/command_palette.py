"""What lies over the window for a moment: the command palette, the sheet of shortcuts, the banner of an error."""

from PySide6.QtCore import QEvent, QModelIndex, QObject, QPersistentModelIndex, QRect, Qt, Signal
from PySide6.QtGui import QKeyEvent, QKeySequence, QPainter, QPalette
from PySide6.QtWidgets import (
    QApplication,
    QDialog,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from gui.actions import Action, matches
from gui.views import qt_style

SHORTCUT_ROLE = Qt.ItemDataRole.UserRole + 1


class ShortcutDelegate(QStyledItemDelegate):
    """An action's title with its keys at the right."""

    def paint(
        self,
        painter: QPainter,
        option: QStyleOptionViewItem,
        index: QModelIndex | QPersistentModelIndex,
    ) -> None:
        super().paint(painter, option, index)
        rect: QRect = option.rect  # type: ignore[attr-defined]
        painter.setPen(QApplication.palette().color(QPalette.ColorRole.PlaceholderText))
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        painter.drawText(rect.adjusted(0, 0, -10, 0), right, index.data(SHORTCUT_ROLE))


class CommandPalette(QDialog):
    """Every action by typing a few letters of it."""

    chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        qt_style.set_accessible_name(self, "Command palette", "page")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setMinimumSize(480, 380)
        column = QVBoxLayout(self)
        self._line = qt_style.set_accessible_name(QLineEdit(), "What do you want to do?")
        self._line.setPlaceholderText("What do you want to do?")
        self._list = qt_style.set_accessible_name(QListWidget(), "Matching actions")
        self._list.setItemDelegate(ShortcutDelegate(self._list))
        self._line.textChanged.connect(self._fill)
        self._line.installEventFilter(self)
        self._line.returnPressed.connect(self._take)
        self._list.itemClicked.connect(lambda _: self._take())
        column.addWidget(self._line)
        column.addWidget(self._list)
        self._fill("")
        self._line.setFocus()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Up and down travel the list while the line keeps the focus."""
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            step = {Qt.Key.Key_Down: 1, Qt.Key.Key_Up: -1}.get(Qt.Key(event.key()), 0)
            if step and self._list.count():
                self._list.setCurrentRow((self._list.currentRow() + step) % self._list.count())
                return True
        return super().eventFilter(watched, event)

    def _fill(self, query: str) -> None:
        self._list.clear()
        for action in matches(query):
            item = QListWidgetItem(action.title)
            item.setData(Qt.ItemDataRole.UserRole, action.name)
            item.setData(SHORTCUT_ROLE, format_shortcuts(action))
            item.setData(
                Qt.ItemDataRole.AccessibleTextRole, f"{action.title}, {format_shortcuts(action)}"
            )
            item.setToolTip(action.hint)
            self._list.addItem(item)
        self._list.setCurrentRow(0)

    def _take(self) -> None:
        if item := self._list.currentItem():
            name = item.data(Qt.ItemDataRole.UserRole)
            self.close()
            self.chosen.emit(name)


def format_shortcuts(action: Action) -> str:
    """The first shortcuts as this system writes them."""
    native = QKeySequence.SequenceFormat.NativeText
    return "  ".join(QKeySequence(key).toString(native) for key in action.keys)
