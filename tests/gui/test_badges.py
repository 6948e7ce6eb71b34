"""Remarks in the header: random weights, what is assumed, and what is done to the image."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QLabel, QListWidget, QToolButton
from pytestqt.qtbot import QtBot

from gui.controller import Controller
from gui.engine import Engine
from gui.engine.badges import describe_alternative, image_badges
from gui.state import Badge, ModelChoice, Request
from gui.views.choice_dialog import ChoiceDialog
from gui.views.header import WindowHeader
from lightning_resnets.checkpoint import bundled_checkpoints
from lightning_resnets.models.registry import create_model
from tests.helpers.controller import settle
from tests.helpers.engine import make_request

CHOICES = (ModelChoice("resnet56", "opened now"), ModelChoice("plain56", "without skips"))


def test_a_file_of_random_weights_without_a_card_says_so(
    real_engine: Engine, tmp_path: Path
) -> None:
    path = tmp_path / "densenet121.pth"
    torch.save(create_model("densenet121").state_dict(), path)
    result = real_engine.run(make_request(str(path)))
    assert result.model
    texts = [badge.text for badge in (*result.model.badges, *result.image_badges)]
    expected = ["random weights", "assumed classes", "assumed preprocessing", "upsampled 7×"]
    assert texts == expected
    assert all(
        badge.reason.endswith(".") or "model" in badge.reason for badge in result.model.badges
    )


def test_a_bundled_model_has_no_remarks(real_engine: Engine) -> None:
    name = next(iter(bundled_checkpoints()))
    result = real_engine.run(make_request(name))
    assert result.model
    assert (result.model.badges, result.image_badges) == ((), ())


@pytest.mark.parametrize(
    ("height", "width", "text"),
    [(32, 32, "upsampled 7×"), (64, 32, "upsampled 3.5×"), (150, 149, "upsampled 1.5×")],
)
def test_upsampling_is_the_factor_of_the_longer_side(height: int, width: int, text: str) -> None:
    pixels = np.zeros((height, width, 3), np.uint8)
    found = image_badges(pixels, (3, 224, 224))
    assert [badge.text for badge in found] in ([text], [])
    assert bool(found) == (min(224 / height, 224 / width) >= 1.5)


def test_a_file_that_fits_several_models_lists_them(real_engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "plain.pth"
    torch.save(create_model("plain56").state_dict(), path)
    model = real_engine.run(Request(checkpoint=str(path))).model
    assert model
    names = [choice.architecture for choice in model.choices]
    assert names[0] == model.arch
    assert {"resnet56", "plain56"} <= set(names)
    assert "--model" not in model.warning
    for name in names[1:]:
        other = real_engine.run(Request(checkpoint=str(path), architecture=name)).model
        assert other, "every name in the list opens the file"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("resnet50,stride_in=1x1", "the stride is in the 1x1 convolution of each block"),
        ("plain56", "the same layers without skip connections"),
        ("timm/resnetaa50", "timm's variant of it"),
        ("resnet50,new_option=3", "new_option: 3"),
        ("wide_resnet50_2", "another architecture"),
    ],
)
def test_alternatives_are_described(name: str, text: str) -> None:
    assert describe_alternative(name) == text


def test_the_header_shows_badges_with_their_reasons(qtbot: QtBot) -> None:
    header = WindowHeader()
    qtbot.addWidget(header)
    header.set_badges((Badge("random weights", "Never trained."), Badge("other", "Because.")))
    labels = header.findChildren(QLabel, "badge")
    assert [(label.text(), label.toolTip()) for label in labels] == [
        ("random weights", "Never trained."),
        ("other", "Because."),
    ]
    header.set_badges(())
    assert header.findChildren(QLabel, "badge") == []


def test_badges_leave_the_facts_their_room(qtbot: QtBot) -> None:
    header = WindowHeader()
    qtbot.addWidget(header)
    header.set_title("resnet50", (("data", "ImageNet"), ("parameters", "25,557,032")), "")
    header.resize(3000, 60)
    header.show()
    header.set_badges(tuple(Badge(f"remark number {i}", "Because.") for i in range(4)))
    qtbot.wait(20)
    facts = header.facts_label
    title = header.title_label
    badges = header.findChildren(QLabel, "badge")
    assert not header.has_second_row
    assert all(title.geometry().right() < badge.mapTo(header, QPoint()).x() for badge in badges)
    header.resize(1000, 60)
    qtbot.wait(20)
    assert header.has_second_row
    assert facts.width() >= facts.sizeHint().width()
    assert all(badge.mapTo(header, QPoint()).y() >= title.geometry().bottom() for badge in badges)
    header.set_badges(())
    qtbot.waitUntil(lambda: not header.has_second_row)


def test_the_choice_is_offered_only_where_there_is_one(qtbot: QtBot) -> None:
    header = WindowHeader()
    qtbot.addWidget(header)
    header.show()
    (button,) = header.findChildren(QToolButton, "badge")
    assert not button.isVisible()
    header.set_choice_count(3)
    assert button.isVisible()
    assert "3 models" in button.text()
    with qtbot.waitSignal(header.choice_requested):
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def test_the_dialog_lists_models_with_what_differs(qtbot: QtBot) -> None:
    dialog = ChoiceDialog("/files/net.pth", CHOICES)
    qtbot.addWidget(dialog)
    models = dialog.findChild(QListWidget)
    assert models
    assert "without skips" in models.item(1).text()
    models.setCurrentRow(1)
    with qtbot.waitSignal(dialog.chosen) as caught:
        dialog.accept()
    assert caught.args == ["plain56"]


def test_a_choice_opens_the_file_as_that_model(
    qtbot: QtBot, opened: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    assert opened.result.model
    model = replace(opened.result.model, choices=CHOICES)
    opened.result = replace(opened.result, model=model)
    opened.choose_model()
    (dialog,) = opened.window.findChildren(ChoiceDialog)
    models = dialog.findChild(QListWidget)
    assert models
    models.setCurrentRow(1)
    dialog.accept()
    settle(qtbot, opened)
    assert opened.request.architecture == "plain56"
    assert opened.request.checkpoint == "a.ckpt"
