"""Lower half of the window: the selected node and its maps, its sum, its parts or its gate."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QStackedWidget, QToolButton, QVBoxLayout, QWidget

from gui.details import AddDetail, ConcatDetail, Detail, FeatureMaps, GateDetail
from gui.graph import Node
from gui.state import Contrast, Order
from gui.theme import LIGHT, Theme
from gui.tooltips import CONTRAST, ORDER
from gui.views import qt_style
from gui.views.feature_map_view import FeatureMapView
from gui.views.gate_view import GateView
from gui.views.merge_icon import MergeIcon
from gui.views.residual_view import ResidualView

CONTRAST_TEXTS: dict[Contrast, str] = {
    "channel": "Color scale: per channel",
    "layer": "Color scale: shared",
}
ORDER_TEXTS: dict[Order, str] = {"channel": "Order: by channel", "weight": "Order: sorted"}
MERGE_OPS = {"add": "addition", "concat": "concatenation", "gate": "gate"}


class InspectorView(QFrame):
    """A heading, buttons for color scale and order, and the view that fits the selected node.

    Signals:
        hovered(text): Describes what is under the pointer in the view, "" for nothing.
        position_hovered(position): (y, x) of the map element under the pointer, None for none.
        zero_requested(channel): Set a channel to zero, or restore it.
        contrast_requested(): The user wants the other color scale.
        order_requested(): The user wants the other order of the gate's weights.
    """

    hovered = Signal(str)
    position_hovered = Signal(object)
    zero_requested = Signal(int)
    contrast_requested = Signal()
    order_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        qt_style.set_accessible_name(self, "Inspector of the selected block", "card")
        self._theme: Theme = LIGHT
        self._kind = "block"
        self.atlas = FeatureMapView()
        self.residual = ResidualView()
        self.gates = GateView()
        self._stack = qt_style.set_accessible_name(QStackedWidget(), "Views of the selected block")
        for view in (self.atlas, self.residual, self.gates):
            view.hovered.connect(self.hovered)
            self._stack.addWidget(view)
        # Only these two show single positions, and channels that can be cut.
        for view in (self.atlas, self.residual):
            view.position_hovered.connect(self.position_hovered)
            view.zero_requested.connect(self.zero_requested)
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 12, 16, 8)
        column.setSpacing(10)
        column.addLayout(self._make_heading())
        column.addWidget(self._stack, 1)
        self.set_detail(None)

    def set_theme(self, theme: Theme) -> None:
        """Color all views anew.

        Args:
            theme: The colors to use.
        """
        self._theme = theme
        for view in (self.atlas, self.residual, self.gates):
            view.set_theme(theme)
        self._icon.set_kind(self._kind, theme)

    def set_node(self, node: Node | None) -> None:
        """Show another node in the heading.

        Args:
            node: The selected node, None for an empty heading.
        """
        self._kind = node.kind if node else "block"
        self._icon.set_kind(self._kind, self._theme)
        self._icon.setVisible(node is not None)
        if node is None:
            for label in (self._title, self._facts):
                label.setText("")
            self._title.setToolTip("")
            return
        self._title.setText(qt_style.shorten_text(node.label, 80))
        self._title.setToolTip(qt_style.tooltip_html(node.name))
        self._facts.setText(describe_node_cost(node))

    def set_detail(self, detail: Detail | None) -> None:
        """Show what the selected node computed, in the view that fits it.

        Args:
            detail: Tensors of the node; None for an invitation to select one.
        """
        if isinstance(detail, AddDetail):
            view = self.residual
            self.residual.set_residual(detail)
        elif isinstance(detail, GateDetail):
            view = self.gates
            self.gates.set_gates(detail)
        else:
            view = self.atlas
            self.atlas.set_maps(detail if isinstance(detail, FeatureMaps | ConcatDetail) else None)
        self._stack.setCurrentWidget(view)
        # Each switch is shown only where it changes something.
        self._order.setVisible(view is self.gates)
        self._contrast.setVisible(view is self.atlas and detail is not None)

    def set_contrast(self, contrast: Contrast) -> None:
        """Choose the color scale of feature maps.

        Args:
            contrast: "channel" for one scale per map, "layer" for one for all maps.
        """
        self._contrast.setText(CONTRAST_TEXTS[contrast])
        self.atlas.set_contrast(contrast)

    def set_order(self, order: Order) -> None:
        """Choose the order of a gate's weights.

        Args:
            order: "channel" for channel numbers, "weight" for the largest weight first.
        """
        self._order.setText(ORDER_TEXTS[order])
        self.gates.set_order(order)

    @property
    def current(self) -> QWidget | None:
        """Return the view that is shown."""
        return self._stack.currentWidget()

    def _make_heading(self) -> QHBoxLayout:
        self._icon = MergeIcon("block", self._theme, 22)
        self._title = qt_style.make_elided_label(
            "Selected block", soft=False, relative=1.15, bold=True, greedy=False
        )
        self._facts = qt_style.make_elided_label("Facts of the selected block")
        self._contrast = _make_switch(CONTRAST)
        self._contrast.clicked.connect(self.contrast_requested)
        self._order = _make_switch(ORDER)
        self._order.clicked.connect(self.order_requested)
        row = QHBoxLayout()
        row.setSpacing(10)
        row.addWidget(self._icon)
        row.addWidget(self._title)
        row.addWidget(self._facts, 1)
        row.addWidget(self._order)
        row.addWidget(self._contrast)
        return row


def describe_node_cost(node: Node) -> str:
    """Describe a node's operation, output shape and cost in one line.

    Args:
        node: The node.

    Returns:
        The facts; parameters and MACs only where there are any.
    """
    op = MERGE_OPS.get(node.kind, qt_style.shorten_text(node.op, 80))
    parts = [op, " × ".join(map(str, node.shape))]
    if node.parameters:
        parts.append(f"{node.parameters:,} parameters")
    if node.macs:
        parts.append(f"{node.macs / 1e6:,.2f} M MACs")
    return "   ·   ".join(parts)


def _make_switch(name: str) -> QToolButton:
    button = qt_style.set_accessible_name(QToolButton(), name)
    button.setToolTip(name)
    button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    return button
