"""The lower half: what the selected block is, and its maps, its sum, its parts or its gate."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QStackedWidget, QToolButton, QVBoxLayout, QWidget

from gui.graph import Node
from gui.state import AddDetail, ConcatDetail, Contrast, Detail, FeatureMaps, GateDetail, Order
from gui.theme import LIGHT, Theme
from gui.views import qt_style
from gui.views.feature_map_view import FeatureMapView
from gui.views.gate_view import GateView
from gui.views.merge_icon import MergeIcon
from gui.views.residual_view import ResidualView


class InspectorView(QFrame):
    """A heading, switches for contrast and order, and the one view that fits the selected block."""

    hovered = Signal(str)
    contrast_wanted = Signal()
    order_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        qt_style.set_accessible_name(self, "Inspector of the selected block", "card")
        self._theme: Theme = LIGHT
        self._kind = "block"
        self.atlas, self.residual, self.gates = FeatureMapView(), ResidualView(), GateView()
        self._stack = qt_style.set_accessible_name(QStackedWidget(), "Views of the selected block")
        for view in (self.atlas, self.residual, self.gates):
            view.hovered.connect(self.hovered)
            self._stack.addWidget(view)
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 12, 16, 8)
        column.setSpacing(10)
        column.addLayout(self._head())
        column.addWidget(self._stack, 1)
        self.set_detail(None)

    def _head(self) -> QHBoxLayout:
        self._mark = MergeIcon("block", self._theme, 22)
        self._title = qt_style.make_elided_label(
            "Selected block", soft=False, relative=1.15, bold=True, greedy=False
        )
        self._facts = qt_style.make_elided_label("Facts of the selected block")
        self._contrast = self._switch("Contrast: each map on its own, or one for the layer (C)")
        self._contrast.clicked.connect(self.contrast_wanted)
        self._order = self._switch("Order of the gate's weights (S)")
        self._order.clicked.connect(self.order_wanted)
        row = QHBoxLayout()
        row.setSpacing(10)
        row.addWidget(self._mark)
        row.addWidget(self._title)
        row.addWidget(self._facts, 1)
        row.addWidget(self._order)
        row.addWidget(self._contrast)
        return row

    def _switch(self, name: str) -> QToolButton:
        button = qt_style.set_accessible_name(QToolButton(), name)
        button.setToolTip(name)
        button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        return button

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        for view in (self.atlas, self.residual, self.gates):
            view.set_theme(theme)
        self._mark.set_kind(self._kind, theme)

    def set_node(self, node: Node | None) -> None:
        """The heading: name, operation, shape of the output, and what it costs."""
        self._kind = node.kind if node else "block"
        self._mark.set_kind(self._kind, self._theme)
        self._mark.setVisible(node is not None)
        self._title.setText(qt_style.shorten_text(node.label, 80) if node else "")
        self._title.setToolTip(qt_style.tooltip_html(node.name) if node else "")
        self._facts.setText(describe_node_cost(node) if node else "")

    def set_detail(self, detail: Detail | None) -> None:
        view = self.atlas
        if isinstance(detail, AddDetail):
            view = self.residual
            self.residual.set_residual(detail)
        elif isinstance(detail, GateDetail):
            view = self.gates
            self.gates.set_gates(detail)
        else:
            self.atlas.set_maps(detail if isinstance(detail, FeatureMaps | ConcatDetail) else None)
        self._stack.setCurrentWidget(view)
        self._order.setVisible(view is self.gates)
        self._contrast.setVisible(view is self.atlas and detail is not None)

    def set_contrast(self, contrast: Contrast) -> None:
        self._contrast.setText(
            "Contrast: per channel" if contrast == "channel" else "Contrast: per layer"
        )
        self.atlas.set_contrast(contrast)

    def set_order(self, order: Order) -> None:
        self._order.setText("Order: by channel" if order == "channel" else "Order: sorted")
        self.gates.set_order(order)

    @property
    def current(self) -> QWidget | None:
        return self._stack.currentWidget()


def describe_node_cost(node: Node) -> str:
    """Operation, shape and costs in one line; what is zero is not said."""
    words = {"add": "addition", "concat": "concatenation", "gate": "gate"}
    parts = [
        words.get(node.kind, qt_style.shorten_text(node.op, 80)),
        " × ".join(map(str, node.shape)),
    ]
    if node.parameters:
        parts.append(f"{node.parameters:,} parameters")
    if node.macs:
        parts.append(f"{node.macs / 1e6:,.2f} M multiply-adds")
    return "   ·   ".join(parts)
