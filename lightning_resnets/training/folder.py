"""The folder of a run belongs to one run at a time: two would tear each other's files."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Hold the folder while the `with` block lasts, whatever ends it; raises ValueError where another process holds it.

    Where the file system or the operating system (Windows) knows no locks, nothing is held.
    """
    path = folder / ".lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise ValueError(
            f"'{folder}' cannot be written to ({error.strerror}): give the run another place with --folder DIR."
        ) from error
    try:
        if not lock(handle) or not same(handle, path):
            raise ValueError(
                f"Another run is writing to '{folder}': wait for it, or give this one its own place with --folder DIR."
            )
        try:
            yield
        finally:
            with suppress(OSError):  # Windows lets nobody take away an open file
                path.unlink()
    finally:
        os.close(handle)


def forget(log: Path) -> None:
    """Take away the log folder of a run that never began, with its settings alone in it; and the run's, if empty."""
    if log.is_dir() and {file.name for file in log.iterdir()} <= {"config.yaml", "hparams.yaml"}:
        shutil.rmtree(log, ignore_errors=True)
        with suppress(OSError):
            log.parent.rmdir()


def same(handle: int, path: Path) -> bool:
    """Whether the open file is still the one of that name: another run may have ended, and taken it away, since."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def lock(handle: int) -> bool:
    """False where somebody else has it; the system lets it go with the handle."""
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True
