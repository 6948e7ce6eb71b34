"""Options that `fit` has besides Lightning's, and checks of values that would train nothing."""

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from lightning_resnets.training.callbacks.resume_config import flatten

LIMIT_RE = re.compile(r"--trainer\.(limit_\w+_batches)")


@dataclass(frozen=True, slots=True)
class FitOption:
    """Name, type, default and help text of an option."""

    name: str
    type: type
    default: Any
    help: str


# In the order of the help page
FIT_OPTIONS = (
    FitOption("run_dir", str, None, "output folder (null: runs/RECIPE); use one per seed"),
    FitOption(
        "checkpoint_every_minutes", float, 5.0, "also write last.ckpt every N minutes (0: off)"
    ),
    FitOption("checkpoint_every_steps", int, 0, "also write last.ckpt every N steps (0: off)"),
    FitOption("test_at_end", bool, True, "test after training and write the small RECIPE.ckpt"),
    FitOption("overwrite", bool, False, "replace an unfinished run in the output folder"),
)

# Smaller values have no meaning, but Lightning does not check all of them.
TRAINER_MINIMUMS = {
    "accumulate_grad_batches": 1,
    "gradient_clip_val": 0,
    "log_every_n_steps": 0,
    "check_val_every_n_epoch": 1,
}


def check_fit_options(config: Any) -> None:
    """Check for values that train nothing, never end, or make no sense to Lightning.

    Args:
        config: parsed options of `fit`.

    Raises:
        ValueError: a value is too small; the message names the option.
    """
    trainer = config["trainer"]
    _check_length(trainer)
    for name, minimum in TRAINER_MINIMUMS.items():
        value = trainer[name]
        if value is not None and value < minimum:
            raise ValueError(
                f"--trainer.{name} must be at least {minimum}, got {value}. "
                "Leave it out for Lightning's default."
            )
    for name in ("checkpoint_every_minutes", "checkpoint_every_steps"):
        if config[name] < 0:
            raise ValueError(
                f"--{name} must be at least 0, got {config[name]} "
                "(0 writes only at the end of each epoch)."
            )


def _check_length(trainer: Any) -> None:
    """Raise ValueError unless the run has at least one batch, and an end."""
    # None and -1 stand for no limit.
    for name in ("max_epochs", "max_steps"):
        if trainer[name] == 0:
            raise ValueError(f"--trainer.{name} must be at least 1.")
    if trainer["limit_train_batches"] == 0:
        raise ValueError("--trainer.limit_train_batches must be greater than 0.")
    if trainer["max_epochs"] == -1 and trainer["max_steps"] == -1:
        raise ValueError(
            "--trainer.max_epochs must be at least 1: the learning-rate schedule needs an end."
        )


def single_batch_limits(args: list[str]) -> dict[str, int]:
    """Find limits of one batch: the parser reads 1 as 1.0, which means all batches.

    Args:
        args: command and options, "--config" separate from its file.

    Returns:
        Arguments of the Trainer, such as limit_train_batches=1.
    """
    words: list[str] = []
    for arg in args:
        words.extend(arg.split("=", 1) if arg.startswith("--") else [arg])
    limits: dict[str, object] = {}
    # The last value of an option counts, whether a recipe or the command line gives it.
    for option, value in pairwise(words):
        if option == "--config":
            limits |= _recipe_limits(value)
        elif match := LIMIT_RE.fullmatch(option):
            limits[match[1]] = value
    return {name: 1 for name, value in limits.items() if str(value) == "1"}


def _recipe_limits(path: str) -> dict[str, object]:
    """Return the limits of a recipe as they are written."""
    try:
        recipe = yaml.safe_load(Path(path).read_text())
    # The parser reports a file that it cannot read.
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    flat = dict(flatten(recipe)) if isinstance(recipe, dict) else {}
    matches = ((LIMIT_RE.fullmatch(f"--{name}"), value) for name, value in flat.items())
    return {match[1]: value for match, value in matches if match}
