"""Graph of a model on a canvas; clicks, keys and the pointer become signals."""

from collections.abc import Mapping

from PySide6.QtCore import QEvent, QPoint, Qt, Signal
from PySide6.QtGui import QContextMenuEvent, QFocusEvent, QHelpEvent, QKeyEvent
from PySide6.QtWidgets import QToolTip

from gui import layout
from gui.graph import Edit, Graph
from gui.layout import Direction
from gui.views import qt_style
from gui.views.graph.drawing import GraphDrawing
from gui.views.graph.painting import MergeInput

KEY_ZOOM = 1.2  # factor of one press of plus or minus
ARROWS: dict[int, Direction] = {
    Qt.Key.Key_Left: "left",
    Qt.Key.Key_Right: "right",
    Qt.Key.Key_Up: "up",
    Qt.Key.Key_Down: "down",
}
PICK_KEYS = (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space)
CUT_KEYS = (Qt.Key.Key_Delete, Qt.Key.Key_Backspace)
FIT_KEYS = (Qt.Key.Key_F, Qt.Key.Key_Home)
# Equal is plus without Shift on many keyboards.
ZOOM_IN_KEYS = (Qt.Key.Key_Plus, Qt.Key.Key_Equal)


class GraphView(GraphDrawing):
    """Shows one model's graph and reports what the user does with it.

    Signals:
        picked(name): A node was chosen.
        hovered(text): Describes what is under the pointer or the keyboard's cursor, "" for nothing.
        skip_menu_requested(merge, operand, at): The menu of a merge input, at a global position.
        cut_toggled(merge, operand): Cut or restore a merge input.
    """

    picked = Signal(str)
    hovered = Signal(str)
    skip_menu_requested = Signal(str, int, QPoint)
    cut_toggled = Signal(str, int)

    # What was described last, a node or a merge input.
    _described: tuple[str | None, MergeInput | None] | None = None

    # Content

    def set_graph(self, graph: Graph) -> None:
        """Draw another model, and forget what was described of the previous one."""
        super().set_graph(graph)
        self._described = None
        self.hovered.emit("")

    def set_edits(self, edits: tuple[Edit, ...]) -> None:
        """Mark other edits, and describe again what is under the pointer."""
        super().set_edits(edits)
        self._describe_again()

    def set_values(self, values: Mapping[str, float] | Mapping[MergeInput, float]) -> None:
        """Show other numbers, and describe again what is under the pointer."""
        super().set_values(values)
        self._describe_again()

    def _report(self, name: str | None, merge_input: MergeInput | None) -> None:
        """Describe a node or a merge input, and remember which one."""
        self._described = (name, merge_input) if name or merge_input else None
        self.hovered.emit(self.describe(name, merge_input))

    def _describe_again(self) -> None:
        """Describe what was described last: its numbers may have changed."""
        if self._described is not None:
            self.hovered.emit(self.describe(*self._described))
            # A tool tip on the screen would keep the old numbers.
            QToolTip.hideText()

    # Pointer

    def on_hover(self, at: QPoint) -> None:
        """Mark and describe what is under the pointer."""
        self._hover(*self.item_at(at))

    def on_click(self, at: QPoint) -> None:
        """Pick a node or the merge of a line; cut or restore a cell of a dense block."""
        name, merge_input = self.item_at(at)
        # A cell is nothing but its connection, so a click on it cuts.
        if merge_input and self._is_cell(merge_input):
            self.cut_toggled.emit(*merge_input)
            return
        if merge_input:
            name = merge_input[0]
        if name:
            self.paint_state.cursor = name
            self.picked.emit(name)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """Ask for the menu of the merge input under the pointer, or at the keyboard's cursor."""
        if event.reason() == QContextMenuEvent.Reason.Keyboard:
            # The event has the pointer's place, which may be anywhere.
            self._request_menu_at_cursor()
            return
        name, merge_input = self.item_at(event.pos())
        merge_input = merge_input or self._input_for_node(name)
        if merge_input:
            self.skip_menu_requested.emit(*merge_input, event.globalPos())

    def leaveEvent(self, event: QEvent) -> None:
        """Forget what was under the pointer."""
        self._hover(None, None)
        super().leaveEvent(event)

    def viewportEvent(self, event: QEvent) -> bool:
        """Show the description under the pointer as a tool tip."""
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            text = qt_style.tooltip_html(self.describe(*self.item_at(event.pos())))
            QToolTip.showText(event.globalPos(), text, self.viewport())
            return True
        return super().viewportEvent(event)

    # Keyboard

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Move, pick, cut, fit and zoom by keyboard."""
        key = event.key()
        cursor = self.paint_state.cursor
        is_shift = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        if is_shift and key in (Qt.Key.Key_Left, Qt.Key.Key_Right):
            self.step_merge_input(1 if key == Qt.Key.Key_Right else -1)
        elif key in ARROWS:
            self.move_cursor(ARROWS[key])
        elif key in PICK_KEYS and cursor:
            self.picked.emit(cursor)
        elif key in CUT_KEYS and cursor:
            merge_input = self._input_at_cursor()
            if merge_input:
                self.cut_toggled.emit(*merge_input)
        elif key in FIT_KEYS:
            self.fit()
        elif key in ZOOM_IN_KEYS:
            self.zoom_by(KEY_ZOOM)
        elif key == Qt.Key.Key_Minus:
            self.zoom_by(1 / KEY_ZOOM)
        else:
            super().keyPressEvent(event)

    def move_cursor(self, direction: Direction) -> None:
        """Move the keyboard's cursor along an edge; the first press enters the graph.

        Args:
            direction: "left", "right", "up" or "down".
        """
        if not self.graph.nodes:
            return
        state = self.paint_state
        if state.cursor:
            state.cursor = self.neighbors[state.cursor].get(direction, state.cursor)
        else:
            state.cursor = self.graph.nodes[0].name
        state.hovered_input = None
        state.hovered = frozenset()
        self._show_cursor()

    def step_merge_input(self, step: int) -> None:
        """Walk through the inputs of the merge at the cursor, so that each can be cut by key.

        Args:
            step: 1 for the next input, -1 for the previous one.
        """
        state = self.paint_state
        inputs = layout.merge_inputs(self.graph, state.cursor)
        if not inputs:
            return
        if state.hovered_input in inputs:
            index = inputs.index(state.hovered_input) + step
        else:
            # The first press enters at either end.
            index = 0 if step > 0 else -1
        state.hovered_input = inputs[index % len(inputs)]
        state.hovered = layout.input_endpoints(self.graph, state.hovered_input)
        self._show_cursor()

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Show the keyboard's cursor."""
        state = self.paint_state
        state.focused = True
        if state.cursor is None and self.graph.nodes:
            state.cursor = state.selected or self.graph.nodes[0].name
        super().focusInEvent(event)
        self.repaint_all()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """Hide the keyboard's cursor."""
        self.paint_state.focused = False
        super().focusOutEvent(event)
        self.repaint_all()

    # Helpers

    def _hover(self, name: str | None, merge_input: MergeInput | None) -> None:
        """Mark and describe a node or a merge input, or nothing."""
        state = self.paint_state
        hovered: frozenset[str] = frozenset()
        if name:
            hovered = frozenset({name})
        elif merge_input:
            hovered = layout.input_endpoints(self.graph, merge_input)
        # The pointer moves often, and a repaint of a large graph takes long.
        if (hovered, merge_input) == (state.hovered, state.hovered_input):
            return
        state.hovered = hovered
        state.hovered_input = merge_input
        if hovered:
            self.viewport().setCursor(Qt.CursorShape.PointingHandCursor)
        else:
            self.viewport().setCursor(Qt.CursorShape.ArrowCursor)
        self._report(name, merge_input)
        self.repaint_all()

    def _is_cell(self, merge_input: MergeInput) -> bool:
        """Return True for a merge input that is drawn as a cell of a dense block."""
        return any(merge_input[0] in item.matrix.rows for item in self.scene_items.matrices)

    def _input_for_node(self, name: str | None) -> MergeInput | None:
        return layout.input_for_node(self.graph, self.placement, name)

    def _input_at_cursor(self) -> MergeInput | None:
        state = self.paint_state
        return state.hovered_input or self._input_for_node(state.cursor)

    def _request_menu_at_cursor(self) -> None:
        merge_input = self._input_at_cursor()
        if merge_input:
            at = self.mapFromScene(self.scene_items.nodes[merge_input[0]].box.bottomLeft())
            self.skip_menu_requested.emit(*merge_input, self.viewport().mapToGlobal(at))

    def _show_cursor(self) -> None:
        """Bring the keyboard's cursor into sight and describe it."""
        state = self.paint_state
        item = self.scene_items.nodes[state.cursor or self.graph.nodes[0].name]
        # A fitted graph is in sight as a whole.
        if not self.is_fitted:
            self.ensureVisible(item.box, 40, 40)
        self.announce_cursor()
        if state.hovered_input:
            self._report(None, state.hovered_input)
        else:
            self._report(item.name, None)
        self.repaint_all()
