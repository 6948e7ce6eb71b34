"""A theme as Qt wants it: palette, style sheet, color tables, and a few ready-made labels."""

import html
from typing import TypeVar

import numpy as np
from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QColor, QFont, QGuiApplication, QImage, QPainter, QPaintEvent, QPalette
from PySide6.QtWidgets import QLabel, QSizePolicy, QWidget

from gui import theme as colors
from gui.colormaps import diverging_colormap, sequential_colormap
from gui.feature_maps import GAP_LEVEL, ColormapKind, FeatureMapAtlas
from gui.theme import Theme

W = TypeVar("W", bound=QWidget)

SPACING = 12


RADIUS = 8


MAX_TEXT = 400  # characters of a text that a file brings along


def resolve_theme(request: str) -> Theme:
    """The theme called "light" or "dark"; for "auto", the one that fits the system's color scheme."""
    scheme = QGuiApplication.styleHints().colorScheme()
    dark = request == "dark" or (request == "auto" and scheme == Qt.ColorScheme.Dark)
    return colors.DARK if dark else colors.LIGHT


def palette(theme: Theme) -> QPalette:
    """Qt's own roles, so that menus, dialogs and tool tips follow the theme too."""
    roles = QPalette.ColorRole
    result = QPalette()
    for role, color in (
        (roles.Window, theme.window),
        (roles.Base, theme.panel),
        (roles.AlternateBase, theme.surface),
        (roles.Button, theme.surface),
        (roles.ToolTipBase, theme.panel),
        (roles.WindowText, theme.text),
        (roles.Text, theme.text),
        (roles.ButtonText, theme.text),
        (roles.ToolTipText, theme.text),
        (roles.PlaceholderText, theme.secondary_text),
        (roles.Mid, theme.hairline),
        (roles.Highlight, theme.focus),
        (roles.HighlightedText, theme.panel),
        (roles.Link, theme.add),
    ):
        result.setColor(role, QColor(color))
    for role in (roles.WindowText, roles.Text, roles.ButtonText):
        result.setColor(QPalette.ColorGroup.Disabled, role, QColor(theme.disabled))
    return result


def style_sheet(theme: Theme) -> str:
    """The style sheet of the whole app."""
    return f"""
    QMainWindow, QWidget#page {{ background: {theme.window}; }}
    QWidget {{ color: {theme.text}; }}
    QDialog#page {{ background: {theme.panel}; border: 1px solid {theme.disabled}; }}
    QFrame#card, QGraphicsView {{ background: {theme.panel}; border: 1px solid {theme.hairline};
        border-radius: {RADIUS}px; }}
    QGraphicsView#plot {{ border: 0; border-radius: 0; }}
    QFrame#card QWidget {{ background: transparent; }}
    QLabel#soft {{ color: {theme.secondary_text}; }}
    QFrame#banner {{ background: {theme.cut_tint}; border: 1px solid {theme.cut}; border-radius: {RADIUS}px; }}
    QPushButton, QToolButton {{ background: {theme.surface}; border: 1px solid {theme.hairline}; border-radius: 6px;
        padding: 5px 12px; }}
    QToolButton {{ padding: 5px 10px; }}
    QPushButton:hover, QToolButton:hover {{ background: {theme.hover}; border-color: {theme.disabled}; }}
    QPushButton:pressed, QToolButton:pressed, QPushButton:checked, QToolButton:checked {{
        background: {theme.focus_tint}; border-color: {theme.focus}; }}
    QPushButton#model {{ background: {theme.panel}; border-radius: {RADIUS}px; text-align: left; }}
    QPushButton#model:hover {{ background: {theme.surface}; border-color: {theme.outline}; }}
    QPushButton#model:focus {{ border: 2px solid {theme.focus}; }}
    QPushButton#model QLabel {{ background: transparent; }}
    QFrame#drop {{ background: transparent; border: 2px dashed {theme.disabled}; border-radius: {RADIUS}px; }}
    QFrame#drop[over="true"] {{ border-color: {theme.focus}; background: {theme.focus_tint}; }}
    QPushButton:disabled, QToolButton:disabled {{ color: {theme.disabled}; background: transparent; }}
    QPushButton:focus, QToolButton:focus, QLineEdit:focus, QListWidget:focus, QGraphicsView:focus {{
        border: 2px solid {theme.focus}; }}
    QPushButton:focus, QToolButton:focus {{ padding: 4px 11px; }}
    QToolButton:focus {{ padding: 4px 9px; }}
    QPushButton#primary {{ background: {theme.text}; color: {theme.panel}; border-color: {theme.text}; }}
    QPushButton#primary:hover {{ background: {theme.secondary_text}; }}
    QPushButton#primary:disabled {{ background: transparent; color: {theme.disabled}; border-color: {theme.hairline}; }}
    QToolButton#quiet, QPushButton#quiet {{ background: transparent; border: 1px solid transparent; }}
    QToolButton#quiet:hover, QPushButton#quiet:hover {{ background: {theme.hover}; }}
    QToolButton#quiet:focus, QPushButton#quiet:focus {{ border: 2px solid {theme.focus}; }}
    QLineEdit {{ background: {theme.panel}; border: 1px solid {theme.hairline}; border-radius: 6px; padding: 7px 10px;
        selection-background-color: {theme.focus}; }}
    QListWidget {{ background: transparent; border: 1px solid transparent; border-radius: 6px; outline: 0; }}
    QListWidget::item {{ padding: 3px; border-radius: 5px; border: 2px solid transparent; }}
    QListWidget::item:hover {{ background: {theme.hover}; }}
    QListWidget::item:selected {{ background: {theme.focus_tint}; color: {theme.text}; border-color: {theme.focus}; }}
    QMenuBar {{ background: {theme.window}; color: {theme.text}; padding: 2px 6px; }}
    QMenuBar::item {{ padding: 4px 9px; border-radius: 5px; background: transparent; }}
    QMenuBar::item:selected {{ background: {theme.hover}; }}
    QMenu {{ background: {theme.panel}; border: 1px solid {theme.hairline}; padding: 5px; }}
    QMenu::item {{ padding: 6px 26px 6px 14px; border-radius: 5px; }}
    QMenu::item:selected {{ background: {theme.focus_tint}; color: {theme.text}; }}
    QMenu::item:disabled {{ color: {theme.secondary_text}; }}
    QMenu::separator {{ height: 1px; background: {theme.hairline}; margin: 5px 8px; }}
    QStatusBar {{ background: {theme.window}; color: {theme.secondary_text}; }}
    QStatusBar::item {{ border: 0; }}
    QSplitter::handle {{ background: transparent; }}
    QScrollArea {{ background: transparent; border: 0; }}
    QScrollArea > QWidget > QWidget {{ background: transparent; }}
    QScrollBar:vertical {{ background: transparent; width: 10px; margin: 0; }}
    QScrollBar:horizontal {{ background: transparent; height: 10px; margin: 0; }}
    QScrollBar::handle {{ background: {theme.disabled}; border-radius: 4px; min-height: 24px; min-width: 24px;
        margin: 2px; }}
    QScrollBar::add-line, QScrollBar::sub-line {{ width: 0; height: 0; }}
    QScrollBar::add-page, QScrollBar::sub-page {{ background: transparent; }}
    QSlider::groove:horizontal {{ height: 4px; background: {theme.hairline}; border-radius: 2px; }}
    QSlider::sub-page:horizontal {{ background: {theme.focus}; border-radius: 2px; }}
    QSlider::handle:horizontal {{ width: 16px; height: 16px; margin: -7px 0; border-radius: 8px;
        background: {theme.panel}; border: 2px solid {theme.focus}; }}
    QSlider:focus {{ border: 1px solid {theme.focus}; border-radius: 6px; }}
    QToolTip {{ background: {theme.panel}; color: {theme.text}; border: 1px solid {theme.hairline}; padding: 4px; }}
    QProgressBar {{ background: {theme.hairline}; border: 0; border-radius: 2px; max-height: 4px; }}
    QProgressBar::chunk {{ background: {theme.focus}; border-radius: 2px; }}
    """


def make_font(size: float = 0.0, bold: bool = False, relative: float = 1.0) -> QFont:
    """The system's font with tabular figures; `relative` to its size, which the user has chosen."""
    result = QFont()
    result.setFeature(QFont.Tag("tnum"), 1)
    points = size or result.pointSizeF() * relative
    if points > 0:
        result.setPointSizeF(points)
    if bold:
        result.setWeight(QFont.Weight.DemiBold)
    return result


def make_label(
    text: str = "", name: str = "", relative: float = 1.0, bold: bool = False, soft: bool = False
) -> QLabel:
    """A label of plain text, whatever a file has put into it, that says its own name to a screen reader."""
    result = QLabel(text)
    result.setTextFormat(Qt.TextFormat.PlainText)
    result.setFont(make_font(relative=relative, bold=bold))
    result.setAccessibleName(name or text or "text")
    if soft:
        result.setObjectName("soft")
    return result


class ElidedLabel(QLabel):
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


def make_elided_label(
    name: str,
    soft: bool = True,
    text: str = "",
    relative: float = 1.0,
    bold: bool = False,
    greedy: bool = True,
) -> ElidedLabel:
    """A label that ends in …; `greedy` takes what room there is, otherwise as much as the text needs at most."""
    result = ElidedLabel(text)
    result.setFont(make_font(relative=relative, bold=bold))
    result.setAccessibleName(name)
    wide = QSizePolicy.Policy.Ignored if greedy else QSizePolicy.Policy.Maximum
    result.setSizePolicy(wide, QSizePolicy.Policy.Preferred)
    if soft:
        result.setObjectName("soft")
    return result


def shorten_text(text: str, longest: int = MAX_TEXT) -> str:
    """A file's text in one line of at most so many characters."""
    line = "".join(
        sign if sign.isprintable() else "?" for sign in " ".join(text[: 4 * longest].split())
    )
    return line if len(line) <= longest and len(text) <= 4 * longest else f"{line[: longest - 1]}…"


def tooltip_html(text: str) -> str:
    """A tool tip that shows a file's text as it is: Qt takes what looks like markup for markup."""
    shown = text if len(text) <= 4 * MAX_TEXT else f"{text[: 4 * MAX_TEXT]}…"
    escaped = html.escape(shown).replace("\n", "<br>")
    return f"<qt>{escaped}</qt>" if "<" in shown or "&" in shown else shown


def set_accessible_name(widget: W, name: str, object_name: str = "") -> W:
    """The widget with its accessible name set."""
    widget.setAccessibleName(name)
    if object_name:
        widget.setObjectName(object_name)
    return widget


def color_table(ramp: ColormapKind, theme: Theme, ground: str) -> list[int]:
    """256 colors as Qt takes them; the last is the gap between tiles, in the color of the ground."""
    anchors = diverging_colormap(theme) if ramp == "signed" else sequential_colormap(theme)
    at = np.rint(np.linspace(0, 255, GAP_LEVEL)).astype(int)
    return [QColor(*map(int, anchors[i])).rgb() for i in at] + [QColor(ground).rgb()]


def atlas_image(atlas: FeatureMapAtlas, theme: Theme, ground: str) -> QImage:
    """The atlas as an indexed image that owns its memory."""
    height, width = atlas.pixels.shape
    image = QImage(
        atlas.pixels.data, width, height, atlas.pixels.strides[0], QImage.Format.Format_Indexed8
    ).copy()
    image.setColorTable(color_table(atlas.colormap, theme, ground))
    return image


def to_qimage(pixels: np.ndarray) -> QImage:
    """Pixels (H, W, 3) uint8 as an image that owns its memory."""
    pixels = np.ascontiguousarray(pixels)
    height, width, _ = pixels.shape
    return QImage(pixels.data, width, height, pixels.strides[0], QImage.Format.Format_RGB888).copy()


def from_qimage(image: QImage) -> np.ndarray:
    """An image's pixels (H, W, 3) uint8, laid on white where it is transparent."""
    flat = QImage(image.size(), QImage.Format.Format_RGB888)
    flat.fill(Qt.GlobalColor.white)
    from PySide6.QtGui import QPainter

    painter = QPainter(flat)
    painter.drawImage(0, 0, image)
    painter.end()
    rows = np.frombuffer(flat.constBits(), np.uint8).reshape(flat.height(), flat.bytesPerLine())
    return rows[:, : flat.width() * 3].reshape(flat.height(), flat.width(), 3).copy()
