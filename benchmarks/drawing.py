"""Measure how long the app's graph takes on the GUI thread, in CPU time.

    python -m benchmarks.drawing

For each model it prints the times of laying the graph out, of drawing it as a whole, of the longest
step of that, and of a frame while the pointer moves. A frame at 60 Hz is 16 ms. Ratios compare the
last two with drawing the whole graph, which each of them took before drawings were cached.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6.QtCore import QPoint
from PySide6.QtWidgets import QApplication

from gui import layout
from gui.engine.conversion import to_gui_graph
from gui.graph import Graph
from gui.views.graph.view import GraphView
from lightning_resnets.graph import trace
from lightning_resnets.models.registry import create_model

MODELS = {"resnet50": 224, "densenet201": 224, "resnet1202": 32}
VIEW_SIZE = (974, 370)  # of the graph in a window of 1280 x 800
HOVER_POINTS = 60
REPEATS = 9


def milliseconds(function: Callable[[], object]) -> float:
    """Return the CPU time of one call."""
    start = time.thread_time()
    function()
    return 1000 * (time.thread_time() - start)


def lay_out(graph: Graph) -> None:
    """Compute everything that a drawing needs."""
    placement = layout.layout_graph(graph, layout.available_size(*VIEW_SIZE))
    layout.arrow_key_map(graph, placement)


def draw_whole(view: GraphView) -> None:
    """Draw the graph from scratch."""
    view.content_changed()
    view.finish_painting()


def longest_step(view: GraphView) -> float:
    """Draw the graph in steps; return the time of the longest."""
    view.content_changed()
    times = []
    while not view.is_painting_current():
        times.append(milliseconds(view.viewport().repaint))
    return max(times)


def hover_times(view: GraphView) -> list[float]:
    """Move the pointer over the graph; return the time of each frame."""
    width, height = VIEW_SIZE
    times = []
    for i in range(HOVER_POINTS):
        at = QPoint(20 + i * (width - 40) // HOVER_POINTS, 30 + i * (height - 60) // HOVER_POINTS)

        def move(at: QPoint = at) -> None:
            view.on_hover(at)
            view.viewport().repaint()

        times.append(milliseconds(move))
    return times


def measure(name: str, image_size: int) -> str:
    """Return the row of one model."""
    graph = to_gui_graph(trace(create_model(name), (3, image_size, image_size)).fold())
    view = GraphView()
    view.resize(*VIEW_SIZE)
    view.show()
    QApplication.processEvents()  # a window that is not on the screen yet is never painted
    view.set_graph(graph)
    view.finish_painting()
    layout_ms = statistics.median(milliseconds(lambda: lay_out(graph)) for _ in range(REPEATS))
    whole_ms = statistics.median(milliseconds(lambda: draw_whole(view)) for _ in range(REPEATS))
    step_ms = statistics.median(longest_step(view) for _ in range(REPEATS))
    hover_ms = max(hover_times(view))
    return (
        f"{name:12} {len(graph.nodes):6,} {layout_ms:10.1f} {whole_ms:10.1f} "
        f"{step_ms:8.1f} ({step_ms / whole_ms:4.2f}) {hover_ms:8.1f} ({hover_ms / whole_ms:4.2f})"
    )


def main() -> None:
    """Print one row for each model."""
    argparse.ArgumentParser(prog="python -m benchmarks.drawing", description=__doc__).parse_args()
    app = QApplication.instance() or QApplication([])
    assert app
    print("model         nodes  layout ms   whole ms  longest step    longest hover")
    for name, image_size in MODELS.items():
        print(measure(name, image_size))


if __name__ == "__main__":
    main()
