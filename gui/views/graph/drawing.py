"""Drawing of a model's graph on the canvas: painters, marks and legend."""

import math
from collections.abc import Iterator, Mapping

from PySide6.QtCore import QPoint, QRectF, QTimer
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QWidget

from gui import layout
from gui.descriptions import describe_graph
from gui.graph import Edit, Graph
from gui.layout import Direction
from gui.measures import MeasureValues
from gui.theme import Theme
from gui.views import qt_style
from gui.views.graph.described_canvas import DescribedCanvas
from gui.views.graph.legend import GraphLegend
from gui.views.graph.node_scale import NodeScale
from gui.views.graph.painting import MergeInput
from gui.views.graph.scene import SceneItems, build_items, find_item
from gui.views.graph.static_layer import LayerKey, Part, StaticLayer
from gui.views.graph.strokes import to_qrectf

MAX_ASPECT_CHANGE = 0.08  # of the view's shape, before the graph is laid out anew


class GraphDrawing(DescribedCanvas):
    """Draws one model's graph; takes no input.

    Attributes:
        scene_items: The painters.
        legend: The legend below the graph.
        neighbors: For each node, the node that each arrow key leads to.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Graph of the model")
        self.scene_items = SceneItems()
        self.legend = GraphLegend(self.paint_state)
        self.neighbors: dict[str, dict[Direction, str]] = {}
        self._laid_out_aspect = self._aspect()
        self._layer = StaticLayer()
        self._content_version = 0
        # Repaints until a large graph is drawn, a few milliseconds each time.
        self._repaint_timer = QTimer(self)
        self._repaint_timer.setSingleShot(True)
        self._repaint_timer.timeout.connect(self.repaint_all)

    def set_graph(self, graph: Graph) -> None:
        """Draw another model; nothing of the previous one is kept.

        Args:
            graph: The model.
        """
        state = self.paint_state
        self.graph = graph
        # Names of the previous model may mean other nodes in this one.
        state.selected = state.hovered_input = state.cursor = None
        state.hovered = frozenset()
        state.values = {}
        self._layer.reset()
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
        self.content_changed()

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
        self.content_changed()

    def set_values(self, values: Mapping[str, float] | Mapping[MergeInput, float]) -> None:
        """Show numbers.

        Args:
            values: By node name, the relative change of its output, 0 to 1; or by merge input,
                its contribution.
        """
        self.paint_state.values = dict(values.items())
        self.content_changed()

    def set_colors(self, colors: MeasureValues | None) -> None:
        """Color the nodes by a figure.

        Args:
            colors: The figure by node name; None for plain colors.
        """
        self.paint_state.scale = NodeScale(colors) if colors else None
        self.footer_height = self.legend.height(self.graph)
        self.content_changed()

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
        # A new layout moves every node, so small changes of the window do not cause one.
        change = abs(self._aspect() / self._laid_out_aspect - 1)
        if self.is_fitted and change >= MAX_ASPECT_CHANGE:
            self._lay_out()
        super().resizeEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the graph, what is marked in it, and the legend."""
        key = self._layer_key()
        with self.paint_state.unmarked():
            is_current = self._layer.advance(key, self._layer_parts)
        with qt_style.painting(self.viewport()) as painter:
            painter.fillRect(event.rect(), QColor(self.paint_state.theme.panel))
            self._layer.paint(painter, key)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setTransform(key.transform)
            self._paint_marks(painter)
            painter.resetTransform()
            self.legend.draw(painter, QRectF(self.viewport().rect()), self.graph)
        # The event loop runs in between, so that keys and pointer are not held up.
        if not is_current:
            self._repaint_timer.start(0)

    def finish_painting(self) -> None:
        """Draw everything before the next repaint, however long that takes."""
        with self.paint_state.unmarked():
            self._layer.advance(self._layer_key(), self._layer_parts, math.inf)
        self.repaint_all()

    def is_painting_current(self) -> bool:
        """Return True if a repaint would show everything as it is now."""
        return self._layer.is_current(self._layer_key())

    def content_changed(self) -> None:
        """Draw anew what is painted of the model and its edits."""
        # Part of the layer's key: a new number makes the old drawing out of date.
        self._content_version += 1
        self.repaint_all()

    def _layer_key(self) -> LayerKey:
        view = self.viewport()
        transform = self.viewportTransform()
        return LayerKey(
            transform.m11(),
            transform.dx(),
            transform.dy(),
            view.width(),
            view.height(),
            view.devicePixelRatioF(),
            self._content_version,
        )

    def _layer_parts(self, key: LayerKey) -> Iterator[Part]:
        """Yield what draws the visible part of the graph, from bottom to top."""
        inverse, _ = key.transform.inverted()
        exposed = inverse.mapRect(QRectF(0, 0, key.width, key.height))
        for item in self.scene_items.visible(exposed):
            yield from item.parts()

    def _paint_marks(self, painter: QPainter) -> None:
        """Paint what pointer, selection and keyboard's cursor mark, above everything else."""
        items = self.scene_items
        state = self.paint_state
        names = set(state.hovered) | {state.selected}
        if state.focused:
            names.add(state.cursor)
        for ribbon in items.ribbons:
            if ribbon.is_hovered():
                ribbon.draw_hover(painter)
                # The bars of its concatenations lie on the ribbon.
                names.update(ribbon.merges)
        for matrix in items.matrices:
            matrix.draw_marks(painter)
        if state.hovered_input in items.merge_inputs:
            items.merge_inputs[state.hovered_input].paint(painter)
        if items.selected_arcs:
            items.selected_arcs.paint(painter)
        for name in names:
            if name in items.nodes:
                items.nodes[name].paint(painter)

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
        self.scene_items = build_items(self.graph, self.placement, self.paint_state)
        # The old drawing, stretched, is better than none until the new one is ready.
        self._layer.reset(keep_shown=True)
        self.content_changed()
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
