"""The record of a run: what was trained, how, on what and how well, as one small JSON file for `RESULTS.md`."""

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import lightning as L

from lightning_resnets.checkpoint.model_card import ModelCard

# Said otherwise, or of no weight.
OMITTED_OPTIONS = (
    "--config",
    "--ckpt_path",
    "--run_dir",
    "--trainer.enable_progress_bar",
    "--checkpoint_every_minutes",
    "--checkpoint_every_steps",
)


PATH_OPTIONS = ("dir", "path")  # options whose values are places on one machine


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One run, tested with the weights of its last epoch; `metrics` in shares of 1, `seconds` those of the training."""

    recipe: str
    arch: str
    model_kwargs: dict[str, Any]
    dataset: str
    seed: int
    parameters: int
    train_images: int
    epochs: int
    steps: int
    seconds: float
    hardware: str
    precision: str
    versions: dict[str, str]
    metrics: dict[str, float]
    command: str

    @classmethod
    def from_card(cls, card: ModelCard, parameters: int, seed: int, command: str) -> Self:
        """The record of the run that wrote a card and was tested since."""
        trained = {
            name: card.training[name]
            for name in (field.name for field in fields(cls))
            if name in card.training
        }
        metrics = {
            name: value
            for name, value in card.metrics.items()
            if name.startswith(("val_", "test_"))
        }
        return cls(
            recipe=card.recipe,
            arch=card.arch,
            model_kwargs=card.model_kwargs,
            dataset=card.dataset,
            seed=seed,
            parameters=parameters,
            versions=card.versions,
            metrics=metrics,
            command=command,
            **trained,
        )

    @classmethod
    def read(cls, path: Path) -> Self:
        """From a file; raises ValueError, one sentence."""
        try:
            return cls(**json.loads(path.read_text()))
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"{path} is no record of a run ({error}): take runs/<recipe>/record.json."
            ) from None

    def write(self, path: Path) -> None:
        """As a file that a person can read and compare, whole or not at all."""
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            part.write_text(json.dumps(asdict(self), indent=1) + "\n")
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


def incomplete_reason(trainer: L.Trainer, seed: object, extended: bool) -> str:
    """Why a run is no result, as a clause; empty where it is one."""
    if extended:
        return "it was begun with another number of epochs"
    if any(
        limit != 1.0 or type(limit) is int
        for limit in (trainer.limit_train_batches, trainer.limit_test_batches)
    ):
        return "only a part of the images was used"
    if trainer.current_epoch != trainer.max_epochs:
        return "it ended before its last epoch"
    return "" if type(seed) is int else "it had no seed"


def reproduce_command(args: Iterable[str], recipe: str) -> str:
    """What one types to make the run again: the recipe's name, the options given, no place of this machine."""
    words = ["lightning-resnets", "fit", "--config", recipe]
    parts = [
        part for arg in args for part in (arg.split("=", 1) if arg.startswith("--") else [arg])
    ]
    for option, value in pairwise([*parts, ""]):
        if option.startswith("--") and option not in OMITTED_OPTIONS:
            words += (
                [option]
                if value.startswith("--") or not value
                else [option, mask_path(option, value)]
            )
    return " ".join(words)


def mask_path(option: str, value: str) -> str:
    name = option.rpartition(".")[2].removeprefix("--")
    return "DIR" if name.endswith(PATH_OPTIONS) or value.startswith(("/", "~", ".")) else value
