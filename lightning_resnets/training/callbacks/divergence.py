"""Stop training when the loss diverges, and keep the last finite weights."""

import math
from dataclasses import dataclass
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


@dataclass(slots=True)
class FirstSteps:
    """First step with each kind of divergence; NO_STEP if there is none.

    Attributes:
        nonfinite: the loss is NaN or inf.
        huge: the loss is above MAX_LOSS.
        high: the loss was above the limit for `patience` steps.
    """

    nonfinite: int = NO_STEP
    huge: int = NO_STEP
    high: int = NO_STEP


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
        # Number of consecutive steps with a high loss
        self._num_high = 0
        self._steps: list[int] = []
        self._losses: Tensor | None = None  # (every,) float32

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Set the limit and start with no losses.

        Args:
            trainer: Trainer of the run.
            pl_module: its module.
        """
        self._limit = self._choose_limit(trainer)
        self._num_high = 0
        self._steps = []
        self._losses = torch.zeros(self.every, device=pl_module.device)

    def _choose_limit(self, trainer: L.Trainer) -> float:
        """Return the loss that counts as high, inf for none."""
        if self.limit is not None:
            return self.limit or math.inf
        num_classes = getattr(getattr(trainer, "datamodule", None), "num_classes", 0)
        return 2 * math.log(num_classes) if num_classes > 1 else math.inf

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Store the loss, and check the stored ones every `every` steps.

        Args:
            trainer: Trainer of the run.
            pl_module: unused.
            outputs: result of the training step.
            batch: unused.
            batch_idx: unused.

        Raises:
            TrainingDivergedError: a stored loss diverged.
        """
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        if not isinstance(loss, Tensor) or self._losses is None:
            return
        # Copied on the device, so that the step does not wait for it.
        self._losses[len(self._steps)] = loss.detach()
        self._steps.append(trainer.global_step)
        if len(self._steps) == self.every:
            self._check_losses(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Check the losses of the epoch's last steps.

        Args:
            trainer: Trainer of the run.
            pl_module: unused.

        Raises:
            TrainingDivergedError: a stored loss diverged.
        """
        self._check_losses(trainer)

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Check the losses and the weights before a checkpoint is written.

        Args:
            trainer: Trainer of the run.
            pl_module: module with the weights.
            checkpoint: unused.

        Raises:
            TrainingDivergedError: a stored loss diverged, or a weight is NaN or inf.
        """
        # Without training there are no losses to check.
        if self._losses is None:
            return
        self._check_losses(trainer)
        weights = [value for value in pl_module.state_dict().values() if value.is_floating_point()]
        # Stacked, so that the device is waited for once.
        is_finite = bool(torch.stack([value.isfinite().all() for value in weights]).all())
        if not trainer.strategy.reduce_boolean_decision(is_finite):
            problem = f"The weights were no longer finite after step {trainer.global_step}"
            raise self._make_error(trainer, problem)

    def _check_losses(self, trainer: L.Trainer) -> None:
        """Raise for the first step of any process whose loss diverged."""
        assert self._losses is not None
        first = self._find_first_steps(self._losses.tolist())
        self._steps = []
        if trainer.world_size > 1:
            own = torch.tensor([first.nonfinite, first.huge, first.high])
            earliest = trainer.strategy.reduce(own.to(self._losses.device), reduce_op="min")
            assert isinstance(earliest, Tensor)
            first = FirstSteps(*earliest.tolist())
        if first.huge < first.nonfinite:
            problem = f"The loss was above a million at step {first.huge}"
            raise self._make_error(trainer, problem)
        if first.nonfinite < NO_STEP:
            problem = f"The loss was no longer finite at step {first.nonfinite}"
            raise self._make_error(trainer, problem)
        if first.high < NO_STEP:
            steps = f"{self.patience} steps up to step {first.high}"
            problem = f"The loss was above {self._limit:.1f} in all {steps}"
            raise self._make_error(trainer, problem)

    def _find_first_steps(self, losses: list[float]) -> FirstSteps:
        """Return the first step of this process with each kind of divergence."""
        first = FirstSteps()
        # There may be fewer steps than places for losses.
        for step, loss in zip(self._steps, losses, strict=False):
            self._num_high = self._num_high + 1 if loss > self._limit else 0
            if not math.isfinite(loss):
                first.nonfinite = min(first.nonfinite, step)
            # `not <` is true for NaN as well. Without a limit a loss may have any size.
            if not loss < MAX_LOSS and self._limit != math.inf:
                first.huge = min(first.huge, step)
            if self._num_high >= self.patience:
                first.high = min(first.high, step)
        return first

    def _make_error(self, trainer: L.Trainer, problem: str) -> TrainingDivergedError:
        """Build the error with the path of the last checkpoint."""
        # The checkpoint that Lightning saves on an exception must not be checked again.
        self._losses = None
        kept = ""
        for saver in trainer.checkpoint_callbacks:
            if isinstance(saver, LastCheckpoint) and saver.last_model_path:
                path = display_path(saver.last_model_path)
                kept = f" (the last finite weights are in {path})"
                break
        return TrainingDivergedError(f"{problem}{kept}. Restart with {HINT}.")
