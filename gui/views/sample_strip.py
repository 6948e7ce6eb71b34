"""Strip of sample images."""

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QIcon, QImage, QPixmap
from PySide6.QtWidgets import QListView, QListWidget, QListWidgetItem, QWidget

from gui.state import ImageInput
from gui.views import qt_style

THUMBNAIL_SIZE = 40  # pixels at a scale of 1


class SampleStrip(QListWidget):
    """Sample images as thumbnails; a click or Enter chooses one.

    Signals:
        chosen(index): The number of the image.
    """

    chosen = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        qt_style.set_accessible_name(self, "Sample images")
        self.setViewMode(QListView.ViewMode.IconMode)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        # Thumbnails must not be dragged about.
        self.setMovement(QListView.Movement.Static)
        # Qt then measures one item instead of all.
        self.setUniformItemSizes(True)
        self.setIconSize(QSize(THUMBNAIL_SIZE, THUMBNAIL_SIZE))
        self.setGridSize(QSize(THUMBNAIL_SIZE + 12, THUMBNAIL_SIZE + 12))
        # The window takes what is dropped here.
        self.setAcceptDrops(False)
        self.setMouseTracking(True)
        self.itemClicked.connect(lambda item: self.chosen.emit(self.row(item)))
        self.itemActivated.connect(lambda item: self.chosen.emit(self.row(item)))

    def set_samples(self, samples: tuple[ImageInput, ...]) -> None:
        """Show other images.

        Args:
            samples: The images; those without pixels are left out.
        """
        self.clear()
        for sample in samples:
            if sample.pixels is not None:
                image = qt_style.to_qimage(sample.pixels)
                self.addItem(self._make_item(image, sample.label))

    def set_current(self, index: int | None) -> None:
        """Mark the image that the model sees.

        Args:
            index: Its number; None if it is not a sample.
        """
        # Only the user's own choice may be reported, so the list is silent meanwhile.
        self.blockSignals(True)
        if index is None:
            self.setCurrentRow(-1)
            self.clearSelection()
        else:
            self.setCurrentRow(index)
        self.blockSignals(False)

    def _make_item(self, image: QImage, label: str) -> QListWidgetItem:
        item = QListWidgetItem(QIcon(self._make_thumbnail(image)), "")
        item.setToolTip(qt_style.tooltip_html(label))
        item.setData(Qt.ItemDataRole.AccessibleTextRole, label)
        item.setSizeHint(QSize(THUMBNAIL_SIZE + 10, THUMBNAIL_SIZE + 10))
        return item

    def _make_thumbnail(self, image: QImage) -> QPixmap:
        ratio = self.devicePixelRatioF()
        pixmap = QPixmap.fromImage(image).scaled(
            QSize(THUMBNAIL_SIZE, THUMBNAIL_SIZE) * ratio,
            Qt.AspectRatioMode.KeepAspectRatioByExpanding,
            Qt.TransformationMode.SmoothTransformation,
        )
        # As many pixels as the screen has, so that thumbnails are sharp on any screen.
        pixmap.setDevicePixelRatio(ratio)
        return pixmap
