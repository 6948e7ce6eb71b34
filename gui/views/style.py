"""A theme as Qt wants it: palette, style sheet, colour tables, and a few ready-made labels."""

import html
from typing import TypeVar

import numpy as np
from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QColor, QFont, QGuiApplication, QImage, QPainter, QPaintEvent, QPalette
from PySide6.QtWidgets import QLabel, QSizePolicy, QWidget

from gui import theme as colours
from gui.theme import Theme
from gui.tiles import GAP_LEVEL, Atlas, Ramp

W = TypeVar("W", bound=QWidget)

SPACE = 12
RADIUS = 8
LONGEST = 400  # characters of a text that a file brings along


def chosen(wish: str) -> Theme:
    """The theme called "light" or "dark"; for "auto", the one that fits the system's colour scheme."""
    scheme = QGuiApplication.styleHints().colorScheme()
    dark = wish == "dark" or (wish == "auto" and scheme == Qt.ColorScheme.Dark)
    return colours.DARK if dark else colours.LIGHT


def palette(theme: Theme) -> QPalette:
    """Qt's own roles, so that menus, dialogs and tool tips follow the theme too."""
    roles = QPalette.ColorRole
    result = QPalette()
    for role, colour in (
        (roles.Window, theme.window),
        (roles.Base, theme.panel),
        (roles.AlternateBase, theme.raised),
        (roles.Button, theme.raised),
        (roles.ToolTipBase, theme.panel),
        (roles.WindowText, theme.ink),
        (roles.Text, theme.ink),
        (roles.ButtonText, theme.ink),
        (roles.ToolTipText, theme.ink),
        (roles.PlaceholderText, theme.soft),
        (roles.Mid, theme.line),
        (roles.Highlight, theme.focus),
        (roles.HighlightedText, theme.panel),
        (roles.Link, theme.add),
    ):
        result.setColor(role, QColor(colour))
    for role in (roles.WindowText, roles.Text, roles.ButtonText):
        result.setColor(QPalette.ColorGroup.Disabled, role, QColor(theme.faint))
    return result


def sheet(theme: Theme) -> str:
    """The style sheet of the whole app."""
    return f"""
    QMainWindow, QWidget#page {{ background: {theme.window}; }}
    QWidget {{ color: {theme.ink}; }}
    QDialog#page {{ background: {theme.panel}; border: 1px solid {theme.faint}; }}
    QFrame#card, QGraphicsView {{ background: {theme.panel}; border: 1px solid {theme.line};
        border-radius: {RADIUS}px; }}
    QFrame#card QWidget {{ background: transparent; }}
    QLabel#soft {{ color: {theme.soft}; }}
    QFrame#banner {{ background: {theme.cut_tint}; border: 1px solid {theme.cut}; border-radius: {RADIUS}px; }}
    QPushButton, QToolButton {{ background: {theme.raised}; border: 1px solid {theme.line}; border-radius: 6px;
        padding: 5px 12px; }}
    QToolButton {{ padding: 5px 10px; }}
    QPushButton:hover, QToolButton:hover {{ background: {theme.hover}; border-color: {theme.faint}; }}
    QPushButton:pressed, QToolButton:pressed, QPushButton:checked, QToolButton:checked {{
        background: {theme.focus_tint}; border-color: {theme.focus}; }}
    QPushButton#net {{ background: {theme.panel}; border-radius: {RADIUS}px; text-align: left; }}
    QPushButton#net:hover {{ background: {theme.raised}; border-color: {theme.edge}; }}
    QPushButton#net:focus {{ border: 2px solid {theme.focus}; }}
    QPushButton#net QLabel {{ background: transparent; }}
    QFrame#drop {{ background: transparent; border: 2px dashed {theme.faint}; border-radius: {RADIUS}px; }}
    QFrame#drop[over="true"] {{ border-color: {theme.focus}; background: {theme.focus_tint}; }}
    QPushButton:disabled, QToolButton:disabled {{ color: {theme.faint}; background: transparent; }}
    QPushButton:focus, QToolButton:focus, QLineEdit:focus, QListWidget:focus, QGraphicsView:focus {{
        border: 2px solid {theme.focus}; }}
    QPushButton:focus, QToolButton:focus {{ padding: 4px 11px; }}
    QToolButton:focus {{ padding: 4px 9px; }}
    QPushButton#primary {{ background: {theme.ink}; color: {theme.panel}; border-color: {theme.ink}; }}
    QPushButton#primary:hover {{ background: {theme.soft}; }}
    QPushButton#primary:disabled {{ background: transparent; color: {theme.faint}; border-color: {theme.line}; }}
    QToolButton#quiet, QPushButton#quiet {{ background: transparent; border: 1px solid transparent; }}
    QToolButton#quiet:hover, QPushButton#quiet:hover {{ background: {theme.hover}; }}
    QToolButton#quiet:focus, QPushButton#quiet:focus {{ border: 2px solid {theme.focus}; }}
    QLineEdit {{ background: {theme.panel}; border: 1px solid {theme.line}; border-radius: 6px; padding: 7px 10px;
        selection-background-color: {theme.focus}; }}
    QListWidget {{ background: transparent; border: 1px solid transparent; border-radius: 6px; outline: 0; }}
    QListWidget::item {{ padding: 3px; border-radius: 5px; border: 2px solid transparent; }}
    QListWidget::item:hover {{ background: {theme.hover}; }}
    QListWidget::item:selected {{ background: {theme.focus_tint}; color: {theme.ink}; border-color: {theme.focus}; }}
    QMenuBar {{ background: {theme.window}; color: {theme.ink}; padding: 2px 6px; }}
    QMenuBar::item {{ padding: 4px 9px; border-radius: 5px; background: transparent; }}
    QMenuBar::item:selected {{ background: {theme.hover}; }}
    QMenu {{ background: {theme.panel}; border: 1px solid {theme.line}; padding: 5px; }}
    QMenu::item {{ padding: 6px 26px 6px 14px; border-radius: 5px; }}
    QMenu::item:selected {{ background: {theme.focus_tint}; color: {theme.ink}; }}
    QMenu::item:disabled {{ color: {theme.soft}; }}
    QMenu::separator {{ height: 1px; background: {theme.line}; margin: 5px 8px; }}
    QStatusBar {{ background: {theme.window}; color: {theme.soft}; }}
    QStatusBar::item {{ border: 0; }}
    QSplitter::handle {{ background: transparent; }}
    QScrollArea {{ background: transparent; border: 0; }}
    QScrollArea > QWidget > QWidget {{ background: transparent; }}
    QScrollBar:vertical {{ background: transparent; width: 10px; margin: 0; }}
    QScrollBar:horizontal {{ background: transparent; height: 10px; margin: 0; }}
    QScrollBar::handle {{ background: {theme.faint}; border-radius: 4px; min-height: 24px; min-width: 24px;
        margin: 2px; }}
    QScrollBar::add-line, QScrollBar::sub-line {{ width: 0; height: 0; }}
    QScrollBar::add-page, QScrollBar::sub-page {{ background: transparent; }}
    QSlider::groove:horizontal {{ height: 4px; background: {theme.line}; border-radius: 2px; }}
    QSlider::sub-page:horizontal {{ background: {theme.focus}; border-radius: 2px; }}
    QSlider::handle:horizontal {{ width: 16px; height: 16px; margin: -7px 0; border-radius: 8px;
        background: {theme.panel}; border: 2px solid {theme.focus}; }}
    QSlider:focus {{ border: 1px solid {theme.focus}; border-radius: 6px; }}
    QToolTip {{ background: {theme.panel}; color: {theme.ink}; border: 1px solid {theme.line}; padding: 4px; }}
    QProgressBar {{ background: {theme.line}; border: 0; border-radius: 2px; max-height: 4px; }}
    QProgressBar::chunk {{ background: {theme.focus}; border-radius: 2px; }}
    """


def font(size: float = 0.0, bold: bool = False, relative: float = 1.0) -> QFont:
    """The system's font with tabular figures; `relative` to its size, which the user has chosen."""
    result = QFont()
    result.setFeature(QFont.Tag("tnum"), 1)
    points = size or result.pointSizeF() * relative
    if points > 0:
        result.setPointSizeF(points)
    if bold:
        result.setWeight(QFont.Weight.DemiBold)
    return result


def label(text: str = "", name: str = "", relative: float = 1.0, bold: bool = False, soft: bool = False) -> QLabel:
    """A label of plain text, whatever a file has put into it, that says its own name to a screen reader."""
    result = QLabel(text)
    result.setTextFormat(Qt.TextFormat.PlainText)
    result.setFont(font(relative=relative, bold=bold))
    result.setAccessibleName(name or text or "text")
    if soft:
        result.setObjectName("soft")
    return result


class Elided(QLabel):
    """A label of one line of plain text that ends in … where there is no room."""

    def __init__(self, text: str = "") -> None:
        super().__init__(text)
        self.setTextFormat(Qt.TextFormat.PlainText)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setPen(self.palette().color(self.foregroundRole()))
        text = self.fontMetrics().elidedText(self.text(), Qt.TextElideMode.ElideRight, self.width())
        painter.drawText(self.rect(), int(self.alignment()), text)

    def minimumSizeHint(self) -> QSize:
        return QSize(0, super().minimumSizeHint().height())


def elided(
    name: str, soft: bool = True, text: str = "", relative: float = 1.0, bold: bool = False, greedy: bool = True
) -> Elided:
    """A label that ends in …; `greedy` takes what room there is, otherwise as much as the text needs at most."""
    result = Elided(text)
    result.setFont(font(relative=relative, bold=bold))
    result.setAccessibleName(name)
    wide = QSizePolicy.Policy.Ignored if greedy else QSizePolicy.Policy.Maximum
    result.setSizePolicy(wide, QSizePolicy.Policy.Preferred)
    if soft:
        result.setObjectName("soft")
    return result


def brief(text: str, longest: int = LONGEST) -> str:
    """A file's text in one line of at most so many characters."""
    line = "".join(sign if sign.isprintable() else "?" for sign in " ".join(text[: 4 * longest].split()))
    return line if len(line) <= longest and len(text) <= 4 * longest else f"{line[: longest - 1]}…"


def tip(text: str) -> str:
    """A tool tip that shows a file's text as it is: Qt takes what looks like markup for markup."""
    shown = text if len(text) <= 4 * LONGEST else f"{text[: 4 * LONGEST]}…"
    escaped = html.escape(shown).replace("\n", "<br>")
    return f"<qt>{escaped}</qt>" if "<" in shown or "&" in shown else shown


def named(widget: W, name: str, object_name: str = "") -> W:
    """The widget with its accessible name set."""
    widget.setAccessibleName(name)
    if object_name:
        widget.setObjectName(object_name)
    return widget


def colour_table(ramp: Ramp, theme: Theme, ground: str) -> list[int]:
    """256 colours as Qt takes them; the last is the gap between tiles, in the colour of the ground."""
    anchors = colours.signed(theme) if ramp == "signed" else colours.rising(theme)
    at = np.rint(np.linspace(0, 255, GAP_LEVEL)).astype(int)
    return [QColor(*map(int, anchors[i])).rgb() for i in at] + [QColor(ground).rgb()]


def atlas_image(atlas: Atlas, theme: Theme, ground: str) -> QImage:
    """The atlas as an indexed image that owns its memory."""
    height, width = atlas.pixels.shape
    image = QImage(atlas.pixels.data, width, height, atlas.pixels.strides[0], QImage.Format.Format_Indexed8).copy()
    image.setColorTable(colour_table(atlas.ramp, theme, ground))
    return image


def picture_image(pixels: np.ndarray) -> QImage:
    """Pixels (H, W, 3) uint8 as an image that owns its memory."""
    pixels = np.ascontiguousarray(pixels)
    height, width, _ = pixels.shape
    return QImage(pixels.data, width, height, pixels.strides[0], QImage.Format.Format_RGB888).copy()


def pixels_of(image: QImage) -> np.ndarray:
    """An image's pixels (H, W, 3) uint8, laid on white where it is transparent."""
    flat = QImage(image.size(), QImage.Format.Format_RGB888)
    flat.fill(Qt.GlobalColor.white)
    from PySide6.QtGui import QPainter

    painter = QPainter(flat)
    painter.drawImage(0, 0, image)
    painter.end()
    rows = np.frombuffer(flat.constBits(), np.uint8).reshape(flat.height(), flat.bytesPerLine())
    return rows[:, : flat.width() * 3].reshape(flat.height(), flat.width(), 3).copy()
