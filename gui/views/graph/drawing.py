"""Drawing of a model's graph on the canvas: painters, marks, legend and descriptions."""

from collections.abc import Mapping

from PySide6.QtCore import QPoint, QRect, QRectF
from PySide6.QtGui import QAccessible, QAccessibleEvent, QColor, QPainter, QResizeEvent
from PySide6.QtWidgets import QWidget

from gui import layout
from gui.descriptions import (
    describe_for_screen_reader,
    describe_graph,
    describe_merge_input,
    describe_node,
)
from gui.graph import Edit, Graph
from gui.layout import Direction, GraphLayout
from gui.measures import MeasureValues
from gui.theme import Theme
from gui.views.graph.canvas import ZoomPanCanvas
from gui.views.graph.legend import GraphLegend
from gui.views.graph.node_scale import NodeScale
from gui.views.graph.painting import MergeInput, PaintState
from gui.views.graph.scene import SceneItems, build_items, find_item
from gui.views.graph.strokes import to_qrectf

MAX_ASPECT_CHANGE = 0.08  # of the view's shape, before the graph is laid out anew


class GraphDrawing(ZoomPanCanvas):
    """Draws one model's graph; takes no input.

    Attributes:
        paint_state: What all painters read.
        graph: The model.
        placement: Its layout.
        edits: The active edits.
        scene_items: The painters.
        legend: The legend below the graph.
        neighbors: For each node, the node that each arrow key leads to.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Graph of the model")
        self.paint_state = PaintState()
        self.graph = Graph()
        self.placement = GraphLayout()
        self.edits: tuple[Edit, ...] = ()
        self.scene_items = SceneItems()
        self.legend = GraphLegend(self.paint_state)
        self.neighbors: dict[str, dict[Direction, str]] = {}
        self._laid_out_aspect = self._aspect()

    def set_graph(self, graph: Graph) -> None:
        """Draw another model; nothing of the previous one is kept.

        Args:
            graph: The model.
        """
        state = self.paint_state
        self.graph = graph
        state.selected = state.hovered_input = state.cursor = None
        state.hovered = frozenset()
        state.values = {}
        self._lay_out()
        self.set_edits(())
        description = describe_graph(graph, self.placement) if graph.nodes else "empty"
        self.setAccessibleDescription(description)
        self.fit()

    def set_edits(self, edits: tuple[Edit, ...]) -> None:
        """Mark other edits.

        Args:
            edits: The active edits.
        """
        state = self.paint_state
        self.edits = edits
        state.scales = {(e.target, e.operand): e for e in edits if e.kind == "scale"}
        state.holds = {(e.target, e.operand): e for e in edits if e.kind == "hold"}
        state.dropped = frozenset(e.target for e in edits if e.kind == "drop")
        self.announce_cursor()
        self.repaint_all()

    def set_selected(self, name: str | None) -> None:
        """Mark the selected node; a layer of a dense block shows the arcs of its inputs.

        Args:
            name: Name of the node, None for none.
        """
        state = self.paint_state
        # A collapsed block may have no node of that name.
        state.selected = name if name in self.scene_items.nodes else None
        state.cursor = state.selected or state.cursor
        state.hovered_input = None
        self._update_selected_arcs()
        self.announce_cursor()
        self.repaint_all()

    def set_theme(self, theme: Theme) -> None:
        """Color the graph anew.

        Args:
            theme: The colors to use.
        """
        self.paint_state.theme = theme
        self.repaint_all()

    def set_values(self, values: Mapping[str, float] | Mapping[MergeInput, float]) -> None:
        """Show numbers.

        Args:
            values: By node name, the relative change of its output, 0 to 1; or by merge input,
                its contribution.
        """
        self.paint_state.values = dict(values.items())
        self.repaint_all()

    def set_colors(self, colors: MeasureValues | None) -> None:
        """Color the nodes by a figure.

        Args:
            colors: The figure by node name; None for plain colors.
        """
        self.paint_state.scale = NodeScale(colors) if colors else None
        self.footer_height = self.legend.height(self.graph)
        self.repaint_all()

    def item_at(self, at: QPoint) -> tuple[str | None, MergeInput | None]:
        """Find the node or the merge input under a point.

        Args:
            at: The point in pixels of the viewport.

        Returns:
            Name of the node and None, or None and the merge input, or None twice.
        """
        return find_item(self.scene_items, self.mapToScene(at), self.zoom)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Lay the graph out anew if the view's shape changed much and the user has not zoomed."""
        change = abs(self._aspect() / self._laid_out_aspect - 1)
        if self.is_fitted and change >= MAX_ASPECT_CHANGE:
            self._lay_out()
        super().resizeEvent(event)

    def drawBackground(self, painter: QPainter, rect: QRectF | QRect) -> None:
        """Paint the ground."""
        painter.fillRect(rect, QColor(self.paint_state.theme.panel))

    def drawForeground(self, painter: QPainter, rect: QRectF | QRect) -> None:
        """Paint the legend in pixels, whatever the zoom."""
        painter.save()
        painter.resetTransform()
        self.legend.draw(painter, QRectF(self.viewport().rect()), self.graph)
        painter.restore()

    def _lay_out(self) -> None:
        """Lay the model out for the present shape of the view, and build its painters."""
        self.footer_height = self.legend.height(self.graph)
        self._laid_out_aspect = self._aspect()
        height = self.viewport().height() - self.footer_height
        # The layout depends on the shape of the view: wide views get longer rows.
        room = layout.available_size(self.viewport().width(), height)
        self.placement = layout.layout_graph(self.graph, room)
        self.neighbors = layout.arrow_key_map(self.graph, self.placement)
        self.legend.has_cells = bool(self.placement.matrices)
        # The scene deletes its items; the references to them go in the next line.
        self.scene().clear()
        self.scene_items = build_items(self.graph, self.placement, self.paint_state)
        for item in self.scene_items.items:
            self.scene().addItem(item)
        self.content = to_qrectf(self.placement.bounds)
        self._update_selected_arcs()

    def _aspect(self) -> float:
        return self.viewport().width() / max(1, self.viewport().height())

    def _update_selected_arcs(self) -> None:
        item = self.scene_items.selected_arcs
        if item is None:
            return
        arcs = layout.selected_arcs(self.placement, self.paint_state.selected)
        count = 1
        for matrix in self.placement.matrices:
            if arcs and arcs[0].merge in matrix.rows:
                count = len(matrix.columns)
        item.set_arcs(arcs, count)

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
            parts = [describe_node(node)]
            if self.paint_state.scale:
                parts += self.paint_state.scale.describe(node.name)
            if change:
                parts.append(f"relative change {change:.0%}")
            return " · ".join(parts)
        return self.describe_input(merge_input)

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
        event = QAccessibleEvent(self, QAccessible.Event.DescriptionChanged)
        QAccessible.updateAccessibility(event)
