"""Theme as Qt uses it: palette, style sheet, fonts, labels and images."""

import html
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import TypeVar

import numpy as np
from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QColor, QFont, QGuiApplication, QImage, QPainter, QPaintEvent, QPalette
from PySide6.QtWidgets import QLabel, QLayout, QSizePolicy, QWidget

from gui import theme as themes
from gui.theme import Theme
from gui.views.style_sheet import PALETTE_COLORS, ROLES, STYLE_SHEET

W = TypeVar("W", bound=QWidget)

SPACING = 12  # pixels between the parts of a view
RADIUS = 8  # pixels, of the corners of cards
MAX_TEXT = 400  # characters of a text that comes from a file


def resolve_theme(request: str) -> Theme:
    """Choose the theme to use.

    Args:
        request: "light", "dark", or "auto" for the system's color scheme.

    Returns:
        The theme.
    """
    scheme = QGuiApplication.styleHints().colorScheme()
    is_dark = request == "dark" or (request == "auto" and scheme == Qt.ColorScheme.Dark)
    if is_dark:
        return themes.DARK
    return themes.LIGHT


def palette(theme: Theme) -> QPalette:
    """Build Qt's palette, so that menus, dialogs and tool tips follow the theme too.

    Args:
        theme: The colors to use.

    Returns:
        The palette for the whole app.
    """
    result = QPalette()
    for role, name in PALETTE_COLORS:
        result.setColor(role, QColor(getattr(theme, name)))
    # What cannot be used now is gray in every role that has text.
    for role in (ROLES.WindowText, ROLES.Text, ROLES.ButtonText):
        result.setColor(QPalette.ColorGroup.Disabled, role, QColor(theme.disabled))
    return result


def style_sheet(theme: Theme) -> str:
    """Build the style sheet of the whole app.

    Args:
        theme: The colors to use.

    Returns:
        Qt style sheet.
    """
    colors = {field.name: getattr(theme, field.name) for field in fields(theme)}
    return STYLE_SHEET.format(radius=RADIUS, **colors)


def make_font(size: float = 0.0, bold: bool = False, relative: float = 1.0) -> QFont:
    """Build the system's font with digits of equal width.

    Args:
        size: Size in points; 0 for the size that the user has chosen for the system.
        bold: True for a heavier font.
        relative: Factor on the system's size.

    Returns:
        The font.
    """
    result = QFont()
    # Digits of equal width: numbers that change do not make the text beside them jump.
    result.setFeature(QFont.Tag("tnum"), 1)
    points = size or result.pointSizeF() * relative
    # The size is -1 where the system states it in pixels.
    if points > 0:
        result.setPointSizeF(points)
    if bold:
        result.setWeight(QFont.Weight.DemiBold)
    return result


def make_label(
    text: str = "", name: str = "", relative: float = 1.0, bold: bool = False, soft: bool = False
) -> QLabel:
    """Build a label of plain text: markup from a file is shown as it is.

    Args:
        text: The text.
        name: Accessible name; the text if empty.
        relative: Factor on the system's font size.
        bold: True for a heavier font.
        soft: True for the color of secondary text.

    Returns:
        The label.
    """
    result = QLabel(text)
    result.setTextFormat(Qt.TextFormat.PlainText)
    result.setFont(make_font(relative=relative, bold=bold))
    result.setAccessibleName(name or text or "text")
    if soft:
        result.setObjectName("soft")
    return result


@contextmanager
def painting(widget: QWidget) -> Iterator[QPainter]:
    """Paint on a widget.

    The painter ends even if painting fails: Qt would crash at the widget's next paint otherwise.

    Args:
        widget: the widget, inside its paint event.

    Yields:
        The painter.
    """
    painter = QPainter(widget)
    try:
        yield painter
    finally:
        painter.end()


class ElidedLabel(QLabel):
    """One line of plain text that ends in … where there is not enough room."""

    def __init__(self, text: str = "") -> None:
        super().__init__(text)
        self.setTextFormat(Qt.TextFormat.PlainText)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint as much of the text as fits."""
        text = self.fontMetrics().elidedText(self.text(), Qt.TextElideMode.ElideRight, self.width())
        with painting(self) as painter:
            painter.setPen(self.palette().color(self.foregroundRole()))
            painter.drawText(self.rect(), int(self.alignment()), text)

    def minimumSizeHint(self) -> QSize:
        """Return a size without any width: the text may be cut to nothing."""
        return QSize(0, super().minimumSizeHint().height())


def make_elided_label(
    name: str,
    soft: bool = True,
    text: str = "",
    relative: float = 1.0,
    bold: bool = False,
    greedy: bool = True,
) -> ElidedLabel:
    """Build a label that ends in … where there is not enough room.

    Args:
        name: Accessible name.
        soft: True for the color of secondary text.
        text: The text.
        relative: Factor on the system's font size.
        bold: True for a heavier font.
        greedy: True to take all room there is, False for at most the width of the text.

    Returns:
        The label.
    """
    result = ElidedLabel(text)
    result.setFont(make_font(relative=relative, bold=bold))
    result.setAccessibleName(name)
    horizontal = QSizePolicy.Policy.Ignored if greedy else QSizePolicy.Policy.Maximum
    result.setSizePolicy(horizontal, QSizePolicy.Policy.Preferred)
    if soft:
        result.setObjectName("soft")
    return result


def shorten_text(text: str, max_length: int = MAX_TEXT) -> str:
    """Turn a text from a file into one short line.

    Args:
        text: The text, of any length.
        max_length: Length of the result in characters, at most.

    Returns:
        One line of printable characters, with … at the end where something is left out.
    """
    # A text of megabytes must not be split as a whole.
    words = text[: 4 * max_length].split()
    line = "".join(c if c.isprintable() else "?" for c in " ".join(words))
    if len(line) <= max_length and len(text) <= 4 * max_length:
        return line
    return f"{line[: max_length - 1]}…"


def tooltip_html(text: str) -> str:
    """Build a tool tip that shows a text from a file as it is.

    Args:
        text: The text; Qt would render what looks like markup.

    Returns:
        The text, escaped where it looks like markup.
    """
    shown = text if len(text) <= 4 * MAX_TEXT else f"{text[: 4 * MAX_TEXT]}…"
    # Qt takes a text with either sign for rich text.
    if "<" not in shown and "&" not in shown:
        return shown
    escaped = html.escape(shown).replace("\n", "<br>")
    return f"<qt>{escaped}</qt>"


def set_accessible_name(widget: W, name: str, object_name: str = "") -> W:
    """Name a widget for screen readers.

    Args:
        widget: The widget.
        name: Its accessible name.
        object_name: Its name in the style sheet, if it needs one.

    Returns:
        The same widget.
    """
    widget.setAccessibleName(name)
    if object_name:
        widget.setObjectName(object_name)
    return widget


def clear_layout(layout: QLayout) -> None:
    """Remove and delete all widgets of a layout.

    Args:
        layout: The layout; it is empty afterwards.
    """
    while (item := layout.takeAt(0)) is not None:
        widget = item.widget()
        if widget is not None:
            # Deleted only when Qt is back in its event loop, so it must be out of sight before.
            widget.hide()
            widget.setParent(None)
            widget.deleteLater()


def to_qimage(pixels: np.ndarray) -> QImage:
    """Turn pixels into an image.

    Args:
        pixels: RGB pixels (H, W, 3) uint8.

    Returns:
        An image that owns its memory.
    """
    pixels = np.ascontiguousarray(pixels)
    height, width, _ = pixels.shape
    rgb = QImage.Format.Format_RGB888
    # Copied, because the image must not outlive the array whose memory it would share.
    return QImage(pixels.data, width, height, pixels.strides[0], rgb).copy()


def from_qimage(image: QImage) -> np.ndarray:
    """Turn an image into pixels, on white where it is transparent.

    Args:
        image: An image of any format.

    Returns:
        RGB pixels (H, W, 3) uint8.
    """
    flat = QImage(image.size(), QImage.Format.Format_RGB888)
    # Transparent parts show what they lie on, and black would be a strange image for a model.
    flat.fill(Qt.GlobalColor.white)
    painter = QPainter(flat)
    painter.drawImage(0, 0, image)
    painter.end()
    # Qt pads each row to whole words.
    rows = np.frombuffer(flat.constBits(), np.uint8).reshape(flat.height(), flat.bytesPerLine())
    return rows[:, : flat.width() * 3].reshape(flat.height(), flat.width(), 3).copy()
