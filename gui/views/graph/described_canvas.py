"""Canvas with a model, which it describes for status bar, tool tips and screen readers."""

from PySide6.QtGui import QAccessible, QAccessibleEvent
from PySide6.QtWidgets import QWidget

from gui import layout
from gui.descriptions import describe_for_screen_reader, describe_merge_input, describe_node
from gui.graph import Edit, Graph
from gui.layout import GraphLayout
from gui.views.graph.canvas import ZoomPanCanvas
from gui.views.graph.painting import MergeInput, PaintState


class DescribedCanvas(ZoomPanCanvas):
    """Holds one model and says in words what is drawn of it; subclasses draw.

    Attributes:
        paint_state: What all painters read.
        graph: The model.
        placement: Its layout.
        edits: The active edits.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.paint_state = PaintState()
        self.graph = Graph()
        self.placement = GraphLayout()
        self.edits: tuple[Edit, ...] = ()

    def describe(self, name: str | None, merge_input: MergeInput | None) -> str:
        """Describe a node or a merge input for status bar and tool tip.

        Args:
            name: Name of the node, None for the merge input.
            merge_input: The merge input, None for nothing.

        Returns:
            One line, "" for nothing.
        """
        node = self.graph.node(name)
        if node:
            change = self.paint_state.values.get(node.name)
            parts = [describe_node(node) + self._projection_text(node.name)]
            if self.paint_state.scale:
                parts += self.paint_state.scale.describe(node.name)
            if change:
                parts.append(f"relative change {change:.0%}")
            return " · ".join(parts)
        return self.describe_input(merge_input)

    def _projection_text(self, name: str) -> str:
        """Return what the label of a projection says, which may be shortened on its pill."""
        box = self.placement.box(name)
        if box is None or box.shape != "pill":
            return ""
        for skip, names in zip(self.graph.skips, layout.skip_routes(self.graph), strict=True):
            if name in names[1:-1] and skip.projection:
                return f" · projection {skip.projection}"
        return ""

    def describe_input(self, merge_input: MergeInput | None) -> str:
        """Describe a merge input.

        Args:
            merge_input: The merge input, None for nothing.

        Returns:
            One line, "" for nothing.
        """
        if merge_input is None:
            return ""
        return describe_merge_input(self.graph, *merge_input, self.edits)

    def announce_cursor(self) -> None:
        """Describe the keyboard's cursor to screen readers."""
        state = self.paint_state
        name = state.cursor or state.selected
        if not name:
            return
        text = self.describe_input(state.hovered_input)
        text = text or describe_for_screen_reader(self.graph, name, self.edits)
        self.setAccessibleDescription(text)
        # Screen readers read a new description only when they are told of it.
        event = QAccessibleEvent(self, QAccessible.Event.DescriptionChanged)
        QAccessible.updateAccessibility(event)
