"""Write a file whole or not at all: beside its target, flushed, then renamed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lightning_resnets.errors import CheckpointError


@contextmanager
def atomic_write(path: Path, hint: str = "") -> Iterator[Path]:
    """Yield a temporary path beside `path` and rename it to `path` if the block succeeds.

    At every moment `path` is either what it was or the complete new file, also after a kill or a
    power cut. The temporary file (`.NAME.part`) is removed on failure, and overwritten if a killed
    process left one.

    Args:
        path: file to write; its folder is created if missing.
        hint: what to do after an error, added to the message.

    Yields:
        The path to write to.

    Raises:
        CheckpointError: the disk is full or the folder is not writable.
    """
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        # The order matters: content, name, folder.
        _flush(part)
        part.replace(path)
        fsync_dir(path.parent)
    # Also after Ctrl+C.
    except BaseException as error:
        with suppress(OSError):
            part.unlink()
        cause = find_os_error(error)
        if cause is None:
            raise
        raise _write_error(path, cause, hint) from error


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


def _write_error(path: Path, cause: OSError, hint: str) -> CheckpointError:
    """Describe why a file could not be written and what to do."""
    kept = " The previous file is intact." if path.is_file() else ""
    return CheckpointError(
        f"Cannot write '{display_path(path)}' ({cause.strerror or cause}).{kept} "
        f"Check the free disk space and the permissions of its folder{hint}."
    )


def _flush(path: Path) -> None:
    """Flush a file's content; without it a power cut could leave the new name on an empty file."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
