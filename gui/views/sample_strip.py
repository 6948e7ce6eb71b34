"""A strip of sample images."""

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QIcon, QPixmap
from PySide6.QtWidgets import (
    QListView,
    QListWidget,
    QListWidgetItem,
    QWidget,
)

from gui.state import ImageInput
from gui.views import qt_style
from gui.views.start_page import THUMBNAIL_SIZE


class SampleStrip(QListWidget):
    """Sample images as thumbnails; a click or Enter takes one."""

    chosen = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        qt_style.set_accessible_name(self, "Sample images")
        self.setViewMode(QListView.ViewMode.IconMode)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        self.setMovement(QListView.Movement.Static)
        self.setUniformItemSizes(True)
        self.setIconSize(QSize(THUMBNAIL_SIZE, THUMBNAIL_SIZE))
        self.setGridSize(QSize(THUMBNAIL_SIZE + 12, THUMBNAIL_SIZE + 12))
        self.setAcceptDrops(False)
        self.setMouseTracking(True)
        self.itemClicked.connect(lambda item: self.chosen.emit(self.row(item)))
        self.itemActivated.connect(lambda item: self.chosen.emit(self.row(item)))

    def set_samples(self, samples: tuple[ImageInput, ...]) -> None:
        self.clear()
        for image in samples:
            if image.pixels is None:
                continue
            ratio = self.devicePixelRatioF()
            pixmap = QPixmap.fromImage(qt_style.to_qimage(image.pixels)).scaled(
                QSize(THUMBNAIL_SIZE, THUMBNAIL_SIZE) * ratio,
                Qt.AspectRatioMode.KeepAspectRatioByExpanding,
                Qt.TransformationMode.SmoothTransformation,
            )
            pixmap.setDevicePixelRatio(ratio)
            item = QListWidgetItem(QIcon(pixmap), "")
            item.setToolTip(qt_style.tooltip_html(image.label))
            item.setData(Qt.ItemDataRole.AccessibleTextRole, image.label)
            item.setSizeHint(QSize(THUMBNAIL_SIZE + 10, THUMBNAIL_SIZE + 10))
            self.addItem(item)

    def set_current(self, index: int | None) -> None:
        """Mark the image that is looked at; none of them where it came from elsewhere."""
        self.blockSignals(True)
        self.setCurrentRow(-1 if index is None else index)
        if index is None:
            self.clearSelection()
        self.blockSignals(False)
