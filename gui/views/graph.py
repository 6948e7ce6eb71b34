"""The block graph on a canvas to zoom, pan and travel; clicks, keys and the pointer become signals."""

from collections.abc import Mapping

from PySide6.QtCore import QEvent, QPoint, QRect, QRectF, Qt, Signal
from PySide6.QtGui import (
    QAccessible,
    QAccessibleEvent,
    QColor,
    QContextMenuEvent,
    QFocusEvent,
    QHelpEvent,
    QKeyEvent,
    QPainter,
    QResizeEvent,
)
from PySide6.QtWidgets import QToolTip, QWidget

from gui import layout
from gui.layout import Placement, Way
from gui.layout.words import described, node_words, summary, way_words
from gui.state import Diagram, Edit
from gui.theme import Theme
from gui.views import style
from gui.views.graph_canvas import Canvas
from gui.views.graph_drawn import Drawn, draw
from gui.views.graph_ink import Key, Look, rect_of
from gui.views.graph_key import KeyStrip

REACH = 8.0  # screen pixels around a line that still belong to it
ARROWS: dict[int, Way] = {
    Qt.Key.Key_Left: "left",
    Qt.Key.Key_Right: "right",
    Qt.Key.Key_Up: "up",
    Qt.Key.Key_Down: "down",
}


class GraphView(Canvas):
    """Shows one diagram; every pick, cut and menu is a wish that goes up, what to show comes down by set_*.

    picked(name), hovered(words or ""), skip_menu_requested(merge, operand, global place), cut_toggled(merge, operand).
    """

    picked = Signal(str)
    hovered = Signal(str)
    skip_menu_requested = Signal(str, int, QPoint)
    cut_toggled = Signal(str, int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Block graph")
        self.look = Look()
        self.diagram, self.placement = Diagram(), Placement()
        self.edits: tuple[Edit, ...] = ()
        self.drawn = Drawn()
        self.key = KeyStrip(self.look)
        self._travel: dict[str, dict[Way, str]] = {}
        self._shape = self._aspect()

    # ---- what comes down

    def set_diagram(self, diagram: Diagram) -> None:
        """Draw another net; keeps nothing of the one before."""
        self.diagram = diagram
        self.look.selected = self.look.way = self.look.cursor = None
        self.look.hot, self.look.values = frozenset(), {}
        self._lay()
        self.set_edits(())
        self.setAccessibleDescription(summary(diagram, self.placement) if diagram.nodes else "empty")
        self.fit()

    def set_edits(self, edits: tuple[Edit, ...]) -> None:
        self.edits = edits
        self.look.scales = {(e.target, e.operand): e for e in edits if e.kind == "scale"}
        self.look.holds = {(e.target, e.operand): e for e in edits if e.kind == "hold"}
        self.look.dropped = frozenset(e.target for e in edits if e.kind == "drop")
        self._say()
        self.repaint_all()

    def set_selected(self, name: str | None) -> None:
        """Mark what is looked at; a layer of a dense block shows the arcs of what it reads."""
        self.look.selected = name if name in self.drawn.nodes else None
        self.look.cursor = self.look.selected or self.look.cursor
        self.look.way = None
        self._fan()
        self._say()
        self.repaint_all()

    def set_theme(self, theme: Theme) -> None:
        self.look.theme = theme
        self.repaint_all()

    def set_values(self, values: Mapping[str, float] | Mapping[Key, float]) -> None:
        """Numbers to show: by node name, how much it changed (0 to 1); by (merge, operand), what it contributes."""
        self.look.values = dict(values.items())
        self.repaint_all()

    def _lay(self) -> None:
        """Place and draw the net for the present shape of the view."""
        self.foot = self.key.height(self.diagram)
        self._shape = self._aspect()
        room = layout.room_for(self.viewport().width(), self.viewport().height() - self.foot)
        self.placement = layout.place(self.diagram, room)
        self._travel = layout.travel(self.diagram, self.placement)
        self.key.cells = bool(self.placement.matrices)
        self.scene().clear()
        self.drawn = draw(self.diagram, self.placement, self.look)
        for item in self.drawn.items:
            self.scene().addItem(item)
        self.content = rect_of(self.placement.bounds)
        self._fan()

    def _aspect(self) -> float:
        return self.viewport().width() / max(1, self.viewport().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Lay out anew where the shape of the view has changed much and the user has not zoomed."""
        if self.fitted and not 0.92 < self._aspect() / self._shape < 1.08:
            self._lay()
        super().resizeEvent(event)

    # ---- what is where

    def hit(self, at: QPoint) -> tuple[str | None, Key | None]:
        """The node or the way into a merge under a point of the viewport, (None, None) beside everything."""
        here, zoom = self.mapToScene(at), self.zoom
        slack = 3.0 / zoom
        for name, item in self.drawn.nodes.items():
            if item.box.adjusted(-slack, -slack, slack, slack).contains(here):
                return name, None
        for matrix in self.drawn.matrices:
            if cell := matrix.cell(here):
                return None, (cell.merge, cell.operand)
        reach = REACH / zoom
        near = [(way.distance(here), not way.skip, key) for key, way in self.drawn.ways.items()
                if way.rect.adjusted(-reach, -reach, reach, reach).contains(here)]  # fmt: skip
        best = min(near, default=None)
        return (None, best[2]) if best and best[0] <= reach else (None, None)

    def _meant(self, name: str | None) -> Key | None:
        return layout.meant(self.diagram, self.placement, name)

    # ---- pointer

    def hovered_at(self, at: QPoint) -> None:
        self._hover(*self.hit(at))

    def clicked_at(self, at: QPoint) -> None:
        name, way = self.hit(at)
        if name:
            self.look.cursor = name
            self.picked.emit(name)
        elif way and any(way[0] in item.matrix.rows for item in self.drawn.matrices):
            self.cut_toggled.emit(*way)
        elif way:
            self.look.cursor = way[0]
            self.picked.emit(way[0])

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        if event.reason() == QContextMenuEvent.Reason.Keyboard:
            self._menu_by_key()
            return
        name, way = self.hit(event.pos())
        way = way or self._meant(name)
        if way:
            self.skip_menu_requested.emit(*way, event.globalPos())

    def _menu_by_key(self) -> None:
        way = self.look.way or self._meant(self.look.cursor)
        if way:
            at = self.mapFromScene(self.drawn.nodes[way[0]].box.bottomLeft())
            self.skip_menu_requested.emit(*way, self.viewport().mapToGlobal(at))

    def _hover(self, name: str | None, way: Key | None) -> None:
        hot = frozenset({name}) if name else layout.ends(self.diagram, way) if way else frozenset()
        if (hot, way) == (self.look.hot, self.look.way):
            return
        self.look.hot, self.look.way = hot, way
        self.viewport().setCursor(Qt.CursorShape.PointingHandCursor if hot else Qt.CursorShape.ArrowCursor)
        self.hovered.emit(self._words(name, way))
        self.repaint_all()

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
            QToolTip.showText(event.globalPos(), style.tip(self._words(*self.hit(event.pos()))), self.viewport())
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
            way = self.look.way or self._meant(self.look.cursor)
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
        ways = layout.operands(self.diagram, self.look.cursor)
        if ways:
            at = ways.index(self.look.way) + step if self.look.way in ways else 0 if step > 0 else -1
            self.look.way = ways[at % len(ways)]
            self.look.hot = layout.ends(self.diagram, self.look.way)
            self._moved()

    def _moved(self) -> None:
        item = self.drawn.nodes[self.look.cursor or self.diagram.nodes[0].name]
        if not self.fitted:
            self.ensureVisible(item.box, 40, 40)
        self._say()
        self.hovered.emit(self._words(None if self.look.way else item.name, self.look.way))
        self.repaint_all()

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
        self.repaint_all()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        self.look.focused = False
        super().focusOutEvent(event)
        self.repaint_all()

    def drawBackground(self, painter: QPainter, rect: QRectF | QRect) -> None:
        painter.fillRect(rect, QColor(self.look.theme.panel))

    def drawForeground(self, painter: QPainter, rect: QRectF | QRect) -> None:
        painter.save()
        painter.resetTransform()
        self.key.draw(painter, QRectF(self.viewport().rect()), self.diagram)
        painter.restore()

    def _fan(self) -> None:
        if self.drawn.fan:
            arcs = layout.fan(self.placement, self.look.selected)
            matrix = next((m for m in self.placement.matrices if arcs and arcs[0].merge in m.rows), None)
            self.drawn.fan.set_arcs(arcs, len(matrix.columns) if matrix else 1)
