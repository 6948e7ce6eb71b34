"""Edits of channels and blocks: by key, undoable, as the library applies them."""

import numpy as np
import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from gui.controller import Controller
from gui.descriptions import describe_edit, describe_edit_short
from gui.engine.engine import Engine
from gui.graph import Edit, toggle_channel
from gui.navigation import block_of
from lightning_resnets.interactive.model import InteractiveModel
from lightning_resnets.interventions import RemoveBlock, ZeroChannels
from tests.helpers.engine import PIXELS, make_request
from tests.helpers.fake_engine import diagram


def test_channels_of_a_node_are_one_edit() -> None:
    edits = toggle_channel((), "conv1", 5)
    edits = toggle_channel(edits, "conv1", 2)
    edits = toggle_channel(edits, "fc", 1)
    assert [(edit.target, edit.channels) for edit in edits] == [("conv1", (2, 5)), ("fc", (1,))]
    edits = toggle_channel(edits, "conv1", 5)
    edits = toggle_channel(edits, "conv1", 2)
    assert [edit.target for edit in edits] == ["fc"]


def test_channels_are_described_by_number_or_count() -> None:
    one, two = (Edit("zero", "layer1.0", 0, 0.0, channels) for channels in ((7,), (1, 2)))
    assert describe_edit(one, diagram()) == "channel 7 of layer1.0 set to 0"
    assert describe_edit_short(two) == "2 channels set to 0"


@pytest.mark.parametrize("name", ["conv1", "layer2.0.add", "layer1.0"])
def test_zeroed_channels_are_those_of_the_library(
    real_engine: Engine, models: dict[str, str], name: str
) -> None:
    edit = Edit("zero", name, 0, 0.0, (0, 3))
    result = real_engine.run(make_request(models["resnet20"], name, edit))
    assert result.model
    node = result.model.diagram.node(name)
    assert node
    opened = InteractiveModel.open(models["resnet20"])
    expected = opened.run(PIXELS, (), [ZeroChannels(node.hook_point, (0, 3))]).probabilities
    np.testing.assert_array_equal(result.probabilities, expected)
    assert result.probabilities_without_edits is not None
    assert not np.array_equal(result.probabilities_without_edits, expected)


def test_a_removed_block_is_that_of_the_library(
    real_engine: Engine, models: dict[str, str]
) -> None:
    result = real_engine.run(make_request(models["resnet20"], None, Edit("drop", "layer2.1", 0, 0)))
    expected = InteractiveModel.open(models["resnet20"]).run(PIXELS, (), [RemoveBlock("layer2.1")])
    np.testing.assert_array_equal(result.probabilities, expected.probabilities)


def test_only_a_block_with_a_shortcut_around_it_can_be_removed() -> None:
    graph = diagram()
    assert block_of(graph, "layer1.0") == block_of(graph, "layer1.0.add") == "layer1.0"
    assert block_of(graph, "conv1") is None
    assert block_of(graph, None) is None


def test_delete_zeroes_the_enlarged_channel_and_undo_restores_it(
    qtbot: QtBot, opened: Controller
) -> None:
    opened.select("conv1")
    qtbot.waitUntil(lambda: not opened.worker.is_pending("run"))
    view = opened.window.inspector.atlas
    qtbot.keyClick(view, Qt.Key.Key_Delete)
    assert not opened.request.edits
    view.enlarge(4)
    qtbot.keyClick(view, Qt.Key.Key_Delete)
    assert opened.request.edits == (Edit("zero", "conv1", 0, 0.0, (4,)),)
    assert [chip.text for chip in opened.screen.chips] == ["channel 4 of conv1 set to 0"]
    opened.undo()
    assert not opened.request.edits


def test_the_action_removes_and_restores_the_selected_block(opened: Controller) -> None:
    hints: list[str] = []
    opened.window.set_hover = hints.append  # type: ignore[method-assign]
    opened.select("conv1")
    opened.trigger("remove_block")
    assert not opened.request.edits
    assert hints[-1].startswith("Select a block")
    opened.select("layer1.0")
    opened.trigger("remove_block")
    assert opened.request.edits == (Edit("drop", "layer1.0", 0, 0.0),)
    opened.trigger("remove_block")
    assert not opened.request.edits
