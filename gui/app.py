"""Start the app: window, controller, and a worker that imports torch after the window stands."""

import argparse
import gc
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from PySide6.QtCore import QObject, QStandardPaths, QTimer
from PySide6.QtWidgets import QApplication

from gui.controller import Controller
from gui.views.window import MainWindow
from gui.worker import RequestHandler, Worker

ExceptHook = Callable[[type[BaseException], BaseException, TracebackType | None], object]

GC_INTERVAL_MS = 2000
MIN_SIDE = 300  # pixels of the window
MAX_SIDE = 8000
SETTLE_MS = 50  # from the last result to the screenshot
NO_DISPLAY = "There is no display here: use --screenshot FILE to save an image of the window."


def make_engine() -> RequestHandler:
    """Create the engine, on the worker thread: this imports torch.

    Torch gets at most half of the cores, so that the window has one. On a busy machine threads that
    wait for each other turn a forward pass of 10 ms into one of 500 ms. OMP_NUM_THREADS overrides.
    """
    thread_count = max(1, min(4, (os.cpu_count() or 2) // 2))
    # OpenMP reads this once, when torch is loaded.
    os.environ.setdefault("OMP_NUM_THREADS", str(thread_count))
    from gui.engine import Engine

    return Engine()


class GuiThreadGC(QObject):
    """Collects garbage on the GUI thread only, because the worker could free a Qt object.

    Args:
        parent: the owner.
    """

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        gc.disable()
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._collect)
        self._timer.start(GC_INTERVAL_MS)

    def stop(self) -> None:
        """Let Python collect garbage on any thread again."""
        self._timer.stop()
        gc.enable()

    def _collect(self) -> None:
        # The young generations only: a full collection walks over all of torch's objects.
        gc.collect(1)


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line.

    Args:
        argv: the arguments, those of the process if None.

    Returns:
        The options.
    """
    parser = argparse.ArgumentParser(
        prog="lightning-resnets-gui", description="See what the skips of a trained model do."
    )
    add = parser.add_argument
    add("checkpoint", nargs="?", help="a checkpoint file, or the name of a bundled model")
    add("image", nargs="?", help="an image")
    model_help = (
        "architecture (overrides detection), or module:function of your own (its code is run)"
    )
    add("--model", metavar="NAME", help=model_help)
    screenshot_help = "save an image of the window once it shows a model, and exit"
    add("--screenshot", metavar="FILE", help=screenshot_help)
    size_help = "size of the window (1280x800)"
    add("--size", type=parse_size, default=(1280, 800), metavar="WxH", help=size_help)
    scale_help = "device pixels per point, with --screenshot"
    add("--scale", type=int, choices=(1, 2), default=1, help=scale_help)
    add("--theme", choices=("light", "dark", "auto"), default="auto", help="colors (auto)")
    return parser.parse_args(argv)


def parse_size(text: str) -> tuple[int, int]:
    """Parse the size of a window.

    Args:
        text: "1280x800".

    Returns:
        Width and height.

    Raises:
        ArgumentTypeError: the text is not a size, or a side is not from 300 to 8000.
    """
    sides = text.lower().split("x")
    if len(sides) == 2 and all(side.isdecimal() for side in sides):
        width, height = map(int, sides)
        if min(width, height) >= MIN_SIDE and max(width, height) <= MAX_SIDE:
            return width, height
    message = f"'{text}' is not a size. Use WxH with sides from {MIN_SIDE} to {MAX_SIDE}: 1280x800."
    raise argparse.ArgumentTypeError(message)


def has_no_display() -> bool:
    """Return True where Qt would end the process for lack of a display."""
    names = ("QT_QPA_PLATFORM", "DISPLAY", "WAYLAND_DISPLAY")
    has_display = any(os.environ.get(name) for name in names)
    return sys.platform.startswith("linux") and not has_display


def create_controller(theme: str = "auto", session_path: Path | None = None) -> Controller:
    """Create window, worker and controller, connected but not started.

    Args:
        theme: "light", "dark" or "auto" for the system's color scheme.
        session_path: file of the last session, None to save none.

    Returns:
        The controller; its window owns it and the worker.
    """
    window = MainWindow()
    worker = Worker(make_engine, window)
    controller = Controller(window, worker, theme, session_path)
    # Without waiting: the window must disappear at once, and `main` waits afterwards.
    window.closing.connect(lambda: worker.stop(0.0))
    return controller


def last_session_path() -> Path:
    """Return the file of the last session, in the user's folder for data of apps."""
    location = QStandardPaths.StandardLocation.AppDataLocation
    return Path(QStandardPaths.writableLocation(location)) / "session.json"


def create_application() -> QApplication:
    """Return Qt's application, created if there is none."""
    # Qt allows one application per process, and a test may have created it.
    app = QApplication.instance() or QApplication(["lightning-resnets-gui"])
    assert isinstance(app, QApplication)
    app.setApplicationDisplayName("Lightning ResNets")
    # The one style that follows palette and style sheet on every system.
    app.setStyle("Fusion")
    # Ctrl+C in a terminal ends the app; Qt would never let Python see it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return app


def main(argv: Sequence[str] | None = None) -> int:
    """Run the app.

    Args:
        argv: the arguments, those of the process if None.

    Returns:
        The exit status: 1 if what the command line names could not be opened.
    """
    options = parse_args(argv)
    if options.screenshot:
        _use_offscreen_platform(options.scale)
    elif has_no_display():
        print(NO_DISPLAY, file=sys.stderr)
        return 1
    app = create_application()
    # A screenshot is no session of the user's.
    session_path = None if options.screenshot else last_session_path()
    controller = create_controller(options.theme, session_path)
    collector = GuiThreadGC(controller)
    previous_hook = install_excepthook(controller)
    controller.window.resize(*options.size)
    controller.window.show()
    failures = _collect_failures(controller)
    if options.screenshot:
        wants_model = options.checkpoint is not None
        save_screenshot_when_ready(controller, options.screenshot, wants_model=wants_model)

    def begin() -> None:
        """Start the worker, then open what the command line names."""
        controller.worker.start()
        controller.start(options.checkpoint, options.image, options.model)

    # From the event loop, so that the window is painted before torch is imported.
    QTimer.singleShot(0, begin)
    app.exec()
    has_ended = controller.worker.stop()
    collector.stop()
    sys.excepthook = previous_hook
    controller.window.deleteLater()
    shows_model = bool(controller.screen.diagram.nodes)
    # With a model on the screen a failure was that of one step, not of the start.
    status = 1 if failures and (options.screenshot or not shows_model) else 0
    if not has_ended:
        # Deep in a long computation: Python would be torn down while the thread runs.
        sys.stdout.flush()
        os._exit(status)
    return status


def install_excepthook(controller: Controller) -> ExceptHook:
    """Show exceptions that nothing handles, such as those in Qt's slots, in the window.

    Args:
        controller: shows them.

    Returns:
        The previous hook.
    """
    previous = sys.excepthook

    def report(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        """Show an exception in the window."""
        # KeyboardInterrupt and SystemExit must still end the app.
        if isinstance(error, Exception):
            controller.report_error(error)
        else:
            previous(kind, error, trace)

    sys.excepthook = report
    return previous


def _use_offscreen_platform(scale: int) -> None:
    # Qt reads these only when the application is created.
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    os.environ["QT_SCALE_FACTOR"] = str(scale)
    # The platform has no tray, no menus of the system and so on, and would say so each time.
    os.environ.setdefault("QT_LOGGING_RULES", "default.warning=false")


def _collect_failures(controller: Controller) -> list[str]:
    """Return a list that gets all messages, which are printed as well."""
    failures: list[str] = []

    def take(message: str) -> None:
        """Keep and print a message."""
        failures.append(message)
        print(message, file=sys.stderr)

    controller.failed.connect(take)
    return failures


def save_screenshot_when_ready(controller: Controller, path: str, wants_model: bool) -> None:
    """Save the window once nothing is pending, and close it.

    Args:
        controller: the controller of the window.
        path: where to save the image.
        wants_model: True to wait for a model.
    """
    window = controller.window

    def save() -> None:
        """Save the window as it is shown now, and close it."""
        QApplication.processEvents()
        # The last layout of the window may have changed the size of the graph.
        window.graph.fit()
        # Without the keyboard's cursor, which belongs to no still image.
        window.graph.clearFocus()
        # A large graph is drawn over several frames, and the image needs all of it.
        window.graph.finish_painting()
        QApplication.processEvents()
        if not window.grab().save(path):
            controller.failed.emit(f"Cannot save the image as {path}. Check the folder and suffix.")
        window.close()

    def save_if_done() -> None:
        """Save the window soon if nothing more is awaited."""
        pending = controller.worker.is_pending("run") or controller.worker.is_pending("catalog")
        is_shown = controller.result.detail is not None or not wants_model
        # A message in the banner ends the wait as well: no model will come.
        if not pending and (is_shown or window.banner.text):
            QTimer.singleShot(SETTLE_MS, save)

    controller.worker.idle.connect(save_if_done)
