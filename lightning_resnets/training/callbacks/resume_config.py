"""Keep the settings of a run in its checkpoints, to resume only with the same ones."""

from collections.abc import Iterator, Mapping
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback

from lightning_resnets.errors import sanitize

CHECKPOINT_KEY = "settings"

# A run may be given more epochs or steps, but does not count as a result then.
LENGTH_OPTIONS = ("trainer.max_epochs", "trainer.max_steps")

EXTENDED_KEY = "extended"

# Options of the Trainer that change what a model learns.
TRAINER_OPTIONS = (
    "max_epochs",
    "max_steps",
    "precision",
    "accumulate_grad_batches",
    "gradient_clip_val",
    "gradient_clip_algorithm",
    "limit_train_batches",
    "overfit_batches",
)

# Options of the datamodule that do not change what a model learns.
IGNORED_DATA_OPTIONS = ("data_dir", "download", "num_workers", "eval_batch_size")


def run_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that decide what a run computes.

    Args:
        config: parsed options of `fit`.

    Returns:
        Values by option, for example "model.lr" and "data.cutout".
    """
    data = config["data"]
    settings = {"seed_everything": config["seed_everything"], "data": data["class_path"]}
    for name, value in flatten(config["model"]):
        # The datamodule sets the number of classes.
        if name != "num_classes":
            settings[f"model.{name}"] = value
    for name, value in flatten(data.get("init_args") or {}):
        if name not in IGNORED_DATA_OPTIONS:
            settings[f"data.{name}"] = value
    for name in TRAINER_OPTIONS:
        settings[f"trainer.{name}"] = config["trainer"].get(name)
    return settings


def flatten(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Flatten nested mappings.

    Args:
        table: values or mappings by name.
        prefix: text before every name.

    Yields:
        The name with those of the mappings around it, joined by dots, and the value.
    """
    for name, value in dict(table).items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def config_differences(saved: object, current: Mapping[str, Any]) -> list[str]:
    """List the settings that differ from those of a checkpoint.

    Args:
        saved: settings in the checkpoint, or anything else.
        current: result of `run_config`.

    Returns:
        Texts such as "model.lr 0.4, not 0.1".
    """
    held = _as_dict(saved)
    ignored = (*LENGTH_OPTIONS, EXTENDED_KEY)
    return [
        # A file's text must not reach the terminal as it is.
        sanitize(f"{name} {held[name]}, not {value}")
        for name, value in current.items()
        if name in held and name not in ignored and held[name] != value
    ]


def is_extended(saved: object, current: Mapping[str, Any]) -> bool:
    """Return True if the number of epochs or steps was changed since the run began.

    Args:
        saved: settings in the checkpoint, or anything else.
        current: result of `run_config`.

    Returns:
        True if the run was extended or shortened.
    """
    held = _as_dict(saved)
    # A run that was extended once stays so when it is resumed again.
    if held.get(EXTENDED_KEY) is True:
        return True
    return any(name in held and held[name] != current[name] for name in LENGTH_OPTIONS)


def _as_dict(saved: object) -> dict[str, Any]:
    """Return the settings of a checkpoint; none if a file has anything else in their place."""
    if isinstance(saved, dict):
        return saved
    return {}


class ResumeConfigCallback(Callback):
    """Write the settings into every checkpoint.

    Attributes:
        settings: result of `run_config`.
    """

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {}

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the settings to a checkpoint.

        Args:
            trainer: unused.
            pl_module: unused.
            checkpoint: content of the file, changed in place.
        """
        checkpoint[CHECKPOINT_KEY] = self.settings
