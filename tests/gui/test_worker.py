"""Newest wins: asks in, one answer out, on the GUI thread, from one worker thread."""

import threading
from collections.abc import Iterator

import pytest
from pytestqt.qtbot import QtBot

from gui.worker import LatestRequestQueue, Worker


class Gate:
    """An engine that answers only when let."""

    def __init__(self) -> None:
        self.open, self.started = threading.Event(), threading.Event()
        self.asked: list[object] = []
        self.threads: set[threading.Thread] = set()

    def handle(self, kind: str, request: object) -> object:
        self.asked.append(request)
        self.threads.add(threading.current_thread())
        self.started.set()
        assert self.open.wait(5)
        if request == "bad":
            raise ValueError("That cannot be opened: choose another.")
        if request == "broken":
            raise KeyError("x")
        return (kind, request)


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def worker(qtbot: QtBot, gate: Gate) -> Iterator[Worker]:
    worker = Worker(lambda: gate)
    worker.start()
    yield worker
    gate.open.set()
    worker.stop()


def test_the_queue_holds_the_newest_request_of_each_kind() -> None:
    slots = LatestRequestQueue()
    slots.put("run", 1)
    slots.put("catalog", 2)
    newest = slots.put("run", 3)
    assert slots.take() == ("run", newest, 3)
    assert slots.take() == ("catalog", 2, 2)


def test_closing_the_queue_ends_the_wait() -> None:
    slots = LatestRequestQueue()
    slots.put("run", 1)
    slots.close()
    assert slots.take() is None


def test_thirty_requests_give_one_result(qtbot: QtBot, worker: Worker, gate: Gate) -> None:
    answers: list[object] = []
    worker.answered.connect(lambda kind, answer: answers.append(answer))
    worker.submit("run", 0)
    assert gate.started.wait(5)
    for i in range(1, 31):
        worker.submit("run", i)
    with qtbot.waitSignal(worker.idle, timeout=5000):
        gate.open.set()
    assert answers == [("run", 30)]
    assert gate.asked == [0, 30], "the twenty-nine between were never begun"


def test_requests_of_one_kind_do_not_replace_those_of_another(
    qtbot: QtBot, worker: Worker, gate: Gate
) -> None:
    answers: list[object] = []
    worker.answered.connect(lambda kind, answer: answers.append(answer))
    gate.open.set()
    with qtbot.waitSignal(worker.idle, timeout=5000):
        worker.submit("run", 1)
        worker.submit("catalog", 2)
    assert answers == [("run", 1), ("catalog", 2)]


def test_results_arrive_on_the_gui_thread(qtbot: QtBot, worker: Worker, gate: Gate) -> None:
    heard: list[threading.Thread] = []
    worker.answered.connect(lambda *_: heard.append(threading.current_thread()))
    gate.open.set()
    for i in range(3):
        with qtbot.waitSignal(worker.answered, timeout=5000):
            worker.submit("run", i)
    assert set(heard) == {threading.main_thread()}
    assert len(gate.threads) == 1
    assert threading.main_thread() not in gate.threads


def test_a_value_error_is_reported_by_its_message(qtbot: QtBot, worker: Worker, gate: Gate) -> None:
    gate.open.set()
    with qtbot.waitSignal(worker.failed, timeout=5000) as caught:
        worker.submit("run", "bad")
    assert caught.args == ["run", "That cannot be opened: choose another."]


def test_an_internal_error_does_not_end_the_thread(
    qtbot: QtBot, worker: Worker, gate: Gate
) -> None:
    gate.open.set()
    with qtbot.waitSignal(worker.failed, timeout=5000) as caught:
        worker.submit("run", "broken")
    assert caught.args
    assert "KeyError" in caught.args[1]
    with qtbot.waitSignal(worker.answered, timeout=5000):
        worker.submit("run", "good")


def test_an_engine_that_fails_to_start_is_created_again(qtbot: QtBot) -> None:
    tries: list[int] = []

    def make() -> Gate:
        tries.append(1)
        if len(tries) == 1:
            raise ImportError("no torch")
        gate = Gate()
        gate.open.set()
        return gate

    worker = Worker(make)
    worker.start()
    with qtbot.waitSignal(worker.failed, timeout=5000):
        worker.submit("run", 1)
    with qtbot.waitSignal(worker.answered, timeout=5000):
        worker.submit("run", 2)
    worker.stop()


def test_a_request_is_pending_until_the_newest_result(
    qtbot: QtBot, worker: Worker, gate: Gate
) -> None:
    worker.submit("run", 1)
    assert worker.is_pending("run")
    assert not worker.is_pending("catalog")
    with qtbot.waitSignal(worker.idle, timeout=5000):
        gate.open.set()
    assert not worker.is_pending("run")


def test_stop_can_be_called_before_start_and_twice(qtbot: QtBot) -> None:
    worker = Worker(Gate)
    worker.stop()
    worker.stop()
