"""Helpers for tests of the controller."""

from pytestqt.qtbot import QtBot

from gui.controller import Controller

TIMEOUT_MS = 5000


def settle(qtbot: QtBot, controller: Controller) -> None:
    """Wait until no request is pending."""

    def is_idle() -> bool:
        worker = controller.worker
        return not worker.is_pending("run") and not worker.is_pending("catalog")

    qtbot.waitUntil(is_idle, timeout=TIMEOUT_MS)


def texts(controller: Controller) -> list[str]:
    """Return the texts of the edit chips."""
    return [chip.text for chip in controller.screen.chips]
