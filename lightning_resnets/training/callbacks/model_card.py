"""Write the model card into every checkpoint."""

import time
from collections.abc import Mapping
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from lightning_resnets.checkpoint.model_card import ModelCard
from lightning_resnets.models.pretrained_weights import resolve_model_kwargs
from lightning_resnets.training.hardware import describe_hardware
from lightning_resnets.utils.package_version import package_version

REQUIRED_FIELDS = ("arch", "class_names", "input_size", "mean", "std")
FIELDS = (*REQUIRED_FIELDS, "model_kwargs", "name", "crop_pct", "interpolation")

# Fields that the module's hyperparameters have; the datamodule has the others.
MODULE_FIELDS = ("arch", "model_kwargs")
DATA_FIELDS = tuple(name for name in FIELDS if name not in MODULE_FIELDS)

# A result may depend on the versions of these.
VERSIONED_PACKAGES = ("torch", "lightning", "lightning-resnets")


class ModelCardCallback(Callback):
    """Write the model card into every checkpoint: model, classes, preprocessing, metrics, recipe.

    The datamodule has the attributes `name`, `class_names`, `input_size`, `mean` and `std`, and
    `crop_pct` and `interpolation` if it resizes images (see `checkpoint.model_card.ModelCard`).
    The module has the hyperparameters `arch` and `model_kwargs`. The module's model is its
    attribute `model`. A script whose objects lack these passes them as `facts`:
    `ModelCardCallback(arch="resnet20", class_names=("cat", "dog"), input_size=(3, 32, 32),
    mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))`.

    Args:
        recipe: name of the recipe.
        **facts: values of `FIELDS`, which replace those of datamodule and module.

    Raises:
        ValueError: a field does not exist.
    """

    def __init__(self, recipe: str = "", **facts: Any) -> None:
        if unknown := facts.keys() - FIELDS:
            raise ValueError(
                f"Unknown field '{min(unknown)}' of a model card. Fields: {', '.join(FIELDS)}."
            )
        self.recipe = recipe
        self.facts = facts
        # Training time over all resumed parts
        self.seconds = 0.0
        self._start: float | None = None

    def state_dict(self) -> dict[str, Any]:
        """Return the training time for a checkpoint."""
        return {"seconds": self._total_seconds()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue with the training time of a checkpoint.

        Args:
            state_dict: a result of `state_dict`.
        """
        self.seconds = float(state_dict["seconds"])

    def _total_seconds(self) -> float:
        """Return the training time until now."""
        if self._start is None:
            return self.seconds
        return self.seconds + time.monotonic() - self._start

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock.

        Args:
            trainer: unused.
            pl_module: unused.
        """
        # monotonic, because the system's clock may be set back during a run.
        self._start = time.monotonic()

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop the clock.

        Args:
            trainer: unused.
            pl_module: unused.
        """
        self.seconds = self._total_seconds()
        self._start = None

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the card to a checkpoint.

        Args:
            trainer: Trainer of the run.
            pl_module: its module.
            checkpoint: content of the file, changed in place.
        """
        checkpoint["card"] = self.card(trainer, pl_module).to_dict()

    def card(self, trainer: L.Trainer, pl_module: L.LightningModule) -> ModelCard:
        """Build the card.

        Args:
            trainer: Trainer of the run.
            pl_module: its module.

        Returns:
            The card.

        Raises:
            ValueError: a required field is missing.
        """
        # What the script says comes last, and wins.
        facts = {**_known_facts(trainer, pl_module), **self.facts}
        if missing := [name for name in REQUIRED_FIELDS if name not in facts]:
            raise ValueError(
                f"The model card lacks {missing[0]}: pass ModelCardCallback({missing[0]}=...)."
            )
        # The card's own defaults apply to what is not known.
        resizing = {name: facts[name] for name in ("crop_pct", "interpolation") if name in facts}
        return ModelCard(
            arch=facts["arch"],
            model_kwargs=resolve_model_kwargs(facts["arch"], facts.get("model_kwargs") or {}),
            class_names=tuple(facts["class_names"]),
            input_size=tuple(facts["input_size"]),
            mean=tuple(facts["mean"]),
            std=tuple(facts["std"]),
            metrics=to_floats(trainer.callback_metrics),
            dataset=facts.get("name", ""),
            recipe=self.recipe,
            training=self._describe_training(trainer),
            versions={name: package_version(name) for name in VERSIONED_PACKAGES},
            **resizing,
        )

    def _describe_training(self, trainer: L.Trainer) -> dict[str, Any]:
        """Return length, hardware and data of the training."""
        # Images and labels, or a source and indices: the second has an entry for each image.
        train_set = getattr(getattr(trainer, "datamodule", None), "train_set", None)
        return {
            "epochs": trainer.current_epoch,
            "steps": trainer.global_step,
            "seconds": round(self._total_seconds(), 1),
            "hardware": describe_hardware(trainer),
            "precision": str(trainer.precision),
            "train_images": len(train_set[1]) if train_set else 0,
        }


def _known_facts(trainer: L.Trainer, pl_module: L.LightningModule) -> dict[str, Any]:
    """Return the fields that the datamodule and the hyperparameters have."""
    data = getattr(trainer, "datamodule", None)
    facts = {name: getattr(data, name) for name in DATA_FIELDS if hasattr(data, name)}
    for name in MODULE_FIELDS:
        if name in pl_module.hparams:
            facts[name] = pl_module.hparams[name]
    return facts


def to_floats(metrics: Mapping[str, Tensor]) -> dict[str, float]:
    """Convert metrics to numbers, rounded to the precision of float32.

    Args:
        metrics: scalar tensors by name.

    Returns:
        The numbers by name.
    """
    return {name: round(float(value), 7) for name, value in metrics.items()}
