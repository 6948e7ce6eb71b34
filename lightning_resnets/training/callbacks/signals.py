"""Save a run and stop it at SIGTERM or Ctrl-C."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Checkpoint

from lightning_resnets.errors import RunInterrupted
from lightning_resnets.training.callbacks.checkpointing import (
    LastCheckpoint,
    any_rank,
    is_safe_to_save,
)
from lightning_resnets.utils.atomic_write import display_path

SIGNAL_NAMES = {signal.SIGTERM: "SIGTERM", signal.SIGINT: "Ctrl-C"}


class StopOnSignal(Checkpoint):
    """Finish the batch at SIGTERM or Ctrl-C, save, and raise `RunInterrupted`.

    Every `LastCheckpoint` writes its file. If validation or the end of the epoch follows the
    batch, the run stops after that. A second Ctrl-C stops it immediately. Lightning itself saves
    no checkpoint and exits with code 0 after SIGTERM. This class is a Checkpoint only because
    Lightning calls those after all other callbacks.
    """

    def __init__(self) -> None:
        self._signal: int | None = None
        self._old_handlers: dict[signal.Signals, Any] = {}

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start to listen for signals.

        Args:
            trainer: unused.
            pl_module: unused.
        """
        self._signal = None
        self._set_handlers(self._remember)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        """Remember a signal until the batch is finished; stop at the second Ctrl-C."""
        if self._signal == signal.SIGINT == number:
            # The system's own handler ends even a step that hangs.
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        self._signal = number

    def _set_handlers(self, handler: Callable[[int, FrameType | None], None]) -> None:
        """Replace the handlers of the signals."""
        # Python allows it in the main thread only.
        if threading.current_thread() is threading.main_thread():
            self._old_handlers = {number: signal.signal(number, handler) for number in SIGNAL_NAMES}

    def _restore_handlers(self) -> None:
        """Restore the handlers that were there before."""
        for number, handler in self._old_handlers.items():
            signal.signal(number, handler)
        self._old_handlers = {}

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop listening for signals.

        Args:
            trainer: unused.
            pl_module: unused.
        """
        self._restore_handlers()

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop a test immediately at a signal: there is nothing to save.

        Args:
            trainer: Trainer of the run.
            pl_module: unused.
        """

        def stop(number: int, frame: FrameType | None) -> None:
            """Print a message and stop the process."""
            if not trainer.is_global_zero:
                raise RunInterrupted(0)
            name = SIGNAL_NAMES[signal.Signals(number)]
            weights = ""
            if path := _resume_path(trainer):
                weights = f"; the trained weights are in {path} (--ckpt_path last)"
            print(f"\nStopped by {name} while testing{weights}.", file=sys.stderr)
            # The exit code by which a shell tells that a signal ended a process.
            raise RunInterrupted(128 + number)

        self._set_handlers(stop)

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop listening for signals.

        Args:
            trainer: unused.
            pl_module: unused.
        """
        self._restore_handlers()

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Stop listening for signals.

        Args:
            trainer: unused.
            pl_module: unused.
            exception: unused.
        """
        self._restore_handlers()

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Stop here if a signal came and a run can resume after this batch.

        Args:
            trainer: Trainer of the run.
            pl_module: unused.
            outputs: unused.
            batch: unused.
            batch_idx: index of the batch in its epoch.

        Raises:
            RunInterrupted: the run was stopped.
        """
        # All processes must stop at the same step, though a signal may reach only one.
        if is_safe_to_save(trainer, batch_idx) and any_rank(trainer, self._signal is not None):
            self._stop(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop here if a signal came.

        Args:
            trainer: Trainer of the run.
            pl_module: unused.

        Raises:
            RunInterrupted: the run was stopped.
        """
        if any_rank(trainer, self._signal is not None, always=True):
            self._stop(trainer)

    def _stop(self, trainer: L.Trainer) -> None:
        """Save, print a message and stop the process."""
        # The signal may have reached another process only.
        number = signal.Signals(self._signal or signal.SIGTERM)
        for saver in _savers(trainer):
            saver.save(trainer)
        if not trainer.is_global_zero:
            # Not an error: a launcher kills rank 0 when another rank fails.
            raise RunInterrupted(0)
        saved = "nothing was saved"
        if path := _resume_path(trainer):
            saved = f"saved in {path}. Resume with --ckpt_path last"
        print(
            f"\nStopped by {SIGNAL_NAMES[number]} after step {trainer.global_step}, {saved}.",
            file=sys.stderr,
        )
        raise RunInterrupted(128 + number)


def _savers(trainer: L.Trainer) -> list[LastCheckpoint]:
    """Return the callbacks that write a checkpoint to resume from."""
    return [
        callback
        for callback in trainer.checkpoint_callbacks
        if isinstance(callback, LastCheckpoint)
    ]


def _resume_path(trainer: L.Trainer) -> str:
    """Return the path of the checkpoint to resume from; empty if there is none."""
    for saver in _savers(trainer):
        if saver.last_model_path:
            return display_path(saver.last_model_path)
    return ""
