"""The one thread boundary: requests go in, newest wins, answers come out on the GUI thread with
their generation.

No Qt object is touched off the GUI thread: the worker leaves answers in a queue and rings a socket
that Qt listens to."""

import contextlib
import queue
import socket
import threading
from collections.abc import Callable
from typing import Protocol

from PySide6.QtCore import QObject, QSocketNotifier, Signal


class RequestHandler(Protocol):
    """The part that runs on the worker thread: plain data in, plain data out; ValueError carries a
    sentence for the user."""

    def handle(self, kind: str, request: object) -> object: ...


class LatestRequestQueue:
    """A queue of length one per kind of request: a new request takes the place of a waiting one of
    its kind.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: dict[str, tuple[int, object]] = {}
        self._generation = 0
        self._closed = False

    def put(self, kind: str, request: object) -> int:
        """The request's generation; later requests have higher ones."""
        with self._changed:
            self._generation += 1
            self._waiting[kind] = (self._generation, request)
            self._changed.notify()
            return self._generation

    def take(self) -> tuple[str, int, object] | None:
        """The request whose kind has waited longest; waits for one; None once closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if self._closed:
                return None
            kind = next(iter(self._waiting))
            generation, request = self._waiting.pop(kind)
            return kind, generation, request

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()


class Worker(QObject):
    """One persistent daemon thread around an Answerer that is made on it, so that heavy imports
    happen there.
    """

    answered = Signal(str, object)
    failed = Signal(str, str)
    idle = Signal()

    def __init__(self, make: Callable[[], RequestHandler], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._slots = LatestRequestQueue()
        self._newest: dict[str, int] = {}
        self._pending: set[str] = set()
        self._results: queue.SimpleQueue[tuple[str, int, object, str | None]] = queue.SimpleQueue()
        self._ear, self._bell = socket.socketpair()
        self._ear.setblocking(False)
        self._notifier = QSocketNotifier(self._ear.fileno(), QSocketNotifier.Type.Read, self)
        self._notifier.activated.connect(self._collect)
        self._thread = threading.Thread(
            target=_run,
            args=(make, self._slots, self._results, self._bell),
            name="engine",
            daemon=True,
        )

    def start(self) -> None:
        self._thread.start()

    def submit(self, kind: str, request: object = None) -> int:
        """Queue a request; a waiting one of the same kind is forgotten, and so is the answer of a
        running one.
        """
        generation = self._slots.put(kind, request)
        self._newest[kind] = generation
        self._pending.add(kind)
        return generation

    def is_pending(self, kind: str) -> bool:
        """True while the newest request of this kind has no answer."""
        return kind in self._pending

    def stop(self, seconds: float = 5.0) -> bool:
        """End the thread after what it is at, and wait for that; False where it is still at it."""
        self._slots.close()
        self._notifier.setEnabled(False)
        if self._thread.is_alive():
            self._thread.join(seconds)
        self._ear.close()
        if self._thread.is_alive():
            return False
        self._bell.close()
        return True

    def _collect(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._ear.recv(4096)
        while not self._results.empty():
            kind, generation, answer, sentence = self._results.get()
            if generation != self._newest.get(kind):
                continue
            self._pending.discard(kind)
            if sentence is None:
                self.answered.emit(kind, answer)
            else:
                self.failed.emit(kind, sentence)
        if not self._pending:
            self.idle.emit()


def _run(
    make: Callable[[], RequestHandler],
    slots: LatestRequestQueue,
    results: queue.SimpleQueue[tuple[str, int, object, str | None]],
    bell: socket.socket,
) -> None:
    engine: RequestHandler | None = None
    while (taken := slots.take()) is not None:
        kind, generation, request = taken
        try:
            engine = engine or make()
            results.put((kind, generation, engine.handle(kind, request), None))
        except ValueError as error:
            results.put((kind, generation, None, str(error)))
        except Exception as error:  # noqa: BLE001 - a fault of ours must not end the thread: the window says it
            results.put(
                (
                    kind,
                    generation,
                    None,
                    f"Something went wrong inside: {type(error).__name__}: {error}",
                )
            )
        try:
            bell.send(b".")
        except OSError:
            return
