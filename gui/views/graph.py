"""The block graph on a canvas to zoom, pan and travel; clicks, keys and the pointer become signals."""

from collections.abc import Mapping

from PySide6.QtCore import QElapsedTimer, QEvent, QPoint, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QAccessible,
    QAccessibleEvent,
    QColor,
    QContextMenuEvent,
    QFocusEvent,
    QHelpEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QFrame, QGraphicsScene, QGraphicsView, QToolTip, QWidget

from gui import layout
from gui.layout import Placement, Way
from gui.layout.words import described, node_words, summary, way_words
from gui.state import Diagram, Edit
from gui.theme import LIGHT, Theme
from gui.views.graph_dense import FanItem, MatrixItem, RibbonItem
from gui.views.graph_items import BandsItem, FlowItem, Key, Look, NodeItem, WayItem, rect_of, rounded
from gui.views.graph_key import KeyStrip

REACH = 8.0  # screen pixels around a line that still belong to it
SLOW = 30  # milliseconds a repaint may take while dragging before smooth edges are given up
ARROWS: dict[int, Way] = {
    Qt.Key.Key_Left: "left",
    Qt.Key.Key_Right: "right",
    Qt.Key.Key_Up: "up",
    Qt.Key.Key_Down: "down",
}


class GraphView(QGraphicsView):
    """Shows one diagram; every pick, cut and menu is a wish that goes up, what to show comes down by set_*.

    picked(name), hovered(words or ""), skip_menu_requested(merge, operand, global position), cut_toggled(merge, operand).
    """

    picked = Signal(str)
    hovered = Signal(str)
    skip_menu_requested = Signal(str, int, QPoint)
    cut_toggled = Signal(str, int)

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
        self.setAccessibleName("Block graph")
        self.look = Look()
        self.diagram, self.placement = Diagram(), Placement()
        self.edits: tuple[Edit, ...] = ()
        self.nodes: dict[str, NodeItem] = {}
        self.ways: dict[Key, WayItem] = {}
        self.matrices: list[MatrixItem] = []
        self.fan: FanItem | None = None
        self.key = KeyStrip(self.look)
        self._travel: dict[str, dict[Way, str]] = {}
        self._fitted = True
        self._press: QPoint | None = None
        self._drag = False
        self._clock, self._cost = QElapsedTimer(), 0

    # ---- what comes down

    def set_diagram(self, diagram: Diagram) -> None:
        """Draw another net; keeps nothing of the one before."""
        self.diagram, self.placement = diagram, layout.place(diagram)
        self._travel = layout.travel(diagram, self.placement)
        self.look.selected = self.look.way = self.look.cursor = None
        self.look.hot, self.look.values = frozenset(), {}
        self.scene().clear()
        self._build()
        self.set_edits(())
        self.setAccessibleDescription(summary(diagram, self.placement) if diagram.nodes else "empty")
        self.fit()

    def set_edits(self, edits: tuple[Edit, ...]) -> None:
        self.edits = edits
        self.look.scales = {(e.target, e.operand): e for e in edits if e.kind == "scale"}
        self.look.holds = {(e.target, e.operand): e for e in edits if e.kind == "hold"}
        self.look.dropped = frozenset(e.target for e in edits if e.kind == "drop")
        self._say()
        self._repaint()

    def set_selected(self, name: str | None) -> None:
        """Mark what is looked at; a layer of a dense block shows the arcs of what it reads."""
        self.look.selected = name if name in self.nodes else None
        self.look.cursor = self.look.selected or self.look.cursor
        self.look.way = None
        self._fan()
        self._say()
        self._repaint()

    def set_theme(self, theme: Theme) -> None:
        self.look.theme = theme
        self._repaint()

    def set_values(self, values: Mapping[str, float] | Mapping[Key, float]) -> None:
        """Numbers to show: by node name, how much it changed (0 to 1); by (merge, operand), what it contributes."""
        self.look.values = dict(values)
        self._repaint()

    def fit(self) -> None:
        """Show the whole net."""
        self._fitted = True
        box, room = rect_of(self.placement.bounds), QRectF(self.viewport().rect())
        room.setHeight(room.height() - self.key.height(self.diagram))
        if box.isEmpty() or room.isEmpty():
            return
        zoom = min(room.width() / box.width(), room.height() / box.height(), 3.2)
        self.resetTransform()
        self.scale(zoom, zoom)
        spare = QRectF(self.viewport().rect())
        self.setSceneRect(box.adjusted(-spare.width(), -spare.height(), spare.width(), spare.height()))
        low = box.center() + QPointF(0, self.key.height(self.diagram) / 2 / zoom)
        self.centerOn(low)

    # ---- building

    def _build(self) -> None:
        look, placement, scene = self.look, self.placement, self.scene()
        everything = rect_of(placement.bounds)
        skips = {(arc.merge, arc.operand) for arc in placement.arcs}
        loose = [w for w in placement.wires if (w.target, w.operand) in skips or not self._merges(w)]
        scene.addItem(BandsItem(look, placement.bands, everything))
        scene.addItem(FlowItem(look, tuple(loose), everything))
        self.ways = {}
        for arc in placement.arcs:
            way = WayItem(look, (arc.merge, arc.operand), arc.kind, rounded(arc.points, arc.radius), skip=True,
                          words=arc.projected or "", mark=0.88 if arc.projected else 0.5)  # fmt: skip
            self.ways[way.key] = way
        for wire in placement.wires:
            if wire not in loose:
                kind = "gate" if wire.role == "weight" else "edge"
                way = WayItem(look, (wire.target, wire.operand), kind, rounded(wire.points, wire.radius), skip=False)
                self.ways[way.key] = way
        weights = {w.target: (w.target, w.operand) for w in placement.wires if w.role == "weight" and self._merges(w)}
        self.nodes = {}
        for place, node in zip(placement.places, self.diagram.nodes, strict=True):
            self.nodes[place.name] = NodeItem(look, place, node, weights.get(place.name))
        self.matrices = [MatrixItem(look, matrix, self._ups(matrix)) for matrix in placement.matrices]
        ends = dict.fromkeys(strip.end for strip in placement.strips)
        ribbons = [RibbonItem(look, tuple(s for s in placement.strips if s.end == end)) for end in ends]
        self.fan = FanItem(look, everything) if self.matrices else None
        items = [*ribbons, *self.matrices, *self.ways.values(), *self.nodes.values()]
        for item in [*items, self.fan] if self.fan else items:
            scene.addItem(item)

    def _merges(self, wire: layout.Wire) -> bool:
        node = self.diagram.node(wire.target)
        return node is not None and node.kind in ("add", "concat", "gate")

    def _ups(self, matrix: layout.Matrix) -> tuple[layout.Point, ...]:
        """Where each row of a matrix leads: under the layer that reads it, under its bar for the last."""
        found = []
        for merge, reader in zip(matrix.rows, matrix.readers, strict=True):
            inside = reader in matrix.columns
            place = self.placement.place(reader if inside else merge)
            assert place
            found.append((place.rect.middle[0], place.rect.bottom))
        return tuple(found)

    # ---- what is where

    def hit(self, at: QPoint) -> tuple[str | None, Key | None]:
        """The node or the way into a merge under a point of the viewport, (None, None) beside everything."""
        here, zoom = self.mapToScene(at), self.transform().m11()
        slack = 3.0 / zoom
        for name, item in self.nodes.items():
            if item.box.adjusted(-slack, -slack, slack, slack).contains(here):
                return name, None
        for matrix in self.matrices:
            if cell := matrix.cell(here):
                return None, (cell.merge, cell.operand)
        reach = REACH / zoom
        near = [(way.distance(here), not way.skip, key) for key, way in self.ways.items()
                if way.rect.adjusted(-reach, -reach, reach, reach).contains(here)]  # fmt: skip
        best = min(near, default=None)
        return (None, best[2]) if best and best[0] <= reach else (None, None)

    def way_of(self, name: str) -> Key | None:
        """The way into a merge that a menu on its node means: its skip, or the weight of a gate."""
        node = self.diagram.node(name)
        ways = self._operands(name)
        if node is None or not ways:
            return None
        if node.kind == "gate":
            return next((way for way in ways if not self.diagram.skip(*way)), ways[0])
        return next((way for way in ways if self.diagram.skip(*way)), ways[0])

    def _operands(self, name: str) -> list[Key]:
        node = self.diagram.node(name)
        if node is None or node.kind not in ("add", "concat", "gate"):
            return []
        return [(name, link.operand) for link in layout.incoming(self.diagram)[name]]

    def _ends(self, way: Key) -> frozenset[str]:
        skip = self.diagram.skip(*way)
        links = layout.incoming(self.diagram).get(way[0], ())
        source = skip.source if skip else next((x.source for x in links if x.operand == way[1]), None)
        return frozenset({way[0], source} - {None}) if source else frozenset({way[0]})

    # ---- pointer

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() in (Qt.MouseButton.LeftButton, Qt.MouseButton.MiddleButton):
            self._press, self._drag = event.position().toPoint(), False
            self.setFocus(Qt.FocusReason.MouseFocusReason)
        event.accept()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        at = event.position().toPoint()
        if self._press is None:
            self._hover(*self.hit(at))
            return
        if not self._drag and (at - self._press).manhattanLength() > 5:
            self._drag, self._fitted = True, False
            self.viewport().setCursor(Qt.CursorShape.ClosedHandCursor)
        if self._drag:
            step = at - self._press
            self._press = at
            self.setRenderHint(QPainter.RenderHint.Antialiasing, self._cost <= SLOW)
            self._shift(step)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        pressed, self._press = self._press, None
        if self._drag:
            self._drag = False
            self.viewport().unsetCursor()
            self.setRenderHint(QPainter.RenderHint.Antialiasing, True)
            self._repaint()
        elif pressed is not None and event.button() == Qt.MouseButton.LeftButton:
            self._click(*self.hit(event.position().toPoint()))

    def _click(self, name: str | None, way: Key | None) -> None:
        if name:
            self.look.cursor = name
            self.picked.emit(name)
        elif way and any(way[0] in item.matrix.rows for item in self.matrices):
            self.cut_toggled.emit(*way)
        elif way:
            self.look.cursor = way[0]
            self.picked.emit(way[0])

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        if event.reason() == QContextMenuEvent.Reason.Keyboard:
            self._menu_by_key()
            return
        name, way = self.hit(event.pos())
        way = way or (self.way_of(name) if name else None)
        if way:
            self.skip_menu_requested.emit(*way, event.globalPos())

    def _menu_by_key(self) -> None:
        way = self.look.way or (self.way_of(self.look.cursor) if self.look.cursor else None)
        if way:
            at = self.mapFromScene(self.nodes[way[0]].box.bottomLeft())
            self.skip_menu_requested.emit(*way, self.viewport().mapToGlobal(at))

    def wheelEvent(self, event: QWheelEvent) -> None:
        steps = event.angleDelta().y() / 120
        if steps:
            self.zoom_by(1.2**steps, event.position())
        event.accept()

    def zoom_by(self, factor: float, about: QPointF | None = None) -> None:
        """Zoom with the point `about` of the viewport kept where it is."""
        about = about or QPointF(self.viewport().rect().center())
        now = self.transform().m11()
        factor = min(12.0, max(0.08, now * factor)) / now
        here = self.mapToScene(about.toPoint())
        self._fitted = False
        self.scale(factor, factor)
        self._shift((about - QPointF(self.mapFromScene(here))).toPoint())

    def _shift(self, step: QPoint) -> None:
        self.horizontalScrollBar().setValue(self.horizontalScrollBar().value() - step.x())
        self.verticalScrollBar().setValue(self.verticalScrollBar().value() - step.y())

    def _hover(self, name: str | None, way: Key | None) -> None:
        hot = frozenset({name}) if name else self._ends(way) if way else frozenset()
        if (hot, way) == (self.look.hot, self.look.way):
            return
        self.look.hot, self.look.way = hot, way
        self.viewport().setCursor(Qt.CursorShape.PointingHandCursor if hot else Qt.CursorShape.ArrowCursor)
        self.hovered.emit(self._words(name, way))
        self._repaint()

    def _words(self, name: str | None, way: Key | None) -> str:
        node = self.diagram.node(name)
        if node:
            change = self.look.values.get(node.name)
            return node_words(node) + (f" · changed by {change:.0%}" if change else "")
        return way_words(self.diagram, *way, self.edits) if way else ""

    def leaveEvent(self, event: QEvent) -> None:
        self._hover(None, None)
        super().leaveEvent(event)

    def viewportEvent(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            QToolTip.showText(event.globalPos(), self._words(*self.hit(event.pos())), self.viewport())
            return True
        return super().viewportEvent(event)

    # ---- keys

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key, shift = event.key(), bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        if key in (Qt.Key.Key_Left, Qt.Key.Key_Right) and shift:
            self.step_operand(1 if key == Qt.Key.Key_Right else -1)
        elif key in ARROWS:
            self.go(ARROWS[key])
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space) and self.look.cursor:
            self.picked.emit(self.look.cursor)
        elif key in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace) and self.look.cursor:
            way = self.look.way or self.way_of(self.look.cursor)
            if way:
                self.cut_toggled.emit(*way)
        elif key in (Qt.Key.Key_F, Qt.Key.Key_Home):
            self.fit()
        elif key in (Qt.Key.Key_Plus, Qt.Key.Key_Equal, Qt.Key.Key_Minus):
            self.zoom_by(1 / 1.2 if key == Qt.Key.Key_Minus else 1.2)
        else:
            super().keyPressEvent(event)

    def go(self, way: Way) -> None:
        """Move the keyboard's place along an edge; the first press enters the graph."""
        if not self.diagram.nodes:
            return
        here = self.look.cursor
        self.look.cursor = self._travel[here].get(way, here) if here else self.diagram.nodes[0].name
        self.look.way, self.look.hot = None, frozenset()
        self._moved()

    def step_operand(self, step: int) -> None:
        """Walk through what meets in the merge at the keyboard's place, so that one of many can be cut by key."""
        ways = self._operands(self.look.cursor or "")
        if ways:
            at = ways.index(self.look.way) + step if self.look.way in ways else 0 if step > 0 else -1
            self.look.way = ways[at % len(ways)]
            self.look.hot = self._ends(self.look.way)
            self._moved()

    def _moved(self) -> None:
        item = self.nodes[self.look.cursor or self.diagram.nodes[0].name]
        if not self._fitted:
            self.ensureVisible(item.box, 40, 40)
        self._say()
        self.hovered.emit(self._words(None if self.look.way else item.name, self.look.way))
        self._repaint()

    def _say(self) -> None:
        """Tell assistive technology where the keyboard is."""
        name = self.look.cursor or self.look.selected
        if not name:
            return
        words = way_words(self.diagram, *self.look.way, self.edits) if self.look.way else ""
        self.setAccessibleDescription(words or described(self.diagram, name, self.edits))
        QAccessible.updateAccessibility(QAccessibleEvent(self, QAccessible.Event.DescriptionChanged))

    # ---- painting

    def focusInEvent(self, event: QFocusEvent) -> None:
        self.look.focused = True
        if self.look.cursor is None and self.diagram.nodes:
            self.look.cursor = self.look.selected or self.diagram.nodes[0].name
        super().focusInEvent(event)
        self._repaint()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        self.look.focused = False
        super().focusOutEvent(event)
        self._repaint()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if self._fitted:
            self.fit()

    def paintEvent(self, event: QPaintEvent) -> None:
        self._clock.start()
        super().paintEvent(event)
        self._cost = self._clock.elapsed()

    def drawBackground(self, painter: QPainter, rect: QRectF) -> None:
        painter.fillRect(rect, QColor(self.look.theme.panel))

    def drawForeground(self, painter: QPainter, rect: QRectF) -> None:
        painter.save()
        painter.resetTransform()
        self.key.draw(painter, QRectF(self.viewport().rect()), self.diagram)
        painter.restore()

    def sizeHint(self) -> QSize:
        return QSize(860, 420)

    def _fan(self) -> None:
        if self.fan:
            arcs = layout.fan(self.placement, self.look.selected)
            matrix = next((m for m in self.placement.matrices if arcs and arcs[0].merge in m.rows), None)
            self.fan.set_arcs(arcs, len(matrix.columns) if matrix else 1)

    def _repaint(self) -> None:
        self.viewport().update()
