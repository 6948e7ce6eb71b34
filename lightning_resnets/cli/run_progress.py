"""Progress of the run that a checkpoint belongs to."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from lightning_resnets.training.callbacks.exact_resume import CHECKPOINT_KEY as RESUME_STATE_KEY
from lightning_resnets.training.callbacks.resume_config import CHECKPOINT_KEY

# Options of the run in its checkpoint, which keeps them flat.
MAX_EPOCHS_KEY = "trainer.max_epochs"
MAX_STEPS_KEY = "trainer.max_steps"


@dataclass(frozen=True, slots=True)
class RunProgress:
    """Finished and planned epochs and steps of a run.

    Attributes:
        num_epochs: finished epochs.
        num_steps: optimizer steps.
        max_epochs: planned number of epochs; None or -1 for no limit.
        max_steps: planned number of steps; -1 for no limit.
        is_stopped: True if a callback has ended the run early.
    """

    num_epochs: int
    num_steps: int
    max_epochs: int | None
    max_steps: int
    is_stopped: bool

    @classmethod
    def from_checkpoint(cls, contents: Mapping[str, Any]) -> Self:
        """Read the progress from a checkpoint.

        Args:
            contents: content of last.ckpt.

        Returns:
            The progress.

        Raises:
            Exception: the file is damaged or was written by another program.
        """
        settings = contents[CHECKPOINT_KEY]
        return cls(
            num_epochs=contents["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"],
            num_steps=contents["global_step"],
            max_epochs=settings[MAX_EPOCHS_KEY],
            max_steps=settings.get(MAX_STEPS_KEY) or -1,
            is_stopped=bool(contents.get(RESUME_STATE_KEY, {}).get("stopped")),
        )

    @property
    def is_finished(self) -> bool:
        """Return True if nothing is left to train."""
        if self.is_stopped or 0 <= self.max_steps <= self.num_steps:
            return True
        return self._has_max_epochs and self.num_epochs >= (self.max_epochs or 0)

    @property
    def _has_max_epochs(self) -> bool:
        """Return True if the number of epochs is limited."""
        return self.max_epochs is not None and self.max_epochs >= 0

    def describe(self) -> str:
        """Return the finished part of the plan, for example "3 of 10 epochs"."""
        if self._has_max_epochs:
            return f"{self.num_epochs} of {self.max_epochs} epochs"
        return f"{self.num_steps} of {self.max_steps} steps"
