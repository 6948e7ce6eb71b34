"""Right column: the model's input image, the sample images and the prediction."""

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QImage, QPaintEvent, QPen, QPixmap, QResizeEvent
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from gui.state import MIN_PHOTOGRAPH_SIDE
from gui.theme import LIGHT, Theme
from gui.tooltips import OPEN_IMAGE
from gui.views import qt_style
from gui.views.prediction import PredictionView
from gui.views.sample_strip import SampleStrip

PixelBox = tuple[int, int, int, int]  # top, left, bottom, right; the last two not included

MIN_SIDE = 8  # pixels; an image smaller than this shows nothing


class InputImageView(QLabel):
    """The model's input; pixels of a small image stay sharp: they are all that the model sees."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        qt_style.set_accessible_name(self, "Input image of the model")
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setMinimumSize(88, 88)
        # Its pixmap must not decide how wide the sidebar is.
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Ignored)
        self._theme: Theme = LIGHT
        self._source = QPixmap()
        self._box: PixelBox | None = None

    def set_box(self, box: PixelBox | None) -> None:
        """Mark pixels of the image.

        Args:
            box: Top, left, bottom and right in pixels of the image; None for no mark.
        """
        if box != self._box:
            self._box = box
            self.update()

    def set_theme(self, theme: Theme) -> None:
        """Color the mark anew.

        Args:
            theme: The colors to use.
        """
        self._theme = theme
        self.update()

    def box_rect(self) -> QRectF | None:
        """Return the mark in pixels of this widget, None without one."""
        if self._box is None or self._source.isNull() or self.pixmap().isNull():
            return None
        # In points: on a dense screen the pixmap has more pixels than the widget.
        shown = self.pixmap().deviceIndependentSize()
        left = (self.width() - shown.width()) / 2
        top = (self.height() - shown.height()) / 2
        x_scale = shown.width() / self._source.width()
        y_scale = shown.height() / self._source.height()
        y, x, bottom, right = self._box
        return QRectF(
            left + x * x_scale, top + y * y_scale, (right - x) * x_scale, (bottom - y) * y_scale
        )

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the image and the mark."""
        super().paintEvent(event)
        rect = self.box_rect()
        if rect is None:
            return
        with qt_style.painting(self) as painter:
            # Two lines, so that one of them stands out on any ground.
            for color, width in ((self._theme.panel, 4.0), (self._theme.focus, 2.0)):
                painter.setPen(QPen(QColor(color), width))
                painter.drawRect(rect.adjusted(1, 1, -1, -1))

    def set_image(self, image: QImage | None) -> None:
        """Show another image.

        Args:
            image: The image at the model's own size; None for no image.
        """
        self._source = QPixmap()
        if image is not None:
            self._source = QPixmap.fromImage(image)
        self._update_pixmap()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Scale the image anew."""
        self._update_pixmap()

    def _update_pixmap(self) -> None:
        ratio = self.devicePixelRatioF()
        side = int(min(self.width(), self.height()) * ratio)
        if self._source.isNull() or side < MIN_SIDE:
            self.clear()
            return
        scaled = _scale_to_side(self._source, side)
        scaled.setDevicePixelRatio(ratio)
        self.setPixmap(scaled)


class SidebarView(QFrame):
    """Image above, samples in the middle, the five most probable classes below.

    Signals:
        choose_requested(): The user wants to open an image.
    """

    choose_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        qt_style.set_accessible_name(self, "Image and prediction", "card")
        self.setMinimumWidth(230)
        self.setMaximumWidth(560)
        self.image = InputImageView()
        self.samples = SampleStrip()
        self.prediction = PredictionView()
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 14, 16, 14)
        column.setSpacing(8)
        column.addWidget(self.image, 5)
        column.addLayout(self._make_caption_row())
        column.addWidget(self.samples, 3)
        column.addSpacing(4)
        column.addWidget(qt_style.make_label("Prediction", bold=True))
        column.addWidget(self.prediction)

    def set_theme(self, theme: Theme) -> None:
        """Color image and prediction anew.

        Args:
            theme: The colors to use.
        """
        self.image.set_theme(theme)
        self.prediction.set_theme(theme)

    def set_image(self, pixels: QImage | None, caption: str) -> None:
        """Show another input image.

        Args:
            pixels: The image at the model's own size; None for no image.
            caption: Name of the image; empty for an invitation to drop one.
        """
        self.image.set_image(pixels)
        self.image.setAccessibleDescription(caption)
        self._caption.setText(qt_style.shorten_text(caption) or "Drop an image")
        self._caption.setToolTip(qt_style.tooltip_html(caption))

    def _make_caption_row(self) -> QHBoxLayout:
        self._caption = qt_style.make_elided_label("Name of the image")
        button = qt_style.set_accessible_name(QPushButton("Open image…"), "Open image")
        button.setToolTip(OPEN_IMAGE)
        button.clicked.connect(self.choose_requested)
        row = QHBoxLayout()
        row.addWidget(self._caption, 1)
        row.addWidget(button)
        return row


def _scale_to_side(source: QPixmap, side: int) -> QPixmap:
    """Scale a small image up by a whole factor, so that all pixels come out equally large.

    A photograph is scaled smoothly, up or down.
    """
    keep = Qt.AspectRatioMode.KeepAspectRatio
    longest = max(source.width(), source.height())
    factor = side // longest
    if factor > 0 and longest < MIN_PHOTOGRAPH_SIDE:
        size = QSize(source.width() * factor, source.height() * factor)
        return source.scaled(size, keep, Qt.TransformationMode.FastTransformation)
    return source.scaled(side, side, keep, Qt.TransformationMode.SmoothTransformation)
