"""Checkpoint files that stay intact after a kill, a full disk or a power cut."""

import time
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from lightning_resnets.utils.atomic_write import atomic_torch_save

# Processes agree on saving only every so many steps, because they wait for each other.
SYNC_EVERY_N_STEPS = 20


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write checkpoints atomically; for `Trainer(plugins=[AtomicCheckpointIO()])`.

    Lightning's TorchCheckpointIO builds the file in memory, does not flush it, and shows a
    traceback if the disk is full. URLs (`s3://...`) are still written by it.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Save a checkpoint; see `TorchCheckpointIO.save_checkpoint`.

        Args:
            checkpoint: content of the file.
            path: file or URL to write.
            storage_options: options of the file system of a URL.

        Raises:
            CheckpointError: the disk is full or the folder is not writable.
        """
        if "://" in str(path) or storage_options is not None:
            super().save_checkpoint(checkpoint, path, storage_options)
        else:
            atomic_torch_save(checkpoint, Path(path))


class LastCheckpoint(ModelCheckpoint):
    """Keep `dirpath/last.ckpt`, which `ckpt_path="last"` finds.

    It is saved at the end of every epoch and at intervals within an epoch. Saves within an epoch
    are postponed past batches that precede a validation, the end of an epoch, or an optimizer
    step that still accumulates gradients: a resumed run would skip these. To keep the best
    checkpoints as well, add Lightning's ModelCheckpoint.

    Args:
        dirpath: folder of the file.
        every_minutes: minutes between saves within an epoch; 0 disables them.
        every_steps: optimizer steps between saves within an epoch; 0 disables them.
    """

    def __init__(
        self, dirpath: str | Path, every_minutes: float = 5.0, every_steps: int = 0
    ) -> None:
        super().__init__(dirpath, save_last=True, save_top_k=0, enable_version_counter=False)
        self.every_minutes = every_minutes
        self.every_steps = every_steps
        self._time = 0.0
        self._step = 0
        self._saved: tuple[int, int] | None = None

    @property
    def state_key(self) -> str:
        """Return the key of the callback's state in checkpoints."""
        # ModelCheckpoint's own key has the arguments in it, which may change at a resume.
        return type(self).__qualname__

    def state_dict(self) -> dict[str, Any]:
        """Return no state: the file's name is fixed by `dirpath`."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load nothing: the file's name is fixed by `dirpath`.

        Args:
            state_dict: unused.
        """

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the intervals, and remember the file that the run resumes from.

        Args:
            trainer: Trainer of the run.
            pl_module: unused.
        """
        self._time = time.monotonic()
        self._step = trainer.global_step
        # Until the first save, this file is what a stopped run can resume from.
        if trainer.ckpt_path and self._path.is_file() and self._path.samefile(trainer.ckpt_path):
            self.last_model_path = str(self._path)

    @property
    def _path(self) -> Path:
        """Return the path of `last.ckpt`."""
        return Path(self.dirpath or ".") / f"{self.CHECKPOINT_NAME_LAST}{self.FILE_EXTENSION}"

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Save if an interval has passed and the batch allows it.

        Args:
            trainer: Trainer of the run.
            pl_module: unused.
            outputs: unused.
            batch: unused.
            batch_idx: index of the batch in its epoch.
        """
        if is_safe_to_save(trainer, batch_idx) and self._due(trainer):
            self.save(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save.

        Args:
            trainer: Trainer of the run.
            pl_module: unused.
        """
        self.save(trainer)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save nothing: resuming between validation and the end of the epoch is not exact.

        Args:
            trainer: unused.
            pl_module: unused.
        """

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save nothing: the end of the last epoch was saved.

        Args:
            trainer: unused.
            pl_module: unused.
        """

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Save nothing: a run cannot resume in the middle of a step.

        Args:
            trainer: unused.
            pl_module: unused.
            exception: unused.
        """

    def _due(self, trainer: L.Trainer) -> bool:
        """Return True if an interval has passed."""
        # Steps are alike in all processes, so they need not agree.
        if self.every_steps and trainer.global_step - self._step >= self.every_steps:
            return True
        # Clocks differ, and all processes must save together.
        late = bool(self.every_minutes) and time.monotonic() - self._time >= 60 * self.every_minutes
        return any_rank(trainer, late)

    def save(self, trainer: L.Trainer) -> None:
        """Write `last.ckpt` unless it was already saved at this step and epoch.

        Args:
            trainer: Trainer at the end of a batch or an epoch.
        """
        epochs = trainer.fit_loop.epoch_progress.current.processed  # type: ignore[attr-defined]
        # The end of an epoch has the same step as its last batch, but is another moment.
        moment = (trainer.global_step, epochs)
        if trainer.fast_dev_run or moment == self._saved:  # type: ignore[attr-defined]
            return
        trainer.save_checkpoint(self._path, weights_only=False)
        self.last_model_path = self.best_model_path = str(self._path)
        self._saved = moment
        self._time = time.monotonic()
        self._step = trainer.global_step


def any_rank(trainer: L.Trainer, request: bool, always: bool = False) -> bool:
    """Return True if any process requests something.

    Args:
        trainer: Trainer of the run.
        request: request of this process.
        always: ask the other processes at every step, not only every `SYNC_EVERY_N_STEPS`.

    Returns:
        The same answer in all processes; False at steps where they do not ask each other.
    """
    if trainer.world_size == 1:
        return request
    if not always and trainer.global_step % SYNC_EVERY_N_STEPS:
        return False
    return trainer.strategy.reduce_boolean_decision(request, all=False)


def is_safe_to_save(trainer: L.Trainer, batch_idx: int) -> bool:
    """Return True if a run can resume exactly after a batch.

    Args:
        trainer: Trainer of the run.
        batch_idx: index of the batch in its epoch.

    Returns:
        False if validation or the end of the epoch follows, or if gradients are accumulated.
    """
    done = batch_idx + 1
    step = trainer.global_step
    # An iterable without a length tells only through `is_last_batch`.
    last = (
        done >= trainer.num_training_batches
        or trainer.fit_loop.epoch_loop.batch_progress.is_last_batch
    )
    ends = last or trainer.should_stop or 0 < trainer.max_steps <= step
    accumulates = done % trainer.accumulate_grad_batches != 0
    return not (ends or accumulates or validation_is_due(trainer, done))


def validation_is_due(trainer: L.Trainer, done: int) -> bool:
    """Return True if validation follows a batch.

    Args:
        trainer: Trainer of the run.
        done: number of finished batches of the epoch.

    Returns:
        True if validation is due.
    """
    every = trainer.val_check_batch
    if not trainer.enable_validation or every is None or every == float("inf"):
        return False
    # Without an epoch interval Lightning counts batches over all epochs.
    if trainer.check_val_every_n_epoch is None:
        done = trainer.fit_loop.total_batch_idx + 1
    return done % every == 0
