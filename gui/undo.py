"""One undoable step: the edits before and after it; the steps of one slider scrub are undone
together.
"""

from collections.abc import Callable
from itertools import count

from PySide6.QtGui import QUndoCommand

from gui.graph import Edit

_scrubs = count(1)


class EditCommand(QUndoCommand):
    """Calls `apply(edits, gently)` to do and undo; `gently` during a scrub."""

    def __init__(
        self,
        apply: Callable[[tuple[Edit, ...], bool], None],
        before: tuple[Edit, ...],
        after: tuple[Edit, ...],
        text: str,
        scrub: int = 0,
    ) -> None:
        super().__init__(text)
        self._apply, self.before, self.after, self.scrub = apply, before, after, scrub

    @staticmethod
    def new_slider_drag() -> int:
        """A number that no other scrub has."""
        return next(_scrubs)

    def id(self) -> int:
        return self.scrub or -1

    def mergeWith(self, other: QUndoCommand) -> bool:
        if not isinstance(other, EditCommand) or other.scrub != self.scrub:
            return False
        self.after = other.after
        return True

    def redo(self) -> None:
        self._apply(self.after, bool(self.scrub))

    def undo(self) -> None:
        self._apply(self.before, False)
