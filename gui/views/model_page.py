"""Page of an open model: edits on top, graph over inspector, sidebar at the right."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QSplitter, QVBoxLayout, QWidget

from gui.views import qt_style

SIDEBAR_WIDTH = 272
MAIN_WIDTH = 1000
GRAPH_HEIGHT = 400
INSPECTOR_HEIGHT = 300


def make_model_page(
    chips: QWidget, graph: QWidget, inspector: QWidget, sidebar: QWidget
) -> QWidget:
    """Place the views of an open model, with handles between them.

    Args:
        chips: The row of active edits.
        graph: The graph of the model.
        inspector: The inspector of the selected node.
        sidebar: Image and prediction.

    Returns:
        The page.
    """
    main = _make_splitter(Qt.Orientation.Vertical, "Graph and inspector")
    main.addWidget(graph)
    main.addWidget(inspector)
    # In a higher window the graph grows a little faster than the maps.
    main.setStretchFactor(0, 11)
    main.setStretchFactor(1, 9)
    main.setSizes([GRAPH_HEIGHT, INSPECTOR_HEIGHT])
    whole = _make_splitter(Qt.Orientation.Horizontal, "Model, image and prediction")
    whole.addWidget(main)
    whole.addWidget(sidebar)
    whole.setStretchFactor(0, MAIN_WIDTH)
    whole.setStretchFactor(1, SIDEBAR_WIDTH)
    whole.setSizes([MAIN_WIDTH, SIDEBAR_WIDTH])
    page = qt_style.set_accessible_name(QWidget(), "Model page", "page")
    column = QVBoxLayout(page)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(6)
    column.addWidget(chips)
    column.addWidget(whole, 1)
    return page


def _make_splitter(orientation: Qt.Orientation, name: str) -> QSplitter:
    splitter = qt_style.set_accessible_name(QSplitter(orientation), name)
    splitter.setHandleWidth(10)
    # A view that was dragged to nothing would be hard to find again.
    splitter.setChildrenCollapsible(False)
    return splitter
