"""The user's edits: each one undoable, a slider's whole way undone at once, and the menu that
offers them.
"""

from collections.abc import Callable

from PySide6.QtCore import QObject, QPoint, Signal
from PySide6.QtGui import QUndoStack

from gui import navigation
from gui.graph import Edit, find_edit, with_edit, without_edit
from gui.state import Request, ViewState
from gui.undo import EditCommand
from gui.views.skip_menu import SkipMenu
from gui.views.window import MainWindow


class EditController(QObject):
    """Turns cut, fade, hold and restore into the tuple of active edits; `changed(edits, gently)`
    carries it out.
    """

    changed = Signal(tuple, bool)

    def __init__(
        self,
        window: MainWindow,
        request: Callable[[], Request],
        screen: Callable[[], ViewState],
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self.stack = QUndoStack(self)
        self._window, self._request, self._screen = window, request, screen

    @property
    def edits(self) -> tuple[Edit, ...]:
        return self._request().edits

    @property
    def is_loading(self) -> bool:
        """True while the model that is shown is not the one that is wanted."""
        return bool(self._screen().status)

    def undo(self) -> None:
        if not self.is_loading:
            self.stack.undo()

    def redo(self) -> None:
        if not self.is_loading:
            self.stack.redo()

    def set_edits(self, edits: tuple[Edit, ...], text: str = "edit", scrub: int = 0) -> None:
        """Make these the active edits; steps of one `scrub` (not 0) are undone together.

        Not while another model is being opened: the edits belong to the model that is still shown.
        """
        if edits != self.edits and not self.is_loading:
            self.stack.push(EditCommand(self.changed.emit, self.edits, edits, text, scrub))

    def remove(self, kind: str, target: str, operand: int) -> None:
        self.set_edits(without_edit(self.edits, (kind, target, operand)), "take back")

    def scale(self, merge: str, operand: int, gain: float, scrub: int = 0) -> None:
        self.set_edits(
            with_edit(self.edits, Edit("scale", merge, operand, gain)), f"fade {merge}", scrub
        )

    def toggle_cut(self, merge: str, operand: int) -> None:
        now = find_edit(self.edits, ("scale", merge, operand))
        self.scale(merge, operand, 1.0 if now and now.is_cut else 0.0)

    def toggle_gate(self, gate: str) -> None:
        """Force a gate open (all weights 1), or let it weigh again."""
        held = Edit("hold", gate, 1, 1.0)
        known = find_edit(self.edits, held.key)
        self.set_edits(
            without_edit(self.edits, held.key) if known else with_edit(self.edits, held),
            "force gate open",
        )

    def restore(self, merge: str) -> None:
        self.set_edits(tuple(edit for edit in self.edits if edit.target != merge), "restore")

    def cut_skip(self, selected: str | None) -> bool:
        """Cut or restore the skip that the selected block means; False where there is none."""
        skip = navigation.skip_for_node(self._screen().diagram, selected)
        if skip:
            self.toggle_cut(skip.merge, skip.operand)
        return skip is not None

    def cut_branch(self, selected: str | None) -> None:
        skip = navigation.skip_for_node(self._screen().diagram, selected)
        if skip and skip.kind == "add":
            self.toggle_cut(skip.merge, 1 - skip.operand)

    def show_skip_menu(self, merge: str, operand: int, at: QPoint) -> SkipMenu:
        """The menu of a skip, shown at a point of the screen."""
        diagram = self._screen().diagram
        skip, node = diagram.skip(merge, operand), diagram.node(merge)
        merge_or_node = skip or node
        kind = merge_or_node.kind if merge_or_node else "block"
        now = find_edit(self.edits, ("scale", merge, operand))
        held = find_edit(self.edits, ("hold", merge, 1)) is not None
        menu = SkipMenu(
            navigation.describe_skip(skip, merge),
            kind,
            now.value if now else 1.0,
            held,
            self._window,
        )
        menu.aboutToHide.connect(menu.deleteLater)
        scrub = EditCommand.new_slider_drag()
        menu.scale_changed.connect(lambda gain: self.scale(merge, operand, gain, scrub))
        menu.cut_requested.connect(lambda: self.toggle_cut(merge, operand))
        menu.branch_requested.connect(lambda: self.toggle_cut(merge, 1 - operand))
        menu.open_requested.connect(lambda: self.toggle_gate(merge))
        menu.restore_requested.connect(lambda: self.restore(merge))
        menu.popup(at)
        return menu
