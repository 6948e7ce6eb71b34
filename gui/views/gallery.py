"""The start page with the nets that ship, and the strip of sample pictures."""

from functools import partial

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QIcon, QPixmap
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QListView,
    QListWidget,
    QListWidgetItem,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from gui.state import Picture, Shelf, Shipped
from gui.theme import LIGHT, Theme
from gui.views import style
from gui.views.mark import Mark

THUMB = 40


class SamplesView(QListWidget):
    """Sample pictures as thumbnails; a click or Enter takes one."""

    chosen = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        style.named(self, "Sample pictures")
        self.setViewMode(QListView.ViewMode.IconMode)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        self.setMovement(QListView.Movement.Static)
        self.setUniformItemSizes(True)
        self.setIconSize(QSize(THUMB, THUMB))
        self.setGridSize(QSize(THUMB + 12, THUMB + 12))
        self.setAcceptDrops(False)
        self.setMouseTracking(True)
        self.itemClicked.connect(lambda item: self.chosen.emit(self.row(item)))
        self.itemActivated.connect(lambda item: self.chosen.emit(self.row(item)))

    def set_samples(self, samples: tuple[Picture, ...]) -> None:
        self.clear()
        for picture in samples:
            if picture.pixels is None:
                continue
            ratio = self.devicePixelRatioF()
            pixmap = QPixmap.fromImage(style.picture_image(picture.pixels)).scaled(
                QSize(THUMB, THUMB) * ratio,
                Qt.AspectRatioMode.KeepAspectRatioByExpanding,
                Qt.TransformationMode.SmoothTransformation,
            )
            pixmap.setDevicePixelRatio(ratio)
            item = QListWidgetItem(QIcon(pixmap), "")
            item.setToolTip(style.tip(picture.label))
            item.setData(Qt.ItemDataRole.AccessibleTextRole, picture.label)
            item.setSizeHint(QSize(THUMB + 10, THUMB + 10))
            self.addItem(item)

    def set_current(self, index: int | None) -> None:
        """Mark the picture that is looked at; none of them where it came from elsewhere."""
        self.blockSignals(True)
        self.setCurrentRow(-1 if index is None else index)
        if index is None:
            self.clearSelection()
        self.blockSignals(False)


class StartView(QWidget):
    """What the window shows before a checkpoint is open: the shipped nets as cards, and where to drop a file."""

    picked = Signal(str)
    open_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        style.named(self, "Start page", "page")
        self._theme: Theme = LIGHT
        self._shelf = Shelf()
        outer = QVBoxLayout(self)
        outer.addStretch(2)
        body = style.named(QWidget(), "Start")
        body.setMaximumWidth(860)
        column = QVBoxLayout(body)
        column.setSpacing(style.SPACE)
        title = style.label("See what the skips do.", relative=2.2, bold=True)
        column.addWidget(title)
        words = style.label(
            "Open a trained net, give it a picture, follow it through every block. Cut a skip and watch what breaks.",
            relative=1.1,
            soft=True,
        )
        words.setWordWrap(True)
        column.addWidget(words)
        column.addSpacing(style.SPACE)
        column.addLayout(self._legend())
        column.addSpacing(style.SPACE)
        self._note = style.label("loading PyTorch…", "State of loading", soft=True)
        self._busy = style.named(QProgressBar(), "Loading")
        self._busy.setRange(0, 0)
        self._busy.setTextVisible(False)
        self._busy.setFixedWidth(180)
        self._grid = QGridLayout()
        self._grid.setSpacing(style.SPACE)
        column.addLayout(self._grid)
        column.addWidget(self._note)
        column.addWidget(self._busy)
        column.addSpacing(style.SPACE)
        column.addWidget(self._drop_card())
        row = QHBoxLayout()
        row.addStretch(1)
        row.addWidget(body, 100)
        row.addStretch(1)
        outer.addLayout(row)
        outer.addStretch(3)

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        for mark, kind in self._marks:
            mark.set_mark(kind, theme)
        self._fill()

    def set_shelf(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._fill()

    def set_status(self, text: str) -> None:
        """A quiet line while something is awaited; the empty text ends it."""
        self._note.setText(text or self._shelf.note)
        self._note.setVisible(bool(self._note.text()))
        self._busy.setVisible(bool(text))

    def cards(self) -> list[QPushButton]:
        return [button for button in self.findChildren(QPushButton) if button.objectName() == "net"]

    def _legend(self) -> QHBoxLayout:
        """The three merges, each with its shape and what it does."""
        self._marks: list[tuple[Mark, str]] = []
        row = QHBoxLayout()
        row.setSpacing(10)
        for kind, does in (
            ("add", "adds: widths stay"),
            ("concat", "concatenates: widths grow"),
            ("gate", "weighs channels"),
        ):
            mark = Mark(kind, self._theme, 26)
            self._marks.append((mark, kind))
            row.addWidget(mark)
            row.addWidget(style.label(does))
            row.addSpacing(22)
        row.addStretch(1)
        return row

    def _drop_card(self) -> QFrame:
        card = style.named(QFrame(), "Drop a checkpoint here", "drop")
        row = QHBoxLayout(card)
        row.setContentsMargins(20, 16, 20, 16)
        row.addWidget(style.label("Drop a checkpoint here, or a picture", bold=True))
        row.addWidget(style.label(".ckpt, .pth, .safetensors, .npz … · .png, .jpg, .webp", soft=True))
        row.addStretch(1)
        button = style.named(QPushButton("Open a file…"), "Open a checkpoint", "primary")
        button.clicked.connect(self.open_wanted)
        row.addWidget(button)
        return card

    def _fill(self) -> None:
        while (item := self._grid.takeAt(0)) is not None:
            if widget := item.widget():
                widget.hide()
                widget.setParent(None)
                widget.deleteLater()
        for i, net in enumerate(self._shelf.nets):
            self._grid.addWidget(self._card(net), i // 2, i % 2)

    def _card(self, net: Shipped) -> QPushButton:
        card = style.named(QPushButton(), f"Open {net.title}, {net.detail}", "net")
        card.setMinimumHeight(76)
        card.clicked.connect(partial(lambda key, _=False: self.picked.emit(key), net.key))
        row = QHBoxLayout(card)
        row.setContentsMargins(16, 12, 16, 12)
        row.setSpacing(14)
        row.addWidget(Mark(kind_of(net.title), self._theme))
        words = QVBoxLayout()
        words.setSpacing(2)
        title, about = style.brief(net.title, 60), style.brief(net.detail)
        name = style.elided(title, soft=False, text=title, bold=True, relative=1.1)
        detail = style.elided(about, text=about)
        for label in (name, detail):
            label.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
            words.addWidget(label)
        row.addLayout(words, 1)
        return card


def kind_of(title: str) -> str:
    """Which merge a net is known for, told by its name; for the little mark on its card only."""
    name = title.lower()
    marks = {"densenet": "concat", "se": "gate", "inception": "concat", "plain": "none", "highway": "gate"}
    return next((kind for word, kind in marks.items() if name.startswith(word)), "add")
