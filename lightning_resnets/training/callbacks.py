"""What accompanies a run: the card in every checkpoint."""

import time
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback

from lightning_resnets.checkpoint.card import Card
from lightning_resnets.training.hardware import hardware
from lightning_resnets.weights import settled

VERSIONS = ("torch", "lightning", "lightning-resnets")


class WriteCard(Callback):
    """Write the card into every checkpoint: net, options, classes, input, metrics, recipe, circumstances, versions.

    The datamodule says what the pictures are: `name`, `classes`, `size`, `mean`, `std`, and `crop` and `resample` where
    it fits larger ones (`checkpoint.card.Card`).
    """

    def __init__(self, recipe: str = "") -> None:
        self.recipe = recipe
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

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint["card"] = self.card(trainer, pl_module).to_dict()

    def card(self, trainer: L.Trainer, pl_module: L.LightningModule) -> Card:
        data, hparams = trainer.datamodule, pl_module.hparams  # type: ignore[attr-defined]
        trained = {
            "epochs": trainer.current_epoch,
            "steps": trainer.global_step,
            "seconds": round(self._total(), 1),
            "hardware": hardware(trainer),
            "precision": str(trainer.precision),
            "pictures": len(data.train_set[1]) if data.train_set else 0,
        }
        return Card(
            arch=hparams["net"],
            options=settled(hparams["net"], hparams["options"] or {}),
            classes=tuple(data.classes),
            size=tuple(data.size),
            mean=tuple(data.mean),
            std=tuple(data.std),
            **{name: getattr(data, name) for name in ("crop", "resample") if hasattr(data, name)},
            metrics=plain(trainer.callback_metrics),
            data=data.name,
            recipe=self.recipe,
            trained=trained,
            versions={name: version(name) for name in VERSIONS},
        )


def plain(metrics: Mapping[str, torch.Tensor]) -> dict[str, float]:
    """Metrics as numbers, rounded to what float32 holds."""
    return {name: round(float(value), 7) for name, value in metrics.items()}
