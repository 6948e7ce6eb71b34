"""Helpers for tests of the graph view: places in it, and the colors that it paints."""

import numpy as np
from PySide6.QtCore import QPoint, QPointF
from PySide6.QtGui import QContextMenuEvent, QImage
from PySide6.QtWidgets import QApplication

from gui.graph import Graph
from gui.views.graph.view import GraphView
from tests.helpers.graph_builder import MODELS


def show(view: GraphView, name: str) -> Graph:
    view.set_graph(MODELS[name])
    return MODELS[name]


def center_of(view: GraphView, node: str) -> QPoint:
    """Return the middle of a node in pixels of the viewport."""
    return view.mapFromScene(view.scene_items.nodes[node].box.center())


def along(view: GraphView, merge: str, operand: int, fraction: float = 0.5) -> QPoint:
    """Return a point on the line of a merge input."""
    return view.mapFromScene(
        view.scene_items.merge_inputs[merge, operand].path.pointAtPercent(fraction)
    )


def cell(view: GraphView, merge: str, operand: int) -> QPoint:
    """Return the middle of a cell of a dense block."""
    cells = [
        c
        for m in view.placement.matrices
        for c in m.cells
        if (c.merge, c.operand) == (merge, operand)
    ]
    return view.mapFromScene(QPointF(*cells[0].rect.center))


def menu(view: GraphView, at: QPoint) -> None:
    event = QContextMenuEvent(QContextMenuEvent.Reason.Mouse, at, view.viewport().mapToGlobal(at))
    QApplication.sendEvent(view.viewport(), event)


def pixels(view: GraphView) -> np.ndarray:
    """Return what the view paints, (H, W, 4) uint8."""
    view.finish_painting()
    image = view.grab().toImage().convertToFormat(QImage.Format.Format_RGB32)
    return (
        np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.width(), 4).copy()
    )


def near(image: np.ndarray, at: QPoint, reach: int = 7) -> np.ndarray:
    y, x = at.y(), at.x()
    return image[max(0, y - reach) : y + reach, max(0, x - reach) : x + reach]


def color_fraction(image: np.ndarray, color: str) -> float:
    """Return the fraction of an image that has a color of the theme."""
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return float((np.abs(image[..., :3].astype(int) - (blue, green, red)).max(-1) < 12).mean())


def has(image: np.ndarray, color: str) -> bool:
    return color_fraction(image, color) > 0
