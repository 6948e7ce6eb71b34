"""Keep the settings of a run in its checkpoints, to resume only with the same ones."""

from collections.abc import Iterator, Mapping
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback

from lightning_resnets.errors import sanitize

CHECKPOINT_KEY = "settings"


LENGTH_OPTIONS = (
    "trainer.max_epochs",
    "trainer.max_steps",
)  # a run may be given more of them, but is then no result


EXTENDED_KEY = "extended"


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


IGNORED_DATA_OPTIONS = (
    "data_dir",
    "download",
    "num_workers",
    "eval_batch_size",
)  # of the data: where they lie and how they are fetched


def run_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a configuration by option: "model.lr", "data.cutout"."""
    data = config["data"]
    given = {"seed_everything": config["seed_everything"], "data": data["class_path"]}
    given |= {
        f"model.{name}": value for name, value in flatten(config["model"]) if name != "num_classes"
    }
    given |= {
        f"data.{name}": value
        for name, value in flatten(data.get("init_args") or {})
        if name not in IGNORED_DATA_OPTIONS
    }
    return given | {f"trainer.{name}": config["trainer"].get(name) for name in TRAINER_OPTIONS}


def flatten(table: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in dict(table).items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def config_differences(kept: object, now: Mapping[str, Any]) -> list[str]:
    """List the settings that differ from those of a checkpoint: "model.lr 0.4, not 0.1"."""
    held = kept if isinstance(kept, dict) else {}
    return [
        sanitize(f"{name} {held[name]}, not {value}")
        for name, value in now.items()
        if name in held and name not in (*LENGTH_OPTIONS, EXTENDED_KEY) and held[name] != value
    ]


def is_extended(kept: object, now: Mapping[str, Any]) -> bool:
    """Return True if the number of epochs or steps was changed since the run began."""
    held = kept if isinstance(kept, dict) else {}
    return held.get(EXTENDED_KEY) is True or any(
        name in held and held[name] != now[name] for name in LENGTH_OPTIONS
    )


class ResumeConfigCallback(Callback):
    """Write the settings into every checkpoint."""

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {}

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint[CHECKPOINT_KEY] = self.settings
