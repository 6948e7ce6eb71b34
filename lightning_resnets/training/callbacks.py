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

NEEDED = ("net", "classes", "size", "mean", "std")
FACTS = (*NEEDED, "options", "name", "crop", "resample")
VERSIONS = ("torch", "lightning", "lightning-resnets")


class WriteCard(Callback):
    """Write the card into every checkpoint: net, options, classes, input, metrics, recipe, circumstances, versions.

    The datamodule says what the pictures are: `name`, `classes`, `size`, `mean`, `std`, and `crop` and `resample` where
    it fits larger ones (`checkpoint.card.Card`); the module's hyperparameters `net` and `options` say which net it has,
    as its attribute `net`. In a script of your own `facts` say any of these: `WriteCard(net="resnet20",
    classes=("cat", "dog"), size=(3, 32, 32), mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))`.
    """

    def __init__(self, recipe: str = "", **facts: Any) -> None:
        if strange := facts.keys() - FACTS:
            raise ValueError(f"A card has no place for '{min(strange)}': it holds {', '.join(FACTS)}.")
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

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint["card"] = self.card(trainer, pl_module).to_dict()

    def card(self, trainer: L.Trainer, pl_module: L.LightningModule) -> Card:
        facts = {**self._known(trainer, pl_module), **self.facts}
        if missing := [name for name in NEEDED if name not in facts]:
            raise ValueError(f"The card does not know the net's {missing[0]}: say WriteCard({missing[0]}=...).")
        train_set = getattr(getattr(trainer, "datamodule", None), "train_set", None)
        trained = {
            "epochs": trainer.current_epoch,
            "steps": trainer.global_step,
            "seconds": round(self._total(), 1),
            "hardware": hardware(trainer),
            "precision": str(trainer.precision),
            "pictures": len(train_set[1]) if train_set else 0,
        }
        return Card(
            arch=facts["net"],
            options=settled(facts["net"], facts.get("options") or {}),
            classes=tuple(facts["classes"]),
            size=tuple(facts["size"]),
            mean=tuple(facts["mean"]),
            std=tuple(facts["std"]),
            **{name: facts[name] for name in ("crop", "resample") if name in facts},
            metrics=plain(trainer.callback_metrics),
            data=facts.get("name", ""),
            recipe=self.recipe,
            trained=trained,
            versions={name: version(name) for name in VERSIONS},
        )

    def _known(self, trainer: L.Trainer, pl_module: L.LightningModule) -> dict[str, Any]:
        """What the datamodule and the hyperparameters say."""
        data = getattr(trainer, "datamodule", None)
        said = {name: getattr(data, name) for name in FACTS if hasattr(data, name) and name not in ("net", "options")}
        return said | {name: pl_module.hparams[name] for name in ("net", "options") if name in pl_module.hparams}


def plain(metrics: Mapping[str, torch.Tensor]) -> dict[str, float]:
    """Metrics as numbers, rounded to what float32 holds."""
    return {name: round(float(value), 7) for name, value in metrics.items()}
