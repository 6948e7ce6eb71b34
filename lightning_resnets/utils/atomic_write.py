"""Write a file whole or not at all: beside its target, flushed, then renamed."""

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lightning_resnets.errors import CheckpointError

MAX_NAME_BYTES = 255  # of a file name, on all usual file systems
MAX_SUFFIX_BYTES = 32
MAX_PATH_SHOWN = 80  # characters in a message


@contextmanager
def atomic_write(path: Path, hint: str = "") -> Iterator[Path]:
    """Yield a temporary path beside `path` and rename it to `path` if the block succeeds.

    At every moment `path` is either what it was or the complete new file, also after a kill or a
    power cut. Of a symbolic link the target is written, and the link stays. The temporary file
    (`.NAME.part`) is removed on failure, and overwritten if a killed process left one.

    Args:
        path: file to write; its folder is created if missing.
        hint: what to do after an error, added to the message.

    Yields:
        The path to write to.

    Raises:
        CheckpointError: the disk is full or the folder is not writable.
    """
    # Renaming onto a link would replace the link.
    target = Path(os.path.realpath(path))
    part = _temporary_path(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield part
        _keep_mode(target, part)
        # The order matters: content, name, folder.
        _flush(part)
        part.replace(target)
        fsync_dir(target.parent)
    # Also after Ctrl+C.
    except BaseException as error:
        with suppress(OSError):
            # A failure here must not hide the first error.
            part.unlink()
        cause = find_os_error(error)
        if cause is None:
            raise
        raise _write_error(path, cause, hint) from error


def atomic_write_text(path: Path, text: str, hint: str = "") -> None:
    """Write a text by way of `atomic_write`: UTF-8 with the same line ends on every system.

    Args:
        path: file to write; its folder is created if missing.
        text: its content.
        hint: what to do after an error, added to the message.

    Raises:
        CheckpointError: the disk is full or the folder is not writable.
    """
    with atomic_write(path, hint) as part:
        part.write_text(text, encoding="utf-8", newline="\n")


def atomic_torch_save(values: Any, path: Path) -> None:
    """Save values with `torch.save` by way of `atomic_write`.

    Args:
        values: anything that `torch.save` takes.
        path: file to write.

    Raises:
        CheckpointError: the disk is full or the folder is not writable.
    """
    # A reader of formats or options must not wait for torch.
    import torch

    with atomic_write(path, ", then resume with --ckpt_path last") as part, part.open("wb") as file:
        torch.save(values, file)


def find_os_error(error: BaseException | None) -> OSError | None:
    """Find the OSError behind an exception, which torch's writer wraps in an error of its own.

    Args:
        error: exception with its chain of causes.

    Returns:
        The first OSError of the chain, or None.
    """
    while error is not None and not isinstance(error, OSError):
        error = error.__cause__ or error.__context__
    return error


def display_path(path: str | Path) -> str:
    """Format a path for messages.

    Args:
        path: absolute or relative path.

    Returns:
        The path relative to the current folder if it lies inside, else the path itself.
    """
    is_inside = Path(path).absolute().is_relative_to(Path.cwd())
    return str(Path(os.path.relpath(path) if is_inside else path))


def fsync_dir(folder: Path) -> None:
    """Flush a folder's entries to disk, where the system allows opening folders (not on Windows).

    Args:
        folder: an existing folder.
    """
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _temporary_path(target: Path) -> Path:
    """Return a file beside the target; its suffix is the target's, which selects a format."""
    part = target.with_name(f".{target.stem}.part{target.suffix}")
    if len(os.fsencode(part.name)) <= MAX_NAME_BYTES:
        return part
    # Always the same name, so that the next run overwrites what a killed one left.
    digest = hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]
    suffix = target.suffix if len(os.fsencode(target.suffix)) <= MAX_SUFFIX_BYTES else ""
    return target.with_name(f".{digest}.part{suffix}")


def _keep_mode(target: Path, part: Path) -> None:
    """Give the new file the permissions of the one that it replaces."""
    with suppress(OSError):
        # The target may be new, or its file system may have no permissions.
        shutil.copymode(target, part)


def _write_error(path: Path, cause: OSError, hint: str) -> CheckpointError:
    """Describe why a file could not be written and what to do."""
    reason = cause.strerror or str(cause)
    if cause.errno == errno.ENAMETOOLONG:
        shown = f"{str(path)[:MAX_PATH_SHOWN]}..."
        return CheckpointError(f"Cannot write '{shown}' ({reason}). Choose a shorter name.")
    kept = " The previous file is intact." if path.is_file() else ""
    return CheckpointError(
        f"Cannot write '{display_path(path)}' ({reason}).{kept} "
        f"Check the free disk space and the permissions of its folder{hint}."
    )


def _flush(path: Path) -> None:
    """Flush a file's content; without it a power cut could leave the new name on an empty file."""
    # Windows flushes only what is open for writing.
    with path.open("rb+") as file:
        os.fsync(file.fileno())
