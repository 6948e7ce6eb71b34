"""Depth strip: one cell per block, as high as its figure; click and arrow keys select."""

import pytest
from PySide6.QtCore import QPoint, Qt
from pytestqt.qtbot import QtBot

from gui.graph import Graph, Node, NodeKind
from gui.measures import (
    MEASURE_BY_NAME,
    MEASURES,
    DepthCell,
    block_nodes,
    depth_cells,
    format_value,
    scale_of,
)
from gui.theme import DARK, LIGHT
from gui.views.depth_panel import DepthPanel
from gui.views.depth_strip import DepthStrip

STD = MEASURE_BY_NAME["std"]
CELLS = (
    DepthCell("layer1.0.add", "layer1.0", 1.0),
    DepthCell("layer1.1.add", "layer1.1", 0.5, note="cat"),
    DepthCell("layer2.0.add", "layer2.0", None, starts_stage=True),
)


def make_node(name: str, kind: NodeKind = "block", size: int = 8) -> Node:
    return Node(name, name, kind, "conv 3x3", (4, size, size), 0, 0, name)


def test_a_block_is_one_cell_without_gates_and_side_paths() -> None:
    nodes = (
        make_node("input", "input"),
        make_node("conv1"),
        make_node("layer1.0"),
        make_node("layer1.0.se"),
        make_node("layer1.0.se.gate", "gate"),
        make_node("layer1.0.downsample"),
        make_node("layer1.0.add", "add"),
        make_node("layer1.10"),
        make_node("fc", "head"),
        make_node("output", "output"),
    )
    names = [node.name for node in block_nodes(Graph(nodes))]
    assert names == ["conv1", "layer1.0.add", "layer1.10", "fc"]


def test_another_map_size_begins_a_stage() -> None:
    graph = Graph((make_node("a"), make_node("b"), make_node("c", size=4)))
    cells = depth_cells(graph, {"a": 1.0, "c": float("nan")}, {"a": "note"})
    assert [cell.starts_stage for cell in cells] == [False, False, True]
    assert [cell.value for cell in cells] == [1.0, None, None]
    assert cells[0].note == "note"


@pytest.mark.parametrize(
    ("name", "expected"),
    [("std", (0, 3)), ("mean", (-3, 3)), ("cosine", (-1, 1)), ("zeros", (0, 1)), ("head", (0, 1))],
)
def test_the_scale_fits_the_measure(name: str, expected: tuple[float, float]) -> None:
    values = {"a": -3.0, "b": 1.0, "c": float("inf")}
    assert scale_of(MEASURE_BY_NAME[name], values) == expected


def test_a_scale_of_zeros_is_not_empty() -> None:
    assert scale_of(STD, {"a": 0.0}) == (0.0, 1.0)
    assert scale_of(STD, {}) == (0.0, 1.0)


def test_values_are_formatted_by_their_measure() -> None:
    texts = [format_value(MEASURE_BY_NAME[name], 0.1234) for name in ("std", "zeros", "change")]
    assert texts == ["0.123", "12.3 %", "12.3 %"]
    assert format_value(MEASURE_BY_NAME["macs"], 1280.0) == "1,280"
    assert format_value(STD, None) == "none"


def test_every_measure_says_how_to_read_it() -> None:
    assert all(measure.reading.endswith(".") for measure in MEASURES)


@pytest.fixture
def strip(qtbot: QtBot) -> DepthStrip:
    strip = DepthStrip()
    qtbot.addWidget(strip)
    strip.set_theme(LIGHT)
    strip.resize(600, 60)
    strip.show()
    strip.set_cells(STD, CELLS)
    return strip


def center(strip: DepthStrip, index: int) -> QPoint:
    return strip.cell_rect(index).center().toPoint()


def bar_height(strip: DepthStrip, index: int) -> int:
    """Count the pixels of a bar's color in the middle column of a cell."""
    image = strip.grab().toImage()
    x = center(strip, index).x()
    ground = image.pixel(1, 1)
    return sum(image.pixel(x, y) != ground for y in range(image.height()))


def test_bars_are_as_high_as_their_values(strip: DepthStrip) -> None:
    whole, half, none = (bar_height(strip, i) for i in range(3))
    assert whole == pytest.approx(60 - 2 * 4 + 1, abs=2)
    assert half == pytest.approx(whole / 2, abs=2)
    assert none <= 5


def test_a_click_selects_the_block(strip: DepthStrip, qtbot: QtBot) -> None:
    names: list[str] = []
    strip.picked.connect(names.append)
    qtbot.mouseClick(strip, Qt.MouseButton.LeftButton, pos=center(strip, 2))
    qtbot.mouseClick(strip, Qt.MouseButton.LeftButton, pos=QPoint(1, 1))
    assert names == ["layer2.0.add"]


def test_arrow_keys_select_the_neighbor_and_stop_at_the_ends(
    strip: DepthStrip, qtbot: QtBot
) -> None:
    names: list[str] = []
    strip.picked.connect(names.append)
    strip.picked.connect(strip.set_selected)
    for key in (Qt.Key.Key_Right, Qt.Key.Key_Right, Qt.Key.Key_Left, Qt.Key.Key_Left):
        qtbot.keyClick(strip, key)
    assert names == ["layer1.0.add", "layer1.1.add", "layer1.0.add", "layer1.0.add"]


def test_hover_names_block_figure_and_value(strip: DepthStrip, qtbot: QtBot) -> None:
    texts: list[str] = []
    strip.hovered.connect(texts.append)
    qtbot.mouseMove(strip, center(strip, 1))
    assert texts[-1] == "layer1.1 · standard deviation 0.5 · cat"
    # New values arrive while the pointer rests.
    strip.set_cells(STD, (CELLS[0], DepthCell("layer1.1.add", "layer1.1", 0.25), CELLS[2]))
    assert texts[-1] == "layer1.1 · standard deviation 0.25"


def test_a_node_inside_a_block_marks_its_cell(strip: DepthStrip) -> None:
    strip.set_selected("layer1.1.conv2")
    assert strip.accessibleDescription().startswith("layer1.1 ·")
    strip.set_selected("layer1.10")
    assert strip.accessibleDescription() == ""


def test_many_cells_fit_into_the_width(qtbot: QtBot) -> None:
    strip = DepthStrip()
    qtbot.addWidget(strip)
    strip.resize(300, 60)
    strip.set_cells(STD, tuple(DepthCell(f"b{i}", f"b{i}", i / 600) for i in range(600)))
    assert strip.cell_rect(599).right() <= 300
    assert not strip.grab().isNull()


def test_the_panel_offers_every_measure(qtbot: QtBot) -> None:
    panel = DepthPanel()
    qtbot.addWidget(panel)
    panel.set_theme(DARK)
    names: list[str] = []
    panel.measure_requested.connect(names.append)
    panel.set_cells("std", CELLS)
    actions = panel._button.menu().actions()
    assert [action.data() for action in actions if action.isChecked()] == ["std"]
    for action in actions:
        action.trigger()
    assert names == [measure.name for measure in MEASURES]
    assert panel._range.text() == "0.5 to 1"
