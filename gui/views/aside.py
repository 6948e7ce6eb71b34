"""The right column: what the net sees, the sample pictures, and the prediction."""

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtGui import QImage, QPixmap
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from gui.theme import Theme
from gui.views import style
from gui.views.gallery import SamplesView
from gui.views.prediction import PredictionView


class PictureView(QLabel):
    """The net's input, scaled up without smoothing: its pixels are what the net has to go by."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        style.named(self, "What the net sees")
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
            mode, size = Qt.TransformationMode.SmoothTransformation, self._pixels.size().scaled(
                side, side, Qt.AspectRatioMode.KeepAspectRatio
            )  # fmt: skip
        scaled = self._pixels.scaled(size, Qt.AspectRatioMode.KeepAspectRatio, mode)
        scaled.setDevicePixelRatio(ratio)
        self.setPixmap(scaled)


class AsideView(QFrame):
    """Picture above, samples in the middle, the five likeliest classes below."""

    choose_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        style.named(self, "Picture and prediction", "card")
        self.setMinimumWidth(230)
        self.setMaximumWidth(560)
        self.picture, self.samples, self.prediction = PictureView(), SamplesView(), PredictionView()
        self._caption = style.elided("Name of the picture")
        choose = style.named(QPushButton("Choose…"), "Choose a picture")
        choose.setToolTip("Choose a picture, drop one anywhere, or paste one")
        choose.clicked.connect(self.choose_wanted)
        row = QHBoxLayout()
        row.addWidget(self._caption, 1)
        row.addWidget(choose)
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 14, 16, 14)
        column.setSpacing(8)
        column.addWidget(self.picture, 5)
        column.addLayout(row)
        column.addWidget(self.samples, 3)
        column.addSpacing(4)
        column.addWidget(style.label("Prediction", bold=True))
        column.addWidget(self.prediction)

    def set_theme(self, theme: Theme) -> None:
        self.prediction.set_theme(theme)

    def set_picture(self, image: QImage | None, caption: str) -> None:
        """What the net saw, and the picture's name."""
        self.picture.set_image(image)
        self._caption.setText(style.brief(caption) or "Drop a picture")
        self._caption.setToolTip(style.tip(caption))
        self.picture.setAccessibleDescription(caption)
