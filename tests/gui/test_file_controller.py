"""Opening models and images by dialog, drop, paste and from the samples."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QImage
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from gui.controller import Controller
from gui.details import GateDetail
from gui.state import ImageInput
from gui.views.window import MainWindow
from tests.helpers.controller import settle, texts


def test_the_start_page_offers_bundled_models_and_samples(
    qtbot: QtBot, controller: Controller
) -> None:
    assert "PyTorch" in controller.window.start._status.text()
    controller.start()
    settle(qtbot, controller)
    assert len(controller.window.start.cards()) == 1
    assert controller.window.sidebar.samples.count() == 6
    assert controller.window.start._status.text() == ""
    controller.window.start.cards()[0].click()
    settle(qtbot, controller)
    assert controller.screen.page == "model"


def test_opening_selects_a_merge_and_takes_the_first_sample(opened: Controller) -> None:
    assert opened.request.selected == "layer1.0.se.gate"
    assert isinstance(opened.screen.detail, GateDetail)
    assert opened.request.image is opened.catalog.samples[0]
    assert opened.window.windowTitle().startswith("resnet20 · CIFAR-10")


def test_a_bad_path_at_the_start_leaves_the_start_page(
    qtbot: QtBot, controller: Controller
) -> None:
    with qtbot.waitSignal(controller.failed, timeout=5000) as caught:
        controller.start("bad.ckpt")
    settle(qtbot, controller)
    assert caught.args
    assert "bad.ckpt" in caught.args[0]
    assert controller.screen.page == "start"
    assert controller.request.checkpoint is None
    assert controller.window.start.cards(), "the shelf is there all the same"


def test_a_bad_image_with_a_good_model_opens_the_model(
    qtbot: QtBot, controller: Controller
) -> None:
    controller.start("a.ckpt", "bad.png")
    settle(qtbot, controller)
    assert controller.window.banner.text == "'bad.png' is not an image: choose a PNG."
    assert controller.screen.page == "model"
    assert controller.request.image is controller.catalog.samples[0]
    assert controller.screen.bars
    assert controller.screen.status == ""


def test_a_bad_image_alone_does_not_lock_the_start_page(
    qtbot: QtBot, controller: Controller
) -> None:
    controller.start(None, "bad.png")
    settle(qtbot, controller)
    controller.window.start.cards()[0].click()
    settle(qtbot, controller)
    assert controller.screen.page == "model"
    assert controller.request.image is controller.catalog.samples[0]
    assert controller.window.banner.text == "'bad.png' is not an image: choose a PNG."


def test_a_good_image_waits_for_a_model_that_opens(qtbot: QtBot, controller: Controller) -> None:
    controller.start("bad.ckpt", "cat.png")
    settle(qtbot, controller)
    assert controller.screen.page == "start"
    controller.window.start.cards()[0].click()
    settle(qtbot, controller)
    assert controller.screen.image_label == "cat.png"


def test_a_bad_image_on_an_open_model_leaves_the_previous_image(
    qtbot: QtBot, opened: Controller
) -> None:
    opened.files.select_sample(3)
    opened.edits.toggle_cut("layer1.0.add", 0)
    settle(qtbot, opened)
    opened.files.open_paths(["bad.png"])
    settle(qtbot, opened)
    assert opened.request.image is opened.catalog.samples[3]
    assert opened.screen.image_label == opened.catalog.samples[3].label
    assert texts(opened) == ["cut shortcut of layer1.0"]
    assert "bad.png" in opened.window.banner.text
    opened.files.open_paths(["bad.png", "b.ckpt"])
    settle(qtbot, opened)
    assert (opened.request.checkpoint, opened.request.image) == (
        "b.ckpt",
        opened.catalog.samples[3],
    )


def test_keys_step_through_the_samples(qtbot: QtBot, opened: Controller) -> None:
    opened.trigger("next_sample")
    assert opened.request.image is opened.catalog.samples[1]
    opened.trigger("previous_sample")
    opened.trigger("previous_sample")
    assert opened.request.image is opened.catalog.samples[-1]
    assert opened.window.sidebar.samples.currentRow() == 5


def test_an_image_can_be_pasted(opened: Controller) -> None:
    pixels = QImage(4, 3, QImage.Format.Format_ARGB32)
    pixels.fill(0xFF204060)
    pixels.setPixel(0, 0, 0x00000000)
    QApplication.clipboard().setImage(pixels)
    opened.trigger("paste_image")
    image = opened.request.image
    assert image is not None
    assert image.pixels is not None
    assert image.pixels.shape == (3, 4, 3)
    assert image.pixels[1, 1].tolist() == [0x20, 0x40, 0x60]
    assert image.pixels[0, 0].tolist() == [255, 255, 255], "what is transparent is white"


def test_an_empty_clipboard_shows_a_message(opened: Controller) -> None:
    QApplication.clipboard().clear()
    opened.trigger("paste_image")
    assert "clipboard" in opened.window.banner.text


def drop(window: MainWindow, paths: list[str]) -> None:
    """As the window system would: enter, then drop."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(path) for path in paths])
    left, none = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(QPoint(50, 50), Qt.DropAction.CopyAction, data, left, none)
    QApplication.sendEvent(window, enter)
    assert enter.isAccepted()
    QApplication.sendEvent(
        window, QDropEvent(QPointF(50, 50), Qt.DropAction.CopyAction, data, left, none)
    )


def test_a_checkpoint_and_an_image_can_be_dropped_together(
    qtbot: QtBot, opened: Controller, tmp_path: Path
) -> None:
    drop(opened.window, [str(tmp_path / "cat.png"), str(tmp_path / "new.ckpt")])
    settle(qtbot, opened)
    assert opened.request.checkpoint == str(tmp_path / "new.ckpt")
    assert opened.request.image
    assert opened.request.image.path == str(tmp_path / "cat.png")
    drop(opened.window, [str(tmp_path / "dog.jpg")])
    assert opened.request.image
    assert opened.request.image.label == "dog.jpg"
    assert opened.request.checkpoint == str(tmp_path / "new.ckpt")


def test_show_start_goes_back_to_the_start_page(qtbot: QtBot, opened: Controller) -> None:
    opened.trigger("show_start")
    assert opened.screen.page == "start"
    assert opened.request.checkpoint is None
    assert not opened.window.actions_by_name["cut_skip"].isEnabled()


def test_a_model_with_a_large_input_gets_photographs_and_a_small_one_its_samples(
    qtbot: QtBot, opened: Controller
) -> None:
    small = opened.catalog.samples

    def open_model(name: str) -> None:
        opened.open(name)
        qtbot.waitUntil(lambda: opened.screen.title != "" and not opened.worker.is_pending("run"))

    open_model("large")
    assert [image.label for image in opened.catalog.samples] == ["cat", "rocket"]
    assert opened.request.image is opened.catalog.samples[0]
    assert opened.window.sidebar.samples.count() == 2
    opened.files.next_sample()
    assert opened.request.image is opened.catalog.samples[1]
    open_model("resnet20")
    assert opened.catalog.samples is small
    assert opened.request.image is small[0]


def test_an_image_of_the_user_stays_when_the_samples_change(
    qtbot: QtBot, opened: Controller
) -> None:
    own = ImageInput("mine", pixels=np.zeros((4, 4, 3), np.uint8))
    opened.submit(replace(opened.request, image=own))
    opened.open("large")
    qtbot.waitUntil(lambda: not opened.worker.is_pending("run"))
    assert opened.request.image is own


def test_a_model_that_is_open_before_the_catalog_arrives_gets_photographs(
    qtbot: QtBot, controller: Controller
) -> None:
    controller.open("large")
    settle(qtbot, controller)
    controller.worker.submit("catalog")
    settle(qtbot, controller)
    image = controller.request.image
    assert image is not None
    assert image is controller.catalog.samples[0]
    assert image.label == "cat"
