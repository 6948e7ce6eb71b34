"""One undoable step: the edits before and after it."""

from collections.abc import Callable
from itertools import count

from PySide6.QtGui import QUndoCommand

from gui.graph import Edit

_drag_numbers = count(1)  # 0 means no drag


class EditCommand(QUndoCommand):
    """Replace the active edits; the steps of one slider drag are undone together.

    Args:
        apply: called with the edits and True during a drag, to do and to undo.
        before: the edits to go back to.
        after: the edits to make active.
        text: name of the step.
        drag: number of the slider drag that it belongs to, 0 for none.
    """

    def __init__(
        self,
        apply: Callable[[tuple[Edit, ...], bool], None],
        before: tuple[Edit, ...],
        after: tuple[Edit, ...],
        text: str,
        drag: int = 0,
    ) -> None:
        super().__init__(text)
        self._apply = apply
        self.before = before
        self.after = after
        self.drag = drag

    @staticmethod
    def new_slider_drag() -> int:
        """Return a number that no other drag has."""
        return next(_drag_numbers)

    def id(self) -> int:
        """Return the number by which Qt offers commands to each other for merging."""
        # -1 tells Qt never to offer this command for merging.
        return self.drag or -1

    def mergeWith(self, other: QUndoCommand) -> bool:
        """Take over the edits of a later step of the same drag.

        Args:
            other: the later step.

        Returns:
            True if it was taken over.
        """
        # Qt compares the numbers only, whatever class has them.
        if not isinstance(other, EditCommand) or other.drag != self.drag:
            return False
        self.after = other.after
        return True

    def redo(self) -> None:
        """Make the edits active."""
        self._apply(self.after, bool(self.drag))

    def undo(self) -> None:
        """Go back to the edits before."""
        self._apply(self.before, False)
