"""The LightningModule that trains any net of the zoo to tell classes apart."""

import inspect
import math
from pathlib import Path
from typing import Any, Literal, Self

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.nn import functional as F

from lightning_resnets.checkpoint.read import open_checkpoint
from lightning_resnets.training.trust import only_own_files
from lightning_resnets.zoo import build


def share(step: int, steps: int, warmup: float, schedule: str) -> float:
    """Share of the peak learning rate at a step: a linear rise over `warmup` of all steps, then down to zero."""
    rise = warmup * steps
    if step < rise:
        return (step + 1) / (rise + 1)
    left = (steps - step) / max(1.0, steps - rise)  # 1 at the peak, 0 at the end
    return left if schedule == "linear" else 0.5 - 0.5 * math.cos(math.pi * left)


class Classifier(L.LightningModule):
    """A net of the zoo, cross entropy, and SGD with Nesterov momentum under a one-cycle schedule.

    `net` and `options` name the net (`zoo.build`), `classes` its outputs. `lr` is the peak rate, reached after
    `warmup` (a share of all steps) and brought down to zero as `schedule` says. Weight decay acts on weights of two
    and more dimensions, not on biases and batch norms. All hyperparameters are plain values, so a checkpoint holds
    nothing but JSON types and tensors. Logs `train_loss`, `train_accuracy`, `val_...` and `test_...` once an epoch.
    """

    def __init__(
        self,
        net: str = "resnet20",
        classes: int = 10,
        options: dict[str, Any] | None = None,
        lr: float = 0.4,
        momentum: float = 0.9,
        weight_decay: float = 2e-4,
        label_smoothing: float = 0.0,
        warmup: float = 0.2,
        schedule: Literal["linear", "cosine"] = "linear",
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.net = build(net, classes, **(options or {})).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.lr, self.momentum, self.weight_decay = lr, momentum, weight_decay
        self.label_smoothing, self.warmup, self.schedule = label_smoothing, warmup, schedule
        self.tally = torch.zeros(3)  # summed loss, right answers, pictures: read once an epoch

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]  # Lightning's own has more ways in, and they are not safe
        cls, checkpoint_path: str | Path, net: str | None = None, **changes: Any
    ) -> Self:
        """The module of a file, with its weights, read by `checkpoint.read`: nothing in the file is run or imported.

        Lightning's own method imports what a file's hyperparameters name, and loads a web address without any check.
        `net` is a name that you give yourself (`checkpoint.read.load`), `changes` are hyperparameters to set anew.
        Any file that can be opened will do; hyperparameters that it does not hold have their defaults. Raises
        CheckpointError.
        """
        opened = open_checkpoint(checkpoint_path, net)
        held = (opened.also or {}).get("hyper_parameters")
        known = inspect.signature(cls.__init__).parameters.keys() - {"self", "net", "classes", "options"}
        hyper = {name: value for name, value in held.items() if name in known} if isinstance(held, dict) else {}
        card = opened.card
        module = cls(card.arch, len(card.classes), card.options, **(hyper | changes))
        module.net.load_state_dict(opened.net.state_dict())
        return module

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Called by Lightning before the callbacks get their states back."""
        only_own_files(checkpoint, self.trainer)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)  # (N, 3, H, W) -> (N, classes)

    def _count(self, logits: Tensor, labels: Tensor, loss: Tensor) -> None:
        right = (logits.detach().argmax(1) == labels).sum()
        self.tally = self.tally.to(logits.device)
        self.tally += torch.stack((loss.detach().float() * len(labels), right, torch.full_like(right, len(labels))))

    def _report(self, role: str) -> None:
        """Log the epoch's mean loss and accuracy over all processes, and start counting anew."""
        tally = self.trainer.strategy.reduce(self.tally, reduce_op="sum")
        assert isinstance(tally, Tensor)
        loss, accuracy = tally[0] / tally[2], tally[1] / tally[2]
        same: dict[str, Any] = {"sync_dist": True, "reduce_fx": "max"}  # already so in all; else Lightning warns
        self.log_dict({f"{role}_loss": loss, f"{role}_accuracy": accuracy}, prog_bar=True, **same)
        if role == "test":
            self.log("test_error", 1 - accuracy, **same)
        self.tally = torch.zeros(3)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        images, labels = batch
        logits = self.net(images)
        loss = F.cross_entropy(logits.float(), labels, label_smoothing=self.label_smoothing)
        self._count(logits, labels, loss)
        return loss

    def on_train_epoch_end(self) -> None:
        self._report("train")

    def _eval_step(self, batch: tuple[Tensor, Tensor]) -> None:
        images, labels = batch
        logits = self._exact(images)
        self._count(logits, labels, F.cross_entropy(logits, labels))

    def _exact(self, images: Tensor) -> Tensor:
        """Logits in float32, so that an accuracy does not depend on the precision of the training."""
        with torch.autocast(images.device.type, enabled=False):
            return self.net(images.to(self.dtype)).float()  # (N, classes)

    def on_validation_epoch_start(self) -> None:
        self._kept, self.tally = self.tally, torch.zeros(3)  # validation runs inside the training epoch

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self._eval_step(batch)

    def on_validation_epoch_end(self) -> None:
        self._report("val")
        self.tally = self._kept

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self._eval_step(batch)

    def on_test_epoch_end(self) -> None:
        self._report("test")

    def predict_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        return self._exact(batch[0]).softmax(1)  # (N, classes)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        weights = [p for p in self.parameters() if p.ndim > 1]
        others = [p for p in self.parameters() if p.ndim <= 1]
        groups = [{"params": weights, "weight_decay": self.weight_decay}, {"params": others, "weight_decay": 0.0}]
        optimizer = torch.optim.SGD(groups, self.lr, self.momentum, nesterov=True, fused=True)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: share(step, steps, self.warmup, self.schedule)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
