"""Learning rate over a training: a linear warm-up, then a decay to zero."""

import math

import lightning as L
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from lightning_resnets.errors import TrainingError


def lr_factor(step: int, num_steps: int, warmup_fraction: float, lr_schedule: str) -> float:
    """Return the learning rate of a step as a fraction of its peak.

    Args:
        step: optimizer step, from 0.
        num_steps: steps of the whole training.
        warmup_fraction: fraction of the steps in which the rate rises linearly.
        lr_schedule: "linear" or "cosine", the decay to zero.

    Returns:
        0 to 1.
    """
    warmup_steps = warmup_fraction * num_steps
    if step < warmup_steps:
        # + 1, because a first step at a rate of 0 would change nothing.
        return (step + 1) / (warmup_steps + 1)
    # 1 at the peak, then to 0; max avoids a division by 0 if all steps are warm-up.
    remaining = (num_steps - step) / max(1.0, num_steps - warmup_steps)
    # A training that goes on past its planned end must not climb its loss.
    remaining = max(0.0, remaining)
    if lr_schedule == "linear":
        return remaining
    return 0.5 - 0.5 * math.cos(math.pi * remaining)


class WarmupDecayLR(LambdaLR):
    """Multiply the learning rates by `lr_factor`, step by step.

    Parameter groups that are added during the training, as by Lightning's `BackboneFinetuning`,
    keep the rates that their owner gives them. LambdaLR itself raises for such groups.

    Args:
        optimizer: its groups have their peak rates.
        num_steps: steps of the whole training.
        warmup_fraction: fraction of the steps in which the rate rises linearly.
        lr_schedule: "linear" or "cosine", the decay to zero.
    """

    def __init__(
        self, optimizer: Optimizer, num_steps: int, warmup_fraction: float, lr_schedule: str
    ) -> None:
        def factor(step: int) -> float:
            """Return the rate of a step as a fraction of its peak."""
            return lr_factor(step, num_steps, warmup_fraction, lr_schedule)

        super().__init__(optimizer, factor)

    def get_lr(self) -> list[float | Tensor]:
        """Return the rate of each parameter group at the current step."""
        scheduled = super().get_lr()
        # LambdaLR has a function only for each group that was there at first.
        added = self.optimizer.param_groups[len(scheduled) :]
        return [*scheduled, *(group["lr"] for group in added)]


def count_steps(trainer: L.Trainer) -> int:
    """Return the number of optimizer steps of a training.

    Args:
        trainer: Trainer of the run.

    Returns:
        The number of steps.

    Raises:
        TrainingError: the training has no last step, so that the rate cannot fall to zero at it.
    """
    num_steps = trainer.estimated_stepping_batches
    if num_steps == math.inf:
        raise TrainingError(
            "The learning-rate schedule needs the number of steps, but this training has no last "
            f"one (max_epochs={trainer.max_epochs}). Set max_epochs to the number of epochs, or "
            "max_steps if the number of batches is unknown."
        )
    return int(num_steps)
