"""Sessions, and what is copied to the clipboard."""

from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QIODevice, QObject, QSaveFile, QTimer
from PySide6.QtWidgets import QApplication

from gui.copy_code import to_python
from gui.request_loop import RequestLoop
from gui.session import Session, SessionError, from_json, to_json
from gui.views import file_dialogs

AUTOSAVE_MS = 2000  # after the last change
MAX_BYTES = 4_000_000  # of a session file


class SessionController(QObject):
    """Saves and restores what the user has chosen; its methods are actions of `gui.actions`.

    Args:
        loop: has the request and the screen.
        path: file of the last session, None to save none.
    """

    def __init__(self, loop: RequestLoop, path: Path | None = None) -> None:
        super().__init__(loop)
        self._loop = loop
        self._path = path
        # The file is soon overwritten by this session.
        self._last_text = _read_text(path) if path else ""
        self._saved_text = ""
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.autosave)

    # Sessions

    def open_session(self) -> None:
        """Ask for a session file and open it."""
        if path := file_dialogs.choose_session(self._loop.window):
            self.open_file(path)

    def open_file(self, path: str) -> None:
        """Open a session file.

        Args:
            path: its path.
        """
        text = _read_text(Path(path))
        if not text:
            self._loop.say(f"Cannot read {path}. Choose a session file that this app saved.")
            return
        self._open_text(text)

    def save_session(self) -> None:
        """Ask for a path and save the session there."""
        path = file_dialogs.choose_session_path(self._loop.window)
        if path and not _write_text(path, to_json(self._make_session())):
            self._loop.say(f"Cannot save the session as {path}. Check the folder.")

    def restore_session(self) -> None:
        """Open what was open when the app was last used."""
        if self._last_text:
            self._open_text(self._last_text)
        else:
            self._loop.say("There is no earlier session to restore.")

    def schedule_autosave(self) -> None:
        """Save the session soon: at once would write a file for every step of a slider."""
        if self._path and self._loop.screen.page == "model":
            # Starting it again resets the timer: a drag is written once, at its end.
            self._timer.start(AUTOSAVE_MS)

    def autosave(self) -> None:
        """Save the session for the next start, if it has changed."""
        self._timer.stop()
        if self._path is None or self._loop.screen.page != "model":
            return
        text = to_json(self._make_session())
        # Refreshes are many, changes few.
        if text != self._saved_text:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            _write_text(str(self._path), text)
            self._saved_text = text

    # Clipboard

    def copy_python(self) -> None:
        """Copy the lines of code that compute the numbers on the screen."""
        loop = self._loop
        if loop.screen.page == "model":
            QApplication.clipboard().setText(to_python(loop.request, loop.screen.diagram))
            loop.window.set_hover("Copied as Python.")

    def copy_view(self) -> None:
        """Copy the window as an image."""
        QApplication.clipboard().setPixmap(self._loop.window.grab())
        self._loop.window.set_hover("Copied the window as an image.")

    def _make_session(self) -> Session:
        loop = self._loop
        index = loop.catalog.sample_index(loop.request.image)
        sample = None if index is None else loop.catalog.samples[index].label
        size = loop.window.size()
        return Session(loop.request, sample, size=(size.width(), size.height()))

    def _open_text(self, text: str) -> None:
        try:
            session = from_json(text)
        except SessionError as error:
            self._loop.say(str(error))
            return
        request = session.request
        if request.image is None:
            catalog = self._loop.catalog
            known = (*catalog.samples, *catalog.photographs)
            samples = [one for one in known if one.label == session.sample]
            image = samples[0] if samples else self._loop.request.image
            request = replace(request, image=image)
        if session.size:
            self._loop.window.resize(*session.size)
        self._loop.window.banner.set_text("")
        # Steps from before would bring back the edits of another session.
        self._loop.edits.stack.clear()
        self._loop.submit(request)


def _read_text(path: Path) -> str:
    """Return the text of a file, "" if it cannot be read or is too large for a session."""
    try:
        # Asked before reading: somebody may choose a checkpoint by mistake.
        if path.stat().st_size > MAX_BYTES:
            return ""
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _write_text(path: str, text: str) -> bool:
    """Write a file whole or not at all; return True if it was written."""
    # Written beside the old file and renamed, so that a crash leaves a whole file.
    file = QSaveFile(path)
    if not file.open(QIODevice.OpenModeFlag.WriteOnly):
        return False
    file.write(text.encode())
    return file.commit()
