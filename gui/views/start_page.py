"""The start page with the models that ship, and the strip of sample images."""

from functools import partial

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from gui.state import Catalog, CatalogEntry
from gui.theme import LIGHT, Theme
from gui.views import qt_style
from gui.views.merge_icon import MergeIcon

THUMBNAIL_SIZE = 40


class StartPage(QWidget):
    """What the window shows before a checkpoint is open: the shipped models as cards, and where to drop a file."""

    picked = Signal(str)
    open_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        qt_style.set_accessible_name(self, "Start page", "page")
        self._theme: Theme = LIGHT
        self._catalog = Catalog()
        outer = QVBoxLayout(self)
        outer.addStretch(2)
        body = qt_style.set_accessible_name(QWidget(), "Start")
        body.setMaximumWidth(860)
        column = QVBoxLayout(body)
        column.setSpacing(qt_style.SPACING)
        title = qt_style.make_label("See what the skips do.", relative=2.2, bold=True)
        column.addWidget(title)
        words = qt_style.make_label(
            "Open a trained model, give it an image, follow it through every block. Cut a skip and watch what breaks.",
            relative=1.1,
            soft=True,
        )
        words.setWordWrap(True)
        column.addWidget(words)
        column.addSpacing(qt_style.SPACING)
        column.addLayout(self._legend())
        column.addSpacing(qt_style.SPACING)
        self._note = qt_style.make_label("loading PyTorch…", "State of loading", soft=True)
        self._busy = qt_style.set_accessible_name(QProgressBar(), "Loading")
        self._busy.setRange(0, 0)
        self._busy.setTextVisible(False)
        self._busy.setFixedWidth(180)
        self._grid = QGridLayout()
        self._grid.setSpacing(qt_style.SPACING)
        column.addLayout(self._grid)
        column.addWidget(self._note)
        column.addWidget(self._busy)
        column.addSpacing(qt_style.SPACING)
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
            mark.set_kind(kind, theme)
        self._fill()

    def set_catalog(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._fill()

    def set_status(self, text: str) -> None:
        """A quiet line while something is awaited; the empty text ends it."""
        self._note.setText(text or self._catalog.note)
        self._note.setVisible(bool(self._note.text()))
        self._busy.setVisible(bool(text))

    def cards(self) -> list[QPushButton]:
        return [
            button for button in self.findChildren(QPushButton) if button.objectName() == "model"
        ]

    def _legend(self) -> QHBoxLayout:
        """The three merges, each with its shape and what it does."""
        self._marks: list[tuple[MergeIcon, str]] = []
        row = QHBoxLayout()
        row.setSpacing(10)
        for kind, does in (
            ("add", "add"),
            ("concat", "concatenate"),
            ("gate", "gate (channel attention)"),
        ):
            mark = MergeIcon(kind, self._theme, 26)
            self._marks.append((mark, kind))
            row.addWidget(mark)
            row.addWidget(qt_style.make_label(does))
            row.addSpacing(22)
        row.addStretch(1)
        return row

    def _drop_card(self) -> QFrame:
        card = qt_style.set_accessible_name(QFrame(), "Drop a checkpoint here", "drop")
        row = QHBoxLayout(card)
        row.setContentsMargins(20, 16, 20, 16)
        row.addWidget(qt_style.make_label("Drop a checkpoint here, or an image", bold=True))
        row.addWidget(
            qt_style.make_label(".ckpt, .pth, .safetensors, .npz … · .png, .jpg, .webp", soft=True)
        )
        row.addStretch(1)
        button = qt_style.set_accessible_name(
            QPushButton("Open a file…"), "Open a checkpoint", "primary"
        )
        button.clicked.connect(self.open_wanted)
        row.addWidget(button)
        return card

    def _fill(self) -> None:
        while (item := self._grid.takeAt(0)) is not None:
            if widget := item.widget():
                widget.hide()
                widget.setParent(None)
                widget.deleteLater()
        for i, model in enumerate(self._catalog.models):
            self._grid.addWidget(self._card(model), i // 2, i % 2)

    def _card(self, model: CatalogEntry) -> QPushButton:
        card = qt_style.set_accessible_name(
            QPushButton(), f"Open {model.title}, {model.detail}", "model"
        )
        card.setMinimumHeight(76)
        card.clicked.connect(partial(lambda key, _=False: self.picked.emit(key), model.key))
        row = QHBoxLayout(card)
        row.setContentsMargins(16, 12, 16, 12)
        row.setSpacing(14)
        row.addWidget(MergeIcon(merge_kind_for_name(model.title), self._theme))
        words = QVBoxLayout()
        words.setSpacing(2)
        title, about = qt_style.shorten_text(model.title, 60), qt_style.shorten_text(model.detail)
        name = qt_style.make_elided_label(title, soft=False, text=title, bold=True, relative=1.1)
        detail = qt_style.make_elided_label(about, text=about)
        for label in (name, detail):
            label.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
            words.addWidget(label)
        row.addLayout(words, 1)
        return card


def merge_kind_for_name(title: str) -> str:
    """Which merge a model is known for, told by its name; for the little mark on its card only."""
    name = title.lower()
    marks = {
        "densenet": "concat",
        "se": "gate",
        "inception": "concat",
        "plain": "none",
        "highway": "gate",
    }
    return next((kind for word, kind in marks.items() if name.startswith(word)), "add")
