"""PySide6 6.12.0 loses references at every emit and every void call, and kills Python 3.11 within seconds."""

import sys

import pytest
from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QGraphicsRectItem
from pytestqt.qtbot import QtBot

IMMORTAL = sys.version_info >= (3, 12)


class Emitter(QObject):
    rung = Signal(bool)


def test_emit_keeps_the_references_to_true(qtbot: QtBot) -> None:
    emitter, heard = Emitter(), []
    emitter.rung.connect(heard.append)
    before = sys.getrefcount(True)
    for _ in range(2000):
        emitter.rung.emit(True)
    after = sys.getrefcount(True)
    assert len(heard) == 2000
    assert after >= before


def test_void_calls_keep_the_references_to_none(qtbot: QtBot) -> None:
    item = QGraphicsRectItem()
    before = sys.getrefcount(None)
    for i in range(20_000):
        item.setPos(i, i)
    after = sys.getrefcount(None)
    assert item.pos().x() == 19_999
    assert after >= before - 50, "every call lost a reference to None"


@pytest.mark.skipif(not IMMORTAL, reason="counts move before Python 3.12")
def test_immortal_objects_make_the_count_constant() -> None:
    assert sys.getrefcount(None) == sys.getrefcount(True)
