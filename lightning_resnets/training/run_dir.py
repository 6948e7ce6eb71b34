"""The folder of a run belongs to one run at a time: two would tear each other's files."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import lightning as L
import torch

from lightning_resnets.utils.atomic_write import atomic_torch_save


@contextmanager
def lock_run_dir(run_dir: Path) -> Iterator[None]:
    """Hold the folder while the `with` block lasts, whatever ends it; raises ValueError where another process holds it.

    Where the file system or the operating system (Windows) knows no locks, nothing is held.
    """
    path = run_dir / ".lock"
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise ValueError(
            f"'{run_dir}' cannot be written to ({error.strerror}): give the run another place with --run_dir DIR."
        ) from error
    try:
        if not try_lock(handle) or not is_same_file(handle, path):
            raise ValueError(
                f"Another run is writing to '{run_dir}': wait for it, or give this one its own place with --run_dir DIR."
            )
        try:
            yield
        finally:
            with suppress(OSError):  # Windows lets nobody take away an open file
                path.unlink()
    finally:
        os.close(handle)


def remove_empty_log_dir(log: Path) -> None:
    """Take away the log folder of a run that never began, with its settings alone in it; and the run's, if empty."""
    if log.is_dir() and {file.name for file in log.iterdir()} <= {"config.yaml", "hparams.yaml"}:
        shutil.rmtree(log, ignore_errors=True)
        with suppress(OSError):
            log.parent.rmdir()


def is_same_file(handle: int, path: Path) -> bool:
    """Whether the open file is still the one of that name: another run may have ended, and taken it away, since."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def try_lock(handle: int) -> bool:
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


KEPT_KEYS = (
    "state_dict",
    "hyper_parameters",
    "card",
    "epoch",
    "global_step",
    "pytorch-lightning_version",
)


def save_final_checkpoint(trainer: L.Trainer, path: Path) -> None:
    """Write the trainer's model to `path`; called in every process, written by the first.

    The file is a Lightning checkpoint without optimizer, schedule and loops. It is complete or not there: written
    beside `path` and renamed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        trainer.save_checkpoint(part, weights_only=False)
        if trainer.is_global_zero:
            whole = torch.load(part, map_location="cpu", weights_only=True)
            atomic_torch_save({name: whole[name] for name in KEPT_KEYS}, path)
    finally:
        if trainer.is_global_zero:
            part.unlink(missing_ok=True)
