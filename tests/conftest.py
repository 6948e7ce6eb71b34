"""One torch thread, Qt without a screen, fonts that are there, and no test that leaves a widget,
thread or timer.
"""

import os
import sys
import threading
from collections.abc import Iterator

os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"  # before torch is imported
# The tests mean the CPU. Those for a GPU run with CUDA_VISIBLE_DEVICES=0.
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("PYTEST_QT_API", "pyside6")

import pytest
from tqdm import tqdm

# tqdm starts a thread that stays; a child forked beside it can wait for its locks for ever.
tqdm.monitor_interval = 0


@pytest.fixture(scope="session")
def fonts(qapp: object) -> None:
    """Without any font Qt paints boxes and says nothing."""
    from PySide6.QtGui import QFontDatabase

    assert QFontDatabase.families(), "no fonts are installed: install fonts-dejavu-core"


@pytest.fixture(autouse=True)
def no_leaks(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails a test that leaves a thread, and a test of the window that leaves a top-level widget or
    a running timer.
    """
    threads = set(threading.enumerate())
    gui = "qtbot" in request.fixturenames
    if gui:
        request.getfixturevalue("fonts")
    widgets, timers = (widgets_alive(), timers_running()) if gui else (set(), set())
    yield
    if gui:
        settle(collect=False)
        if widgets_alive() - widgets or timers_running() - timers:
            settle(collect=True)
        assert not (left := widgets_alive() - widgets), f"top-level widgets left over: {left}"
        assert not (left := timers_running() - timers), f"timers left running: {left}"
    for thread in set(threading.enumerate()) - threads:
        thread.join(2.0)
        assert not thread.is_alive(), f"thread left running: {thread.name}"


def settle(collect: bool) -> None:
    """Let everything that waits to be deleted be deleted; collecting garbage costs a second once
    torch is imported.
    """
    import gc

    from PySide6.QtCore import QCoreApplication, QEvent

    for _ in range(2):
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
        QCoreApplication.processEvents()
        if collect:
            gc.collect()


def widgets_alive() -> set[object]:
    from PySide6.QtWidgets import QApplication

    return set(QApplication.topLevelWidgets())


def timers_running() -> set[object]:
    import shiboken6
    from PySide6.QtCore import QTimer

    return {w for w in shiboken6.getAllValidWrappers() if isinstance(w, QTimer) and w.isActive()}


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish() -> None:
    """Torch's thread count is part of what the tests promise: two cores are shared with
    trainings.
    """
    if torch := sys.modules.get("torch"):
        assert torch.get_num_threads() == 1, "the tests must run torch on one thread"
