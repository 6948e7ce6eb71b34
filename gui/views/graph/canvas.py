"""Canvas to zoom about the pointer, to pan and to fit; it knows nothing of models."""

from PySide6.QtCore import QPoint, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QMouseEvent, QResizeEvent, QWheelEvent
from PySide6.QtWidgets import QFrame, QGraphicsScene, QGraphicsView, QWidget

MAX_FIT_ZOOM = 5.0  # zoom at which a small model is shown in a large window
MIN_ZOOM = 0.08
MAX_ZOOM = 12.0
ZOOM_PER_WHEEL_STEP = 1.2
WHEEL_STEP = 120  # Qt's units per notch of the wheel
DRAG_DISTANCE = 5  # pixels after which a press is a drag and no longer a click


class ZoomPanCanvas(QGraphicsView):
    """View that stays fitted until the user zooms or pans; subclasses paint on it.

    Attributes:
        content: What to fit, in scene units.
        footer_height: Pixels to leave free below the content.
        is_fitted: True until the user zooms or pans.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setScene(QGraphicsScene(self))
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        # Zooming keeps the point under the pointer by itself, in zoom_by.
        self.setTransformationAnchor(QGraphicsView.ViewportAnchor.NoAnchor)
        # Otherwise Qt reports moves only while a button is down.
        self.setMouseTracking(True)
        self.setMinimumSize(320, 180)
        self.content = QRectF()
        self.footer_height = 0.0
        self.is_fitted = True
        self._press: QPoint | None = None
        self._is_dragging = False

    def on_click(self, at: QPoint) -> None:
        """Handle a click that was not a drag; subclasses override this.

        Args:
            at: Position in pixels of the viewport.
        """

    def on_hover(self, at: QPoint) -> None:
        """Handle a move of the pointer without a button; subclasses override this.

        Args:
            at: Position in pixels of the viewport.
        """

    @property
    def zoom(self) -> float:
        """Return the pixels per scene unit."""
        return self.transform().m11()

    def fit(self) -> None:
        """Show all of the content."""
        self.is_fitted = True
        box = self.content
        room = QRectF(self.viewport().rect()).adjusted(0, 0, 0, -self.footer_height)
        # There may be no model yet, or no window.
        if box.isEmpty() or room.isEmpty():
            return
        zoom = min(room.width() / box.width(), room.height() / box.height(), MAX_FIT_ZOOM)
        self.resetTransform()
        self.scale(zoom, zoom)
        # Room around the content, so that it can be panned to any corner.
        self.setSceneRect(box.adjusted(-room.width(), -room.height(), room.width(), room.height()))
        # The legend covers the foot, so the content moves up by half of its height.
        self.centerOn(box.center() + QPointF(0, self.footer_height / 2 / zoom))

    def zoom_by(self, factor: float, about: QPointF | None = None) -> None:
        """Zoom in or out.

        Args:
            factor: Change of the zoom, above 1 to zoom in.
            about: The point of the viewport that stays where it is; its center if None.
        """
        about = about or QPointF(self.viewport().rect().center())
        zoom = min(MAX_ZOOM, max(MIN_ZOOM, self.zoom * factor))
        # What the limits leave of the factor.
        factor = zoom / self.zoom
        anchor = self.mapToScene(about.toPoint())
        self.is_fitted = False
        self.scale(factor, factor)
        self._pan_by((about - QPointF(self.mapFromScene(anchor))).toPoint())

    def repaint_all(self) -> None:
        """Ask for a repaint of the whole canvas."""
        self.viewport().update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Start a click or a drag."""
        if event.button() in (Qt.MouseButton.LeftButton, Qt.MouseButton.MiddleButton):
            self._press = event.position().toPoint()
            self._is_dragging = False
            self.setFocus(Qt.FocusReason.MouseFocusReason)
        event.accept()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Pan while a button is down, otherwise report the hover."""
        at = event.position().toPoint()
        if self._press is None:
            self.on_hover(at)
            return
        if not self._is_dragging and (at - self._press).manhattanLength() > DRAG_DISTANCE:
            self._is_dragging = True
            self.is_fitted = False
            self.viewport().setCursor(Qt.CursorShape.ClosedHandCursor)
        if self._is_dragging:
            step = at - self._press
            # Each step starts where the last one ended.
            self._press = at
            self._pan_by(step)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """End a drag, or report a click."""
        was_pressed = self._press is not None
        self._press = None
        if self._is_dragging:
            self._is_dragging = False
            self.viewport().unsetCursor()
        elif was_pressed and event.button() == Qt.MouseButton.LeftButton:
            self.on_click(event.position().toPoint())

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Zoom about the pointer."""
        # A touch pad sends fractions of a notch.
        steps = event.angleDelta().y() / WHEEL_STEP
        if steps:
            self.zoom_by(ZOOM_PER_WHEEL_STEP**steps, event.position())
        event.accept()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Fit anew unless the user has zoomed or panned."""
        super().resizeEvent(event)
        if self.is_fitted:
            self.fit()

    def sizeHint(self) -> QSize:
        """Return the preferred size."""
        return QSize(860, 420)

    def _pan_by(self, step: QPoint) -> None:
        for bar, pixels in (
            (self.horizontalScrollBar(), step.x()),
            (self.verticalScrollBar(), step.y()),
        ):
            # The hidden bars still move the view; the content follows the pointer.
            bar.setValue(bar.value() - pixels)
        self.repaint_all()
