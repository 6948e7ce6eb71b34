"""The folder of a run, which belongs to one run at a time: two would damage each other's files."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import lightning as L
import torch
from filelock import FileLock, Timeout

from lightning_resnets.utils.atomic_write import atomic_torch_save

LOCK_FILE = ".lock"

# What later readers need. The optimizer's state alone is as large as the weights.
KEPT_KEYS = (
    "state_dict",
    "hyper_parameters",
    "card",
    "epoch",
    "global_step",
    "pytorch-lightning_version",
)


@contextmanager
def lock_run_dir(run_dir: Path) -> Iterator[None]:
    """Lock a folder while the block runs; the system releases the lock if the process is killed.

    Args:
        run_dir: folder of the run, created if missing.

    Raises:
        ValueError: the folder is not writable, or another run has locked it.
    """
    path = run_dir / LOCK_FILE
    lock = FileLock(path)
    _acquire(lock, run_dir)
    try:
        yield
    finally:
        # Removed while it is locked. filelock opens it again if it was removed meanwhile.
        # Windows does not remove open files.
        with suppress(OSError):
            path.unlink()
        # Left empty by a run that never started.
        with suppress(OSError):
            run_dir.rmdir()
        lock.release()


def _acquire(lock: FileLock, run_dir: Path) -> None:
    """Acquire a lock at once, or raise ValueError."""
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        lock.acquire(blocking=False)
    except Timeout:
        raise ValueError(
            f"Another run is writing to '{run_dir}'. Wait for it, or choose another folder with "
            "--run_dir DIR."
        ) from None
    # filelock raises NotImplementedError where the file system has no locks.
    except NotImplementedError:
        pass
    except OSError as error:
        raise ValueError(
            f"Cannot write to '{run_dir}' ({error.strerror}). Choose another folder with "
            "--run_dir DIR."
        ) from error


def remove_empty_log_dir(log_dir: Path) -> None:
    """Remove the log folder of a run that never started.

    Args:
        log_dir: folder with nothing but the run's configuration.
    """
    if not log_dir.is_dir():
        return
    if {file.name for file in log_dir.iterdir()} <= {"config.yaml", "hparams.yaml"}:
        shutil.rmtree(log_dir, ignore_errors=True)


def save_final_checkpoint(trainer: L.Trainer, path: Path) -> None:
    """Save the trainer's model without optimizer, schedule and loops.

    Call it in every process; the first one writes. The file is complete or does not exist.

    Args:
        trainer: the trainer after a run.
        path: file to write.

    Raises:
        CheckpointError: the disk is full or the folder is not writable.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # A process that is killed must not leave half a file under the final name.
    part = path.with_name(path.name + ".part")
    try:
        trainer.save_checkpoint(part, weights_only=False)
        if trainer.is_global_zero:
            checkpoint = torch.load(part, map_location="cpu", weights_only=True)
            atomic_torch_save({key: checkpoint[key] for key in KEPT_KEYS}, path)
    finally:
        if trainer.is_global_zero:
            part.unlink(missing_ok=True)
