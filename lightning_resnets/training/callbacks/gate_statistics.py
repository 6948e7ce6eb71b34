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
    `class_names` default to those of the datamodule.
    """

    def __init__(self, class_names: Sequence[str] | None = None) -> None:
        self.classes = class_names
        self._sums: dict[str, GateAccumulator] = {}
        self._labels: Tensor | None = None
        self._left: set[str] = set()  # gates that have not run for this batch
        self._handles: list[RemovableHandle] = []

    def _begin(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._leave()
        if trainer.sanity_checking:
            return
        found = find_gates(pl_module)
        if not found:
            rank_zero_warn(
                "GateStatistics has nothing to write: this model has no Gate "
                "(SE and Highway models have)."
            )
            return
        count = len(self._classes(trainer))
        for name, gate in found.items():
            self._handles.append(
                gate.register_forward_hook(self._look(name, count), with_kwargs=True)
            )

    def _classes(self, trainer: L.Trainer) -> Sequence[str]:
        classes = self.classes or getattr(getattr(trainer, "datamodule", None), "class_names", None)
        if not classes:
            raise ValueError(
                "GateStatistics needs the class names: pass GateStatistics(class_names=...)."
            )
        return classes

    def _look(self, name: str, num_classes: int) -> Any:
        def look(
            module: Gate, args: tuple[Any, ...], kwargs: dict[str, Any], output: Tensor
        ) -> None:
            if (
                name not in self._left or self._labels is None
            ):  # the same images once more, mirrored
                return
            self._left.discard(name)
            weight = bind_operands(module, args, kwargs)[1]  # (N, C, 1, 1) or (N, C, H, W)
            if name not in self._sums:
                self._sums[name] = GateAccumulator.zeros(
                    num_classes, weight.shape[1], weight.device
                )
            self._sums[name].update(weight, self._labels)

        return look

    def _batch(self, pl_module: L.LightningModule, batch: Any) -> None:
        if self._handles:
            self._labels, self._left = batch[1], set(find_gates(pl_module))

    def _end(self, trainer: L.Trainer, pl_module: L.LightningModule, role: str) -> None:
        sums = {name: self._sums[name] for name in find_gates(pl_module) if name in self._sums}
        self._leave()
        if not sums:
            return
        flat = trainer.strategy.reduce(
            torch.cat([one.flatten() for one in sums.values()]), reduce_op="sum"
        )
        assert isinstance(flat, Tensor)
        parts = flat.cpu().split([one.flatten().numel() for one in sums.values()])
        whole = {
            name: one.unflatten(part) for (name, one), part in zip(sums.items(), parts, strict=True)
        }
        if trainer.is_global_zero:
            write_csv(
                Path(trainer.default_root_dir) / f"gate_statistics_{role}.csv",
                whole,
                self._classes(trainer),
            )
            values = {
                f"gates/{name}/{key}": v
                for name, one in whole.items()
                for key, v in one.summary().items()
            }
            for logger in trainer.loggers:  # not by `log`: the card would list them all
                logger.log_metrics(values, step=trainer.global_step)

    def _leave(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._sums, self._labels, self._left, self._handles = {}, None, set(), []

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._begin(trainer, pl_module)

    def on_test_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._begin(trainer, pl_module)

    def on_validation_batch_start(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._batch(pl_module, batch)

    def on_test_batch_start(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._batch(pl_module, batch)

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._end(trainer, pl_module, "val")

    def on_test_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._end(trainer, pl_module, "test")

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        self._leave()


def write_csv(path: Path, sums: Mapping[str, GateAccumulator], class_names: Sequence[str]) -> None:
    """Write a CSV row for each gate and each class with images.

    Args:
        path: file to write.
        sums: accumulated weights by gate, from the input on.
        class_names: names of the classes.

    Raises:
        CheckpointError: the file cannot be written.
    """
    with atomic_write(path) as part, part.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(COLUMNS)
        for depth, (name, one) in enumerate(sums.items(), 1):
            for label, (count, *values) in zip(class_names, one.rows(), strict=True):
                if count:
                    rows.writerow(
                        (name, depth, label, int(count), *(f"{value:.6f}" for value in values))
                    )
