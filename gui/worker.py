"""The one thread boundary: requests go in, the newest wins, results arrive on the GUI thread.

No Qt object is touched off the GUI thread: the worker puts results into a queue and writes to a
socket that Qt listens to.
"""

import contextlib
import queue
import socket
import threading
from collections.abc import Callable
from typing import Protocol

from PySide6.QtCore import QObject, QSocketNotifier, Signal


class RequestHandler(Protocol):
    """The part that runs on the worker thread: plain data in, plain data out."""

    def handle(self, kind: str, request: object) -> object:
        """Answer a request.

        Args:
            kind: name of the kind of request.
            request: its data.

        Returns:
            The result.

        Raises:
            ValueError: the user has to know; the message says what to do.
        """
        ...


class LatestRequestQueue:
    """A queue of length one per kind: a new request replaces a waiting one of its kind."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: dict[str, tuple[int, object]] = {}
        self._generation = 0
        self._closed = False

    def put(self, kind: str, request: object) -> int:
        """Add a request.

        Args:
            kind: name of the kind of request.
            request: its data.

        Returns:
            Its generation; later requests have higher ones.
        """
        with self._changed:
            self._generation += 1
            self._waiting[kind] = (self._generation, request)
            self._changed.notify()
            return self._generation

    def take(self) -> tuple[str, int, object] | None:
        """Wait for a request.

        Returns:
            Kind, generation and data of the one whose kind has waited longest; None once closed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if self._closed:
                return None
            # Dictionaries keep their order, so the kind that came first is answered first.
            kind = next(iter(self._waiting))
            generation, request = self._waiting.pop(kind)
            return kind, generation, request

    def close(self) -> None:
        """End all waiting."""
        with self._changed:
            self._closed = True
            self._changed.notify()


ResultQueue = queue.SimpleQueue[tuple[str, int, object, str | None]]


class Worker(QObject):
    """One persistent daemon thread around a handler.

    Args:
        make: creates the handler on the thread, so that heavy imports happen there.
        parent: the owner.

    Signals:
        answered(kind, result): The newest request of a kind has a result.
        failed(kind, message): The newest request of a kind failed.
        idle(): Nothing is pending any more.
    """

    answered = Signal(str, object)
    failed = Signal(str, str)
    idle = Signal()

    def __init__(self, make: Callable[[], RequestHandler], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._requests = LatestRequestQueue()
        self._newest: dict[str, int] = {}
        self._pending: set[str] = set()
        self._results: ResultQueue = queue.SimpleQueue()
        # The notifier wakes Qt's event loop without a Qt object on the other thread.
        self._receiver, self._sender = socket.socketpair()
        self._receiver.setblocking(False)
        read = QSocketNotifier.Type.Read
        self._notifier = QSocketNotifier(self._receiver.fileno(), read, self)
        self._notifier.activated.connect(self._collect)
        self._thread = threading.Thread(
            target=_run,
            args=(make, self._requests, self._results, self._sender),
            name="engine",
            # A long computation must not keep the process alive.
            daemon=True,
        )

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def submit(self, kind: str, request: object = None) -> int:
        """Queue a request.

        A waiting one of the same kind is dropped, and so is the result of a running one.

        Args:
            kind: name of the kind of request.
            request: its data.

        Returns:
            Its generation.
        """
        generation = self._requests.put(kind, request)
        self._newest[kind] = generation
        self._pending.add(kind)
        return generation

    def is_pending(self, kind: str) -> bool:
        """Return True while the newest request of a kind has no result.

        Args:
            kind: name of the kind of request.
        """
        return kind in self._pending

    def stop(self, seconds: float = 5.0) -> bool:
        """End the thread after its present request.

        Args:
            seconds: how long to wait for that.

        Returns:
            False if it is still running.
        """
        self._requests.close()
        self._notifier.setEnabled(False)
        if self._thread.is_alive():
            self._thread.join(seconds)
        self._receiver.close()
        if self._thread.is_alive():
            # The thread may still write to its end of the socket, so that stays open.
            return False
        self._sender.close()
        return True

    def _collect(self) -> None:
        """Emit what has arrived, on the GUI thread."""
        with contextlib.suppress(BlockingIOError):
            # One byte per result; several may have come since the last wake-up.
            self._receiver.recv(4096)
        while not self._results.empty():
            kind, generation, result, message = self._results.get()
            # An older result would overwrite what the user asked for since.
            if generation != self._newest.get(kind):
                continue
            self._pending.discard(kind)
            if message is None:
                self.answered.emit(kind, result)
            else:
                self.failed.emit(kind, message)
        if not self._pending:
            self.idle.emit()


def _run(
    make: Callable[[], RequestHandler],
    requests: LatestRequestQueue,
    results: ResultQueue,
    sender: socket.socket,
) -> None:
    """Answer requests until the queue is closed; the thread's main function."""
    handler: RequestHandler | None = None
    while (taken := requests.take()) is not None:
        kind, generation, request = taken
        result: object = None
        message: str | None = None
        try:
            # On this thread, because making it imports torch, which takes seconds.
            handler = handler or make()
            result = handler.handle(kind, request)
        # Errors that the library words for users; all others are bugs.
        except ValueError as error:
            message = str(error)
        except Exception as error:  # noqa: BLE001 - a bug must not end the thread: it is reported
            message = f"Internal error: {type(error).__name__}: {error}"
        results.put((kind, generation, result, message))
        try:
            sender.send(b".")
        # The window has closed its end.
        except OSError:
            return
