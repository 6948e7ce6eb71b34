"""Fixtures of the window with an engine that answers at once, and of the graph view."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from gui.controller import Controller
from gui.engine import Engine
from gui.state import Request, Result
from gui.views.graph.view import GraphView
from gui.views.window import MainWindow
from gui.worker import Worker
from tests.helpers.controller import settle
from tests.helpers.engine import save_checkpoint
from tests.helpers.fake_engine import FakeEngine


class RejectingEngine(FakeEngine):
    """Rejects images whose file name begins with "bad", as the engine does: the model stays."""

    def run(self, request: Request) -> Result:
        result = super().run(request)
        path = request.image.path if request.image else None
        if request.image and path and Path(path).name.startswith("bad"):
            message = f"'{request.image.label}' is not an image: choose a PNG."
            return Result(model=result.model, image_error=message)
        return result


@pytest.fixture
def engine() -> FakeEngine:
    return RejectingEngine()


@pytest.fixture
def controller(qtbot: QtBot, engine: FakeEngine) -> Iterator[Controller]:
    """Return a controller with a shown window and a running worker, on the start page."""
    window = MainWindow()
    qtbot.addWidget(window)
    worker = Worker(lambda: engine, window)
    controller = Controller(window, worker, "light")
    window.resize(1000, 700)
    window.show()
    worker.start()
    yield controller
    worker.stop()


@pytest.fixture
def opened(qtbot: QtBot, controller: Controller) -> Controller:
    """Return a controller with an open model."""
    controller.start("a.ckpt")
    settle(qtbot, controller)
    return controller


@pytest.fixture
def view(qtbot: QtBot) -> GraphView:
    """Return an empty graph view on the screen."""
    result = GraphView()
    qtbot.addWidget(result)
    result.resize(860, 420)
    result.show()
    qtbot.waitExposed(result)
    return result


@pytest.fixture(scope="package")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return paths of checkpoints with random weights by architecture."""
    folder = tmp_path_factory.mktemp("models")
    names = ("resnet20", "seresnet20", "densenet_bc_40_12")
    return {arch: save_checkpoint(folder, arch) for arch in names}


@pytest.fixture(scope="package")
def real_engine() -> Engine:
    """Return an engine with its caches."""
    return Engine()
