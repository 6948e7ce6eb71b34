"""Write a file whole or not at all: beside its target, then renamed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from lightning_resnets.errors import CheckpointError


def find_os_error(error: BaseException | None) -> OSError | None:
    """The operating system's word behind an exception: torch's writer covers it with one of its own."""
    while error is not None and not isinstance(error, OSError):
        error = error.__cause__ or error.__context__
    return error


def display_path(path: str | Path) -> str:
    """A path as one writes it: from the current folder, where it lies in it."""
    return str(
        Path(os.path.relpath(path) if Path(path).absolute().is_relative_to(Path.cwd()) else path)
    )


def atomic_torch_save(values: Any, path: Path) -> None:
    """`torch.save` such that `path` is at every moment either what it was or the new file, on the disk itself.

    Written beside `path` under one name (`.NAME.part`; one left by a kill is written over, and is taken for a
    checkpoint by nobody), flushed, renamed. Raises CheckpointError where the disk is full or the folder is closed.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            torch.save(values, file)
            file.flush()
            os.fsync(file.fileno())  # else a power cut could leave the new name on an empty file
        part.replace(path)
        fsync_dir(path.parent)
    except BaseException as error:
        with suppress(OSError):
            part.unlink()
        cause = find_os_error(error)
        if cause is None:
            raise
        kept = "; the file of before is whole" if path.is_file() else ""
        raise CheckpointError(
            f"{display_path(path)} could not be written ({cause.strerror or cause}){kept}: see to the disk's space and the "
            "folder's permissions, then go on with --ckpt_path last."
        ) from error


def fsync_dir(folder: Path) -> None:
    """Bring a new name to the disk, where the system can (Windows opens no folders)."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A file beside `path` to write and check; it takes the name `path` only where nothing was raised.

    What was at `path` stays until then. Raises CheckpointError where the disk is full or the folder is closed.
    """
    part = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield part
        part.replace(path)
    except OSError as error:
        raise CheckpointError(
            f"'{path}' cannot be written ({error.strerror or error}): see to the disk's space and the folder's "
            "permissions, or choose another folder."
        ) from error
    finally:
        with suppress(OSError):
            part.unlink()
