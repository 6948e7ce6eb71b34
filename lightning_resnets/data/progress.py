"""How far a loader has come, so that a run goes on with the very next batch, and the seed that decides its draws."""

import os
from typing import Any

import lightning as L

SPLIT = 0  # the seed of pictures held out: the same ones in every run, whatever its own seed


class Progress:
    """Which batch comes next; true even where the caller stops at the last batch without asking for one more."""

    def __init__(self) -> None:
        self.epoch = self.position = 0
        self._resumed = False

    def begin(self) -> tuple[int, int]:
        """The epoch and the position in it to begin at, when a loop over the loader starts."""
        if self.position and not self._resumed:  # the epoch before was left early (limit_train_batches)
            self.epoch, self.position = self.epoch + 1, 0
        self._resumed = False
        return self.epoch, self.position

    def passed(self, epoch: int, position: int, count: int) -> None:
        """The batch at a position of an epoch of `count` is about to be given."""
        self.epoch, self.position = divmod(epoch * count + position + 1, count)

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epoch, self.position = state["epoch"], state["position"]
        self._resumed = True


def at_the_end(state: dict[str, Any], trainer: L.Trainer | None) -> dict[str, Any]:
    """The state with an epoch that `limit_train_batches` ends here counted as ended."""
    if state and trainer is not None and 0 < trainer.num_training_batches <= state["position"]:
        return {"epoch": state["epoch"] + 1, "position": 0}
    return state


def whole_seed(seed: int | None) -> int:
    """The seed given, else that of Lightning's `seed_everything`, else 0."""
    return int(os.environ.get("PL_GLOBAL_SEED", "0")) if seed is None else seed
