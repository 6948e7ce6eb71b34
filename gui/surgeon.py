"""The user's edits: each one undoable, a slider's whole way undone at once, and the menu that offers them."""

from collections.abc import Callable

from PySide6.QtCore import QObject, QPoint, Signal
from PySide6.QtGui import QUndoStack

from gui import travel
from gui.edits import Change
from gui.state import Edit, Screen, Wish, find_edit, with_edit, without_edit
from gui.views.menu import SkipMenu
from gui.views.window import Window


class Surgeon(QObject):
    """Turns cut, fade, hold and restore into the tuple of active edits; `changed(edits, gently)` carries it out."""

    changed = Signal(tuple, bool)

    def __init__(self, window: Window, wish: Callable[[], Wish], screen: Callable[[], Screen], parent: QObject) -> None:
        super().__init__(parent)
        self.stack = QUndoStack(self)
        self._window, self._wish, self._screen = window, wish, screen

    @property
    def edits(self) -> tuple[Edit, ...]:
        return self._wish().edits

    @property
    def waiting(self) -> bool:
        """True while the net that is shown is not the one that is wanted."""
        return bool(self._screen().status)

    def undo(self) -> None:
        if not self.waiting:
            self.stack.undo()

    def redo(self) -> None:
        if not self.waiting:
            self.stack.redo()

    def edit(self, edits: tuple[Edit, ...], text: str = "edit", scrub: int = 0) -> None:
        """Make these the active edits; steps of one `scrub` (not 0) are undone together.

        Not while another net is being opened: the edits belong to the net that is still shown.
        """
        if edits != self.edits and not self.waiting:
            self.stack.push(Change(self.changed.emit, self.edits, edits, text, scrub))

    def remove(self, kind: str, target: str, operand: int) -> None:
        self.edit(without_edit(self.edits, (kind, target, operand)), "take back")

    def fade(self, merge: str, operand: int, gain: float, scrub: int = 0) -> None:
        self.edit(with_edit(self.edits, Edit("scale", merge, operand, gain)), f"fade {merge}", scrub)

    def toggle_cut(self, merge: str, operand: int) -> None:
        now = find_edit(self.edits, ("scale", merge, operand))
        self.fade(merge, operand, 1.0 if now and now.cut else 0.0)

    def toggle_gate(self, gate: str) -> None:
        """Force a gate open (all weights 1), or let it weigh again."""
        held = Edit("hold", gate, 1, 1.0)
        known = find_edit(self.edits, held.key)
        self.edit(without_edit(self.edits, held.key) if known else with_edit(self.edits, held), "force gate open")

    def restore(self, merge: str) -> None:
        self.edit(tuple(edit for edit in self.edits if edit.target != merge), "restore")

    def cut_skip(self, selected: str | None) -> bool:
        """Cut or restore the skip that the selected block means; False where there is none."""
        skip = travel.skip_at(self._screen().diagram, selected)
        if skip:
            self.toggle_cut(skip.merge, skip.operand)
        return skip is not None

    def cut_branch(self, selected: str | None) -> None:
        skip = travel.skip_at(self._screen().diagram, selected)
        if skip and skip.kind == "add":
            self.toggle_cut(skip.merge, 1 - skip.operand)

    def menu(self, merge: str, operand: int, at: QPoint) -> SkipMenu:
        """The menu of a skip, shown at a point of the screen."""
        diagram = self._screen().diagram
        skip, node = diagram.skip(merge, operand), diagram.node(merge)
        kind = skip.kind if skip else node.kind if node else "block"
        now = find_edit(self.edits, ("scale", merge, operand))
        held = find_edit(self.edits, ("hold", merge, 1)) is not None
        menu = SkipMenu(travel.title(skip, merge), kind, now.value if now else 1.0, held, self._window)
        menu.aboutToHide.connect(menu.deleteLater)
        scrub = Change.new_scrub()
        menu.faded.connect(lambda gain: self.fade(merge, operand, gain, scrub))
        menu.cut_wanted.connect(lambda: self.toggle_cut(merge, operand))
        menu.branch_wanted.connect(lambda: self.toggle_cut(merge, 1 - operand))
        menu.open_wanted.connect(lambda: self.toggle_gate(merge))
        menu.restore_wanted.connect(lambda: self.restore(merge))
        menu.popup(at)
        return menu
