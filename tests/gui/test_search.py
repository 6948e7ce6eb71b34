"""Search in the command palette: nodes by name, operation and shape."""

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from gui.controller import Controller
from gui.graph import Graph, Node
from gui.search import MAX_FOUND, find_nodes
from gui.views.command_palette import CommandPalette
from tests.helpers.fake_engine import diagram


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", []),
        ("nothing", []),
        ("layer1.0", ["layer1.0", "layer1.0.add", "layer1.0.se", "layer1.0.se.gate"]),
        ("conv 3x3", ["conv1", "layer1.0"]),
        ("CONV 3×3 16x8x8", ["conv1", "layer1.0"]),
        ("3x3 layer1", ["layer1.0"]),
        ("gate", ["layer1.0.se.gate"]),
    ],
)
def test_nodes_are_found_by_all_words(query: str, expected: list[str]) -> None:
    assert [node.name for node in find_nodes(diagram(), query)] == expected


def test_the_very_name_comes_first() -> None:
    names = ["layer1.10", "a.layer1.1", "layer1.1"]
    nodes = tuple(Node(name, name, "block", "conv", (1, 1, 1), 0, 0, name) for name in names)
    found = [node.name for node in find_nodes(Graph(nodes), "layer1.1")]
    assert found == ["layer1.1", "layer1.10", "a.layer1.1"]


def test_a_large_model_does_not_flood_the_list() -> None:
    nodes = tuple(Node(f"b{i}", f"b{i}", "block", "conv", (1,), 0, 0, "") for i in range(2000))
    assert len(find_nodes(Graph(nodes), "conv")) == MAX_FOUND


def test_the_palette_goes_to_a_block(qtbot: QtBot, opened: Controller) -> None:
    opened.trigger("palette")
    palette = opened.window.findChild(CommandPalette)
    assert palette is not None
    qtbot.keyClicks(palette._line, "conv1")
    qtbot.keyClick(palette._line, Qt.Key.Key_Return)
    assert opened.request.selected == "conv1"
