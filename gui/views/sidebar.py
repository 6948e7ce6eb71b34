"""The right column: what the model sees, the sample images, and the prediction."""

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtGui import QImage, QPixmap
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from gui.theme import Theme
from gui.views import qt_style
from gui.views.prediction import PredictionView
from gui.views.sample_strip import SampleStrip


class InputImageView(QLabel):
    """The model's input, scaled up without smoothing: its pixels are what the model has to go by."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        qt_style.set_accessible_name(self, "What the model sees")
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setMinimumSize(96, 96)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Ignored)
        self._pixels = QPixmap()

    def set_image(self, image: QImage | None) -> None:
        self._pixels = QPixmap() if image is None else QPixmap.fromImage(image)
        self._fit()

    def resizeEvent(self, event: QEvent) -> None:
        self._fit()

    def _fit(self) -> None:
        ratio = self.devicePixelRatioF()
        side = int(min(self.width(), self.height()) * ratio)
        if self._pixels.isNull() or side < 8:
            self.clear()
            return
        factor = side // max(self._pixels.width(), self._pixels.height())
        if factor > 0:
            mode, size = Qt.TransformationMode.FastTransformation, self._pixels.size() * factor
        else:
            mode, size = (
                Qt.TransformationMode.SmoothTransformation,
                self._pixels.size().scaled(side, side, Qt.AspectRatioMode.KeepAspectRatio),
            )
        scaled = self._pixels.scaled(size, Qt.AspectRatioMode.KeepAspectRatio, mode)
        scaled.setDevicePixelRatio(ratio)
        self.setPixmap(scaled)


class SidebarView(QFrame):
    """Image above, samples in the middle, the five likeliest classes below."""

    choose_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        qt_style.set_accessible_name(self, "Image and prediction", "card")
        self.setMinimumWidth(230)
        self.setMaximumWidth(560)
        self.image, self.samples, self.prediction = (
            InputImageView(),
            SampleStrip(),
            PredictionView(),
        )
        self._caption = qt_style.make_elided_label("Name of the image")
        choose = qt_style.set_accessible_name(QPushButton("Choose…"), "Choose an image")
        choose.setToolTip("Choose an image, drop one anywhere, or paste one")
        choose.clicked.connect(self.choose_wanted)
        row = QHBoxLayout()
        row.addWidget(self._caption, 1)
        row.addWidget(choose)
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 14, 16, 14)
        column.setSpacing(8)
        column.addWidget(self.image, 5)
        column.addLayout(row)
        column.addWidget(self.samples, 3)
        column.addSpacing(4)
        column.addWidget(qt_style.make_label("Prediction", bold=True))
        column.addWidget(self.prediction)

    def set_theme(self, theme: Theme) -> None:
        self.prediction.set_theme(theme)

    def set_image(self, pixels: QImage | None, caption: str) -> None:
        """What the model saw, and the image's name."""
        self.image.set_image(pixels)
        self._caption.setText(qt_style.shorten_text(caption) or "Drop an image")
        self._caption.setToolTip(qt_style.tooltip_html(caption))
        self.image.setAccessibleDescription(caption)
