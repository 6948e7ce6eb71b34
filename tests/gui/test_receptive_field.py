"""Receptive field under the pointer: the pixels that really change a position of a map."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from pytestqt.qtbot import QtBot

from gui.controller import Controller
from gui.details import ReceptiveField, Span
from gui.engine.engine import Engine
from gui.views import qt_style
from gui.views.sidebar import InputImageView
from lightning_resnets import record_activations
from lightning_resnets.interactive.model import InteractiveModel
from tests.helpers.engine import make_request


def test_a_box_is_clipped_to_the_image() -> None:
    field = ReceptiveField(Span(4, -6, 7), Span(2, 0, 1))
    assert field.box(0, 0, (32, 32)) == (0, 0, 8, 2)
    assert field.box(2, 3, (32, 32)) == (2, 6, 16, 8)
    assert field.box(7, 15, (32, 32)) == (22, 30, 32, 32)
    # Entirely in the padding.
    assert field.box(20, 0, (32, 32)) == (32, 0, 32, 2)


@pytest.mark.parametrize(("name", "y", "x"), [("layer1.1.add", 3, 17), ("layer2.0.add", 9, 0)])
def test_only_pixels_of_the_box_change_the_position(
    real_engine: Engine, models: dict[str, str], name: str, y: int, x: int
) -> None:
    request = replace(make_request(models["resnet20"], name), wants_receptive_field=True)
    field = real_engine.run(request).receptive_field
    assert field
    top, left, bottom, right = field.box(y, x, (32, 32))
    model = InteractiveModel.open(models["resnet20"]).model
    images = torch.randn(1, 3, 32, 32, requires_grad=True)
    with record_activations(model, name) as recording:
        model(images)
    # In double magnitude: the gradient of a pixel that counts is not zero by chance.
    value = recording.outputs[name][0, :, y, x].abs().sum()
    (gradient,) = torch.autograd.grad(value, images)
    touched = gradient.abs().sum((0, 1)).numpy() > 0
    inside = np.zeros((32, 32), bool)
    inside[top:bottom, left:right] = True
    assert not (touched & ~inside).any()
    rows, columns = np.flatnonzero(touched.any(1)), np.flatnonzero(touched.any(0))
    assert (rows[0], columns[0]) == (top, left)
    assert (rows[-1] + 1, columns[-1] + 1) == (bottom, right)


def test_nodes_without_positions_have_no_field(real_engine: Engine, models: dict[str, str]) -> None:
    for name, wanted in itertools.product(("fc", "input", "output"), (True,)):
        request = make_request(models["resnet20"], name)
        result = real_engine.run(replace(request, wants_receptive_field=wanted))
        assert result.receptive_field is None
    assert real_engine.run(make_request(models["resnet20"], "conv1")).receptive_field is None


def test_the_mark_lies_on_its_pixels(qtbot: QtBot) -> None:
    view = InputImageView()
    qtbot.addWidget(view)
    view.resize(200, 200)
    view.set_image(qt_style.to_qimage(np.zeros((32, 32, 3), np.uint8)))
    assert view.box_rect() is None
    view.set_box((8, 0, 16, 32))
    rect = view.box_rect()
    assert rect is not None
    # 192 pixels in the middle of 200: six for each pixel of the image.
    assert rect.getRect() == (4, 4 + 48, 192, 48)
    plain = view.grab().toImage()
    view.set_box(None)
    assert view.grab().toImage() != plain


def test_the_pointer_over_a_map_marks_its_pixels(qtbot: QtBot, opened: Controller) -> None:
    opened.select("conv1")
    qtbot.waitUntil(lambda: not opened.worker.is_pending("run"))
    opened.show_receptive_field((0, 0))
    assert opened.request.wants_receptive_field
    qtbot.waitUntil(lambda: not opened.worker.is_pending("run"))
    opened.screen = replace(opened.screen, receptive_field=ReceptiveField(*[Span(1, -1, 1)] * 2))
    opened.window.inspector.position_hovered.emit((2, 3))
    assert opened.window.sidebar.image._box == (1, 2, 4, 5)
    opened.window.inspector.position_hovered.emit(None)
    assert opened.window.sidebar.image._box is None
    opened.open("resnet20")
    assert not opened.request.wants_receptive_field
