"""Run record: one small JSON file with the model, settings and results of a training run."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import lightning as L

from lightning_resnets.checkpoint.model_card import ModelCard
from lightning_resnets.utils.atomic_write import atomic_write

# Left out of the command: recorded elsewhere, or without influence on the result.
OMITTED_OPTIONS = (
    "--config",
    "--ckpt_path",
    "--run_dir",
    "--trainer.enable_progress_bar",
    "--checkpoint_every_minutes",
    "--checkpoint_every_steps",
)

# Endings of options whose values are paths of one machine.
PATH_OPTIONS = ("dir", "path")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """Record of a run that was tested with the weights of its last epoch.

    Attributes:
        recipe: name of the recipe.
        arch: name of the model.
        model_kwargs: options of the model.
        dataset: name of the dataset.
        seed: random seed of the run.
        parameters: number of the model's parameters.
        train_images: number of training images.
        epochs: number of epochs.
        steps: number of optimizer steps.
        seconds: training time in seconds, without the test.
        hardware: device and number of devices.
        precision: precision of the Trainer.
        versions: versions of the packages.
        metrics: metrics of validation and test; errors and accuracies as fractions of 1.
        command: command that repeats the run.
    """

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
        """Create the record of a run from the model card of its tested checkpoint.

        Args:
            card: model card of the checkpoint.
            parameters: number of the model's parameters.
            seed: random seed of the run.
            command: command that repeats the run.

        Returns:
            The record.
        """
        # The card has the length and the hardware of the run under the record's names.
        names = [field.name for field in fields(cls)]
        training = {name: card.training[name] for name in names if name in card.training}
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
            **training,
        )

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a record.

        Args:
            path: JSON file.

        Returns:
            The record.

        Raises:
            ValueError: the file is not a run record.
        """
        try:
            return cls(**json.loads(path.read_text()))
        # A TypeError says that a field is missing or unknown.
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"'{path}' is not a run record ({error}). Use runs/<recipe>/record.json."
            ) from None

    def write(self, path: Path) -> None:
        """Write the record as an indented JSON file.

        Args:
            path: file to write.

        Raises:
            CheckpointError: the file cannot be written.
        """
        with atomic_write(path) as part:
            part.write_text(json.dumps(asdict(self), indent=1) + "\n")


def incomplete_reason(trainer: L.Trainer, seed: object, extended: bool) -> str:
    """Return the reason why a run does not count as a result.

    Args:
        trainer: Trainer of the run, after the test.
        seed: `seed_everything` of the run.
        extended: True if the number of epochs was changed when the run was resumed.

    Returns:
        A clause; empty if the run counts.
    """
    if extended:
        return "it was begun with another number of epochs"
    limits = (trainer.limit_train_batches, trainer.limit_test_batches)
    # Lightning means all batches by the float 1.0, but one batch by the int 1.
    if any(limit != 1.0 or type(limit) is int for limit in limits):
        return "only a part of the images was used"
    if trainer.current_epoch != trainer.max_epochs:
        return "it ended before its last epoch"
    # True stands for a random seed; it is an instance of int, but of another type.
    return "" if type(seed) is int else "it had no seed"


def reproduce_command(args: Iterable[str], recipe: str) -> str:
    """Return the command that repeats a run on any machine.

    Args:
        args: command-line arguments of the run, the subcommand first.
        recipe: name of the recipe.

    Returns:
        The command; "DIR" replaces paths of this machine.
    """
    words = ["lightning-resnets", "fit", "--config", recipe]
    # The empty word at the end pairs with the last option.
    for option, value in pairwise([*split_assignments(args), ""]):
        if not option.startswith("--") or option in OMITTED_OPTIONS:
            continue
        words.append(option)
        # A flag is followed by another option, or by nothing.
        if value and not value.startswith("--"):
            words.append(mask_path(option, value))
    return " ".join(words)


def split_assignments(args: Iterable[str]) -> list[str]:
    """Split "--option=value" into two arguments.

    Args:
        args: command-line arguments.

    Returns:
        The arguments without such assignments.
    """
    parts: list[str] = []
    for arg in args:
        parts += arg.split("=", 1) if arg.startswith("--") else [arg]
    return parts


def mask_path(option: str, value: str) -> str:
    """Replace a path of this machine by "DIR".

    Args:
        option: name of the option.
        value: its value.

    Returns:
        "DIR" for paths, otherwise the value.
    """
    name = option.rpartition(".")[2].removeprefix("--")
    is_path = name.endswith(PATH_OPTIONS) or value.startswith(("/", "~", "."))
    return "DIR" if is_path else value
