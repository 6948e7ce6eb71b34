"""Start page with the bundled models."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from gui.state import Catalog, CatalogEntry
from gui.theme import LIGHT, Theme
from gui.views import qt_style
from gui.views.merge_icon import MergeIcon

MAX_WIDTH = 860  # pixels
COLUMNS = 2
TITLE = "See what skip connections do."
INTRODUCTION = (
    "Open a trained model, give it an image, follow it through every block. "
    "Cut a skip connection and watch what breaks."
)
# Merge kind and what the legend says of it.
LEGEND = (("add", "add"), ("concat", "concatenate"), ("gate", "gate (channel attention)"))
# Start of a model's name and the merge that its family is known for.
FAMILY_MERGES = {
    "densenet": "concat",
    "se": "gate",
    "inception": "concat",
    "plain": "none",
    "highway": "gate",
}


class StartPage(QWidget):
    """Page before a checkpoint is open: bundled models as cards, and a place to drop a file.

    Signals:
        picked(key): The key of the model whose card was clicked.
        open_requested(): The user wants to open a file.
    """

    picked = Signal(str)
    open_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        qt_style.set_accessible_name(self, "Start page", "page")
        self._theme: Theme = LIGHT
        self._catalog = Catalog()
        self._icons: list[tuple[MergeIcon, str]] = []
        row = QHBoxLayout()
        row.addStretch(1)
        # The stretches beside it take only what its maximum width leaves.
        row.addWidget(self._make_body(), 100)
        row.addStretch(1)
        column = QVBoxLayout(self)
        column.addStretch(2)  # a little above the middle
        column.addLayout(row)
        column.addStretch(3)

    def set_theme(self, theme: Theme) -> None:
        """Color icons and cards anew.

        Args:
            theme: The colors to use.
        """
        self._theme = theme
        for icon, kind in self._icons:
            icon.set_kind(kind, theme)
        self._fill()

    def set_catalog(self, catalog: Catalog) -> None:
        """Show the bundled models.

        Args:
            catalog: The models, one card each.
        """
        self._catalog = catalog
        self._fill()

    def set_status(self, text: str) -> None:
        """Show a quiet line while something loads.

        Args:
            text: The line; an empty text shows the catalog's note instead, if it has one.
        """
        self._status.setText(text or self._catalog.note)
        self._status.setVisible(bool(self._status.text()))
        self._progress.setVisible(bool(text))

    def cards(self) -> list[QPushButton]:
        """Return the cards of the models."""
        return [
            button for button in self.findChildren(QPushButton) if button.objectName() == "model"
        ]

    def _make_body(self) -> QWidget:
        self._grid = QGridLayout()
        self._grid.setSpacing(qt_style.SPACING)
        self._status = qt_style.make_label("loading PyTorch…", "State of loading", soft=True)
        self._progress = _make_progress_bar()
        body = qt_style.set_accessible_name(QWidget(), "Start")
        # Longer lines would be hard to read.
        body.setMaximumWidth(MAX_WIDTH)
        column = QVBoxLayout(body)
        column.setSpacing(qt_style.SPACING)
        column.addWidget(qt_style.make_label(TITLE, relative=2.2, bold=True))
        column.addWidget(_make_introduction())
        column.addSpacing(qt_style.SPACING)
        column.addLayout(self._make_legend())
        column.addSpacing(qt_style.SPACING)
        column.addLayout(self._grid)
        column.addWidget(self._status)
        column.addWidget(self._progress)
        column.addSpacing(qt_style.SPACING)
        column.addWidget(self._make_drop_card())
        return body

    def _make_legend(self) -> QHBoxLayout:
        """Build the row of the three merges, each with its shape and its name."""
        row = QHBoxLayout()
        row.setSpacing(10)
        for kind, text in LEGEND:
            icon = MergeIcon(kind, self._theme, 26)
            self._icons.append((icon, kind))
            row.addWidget(icon)
            row.addWidget(qt_style.make_label(text))
            row.addSpacing(22)
        row.addStretch(1)
        return row

    def _make_drop_card(self) -> QFrame:
        suffixes = ".ckpt, .pth, .safetensors, .npz … · .png, .jpg, .webp"
        button = QPushButton("Open a file…")
        qt_style.set_accessible_name(button, "Open a checkpoint", "primary")
        button.clicked.connect(self.open_requested)
        card = qt_style.set_accessible_name(QFrame(), "Drop a checkpoint here", "drop")
        row = QHBoxLayout(card)
        row.setContentsMargins(20, 16, 20, 16)
        row.addWidget(qt_style.make_label("Drop a checkpoint here, or an image", bold=True))
        row.addWidget(qt_style.make_label(suffixes, soft=True))
        row.addStretch(1)
        row.addWidget(button)
        return card

    def _fill(self) -> None:
        # Cards are built anew: their icons have the colors of the theme.
        qt_style.clear_layout(self._grid)
        for i, model in enumerate(self._catalog.models):
            row, column = divmod(i, COLUMNS)
            self._grid.addWidget(self._make_card(model), row, column)

    def _make_card(self, model: CatalogEntry) -> QPushButton:
        name = f"Open {model.title}, {model.detail}"
        card = qt_style.set_accessible_name(QPushButton(), name, "model")
        # A button does not count the layout inside it when it asks for room.
        card.setMinimumHeight(76)
        card.clicked.connect(lambda: self.picked.emit(model.key))
        row = QHBoxLayout(card)
        row.setContentsMargins(16, 12, 16, 12)
        row.setSpacing(14)
        row.addWidget(MergeIcon(merge_kind_for_name(model.title), self._theme))
        row.addLayout(_make_card_text(model), 1)
        return card


def merge_kind_for_name(title: str) -> str:
    """Guess the merge that a model is known for, for the icon on its card only.

    Args:
        title: Name of the model.

    Returns:
        "add", "concat", "gate", or "none" for a model without skip connections.
    """
    name = title.lower()
    for prefix, kind in FAMILY_MERGES.items():
        if name.startswith(prefix):
            return kind
    return "add"


def _make_introduction() -> QLabel:
    label = qt_style.make_label(INTRODUCTION, relative=1.1, soft=True)
    label.setWordWrap(True)
    return label


def _make_progress_bar() -> QProgressBar:
    bar = qt_style.set_accessible_name(QProgressBar(), "Loading")
    # A range of zero lets the bar run to and fro: nobody knows how long loading takes.
    bar.setRange(0, 0)
    bar.setTextVisible(False)
    bar.setFixedWidth(180)
    return bar


def _make_card_text(model: CatalogEntry) -> QVBoxLayout:
    """Build the two lines of a card: the model's name, and what it was trained on."""
    title = qt_style.shorten_text(model.title, 60)
    detail = qt_style.shorten_text(model.detail)
    lines = (
        qt_style.make_elided_label(title, soft=False, text=title, bold=True, relative=1.1),
        qt_style.make_elided_label(detail, text=detail),
    )
    column = QVBoxLayout()
    column.setSpacing(2)
    for line in lines:
        # A click on the text is a click on the card.
        line.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        column.addWidget(line)
    return column
