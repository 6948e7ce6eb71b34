"""The user's edits, each one undoable, and the menu that offers them."""

from collections.abc import Callable

from PySide6.QtCore import QObject, QPoint, Signal
from PySide6.QtGui import QUndoStack

from gui import navigation
from gui.graph import Edit, EditKind, find_edit, toggle_channel, with_edit, without_edit
from gui.state import Request
from gui.undo import EditCommand
from gui.view_state import ViewState
from gui.views.skip_menu import SkipMenu
from gui.views.window import MainWindow


class EditController(QObject):
    """Turns commands into tuples of active edits on an undo stack.

    Args:
        window: the window over which the menu opens.
        request: returns the present request.
        screen: returns what is shown.
        parent: the owner.

    Attributes:
        stack: the undo stack.

    Signals:
        changed(edits, is_drag): Make these the active edits; `is_drag` during a slider drag.
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
        self._window = window
        # Functions, because request and screen are replaced with every step.
        self._request = request
        self._screen = screen

    @property
    def edits(self) -> tuple[Edit, ...]:
        """Return the active edits."""
        return self._request().edits

    @property
    def is_loading(self) -> bool:
        """Return True while another model than the one on the screen is being opened."""
        return bool(self._screen().status)

    def undo(self) -> None:
        """Take back the last step."""
        if not self.is_loading:
            self.stack.undo()

    def redo(self) -> None:
        """Repeat the step that was taken back."""
        if not self.is_loading:
            self.stack.redo()

    def set_edits(self, edits: tuple[Edit, ...], text: str = "edit", drag: int = 0) -> None:
        """Make edits active.

        This does nothing while another model is being opened, because the edits belong to the
        model that is still shown.

        Args:
            edits: all edits.
            text: name of the step.
            drag: number of the slider drag whose steps are undone together, 0 for none.
        """
        # While another model loads, an edit of the old one would run on the new one.
        if edits != self.edits and not self.is_loading:
            # Pushing runs the command's `redo`, which makes the edits active.
            self.stack.push(EditCommand(self.changed.emit, self.edits, edits, text, drag))

    def remove(self, kind: EditKind, target: str, operand: int) -> None:
        """Remove the edit with a key.

        Args:
            kind: kind of the edit.
            target: name of the node.
            operand: number of the operand.
        """
        self.set_edits(without_edit(self.edits, (kind, target, operand)), "remove edit")

    def scale(self, merge: str, operand: int, value: float, drag: int = 0) -> None:
        """Scale an input of a merge.

        Args:
            merge: name of the merge.
            operand: number of the operand.
            value: the factor; 0 cuts, 1 restores.
            drag: number of the slider drag, 0 for none.
        """
        edits = with_edit(self.edits, Edit("scale", merge, operand, value))
        self.set_edits(edits, f"scale {merge}", drag)

    def toggle_cut(self, merge: str, operand: int) -> None:
        """Cut an input of a merge, or restore it if it is cut.

        Args:
            merge: name of the merge.
            operand: number of the operand.
        """
        edit = find_edit(self.edits, ("scale", merge, operand))
        is_cut = edit is not None and edit.is_cut
        # A scale of 1 is no edit at all, so restoring removes it.
        self.scale(merge, operand, 1.0 if is_cut else 0.0)

    def toggle_gate(self, gate: str) -> None:
        """Set all weights of a gate to 1, or restore them.

        Args:
            gate: name of the gate.
        """
        # Operand 1 is the weight of the gate.
        held = Edit("hold", gate, 1, 1.0)
        if find_edit(self.edits, held.key):
            self.set_edits(without_edit(self.edits, held.key), "restore gate")
        else:
            self.set_edits(with_edit(self.edits, held), "set gate to 1")

    def toggle_channel(self, node: str, channel: int) -> None:
        """Set a channel of a node's output to zero, or restore it.

        Args:
            node: name of the node.
            channel: number of the channel.
        """
        self.set_edits(toggle_channel(self.edits, node, channel), f"channel {channel}")

    def toggle_block(self, name: str | None) -> None:
        """Remove a block that a skip connection goes around, or restore it.

        Args:
            name: name of the block, or of the merge at its end.
        """
        diagram = self._screen().diagram
        block = navigation.block_of(diagram, name)
        if block is None:
            self._window.set_hover("Select a block that a skip connection goes around.")
            return
        dropped = Edit("drop", block, 0, 0.0)
        if find_edit(self.edits, dropped.key):
            self.set_edits(without_edit(self.edits, dropped.key), "restore block")
        else:
            self.set_edits(with_edit(self.edits, dropped), "remove block")

    def restore(self, merge: str) -> None:
        """Remove all edits of a merge.

        Args:
            merge: name of the merge.
        """
        kept = tuple(edit for edit in self.edits if edit.target != merge)
        self.set_edits(kept, "reset merge")

    def cut_skip(self, selected: str | None) -> bool:
        """Cut or restore the skip connection of a node.

        Args:
            selected: name of the node.

        Returns:
            False if it does not have one.
        """
        skip = navigation.skip_for_node(self._screen().diagram, selected)
        if skip:
            self.toggle_cut(skip.merge, skip.operand)
        return skip is not None

    def cut_branch(self, selected: str | None) -> None:
        """Cut or restore the branch beside the skip connection of a node.

        Args:
            selected: name of the node.
        """
        skip = navigation.skip_for_node(self._screen().diagram, selected)
        if skip and skip.kind == "add":
            # An addition has two operands, so the other one is the branch.
            self.toggle_cut(skip.merge, 1 - skip.operand)

    def show_skip_menu(self, merge: str, operand: int, at: QPoint) -> SkipMenu:
        """Show the menu of an input of a merge.

        Args:
            merge: name of the merge.
            operand: number of the operand.
            at: a point of the screen.

        Returns:
            The menu, which deletes itself when it closes.
        """
        menu = self._make_skip_menu(merge, operand)
        # All steps of this menu's slider are undone as one.
        drag = EditCommand.new_slider_drag()
        # Its parent is the window, so every menu would live as long as the window.
        menu.aboutToHide.connect(menu.deleteLater)
        menu.scale_changed.connect(lambda value: self.scale(merge, operand, value, drag))
        menu.cut_requested.connect(lambda: self.toggle_cut(merge, operand))
        menu.branch_requested.connect(lambda: self.toggle_cut(merge, 1 - operand))
        menu.open_requested.connect(lambda: self.toggle_gate(merge))
        menu.restore_requested.connect(lambda: self.restore(merge))
        # `popup` returns at once, so the model runs while the slider moves.
        menu.popup(at)
        return menu

    def _make_skip_menu(self, merge: str, operand: int) -> SkipMenu:
        diagram = self._screen().diagram
        skip = diagram.skip(merge, operand)
        merge_node = skip or diagram.node(merge)
        edit = find_edit(self.edits, ("scale", merge, operand))
        is_held = find_edit(self.edits, ("hold", merge, 1)) is not None
        return SkipMenu(
            navigation.describe_skip(skip, merge),
            merge_node.kind if merge_node else "block",
            edit.value if edit else 1.0,
            is_held,
            self._window,
        )
