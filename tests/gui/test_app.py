"""The command line of the app, screenshots, and the start and end of the process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PySide6.QtCore import QSize
from PySide6.QtGui import QImage
from pytestqt.qtbot import QtBot

import gui.app
from gui.app import has_no_display, main, parse_args, parse_size
from tests.helpers.fake_engine import FakeEngine


def test_window_opens_without_torch_and_pyqtgraph() -> None:
    """In a fresh process, because this one has imported everything; 0.2 s on an idle core."""
    code = (
        "import time; t = time.perf_counter()\n"
        "import sys, gui.app\n"
        "from PySide6.QtWidgets import QApplication\n"
        "app = QApplication([]); c = gui.app.create_controller('light'); c.window.show()\n"
        "app.processEvents()\n"
        "cpu = time.process_time(); wall = time.perf_counter() - t\n"
        "assert not {'torch', 'pyqtgraph', 'lightning_resnets'} & set(sys.modules)\n"
        "c.window.close(); print(cpu, wall)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    cpu, _ = map(float, done.stdout.split())
    assert cpu < 1.5, "the window's own work before it stands, in seconds of one core"


def test_screenshot_option_saves_the_window(
    qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gui.app, "make_engine", FakeEngine)
    monkeypatch.setenv("QT_SCALE_FACTOR", os.environ.get("QT_SCALE_FACTOR", "1"))
    target = tmp_path / "window.png"
    assert (
        main(["a.ckpt", "--screenshot", str(target), "--size", "1000x700", "--theme", "dark"]) == 0
    )
    image = QImage(str(target))
    assert image.size() == QSize(1000, 700)
    assert image.pixelColor(4, 400).lightness() < 60
    assert len({image.pixel(x, y) for x in range(0, 1000, 7) for y in range(0, 700, 7)}) > 40, (
        "maps and graph are there"
    )


def test_bad_checkpoint_prints_a_message_and_exits_with_1(
    qtbot: QtBot,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(gui.app, "make_engine", FakeEngine)
    monkeypatch.setenv("QT_SCALE_FACTOR", "1")
    target = tmp_path / "window.png"
    assert main(["bad.ckpt", "--screenshot", str(target)]) == 1
    assert "'bad.ckpt' is not a checkpoint: choose a .ckpt file." in capsys.readouterr().err
    assert target.exists(), "the window with its message is saved all the same"


def test_unwritable_screenshot_prints_a_message(
    qtbot: QtBot,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(gui.app, "make_engine", FakeEngine)
    monkeypatch.setenv("QT_SCALE_FACTOR", "1")
    assert main(["a.ckpt", "--screenshot", str(tmp_path / "no" / "such" / "folder.png")]) == 1
    assert "Cannot save the image as" in capsys.readouterr().err


def test_parse_args() -> None:
    options = parse_args(
        ["model.ckpt", "cat.png", "--screenshot", "a.png", "--size", "900x600", "--scale", "2"]
    )
    assert (options.checkpoint, options.image, options.size, options.scale) == (
        "model.ckpt",
        "cat.png",
        (900, 600),
        2,
    )
    assert parse_args([]).checkpoint is None
    assert parse_args([]).theme == "auto"


@pytest.mark.parametrize("text", ["900", "axb", "0x0", "900x600x2", "99999x600"])
def test_invalid_window_sizes_are_rejected(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_args(["--size", text])
    assert "Use WxH with sides from 300 to 8000" in capsys.readouterr().err


def test_parse_size() -> None:
    assert parse_size("1280X800") == (1280, 800)


def test_has_no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("QT_QPA_PLATFORM", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    assert has_no_display()
    monkeypatch.setenv("DISPLAY", ":0")
    assert not has_no_display()


def test_gui_thread_gc_turns_automatic_collection_off_until_stopped(qtbot: QtBot) -> None:
    import gc

    from PySide6.QtCore import QObject

    parent = QObject()
    broom = gui.app.GuiThreadGC(parent)
    assert not gc.isenabled()
    broom.stop()
    assert gc.isenabled()


def test_closing_the_window_ends_the_worker(qtbot: QtBot) -> None:
    controller = gui.app.create_controller("light")
    qtbot.addWidget(controller.window)
    controller.window.show()
    controller.worker.start()
    controller.window.close()
    assert controller.worker.stop()
    assert not controller.worker._thread.is_alive()
