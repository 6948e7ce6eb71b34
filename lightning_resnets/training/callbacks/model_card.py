"""Write the model card into every checkpoint."""

import time
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback

from lightning_resnets.checkpoint.model_card import ModelCard
from lightning_resnets.models.pretrained_weights import resolve_model_kwargs
from lightning_resnets.training.hardware import describe_hardware

REQUIRED_FIELDS = ("arch", "class_names", "input_size", "mean", "std")


FIELDS = (*REQUIRED_FIELDS, "model_kwargs", "name", "crop_pct", "interpolation")


VERSIONED_PACKAGES = ("torch", "lightning", "lightning-resnets")


class ModelCardCallback(Callback):
    """Write the card into every checkpoint: model, options, classes, input, metrics, recipe,
    circumstances, versions.

    The datamodule says what the images are: `name`, `classes`, `size`, `mean`, `std`, and `crop`
    and `resample` where it fits larger ones (`checkpoint.card.Card`); the module's hyperparameters
    `model` and `options` say which model it has, as its attribute `model`. In a script of your own
    `facts` say any of these: `ModelCardCallback(arch="resnet20", class_names=("cat", "dog"),
    input_size=(3, 32, 32), mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))`."""

    def __init__(self, recipe: str = "", **facts: Any) -> None:
        if strange := facts.keys() - FIELDS:
            raise ValueError(
                f"Unknown field '{min(strange)}' of a model card. Fields: {', '.join(FIELDS)}."
            )
        self.recipe, self.facts = recipe, facts
        self.seconds = 0.0  # of training, over all resumed parts
        self._since: float | None = None

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self._total()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.seconds = float(state_dict["seconds"])

    def _total(self) -> float:
        return self.seconds + (0.0 if self._since is None else time.monotonic() - self._since)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._since = time.monotonic()

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.seconds, self._since = self._total(), None

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint["card"] = self.card(trainer, pl_module).to_dict()

    def card(self, trainer: L.Trainer, pl_module: L.LightningModule) -> ModelCard:
        facts = {**self._known(trainer, pl_module), **self.facts}
        if missing := [name for name in REQUIRED_FIELDS if name not in facts]:
            raise ValueError(
                f"The model card lacks {missing[0]}: pass ModelCardCallback({missing[0]}=...)."
            )
        train_set = getattr(getattr(trainer, "datamodule", None), "train_set", None)
        trained = {
            "epochs": trainer.current_epoch,
            "steps": trainer.global_step,
            "seconds": round(self._total(), 1),
            "hardware": describe_hardware(trainer),
            "precision": str(trainer.precision),
            "train_images": len(train_set[1]) if train_set else 0,
        }
        return ModelCard(
            arch=facts["arch"],
            model_kwargs=resolve_model_kwargs(facts["arch"], facts.get("model_kwargs") or {}),
            class_names=tuple(facts["class_names"]),
            input_size=tuple(facts["input_size"]),
            mean=tuple(facts["mean"]),
            std=tuple(facts["std"]),
            **{name: facts[name] for name in ("crop_pct", "interpolation") if name in facts},
            metrics=to_floats(trainer.callback_metrics),
            dataset=facts.get("name", ""),
            recipe=self.recipe,
            training=trained,
            versions={name: version(name) for name in VERSIONED_PACKAGES},
        )

    def _known(self, trainer: L.Trainer, pl_module: L.LightningModule) -> dict[str, Any]:
        """Collect the fields known from the datamodule and the hyperparameters."""
        data = getattr(trainer, "datamodule", None)
        said = {
            name: getattr(data, name)
            for name in FIELDS
            if hasattr(data, name) and name not in ("arch", "model_kwargs")
        }
        return said | {
            name: pl_module.hparams[name]
            for name in ("arch", "model_kwargs")
            if name in pl_module.hparams
        }


def to_floats(metrics: Mapping[str, torch.Tensor]) -> dict[str, float]:
    """Convert metrics to numbers, rounded to the precision of float32.

    Args:
        metrics: scalar tensors by name.

    Returns:
        The numbers by name.
    """
    return {name: round(float(value), 7) for name, value in metrics.items()}
