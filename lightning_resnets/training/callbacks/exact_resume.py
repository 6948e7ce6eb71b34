"""Make a resumed run equal to an uninterrupted one."""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, WeightAveraging
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor
from torchmetrics import Metric

from lightning_resnets.utils.atomic_write import atomic_write_text

CHECKPOINT_KEY = "resume"


def get_rng_state() -> dict[str, Any]:
    """Return the states of all global random generators of this process."""
    kind, keys, place, has_gauss, gauss = np.random.get_state(legacy=True)  # noqa: NPY002 - others may draw from it
    version, inner, spare = random.getstate()
    assert kind == "MT19937"
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": [
            torch.from_numpy(np.asarray(keys, np.int64)),
            int(place),
            int(has_gauss),
            float(gauss),
        ],
        "python": [version, torch.tensor(inner), spare],
    }


def set_rng_state(state: Mapping[str, Any]) -> None:
    """Restore the random generators; those of GPUs only if their number is the same."""
    torch.set_rng_state(state["torch"])
    if len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
    keys, *rest = state["numpy"]
    np.random.set_state(("MT19937", keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    version, inner, spare = state["python"]
    random.setstate((version, tuple(inner.tolist()), spare))


def gather_from_all_ranks(own: Any) -> list[Any]:
    """Gather a value from all processes, ordered by rank."""
    if not torch.distributed.is_available() or not torch.distributed.is_initialized():
        return [own]
    states: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(states, own)
    return states


def csv_log_path(logger: Any) -> Path | None:
    """Return the file of a CSVLogger; None in processes that do not write it."""
    path = logger.experiment.metrics_file_path if isinstance(logger, CSVLogger) else None
    return Path(path) if isinstance(path, str) else None


class ExactResume(Callback):
    """Write into every checkpoint what Lightning leaves out, and restore it:
    `Trainer.fit(ckpt_path=...)` is exact.

    That is: the global random generators of every process (dropout draws from torch's), the
    module's attributes named in `keep` (tensors, as running sums of an epoch), the metrics logged
    so far, and the rows of CSVLogger's files: Lightning begins a new file at each start, so this
    puts the earlier rows into it, without those of the steps that are taken again. A run that had
    all its epochs gets its averaged weights (`WeightAveraging`), which Lightning would hand over
    only at the end of a training.

    The loader's position is the datamodule's to save (`state_dict`). An average over an epoch that
    Lightning makes (`self.log(..., on_epoch=True)`) begins anew where a run goes on in the middle
    of the epoch. With `Trainer(max_steps=...)` Lightning repeats the hooks of an epoch's end that
    it goes on from: the weights are the same, the log has a row more; `max_epochs` has no such
    flaw."""

    def __init__(self, keep: Sequence[str] = ()) -> None:
        self.keep = tuple(keep)
        self._state: dict[str, Any] = {}
        self._own: dict[str, Any] | None = None  # of this process
        self._trained = False

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        progress = trainer.fit_loop.epoch_progress.current
        for logger in trainer.loggers:
            logger.save()  # rows that wait in memory
        files = [csv_log_path(logger) for logger in trainer.loggers]
        ended = progress.processed > progress.completed  # type: ignore[attr-defined]  # the epoch
        every = max(1, trainer.log_every_n_steps)  # type: ignore[attr-defined]
        logs = ended or trainer.global_step % every == 0
        checkpoint[CHECKPOINT_KEY] = {
            "ended": ended,
            "processes": gather_from_all_ranks(
                {"random": get_rng_state(), "kept": self._kept(pl_module)}
            ),
            "metrics": to_floats(trainer.callback_metrics),
            "logs": [file.read_text() if file and file.is_file() else "" for file in files],
            "row": self._row(trainer) if logs else None,
        }

    def _row(self, trainer: L.Trainer) -> dict[str, float] | None:
        """Return what Lightning will log of this step or epoch once all callbacks have seen its
        end: after this is written.

        `logged_metrics` would add what other steps have logged.
        """
        if trainer._results is None:  # noqa: SLF001 - the small file, after a run that had nothing left to do
            return None
        metrics = to_floats(trainer._logger_connector.metrics["log"])  # noqa: SLF001
        return (
            {"epoch": trainer.current_epoch, "step": trainer.global_step - 1} | metrics
            if metrics
            else None
        )

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        state = checkpoint.get(CHECKPOINT_KEY)
        if trainer.state.fn != "fit" or not isinstance(state, dict):
            return
        self._state, self._trained = state, False
        self._own = (
            state["processes"][trainer.global_rank]
            if len(state["processes"]) == trainer.world_size
            else None
        )
        if (
            self._own
        ):  # else the run goes on with other processes, and nobody's draws are to be repeated
            set_rng_state(
                self._own["random"]
            )  # before the loader's iterator is made: torch's own draws for it
            for name in self._own["kept"].keys() & set(self.keep):
                _restore(pl_module, name, self._own["kept"][name])
        for logger, text in zip(trainer.loggers, state["logs"], strict=False):
            restore_csv_rows(logger, text)
        if row := state["row"]:
            for logger in trainer.loggers:
                logger.log_metrics(
                    {name: value for name, value in row.items() if name != "step"}, int(row["step"])
                )
                logger.save()

    def _kept(self, pl_module: L.LightningModule) -> dict[str, Any]:
        """Return the values of the kept attributes that the module has."""
        names = [name for name in self.keep if hasattr(pl_module, name)]
        return {name: _to_cpu(getattr(pl_module, name)) for name in names}

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._trained = True
        if not self._state:
            return
        if (
            self._own and not self._state["ended"]
        ):  # in the middle of an epoch its iterator had been made before
            set_rng_state(self._own["random"])
        self._give_metrics(trainer)
        self._state = {}

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not self._state or self._trained:
            return
        self._give_metrics(trainer)
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, WeightAveraging):
                callback.on_train_end(trainer, pl_module)
        self._state = {}

    def _give_metrics(self, trainer: L.Trainer) -> None:
        given = {name: torch.tensor(value) for name, value in self._state["metrics"].items()}
        trainer.callback_metrics.update(given)


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


def to_floats(metrics: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in metrics.items()}


def restore_csv_rows(logger: Any, text: str) -> None:
    """Begin a CSVLogger's new file with the rows of an earlier one, which may have other
    columns.
    """
    file = csv_log_path(logger)
    if file is None or not text:
        return
    atomic_write_text(file, text)
    logger.experiment.metrics_keys = text.partition("\n")[0].strip().split(",")
