"""Page of an open model: edits on top, graph, strip and inspector below, sidebar at the right."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QSplitter, QVBoxLayout, QWidget

from gui.views import qt_style

# Pixels at the size at which the window opens.
SIDEBAR_WIDTH = 272
MAIN_WIDTH = 1000
GRAPH_HEIGHT = 430
INSPECTOR_HEIGHT = 320


def make_model_page(
    top: QWidget, graph: QWidget, depth: QWidget, inspector: QWidget, sidebar: QWidget
) -> QWidget:
    """Place the views of an open model, with handles between them.

    Args:
        top: The row of active edits.
        graph: The graph of the model.
        depth: The strip with one cell per block.
        inspector: The inspector of the selected node.
        sidebar: Image and prediction.

    Returns:
        The page.
    """
    main = _make_splitter(Qt.Orientation.Vertical, "Graph and inspector")
    main.addWidget(_make_graph_column(graph, depth))
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
    column.addWidget(top)
    column.addWidget(whole, 1)
    return page


def _make_graph_column(graph: QWidget, depth: QWidget) -> QWidget:
    """Put the strip under the graph: its cells are the blocks of the graph in a row."""
    column_widget = qt_style.set_accessible_name(QWidget(), "Graph and depth strip", "page")
    column = QVBoxLayout(column_widget)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(8)
    column.addWidget(graph, 1)
    column.addWidget(depth)
    return column_widget


def _make_splitter(orientation: Qt.Orientation, name: str) -> QSplitter:
    splitter = qt_style.set_accessible_name(QSplitter(orientation), name)
    splitter.setHandleWidth(10)
    # A view that was dragged to nothing would be hard to find again.
    splitter.setChildrenCollapsible(False)
    return splitter
