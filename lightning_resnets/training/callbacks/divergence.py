"""A loss that is no number, or stays absurd: the run stops, says at which step, and keeps the last finite weights."""

import math
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from lightning_resnets.errors import TrainingDivergedError
from lightning_resnets.training.callbacks.checkpointing import LastCheckpoint
from lightning_resnets.utils.atomic_write import display_path

NO_STEP = 2**62


MAX_LOSS = 1e6  # a mean loss that no training comes back from


HINT = "a lower learning rate (--model.lr), a longer warm-up (--model.warmup_fraction) or --trainer.precision 32-true"


class StopOnDivergence(Callback):
    """Raise `Diverged` where the loss is not finite, above a million, or was above `limit` in `patience` steps on end.

    `limit` is by default twice ln(classes), where the datamodule knows its `num_classes`: the loss of a guess that
    knows nothing is ln(classes), and a model that does twice as badly for hundreds of steps is not on its way back.
    Spikes, which high rates bring about in the beginning, are shorter. 0 is no limit.

    Losses are kept on their device and read together every `every` steps, at the end of an epoch, and before any
    checkpoint is written, so that no step waits; none is written with weights that are not finite. `training_step`
    returns the loss, or a dictionary with "loss".
    """

    def __init__(self, limit: float | None = None, patience: int = 500, every: int = 50) -> None:
        self.limit, self.patience, self.every = limit, patience, every
        self._limit, self._high = math.inf, 0
        self._steps: list[int] = []
        self._losses: Tensor | None = None  # (every,) float32

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        classes = getattr(getattr(trainer, "datamodule", None), "num_classes", 0)
        chance = 2 * math.log(classes) if classes > 1 else 0.0
        self._limit = (chance if self.limit is None else self.limit) or math.inf
        self._high, self._steps = 0, []
        self._losses = torch.zeros(self.every, device=pl_module.device)

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        if not isinstance(loss, Tensor) or self._losses is None:
            return
        self._losses[len(self._steps)] = loss.detach()
        self._steps.append(trainer.global_step)
        if len(self._steps) == self.every:
            self._read(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._read(trainer)

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if self._losses is None:  # no training: nothing to judge
            return
        self._read(trainer)
        weights = [value for value in pl_module.state_dict().values() if value.is_floating_point()]
        finite = bool(torch.stack([value.isfinite().all() for value in weights]).all())
        if not trainer.strategy.reduce_boolean_decision(finite):
            raise self._diverged(
                trainer, f"The weights were no longer finite after step {trainer.global_step}"
            )

    def _read(self, trainer: L.Trainer) -> None:
        """Raise for the first step, over all processes, whose loss was wrong."""
        lost, wild, high = NO_STEP, NO_STEP, NO_STEP
        assert self._losses is not None
        for step, loss in zip(self._steps, self._losses.tolist(), strict=False):
            self._high = self._high + 1 if loss > self._limit else 0
            lost = min(lost, NO_STEP if math.isfinite(loss) else step)
            wild = min(wild, NO_STEP if loss < MAX_LOSS or self._limit == math.inf else step)
            high = min(high, NO_STEP if self._high < self.patience else step)
        self._steps = []
        if trainer.world_size > 1:
            found = torch.tensor([lost, wild, high], device=self._losses.device)
            first = trainer.strategy.reduce(found, reduce_op="min")
            assert isinstance(first, Tensor)
            lost, wild, high = first.tolist()
        if wild < lost:
            raise self._diverged(trainer, f"The loss was above a million at step {wild}")
        if lost < NO_STEP:
            raise self._diverged(trainer, f"The loss was no longer finite at step {lost}")
        if high < NO_STEP:
            steps = f"{self.patience} steps up to step {high}"
            raise self._diverged(trainer, f"The loss was above {self._limit:.1f} in all {steps}")

    def _diverged(self, trainer: L.Trainer, what: str) -> TrainingDivergedError:
        self._losses = None
        paths = [
            saver.last_model_path
            for saver in trainer.checkpoint_callbacks
            if isinstance(saver, LastCheckpoint)
        ]
        kept = (
            f" (the last finite weights are in {display_path(paths[0])})"
            if paths and paths[0]
            else ""
        )
        return TrainingDivergedError(f"{what}{kept}: begin anew with {HINT}.")
