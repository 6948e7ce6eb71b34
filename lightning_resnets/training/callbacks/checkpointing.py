"""Checkpoints that a kill, a full disk or a power cut leaves whole, written often enough that little is lost."""

import time
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from lightning_resnets.utils.atomic_write import atomic_torch_save

SYNC_EVERY_N_STEPS = 20  # several processes agree whether to save once in so many steps: it makes them wait for each other


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning's way to the disk, by `write_whole`; for `Trainer(plugins=[WholeFiles()])`.

    Lightning's own also renames, but builds the file in memory first, does not flush it, and answers a full disk with
    a trace. Addresses (`s3://...`) are left to it.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        if "://" in str(path) or storage_options is not None:
            super().save_checkpoint(checkpoint, path, storage_options)
        else:
            atomic_torch_save(checkpoint, Path(path))


class LastCheckpoint(ModelCheckpoint):
    """Keep `dirpath/last.ckpt`: at every epoch's end, and within an epoch every so many `minutes` or `steps` (0: not).

    It is what `ckpt_path="last"` finds. Lightning's own saving within an epoch is not exact where something else
    follows the batch: a validation that falls due there or the epoch's end would be left out by the run that goes on,
    and gradients that are being accumulated are not saved. So a save that falls due at such a batch is made later.
    For the best of several checkpoints use Lightning's ModelCheckpoint beside this.
    """

    def __init__(
        self, dirpath: str | Path, every_minutes: float = 5.0, every_steps: int = 0
    ) -> None:
        super().__init__(dirpath, save_last=True, save_top_k=0, enable_version_counter=False)
        self.every_minutes, self.every_steps = every_minutes, every_steps
        self._time, self._step = 0.0, 0
        self._saved: tuple[int, int] | None = None

    @property
    def state_key(self) -> str:
        return type(self).__qualname__

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing: the one file's name is not the file's to say."""

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._time, self._step = time.monotonic(), trainer.global_step
        if trainer.ckpt_path and self._path.is_file() and self._path.samefile(trainer.ckpt_path):
            self.last_model_path = str(self._path)

    @property
    def _path(self) -> Path:
        return Path(self.dirpath or ".") / f"{self.CHECKPOINT_NAME_LAST}{self.FILE_EXTENSION}"

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        if is_safe_to_save(trainer, batch_idx) and self._due(trainer):
            self.save(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.save(trainer)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Nothing: a file written between validation and the epoch's end could not be gone on from exactly."""

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Nothing: the last epoch's end was saved."""

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Nothing: in the middle of a step there is no state to go on from."""

    def _due(self, trainer: L.Trainer) -> bool:
        if self.every_steps and trainer.global_step - self._step >= self.every_steps:
            return True
        late = bool(self.every_minutes) and time.monotonic() - self._time >= 60 * self.every_minutes
        return any_rank(trainer, late)

    def save(self, trainer: L.Trainer) -> None:
        """Write `last.ckpt` now, where it does not hold this very moment; for the end of a batch or of an epoch."""
        epochs = trainer.fit_loop.epoch_progress.current.processed  # type: ignore[attr-defined]
        moment = trainer.global_step, epochs
        if trainer.fast_dev_run or moment == self._saved:  # type: ignore[attr-defined]
            return
        trainer.save_checkpoint(self._path, weights_only=False)
        self.last_model_path = self.best_model_path = str(self._path)
        self._saved, self._time, self._step = moment, time.monotonic(), trainer.global_step


def any_rank(trainer: L.Trainer, request: bool, always: bool = False) -> bool:
    """Whether any process wishes so; of several, asked only once in `AGREE` steps, and No between, unless `always`."""
    if trainer.world_size == 1:
        return request
    if not always and trainer.global_step % SYNC_EVERY_N_STEPS:
        return False
    return trainer.strategy.reduce_boolean_decision(request, all=False)


def is_safe_to_save(trainer: L.Trainer, batch_idx: int) -> bool:
    """Whether, after this batch, the next one is all that comes: no validation, no epoch's end, no half of a step."""
    done, step = batch_idx + 1, trainer.global_step
    last = (
        done >= trainer.num_training_batches
        or trainer.fit_loop.epoch_loop.batch_progress.is_last_batch
    )
    ends = last or trainer.should_stop or 0 < trainer.max_steps <= step
    accumulates = done % trainer.accumulate_grad_batches != 0
    return not (ends or accumulates or validation_is_due(trainer, done))


def validation_is_due(trainer: L.Trainer, done: int) -> bool:
    """Whether validation falls due after so many batches of the epoch."""
    every = trainer.val_check_batch
    if not trainer.enable_validation or every is None or every == float("inf"):
        return False
    if trainer.check_val_every_n_epoch is None:  # counted over epochs
        done = trainer.fit_loop.total_batch_idx + 1
    return done % every == 0
