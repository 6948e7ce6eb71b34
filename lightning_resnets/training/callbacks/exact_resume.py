"""Make a resumed run equal to an uninterrupted one."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, WeightAveraging
from torch import Tensor
from torchmetrics import Metric

from lightning_resnets.errors import CheckpointError, CheckpointWarning
from lightning_resnets.training.callbacks.stop_reason import UNKNOWN_REASON, stop_reason
from lightning_resnets.training.csv_rows import log_version, read_csv_rows, restore_csv_rows
from lightning_resnets.training.rng_state import get_rng_state, set_rng_state

CHECKPOINT_KEY = "resume"

# What values of other types and lengths raise when they are restored.
DAMAGE_ERRORS = (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError)


class ExactResume(Callback):
    """Write into every checkpoint what Lightning leaves out, and restore it in `Trainer.fit`.

    That is: the global random generators of every process, the metrics logged so far, the rows of
    CSVLogger's files without those of steps that are taken again, whether early stopping has ended
    the run, and the averaged weights of a finished run with `WeightAveraging`.

    The datamodule saves the position of its loader. Means over an epoch that Lightning computes
    (`self.log(..., on_epoch=True)`) cover only the rest of an epoch that was resumed in its middle.
    With `Trainer(max_steps=...)` Lightning repeats the hooks at the end of an epoch that a run
    resumes from: the weights are the same, and the log has one more row.

    Args:
        keep: attributes of the module to save and restore as well: tensors or metrics.
    """

    def __init__(self, keep: Sequence[str] = ()) -> None:
        self.keep = tuple(keep)
        self._state: dict[str, Any] = {}
        # State of this process
        self._own_state: dict[str, Any] | None = None
        self._has_trained = False

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the state to a checkpoint.

        Args:
            trainer: Trainer of the run.
            pl_module: module with the kept attributes.
            checkpoint: content of the file, changed in place.
        """
        progress = trainer.fit_loop.epoch_progress.current
        epoch_ended = progress.processed > progress.completed  # type: ignore[attr-defined]
        log_interval = max(1, trainer.log_every_n_steps)  # type: ignore[attr-defined]
        logs_now = epoch_ended or trainer.global_step % log_interval == 0
        own_state = {"random": get_rng_state(), "kept": self._kept(pl_module)}
        checkpoint[CHECKPOINT_KEY] = {
            "ended": epoch_ended,
            "processes": gather_from_all_ranks(own_state),
            "metrics": to_floats(trainer.callback_metrics),
            "logs": [read_csv_rows(logger) for logger in trainer.loggers],
            "log_versions": [log_version(logger) for logger in trainer.loggers],
            "row": self._pending_row(trainer) if logs_now else None,
            "stopped": stop_reason(trainer) if epoch_ended else "",
        }

    def _pending_row(self, trainer: L.Trainer) -> dict[str, float] | None:
        """Return what Lightning will log of this step or epoch after all callbacks have run.

        `logged_metrics` would add what other steps have logged.
        """
        # A run that had nothing left to do has no results.
        if trainer._results is None:  # noqa: SLF001
            return None
        metrics = to_floats(trainer._logger_connector.metrics["log"])  # noqa: SLF001
        if not metrics:
            return None
        return {"epoch": trainer.current_epoch, "step": trainer.global_step - 1} | metrics

    def _kept(self, pl_module: L.LightningModule) -> dict[str, Any]:
        """Return the values of the kept attributes that the module has."""
        names = [name for name in self.keep if hasattr(pl_module, name)]
        return {name: _to_cpu(getattr(pl_module, name)) for name in names}

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Restore the state before training; warn if the rest of the run will not be exact.

        Args:
            trainer: Trainer of the run.
            pl_module: module with the kept attributes.
            checkpoint: content of the file.

        Raises:
            CheckpointError: the state is damaged.
        """
        if trainer.state.fn != "fit":
            return
        state = checkpoint.get(CHECKPOINT_KEY)
        if state is None:
            self._warn(trainer, "the checkpoint has no random states")
            return
        try:
            self._load(trainer, pl_module, state)
        except DAMAGE_ERRORS as error:
            raise _make_damage_error(trainer, error) from error

    def _load(
        self, trainer: L.Trainer, pl_module: L.LightningModule, state: dict[str, Any]
    ) -> None:
        """Restore a state that may be damaged."""
        # Before anything is changed: the logger deletes its old file when it is first used.
        _check_types(state)
        self._has_trained = False
        num_processes = len(state["processes"])
        is_same_size = num_processes == trainer.world_size
        self._own_state = state["processes"][trainer.global_rank] if is_same_size else None
        if self._own_state is None:
            self._warn(trainer, f"it was saved by {num_processes} processes")
        else:
            self._load_own(trainer, pl_module, self._own_state)
        for logger, text in zip(trainer.loggers, state["logs"], strict=False):
            restore_csv_rows(logger, text)
        if row := state["row"]:
            self._log_row(trainer, row)
        # Read here, so that damage is found before training.
        self._state = {"ended": bool(state["ended"]), "metrics": to_floats(state["metrics"])}
        self._stay_stopped(trainer, str(state.get("stopped", "")))

    def _stay_stopped(self, trainer: L.Trainer, reason: str) -> None:
        """Train nothing if the run was stopped early, unless EarlyStopping was removed since."""
        callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
        has_early_stopping = any(isinstance(callback, EarlyStopping) for callback in callbacks)
        if not reason or (reason != UNKNOWN_REASON and not has_early_stopping):
            return
        trainer.should_stop = True
        if trainer.is_global_zero:
            warnings.warn(
                f"The run is finished, it was stopped early ({reason.rstrip('.')}). Nothing is "
                "left to train. Remove EarlyStopping to train further.",
                CheckpointWarning,
                stacklevel=2,
            )

    def _load_own(
        self, trainer: L.Trainer, pl_module: L.LightningModule, own: dict[str, Any]
    ) -> None:
        """Restore the state of this process."""
        # Before the loader's iterator is made: torch draws a number for it.
        set_rng_state(own["random"])
        if len(own["random"]["cuda"]) != torch.cuda.device_count():
            self._warn(trainer, f"it was saved with {len(own['random']['cuda'])} GPUs")
        for name in own["kept"].keys() & set(self.keep):
            _restore(pl_module, name, own["kept"][name])

    def _log_row(self, trainer: L.Trainer, row: Mapping[str, float]) -> None:
        """Log the row that Lightning would have logged after the checkpoint was saved."""
        metrics = {name: value for name, value in row.items() if name != "step"}
        for logger in trainer.loggers:
            logger.log_metrics(metrics, int(row["step"]))
            logger.save()

    def _warn(self, trainer: L.Trainer, reason: str) -> None:
        """Say once why the rest of the run differs from that of an uninterrupted one."""
        if trainer.is_global_zero:
            warnings.warn(
                f"Resuming from '{trainer.ckpt_path}' is not exact: {reason}.",
                CheckpointWarning,
                stacklevel=2,
            )

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Restore what Lightning has changed since the checkpoint was loaded.

        Args:
            trainer: Trainer of the run.
            pl_module: unused.
        """
        self._has_trained = True
        if not self._state:
            return
        # In the middle of an epoch its iterator had been made before the state was saved.
        if self._own_state and not self._state["ended"]:
            set_rng_state(self._own_state["random"])
        self._restore_metrics(trainer)
        self._state = {}

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Give a run that had nothing left to train its metrics and averaged weights.

        Args:
            trainer: Trainer of the run.
            pl_module: its module.
        """
        if not self._state or self._has_trained:
            return
        self._restore_metrics(trainer)
        # Lightning corrects this only at the last planned epoch.
        progress = trainer.fit_loop.epoch_progress.current
        progress.completed = progress.processed  # type: ignore[attr-defined]
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, WeightAveraging):
                callback.on_train_end(trainer, pl_module)
        self._state = {}

    def _restore_metrics(self, trainer: L.Trainer) -> None:
        """Restore the logged metrics."""
        metrics = self._state["metrics"].items()
        trainer.callback_metrics.update({name: torch.tensor(value) for name, value in metrics})


def _make_damage_error(trainer: L.Trainer, error: Exception) -> CheckpointError:
    """Build the error about a state that cannot be restored."""
    return CheckpointError(
        f"Cannot resume from '{trainer.ckpt_path}': its resume state is damaged "
        f"({type(error).__name__}: {error}). Use an earlier checkpoint, or start again "
        "without --ckpt_path."
    )


def _check_types(state: Mapping[str, Any]) -> None:
    """Raise TypeError or KeyError unless logs and row have the types that were saved."""
    if not all(isinstance(text, str) for text in state["logs"]):
        raise TypeError("logs are not texts")
    values = (state["row"] or {"step": 0}).values()
    if not all(isinstance(value, int | float) for value in values):
        raise TypeError("a row has values that are not numbers")


def gather_from_all_ranks(own: Any) -> list[Any]:
    """Gather a value from all processes.

    Args:
        own: value of this process.

    Returns:
        The values by rank.
    """
    if not torch.distributed.is_available() or not torch.distributed.is_initialized():
        return [own]
    values: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(values, own)
    return values


def to_floats(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Convert metrics to numbers.

    Args:
        metrics: numbers or scalar tensors by name.

    Returns:
        The numbers by name.
    """
    return {name: float(value) for name, value in metrics.items()}


def _to_cpu(value: Tensor | Metric) -> Tensor | dict[str, Tensor]:
    """Copy a tensor, or the states of a metric, to the CPU."""
    if isinstance(value, Tensor):
        return value.detach().cpu()
    states: dict[str, Any] = value.metric_state
    return {name: state.detach().cpu() for name, state in states.items()}


def _restore(pl_module: L.LightningModule, name: str, saved: Tensor | dict[str, Tensor]) -> None:
    """Set an attribute to its saved value; the states of a metric in place."""
    if isinstance(saved, Tensor):
        setattr(pl_module, name, saved.to(pl_module.device, copy=True))
        return
    metric = getattr(pl_module, name)
    for state, value in saved.items():
        getattr(metric, state).copy_(value)
    # A metric without updates warns when it is computed.
    metric._update_count = 1  # noqa: SLF001
