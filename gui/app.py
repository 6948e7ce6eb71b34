"""Window, controller and worker put together; torch is imported by the worker, after the window
stands.
"""

import argparse
import gc
import os
import signal
import sys
from collections.abc import Sequence

from PySide6.QtCore import QObject, QTimer
from PySide6.QtWidgets import QApplication

from gui.controller import Controller
from gui.views.window import MainWindow
from gui.worker import RequestHandler, Worker

GC_INTERVAL_MS = 2000


def make_engine() -> RequestHandler:
    """Runs on the worker thread: this import brings torch, with at most half of the cores, so that
    the window has one.

    On a busy machine threads that wait for each other make a look of 10 ms one of 500 ms;
    OMP_NUM_THREADS overrules."""
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, min(4, (os.cpu_count() or 2) // 2))))
    from gui.engine import Engine

    return Engine()


class GuiThreadGC(QObject):
    """Collects garbage on the GUI thread only, until `stop`: the worker could free a Qt object in a
    collection.
    """

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        gc.disable()
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._sweep)
        self._timer.start(GC_INTERVAL_MS)

    def stop(self) -> None:
        self._timer.stop()
        gc.enable()

    def _sweep(self) -> None:
        gc.collect(1)


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="lightning-resnets-gui", description="See what the skips of a trained model do."
    )
    parser.add_argument(
        "checkpoint", nargs="?", help="a checkpoint file, or the name of a bundled model"
    )
    parser.add_argument("image", nargs="?", help="an image")
    parser.add_argument(
        "--model",
        metavar="NAME",
        help="architecture (overrides detection), or module:function of your own (its code is run)",
    )
    parser.add_argument(
        "--screenshot",
        metavar="FILE",
        help="save an image of the window once it shows a model, and exit",
    )
    parser.add_argument(
        "--size",
        type=parse_size,
        default=(1280, 800),
        metavar="WxH",
        help="size of the window (1280x800)",
    )
    parser.add_argument(
        "--scale", type=int, choices=(1, 2), default=1, help="pixels a point, with --screenshot"
    )
    parser.add_argument("--theme", choices=("light", "dark", "auto"), default="auto")
    return parser.parse_args(argv)


def parse_size(text: str) -> tuple[int, int]:
    """ "1280x800" as numbers."""
    width, _, height = text.lower().partition("x")
    if not (
        width.isdigit()
        and height.isdigit()
        and 300 <= int(width) <= 8000
        and 300 <= int(height) <= 8000
    ):
        raise argparse.ArgumentTypeError(f"'{text}' is no size: write it like 1280x800.")
    return int(width), int(height)


def has_no_display() -> bool:
    """True where Qt would end the process for want of a screen."""
    chosen = any(os.environ.get(name) for name in ("QT_QPA_PLATFORM", "DISPLAY", "WAYLAND_DISPLAY"))
    return sys.platform.startswith("linux") and not chosen


def create_controller(theme: str = "auto") -> Controller:
    """Window, worker and controller, wired but not started; the window owns the other two."""
    window = MainWindow()
    worker = Worker(make_engine, window)
    controller = Controller(window, worker, theme)
    window.closing.connect(lambda: worker.stop(0.0))
    return controller


def main(argv: Sequence[str] | None = None) -> int:
    """The program; the exit status is 1 where what was asked for could not be opened."""
    options = parse_args(argv)
    if options.screenshot:
        os.environ["QT_QPA_PLATFORM"] = "offscreen"
        os.environ["QT_SCALE_FACTOR"] = str(options.scale)
        os.environ.setdefault(
            "QT_LOGGING_RULES", "default.warning=false"
        )  # offscreen lacks some things
    elif has_no_display():
        print(
            "There is no display here: use --screenshot FILE to save an image of the window.",
            file=sys.stderr,
        )
        return 1
    app = QApplication.instance() or QApplication(["lightning-resnets-gui"])
    assert isinstance(app, QApplication)
    app.setApplicationDisplayName("Lightning ResNets")
    app.setStyle("Fusion")
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    controller = create_controller(options.theme)
    broom = GuiThreadGC(controller)
    window = controller.window
    window.resize(*options.size)
    window.show()
    failures: list[str] = []
    controller.failed.connect(failures.append)
    controller.failed.connect(lambda sentence: print(sentence, file=sys.stderr))
    if options.screenshot:
        save_screenshot_when_ready(
            controller, options.screenshot, wants_model=options.checkpoint is not None
        )

    def begin() -> None:
        controller.worker.start()
        controller.start(options.checkpoint, options.image, options.model)

    QTimer.singleShot(0, begin)
    app.exec()
    ended = controller.worker.stop()
    broom.stop()
    window.deleteLater()
    status = 1 if failures and (options.screenshot or not controller.screen.diagram.nodes) else 0
    if not ended:  # deep in a long answer: Python would be torn down under the thread's feet
        sys.stdout.flush()
        os._exit(status)
    return status


def save_screenshot_when_ready(controller: Controller, path: str, wants_model: bool) -> None:
    """Save the window once nothing more is awaited, and close it."""

    def shoot() -> None:
        QApplication.processEvents()
        controller.window.graph.fit()
        controller.window.graph.clearFocus()
        QApplication.processEvents()
        if not controller.window.grab().save(path):
            controller.failed.emit(
                f"The image could not be saved as {path}: check the folder and the ending."
            )
        controller.window.close()

    def look() -> None:
        done = (
            controller.result.detail is not None
            or not wants_model
            or bool(controller.window.banner.text)
        )
        if (
            done
            and not controller.worker.is_pending("run")
            and not controller.worker.is_pending("catalog")
        ):
            QTimer.singleShot(50, shoot)

    controller.worker.idle.connect(look)
