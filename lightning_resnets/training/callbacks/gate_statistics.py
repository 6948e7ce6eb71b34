"""Write mean and spread of every gate's weights by class, over the images of an evaluation."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from lightning_resnets.analysis.gate_weights import COLUMNS, GateAccumulator, find_gates
from lightning_resnets.interventions.record import bind_operands
from lightning_resnets.merges import Gate
from lightning_resnets.utils.atomic_write import atomic_write


class GateStatistics(Callback):
    """Write statistics of every Gate's weights by class, in validation and in test.

    `gate_statistics_val.csv` and `gate_statistics_test.csv` in the Trainer's `default_root_dir`
    have a row for each gate and class (`COLUMNS`; depth counts the gates from the input). To the
    logger, if there is one, go `gates/layer1.0.se/mean`, `/closed` and `/open` (shares of weights
    below .05, above .95) and `/class_distance` between the classes. Hu et al., arXiv:1709.01507,
    section 7.2: weights are alike for all classes in early layers, tell classes apart in later
    ones, and saturate in the last. For Highway models the weight is the mean over space.

    Images are counted once, over all ranks; sums stay on the device until the end. It works with
    any LightningModule whose model (its `model`, or itself) has merge modules and runs uncompiled
    in evaluation, as that of `ImageClassifier` does, and whose batches are images and labels (N,).

    Args:
        class_names: names of the classes; by default those of the datamodule.
    """

    def __init__(self, class_names: Sequence[str] | None = None) -> None:
        self.class_names = class_names
        self._sums: dict[str, GateAccumulator] = {}
        self._labels: Tensor | None = None
        # Gates that have not yet run for the current batch
        self._pending: set[str] = set()
        self._handles: list[RemovableHandle] = []

    def _start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Add a hook to every gate, or warn if there is none."""
        # An evaluation that was broken off may have left hooks.
        self._remove_hooks()
        if trainer.sanity_checking:
            return
        gates = find_gates(pl_module)
        if not gates:
            rank_zero_warn(
                "GateStatistics has nothing to write: this model has no Gate "
                "(SE and Highway models have)."
            )
            return
        # Missing names are reported now, not after the evaluation.
        num_classes = len(self._find_class_names(trainer))
        for name, gate in gates.items():
            hook = self._make_hook(name, num_classes)
            self._handles.append(gate.register_forward_hook(hook, with_kwargs=True))

    def _find_class_names(self, trainer: L.Trainer) -> Sequence[str]:
        """Return the names of the classes; raise ValueError if they are unknown."""
        data = getattr(trainer, "datamodule", None)
        class_names = self.class_names or getattr(data, "class_names", None)
        if not class_names:
            raise ValueError(
                "GateStatistics needs the class names: pass GateStatistics(class_names=...)."
            )
        return class_names

    def _make_hook(self, name: str, num_classes: int) -> Any:
        """Return a hook that adds the weights of a gate to its sums."""

        def record(
            module: Gate, args: tuple[Any, ...], kwargs: dict[str, Any], output: Tensor
        ) -> None:
            """Add the weights of the first forward pass of a batch."""
            # The second one, for flip TTA, has the same images mirrored.
            if name not in self._pending or self._labels is None:
                return
            self._pending.discard(name)
            weight = bind_operands(module, args, kwargs)[1]  # (N, C, 1, 1) or (N, C, H, W)
            if name not in self._sums:
                channels = weight.shape[1]
                self._sums[name] = GateAccumulator.zeros(num_classes, channels, weight.device)
            self._sums[name].update(weight, self._labels)

        return record

    def _start_batch(self, pl_module: L.LightningModule, batch: Any) -> None:
        """Remember the labels of a batch."""
        if self._handles:
            self._labels = batch[1]
            self._pending = set(find_gates(pl_module))

    def _finish(self, trainer: L.Trainer, pl_module: L.LightningModule, role: str) -> None:
        """Remove the hooks, and write the statistics over all ranks."""
        sums = {name: self._sums[name] for name in find_gates(pl_module) if name in self._sums}
        self._remove_hooks()
        if not sums:
            return
        totals = sum_over_ranks(trainer, sums)
        # All ranks have the same totals, so one writes them.
        if trainer.is_global_zero:
            path = Path(trainer.default_root_dir) / f"gate_statistics_{role}.csv"
            write_csv(path, totals, self._find_class_names(trainer))
            log_summaries(trainer, totals)

    def _remove_hooks(self) -> None:
        """Remove all hooks and forget what they recorded."""
        for handle in self._handles:
            handle.remove()
        self._sums = {}
        self._labels = None
        self._pending = set()
        self._handles = []

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Add the hooks.

        Args:
            trainer: Trainer of the run.
            pl_module: module with the model.
        """
        self._start(trainer, pl_module)

    def on_test_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Add the hooks.

        Args:
            trainer: Trainer of the run.
            pl_module: module with the model.
        """
        self._start(trainer, pl_module)

    def on_validation_batch_start(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Remember the labels of the batch.

        Args:
            trainer: unused.
            pl_module: module with the model.
            batch: images and labels (N,).
            batch_idx: unused.
            dataloader_idx: unused; all loaders are counted together.
        """
        self._start_batch(pl_module, batch)

    def on_test_batch_start(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Remember the labels of the batch.

        Args:
            trainer: unused.
            pl_module: module with the model.
            batch: images and labels (N,).
            batch_idx: unused.
            dataloader_idx: unused; all loaders are counted together.
        """
        self._start_batch(pl_module, batch)

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write `gate_statistics_val.csv`.

        Args:
            trainer: Trainer of the run.
            pl_module: module with the model.
        """
        self._finish(trainer, pl_module, "val")

    def on_test_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write `gate_statistics_test.csv`.

        Args:
            trainer: Trainer of the run.
            pl_module: module with the model.
        """
        self._finish(trainer, pl_module, "test")

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Remove the hooks of an evaluation that failed.

        Args:
            trainer: unused.
            pl_module: unused.
            exception: unused.
        """
        self._remove_hooks()


def sum_over_ranks(
    trainer: L.Trainer, sums: Mapping[str, GateAccumulator]
) -> dict[str, GateAccumulator]:
    """Add up the sums of all ranks in one reduction.

    Args:
        trainer: Trainer of the run.
        sums: sums of this rank by gate, in the same order on all ranks.

    Returns:
        The total sums by gate, on the CPU.
    """
    # One vector, because each reduction is a message between the ranks.
    own = [gate_sums.flatten() for gate_sums in sums.values()]
    total = trainer.strategy.reduce(torch.cat(own), reduce_op="sum")
    assert isinstance(total, Tensor)
    parts = total.cpu().split([len(part) for part in own])
    totals = dict[str, GateAccumulator]()
    for (name, gate_sums), part in zip(sums.items(), parts, strict=True):
        totals[name] = gate_sums.unflatten(part)
    return totals


def log_summaries(trainer: L.Trainer, totals: Mapping[str, GateAccumulator]) -> None:
    """Log the statistics over all images.

    Args:
        trainer: Trainer of the run.
        totals: sums over all ranks by gate.
    """
    values = dict[str, float]()
    for name, gate_sums in totals.items():
        for key, value in gate_sums.summary().items():
            values[f"gates/{name}/{key}"] = value
    # Not with `log`, which would add them to the metrics of the model card.
    for logger in trainer.loggers:
        logger.log_metrics(values, step=trainer.global_step)


def write_csv(path: Path, sums: Mapping[str, GateAccumulator], class_names: Sequence[str]) -> None:
    """Write a CSV row for each gate and each class with images.

    Args:
        path: file to write.
        sums: accumulated weights by gate, from the input on.
        class_names: names of the classes.

    Raises:
        CheckpointError: the file cannot be written.
    """
    # newline="", because csv writes the ends of lines itself.
    with atomic_write(path) as part, part.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(COLUMNS)
        for depth, (name, gate_sums) in enumerate(sums.items(), 1):
            for class_name, values in zip(class_names, gate_sums.rows(), strict=True):
                count, *statistics = values
                # Classes without images have no statistics.
                if count:
                    texts = [f"{value:.6f}" for value in statistics]
                    rows.writerow((name, depth, class_name, int(count), *texts))
