"""PySide6 6.12.0 loses references at every emit and every void call, and kills Python 3.11 within
seconds.

From Python 3.12 on None and True are immortal and their counts constant: there the tests cannot
fail, and need not."""

import sys

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QGraphicsRectItem
from pytestqt.qtbot import QtBot


class Emitter(QObject):
    rung = Signal(bool)


def test_emit_keeps_the_references_to_true(qtbot: QtBot) -> None:
    emitter, heard = Emitter(), [0]

    def count(value: bool) -> None:
        heard[0] += value

    emitter.rung.connect(count)
    before = sys.getrefcount(True)
    for _ in range(2000):
        emitter.rung.emit(True)
    after = sys.getrefcount(True)
    assert heard == [2000]
    assert after >= before - 50, "every emit lost a reference to True"


def test_void_calls_keep_the_references_to_none(qtbot: QtBot) -> None:
    item = QGraphicsRectItem()
    before = sys.getrefcount(None)
    for i in range(20_000):
        item.setPos(i, i)
    after = sys.getrefcount(None)
    assert item.pos().x() == 19_999
    assert after >= before - 50, "every call lost a reference to None"
