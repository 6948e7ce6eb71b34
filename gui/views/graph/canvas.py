"""A canvas to zoom about the pointer, to pan by hand and to fit; it knows nothing of models."""

from PySide6.QtCore import QElapsedTimer, QPoint, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QMouseEvent, QPainter, QPaintEvent, QResizeEvent, QWheelEvent
from PySide6.QtWidgets import QFrame, QGraphicsScene, QGraphicsView, QWidget

MAX_SMOOTH_REPAINT_MS = (
    30  # milliseconds a repaint may take while dragging before smooth edges are given up
)


MAX_FIT_ZOOM = 5.0  # zoom at which a small model is shown in a large window


class ZoomPanCanvas(QGraphicsView):
    """Holds a scene with `content` in it; stays fitted until the user zooms or pans.

    Clicks and moves of the pointer go to `clicked_at` and `hovered_at`.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setScene(QGraphicsScene(self))
        self.scene().setItemIndexMethod(QGraphicsScene.ItemIndexMethod.NoIndex)
        self.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.TextAntialiasing)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setTransformationAnchor(QGraphicsView.ViewportAnchor.NoAnchor)
        self.setMouseTracking(True)
        self.setMinimumSize(320, 180)
        self.content, self.foot = (
            QRectF(),
            0.0,
        )  # what to fit, and the screen pixels to leave free below it
        self.fitted = True
        self._press: QPoint | None = None
        self._drag = False
        self._clock, self._cost = QElapsedTimer(), 0

    def clicked_at(self, at: QPoint) -> None:
        """A click that was no drag, in pixels of the viewport."""

    def hovered_at(self, at: QPoint) -> None:
        """The pointer moved with no button down."""

    @property
    def zoom(self) -> float:
        return self.transform().m11()

    def fit(self) -> None:
        """Show all of the content."""
        self.fitted = True
        box, room = self.content, QRectF(self.viewport().rect()).adjusted(0, 0, 0, -self.foot)
        if box.isEmpty() or room.isEmpty():
            return
        zoom = min(room.width() / box.width(), room.height() / box.height(), MAX_FIT_ZOOM)
        self.resetTransform()
        self.scale(zoom, zoom)
        self.setSceneRect(box.adjusted(-room.width(), -room.height(), room.width(), room.height()))
        self.centerOn(box.center() + QPointF(0, self.foot / 2 / zoom))

    def zoom_by(self, factor: float, about: QPointF | None = None) -> None:
        """Zoom with the point `about` of the viewport kept where it is."""
        about = about or QPointF(self.viewport().rect().center())
        factor = min(12.0, max(0.08, self.zoom * factor)) / self.zoom
        here = self.mapToScene(about.toPoint())
        self.fitted = False
        self.scale(factor, factor)
        self._shift((about - QPointF(self.mapFromScene(here))).toPoint())

    def repaint_all(self) -> None:
        self.viewport().update()

    def _shift(self, step: QPoint) -> None:
        self.horizontalScrollBar().setValue(self.horizontalScrollBar().value() - step.x())
        self.verticalScrollBar().setValue(self.verticalScrollBar().value() - step.y())

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() in (Qt.MouseButton.LeftButton, Qt.MouseButton.MiddleButton):
            self._press, self._drag = event.position().toPoint(), False
            self.setFocus(Qt.FocusReason.MouseFocusReason)
        event.accept()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        at = event.position().toPoint()
        if self._press is None:
            self.hovered_at(at)
            return
        if not self._drag and (at - self._press).manhattanLength() > 5:
            self._drag, self.fitted = True, False
            self.viewport().setCursor(Qt.CursorShape.ClosedHandCursor)
        if self._drag:
            step, self._press = at - self._press, at
            self.setRenderHint(
                QPainter.RenderHint.Antialiasing, self._cost <= MAX_SMOOTH_REPAINT_MS
            )
            self._shift(step)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        pressed, self._press = self._press, None
        if self._drag:
            self._drag = False
            self.viewport().unsetCursor()
            self.setRenderHint(QPainter.RenderHint.Antialiasing, True)
            self.repaint_all()
        elif pressed is not None and event.button() == Qt.MouseButton.LeftButton:
            self.clicked_at(event.position().toPoint())

    def wheelEvent(self, event: QWheelEvent) -> None:
        steps = event.angleDelta().y() / 120
        if steps:
            self.zoom_by(1.2**steps, event.position())
        event.accept()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if self.fitted:
            self.fit()

    def paintEvent(self, event: QPaintEvent) -> None:
        self._clock.start()
        super().paintEvent(event)
        self._cost = self._clock.elapsed()

    def sizeHint(self) -> QSize:
        return QSize(860, 420)
