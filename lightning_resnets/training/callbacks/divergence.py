"""Stop training when the loss diverges, and keep the last finite weights."""

import math
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from lightning_resnets.errors import TrainingDivergedError
from lightning_resnets.training.callbacks.checkpointing import LastCheckpoint
from lightning_resnets.utils.atomic_write import display_path

# Above every step number, so that the minimum over processes ignores it.
NO_STEP = 2**62


# Training does not recover from a mean loss above this.
MAX_LOSS = 1e6


HINT = (
    "a lower learning rate (--model.lr), a longer warm-up (--model.warmup_fraction) "
    "or --trainer.precision 32-true"
)


class StopOnDivergence(Callback):
    """Raise `TrainingDivergedError` if the loss is NaN, inf, above a million, or stays high.

    Losses stay on their device and are read together every `every` steps, at the end of an epoch
    and before a checkpoint is written, so that no step waits for the device. A checkpoint with
    NaN or inf weights is never written. `training_step` must return the loss or a dictionary
    with "loss".

    Args:
        limit: loss that counts as high; 0 disables this check. By default twice ln(classes), if
            the datamodule has `num_classes`: ln(classes) is the loss of a uniform guess. Spikes
            from a high learning rate are shorter than `patience`.
        patience: number of consecutive steps with a high loss before training stops.
        every: number of steps between checks.
    """

    def __init__(self, limit: float | None = None, patience: int = 500, every: int = 50) -> None:
        self.limit = limit
        self.patience = patience
        self.every = every
        self._limit = math.inf
        self._high = 0
        self._steps: list[int] = []
        self._losses: Tensor | None = None  # (every,) float32

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Set the limit and start with no losses."""
        classes = getattr(getattr(trainer, "datamodule", None), "num_classes", 0)
        chance = 2 * math.log(classes) if classes > 1 else 0.0
        self._limit = (chance if self.limit is None else self.limit) or math.inf
        self._high = 0
        self._steps = []
        self._losses = torch.zeros(self.every, device=pl_module.device)

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Store the loss, and check the stored ones every `every` steps."""
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        if not isinstance(loss, Tensor) or self._losses is None:
            return
        self._losses[len(self._steps)] = loss.detach()
        self._steps.append(trainer.global_step)
        if len(self._steps) == self.every:
            self._read(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Check the losses of the epoch's last steps."""
        self._read(trainer)

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Check the losses and the weights before a checkpoint is written."""
        # Without training there are no losses to check.
        if self._losses is None:
            return
        self._read(trainer)
        weights = [value for value in pl_module.state_dict().values() if value.is_floating_point()]
        finite = bool(torch.stack([value.isfinite().all() for value in weights]).all())
        if not trainer.strategy.reduce_boolean_decision(finite):
            raise self._diverged(
                trainer, f"The weights were no longer finite after step {trainer.global_step}"
            )

    def _read(self, trainer: L.Trainer) -> None:
        """Raise for the first step of any process whose loss diverged."""
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
        """Build the error with the path of the last checkpoint."""
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
