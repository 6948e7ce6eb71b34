"""The LightningModule that trains any model of the zoo to tell classes apart."""

import inspect
import math
from pathlib import Path
from typing import Any, Literal, Self, cast

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_resnets.checkpoint.load import load_checkpoint
from lightning_resnets.data.mixup import one_hot
from lightning_resnets.models.registry import create_model
from lightning_resnets.training.checkpoint_paths import drop_foreign_paths
from lightning_resnets.training.optimizers import OPTIMIZERS, OptimizerName, param_groups


def lr_factor(step: int, steps: int, warmup_fraction: float, schedule: str) -> float:
    """Share of the peak learning rate at a step: a linear rise over `warmup` of all steps, then down to zero."""
    rise = warmup_fraction * steps
    if step < rise:
        return (step + 1) / (rise + 1)
    left = (steps - step) / max(1.0, steps - rise)  # 1 at the peak, 0 at the end
    return left if schedule == "linear" else 0.5 - 0.5 * math.cos(math.pi * left)


BCE_TARGET_THRESHOLD = (
    0.2  # share of a mixed image from which on binary cross entropy counts a class as there
)


class ImageClassifier(L.LightningModule):
    """A model of the zoo, a loss, and an optimizer under a one-cycle schedule.

    `model` and `options` name the model (`zoo.build`), `classes` its outputs. `lr` is the peak rate, reached after
    `warmup` (a share of all steps) and brought down to zero as `schedule` says. Weight decay acts on weights of two
    and more dimensions, not on biases and batch norms. `loss` is cross entropy or, as in "ResNet strikes back", binary
    cross entropy of each class, a mixed image showing both of its classes. `consistency` weighs the squared distance
    of the two answers to an image under dual cutout. `compile` hands the model, and nothing around it, to torch.compile:
    saved names stay the model's own.
    All hyperparameters are plain values, so a checkpoint holds nothing but JSON types and tensors.

    A training batch is images (N, C, H, W) and targets: labels (N,) int64 or probabilities (N, classes) float32.
    Logs `train_loss`, `train_accuracy`, `val_...` and `test_...` once an epoch; the test also logs
    `test_accuracy_flip_tta`, by the mean of the probabilities for an image and its mirror image.
    """

    def __init__(
        self,
        arch: str = "resnet20",
        num_classes: int = 10,
        model_kwargs: dict[str, Any] | None = None,
        lr: float = 0.4,
        momentum: float = 0.9,
        weight_decay: float = 2e-4,
        label_smoothing: float = 0.0,
        warmup_fraction: float = 0.2,
        lr_schedule: Literal["linear", "cosine"] = "linear",
        optimizer: OptimizerName = "sgd",
        loss: Literal["cross_entropy", "bce"] = "cross_entropy",
        consistency_weight: float = 0.0,
        compile: bool = False,  # noqa: A002 - what one writes on the command line
    ) -> None:
        super().__init__()
        ranges: dict[str, tuple[bool, float, str]] = {
            "lr": (0 < lr < math.inf, lr, "above 0"),
            "momentum": (0 <= momentum < 1, momentum, "0 or more and below 1"),
            "weight_decay": (0 <= weight_decay < math.inf, weight_decay, "0 or more"),
            "label_smoothing": (0 <= label_smoothing < 1, label_smoothing, "0 or more and below 1"),
            "warmup": (0 <= warmup_fraction <= 1, warmup_fraction, "a share of the steps, 0 to 1"),
            "consistency": (0 <= consistency_weight < math.inf, consistency_weight, "0 or more"),
        }
        for name, (good, value, allowed) in ranges.items():
            if not good:
                raise ValueError(f"{name} is {allowed}, not {value:g} (--model.{name}).")
        if wrong := {"num_classes", "name"} & (model_kwargs or {}).keys():
            raise ValueError(
                f"'{min(wrong)}' is no option of a model: the data say how many classes there are."
            )
        self.save_hyperparameters()
        self.model = create_model(arch, num_classes, **(model_kwargs or {})).to(
            memory_format=torch.channels_last
        )  # type: ignore[call-overload]
        self.lr, self.momentum, self.weight_decay = lr, momentum, weight_decay
        self.label_smoothing, self.warmup_fraction, self.lr_schedule = (
            label_smoothing,
            warmup_fraction,
            lr_schedule,
        )
        self.optimizer, self.loss, self.consistency_weight, self.compiled = (
            optimizer,
            loss,
            consistency_weight,
            compile,
        )
        self._compiled: tuple[nn.Module] = (self.model,)
        self.tally = torch.zeros(
            4
        )  # summed loss, right answers, right ones with mirror, images: read once an epoch

    def __setattr__(self, name: str, value: Any) -> None:
        """Lightning notes the current hook's name twice a hook, 40 times a step: no search for what that may be."""
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]  # Lightning's own has more ways in, and they are not safe
        cls, checkpoint_path: str | Path, model: str | None = None, **changes: Any
    ) -> Self:
        """The module of a file, with its weights, read by `checkpoint.read`: nothing in the file is run or imported.

        Lightning's own method imports what a file's hyperparameters name, and loads a web address without any check.
        `model` is a name that you give yourself (`checkpoint.read.load`), `changes` are hyperparameters to set anew.
        Any file that can be opened will do; hyperparameters that it does not hold have their defaults. Raises
        CheckpointError.
        """
        opened = load_checkpoint(checkpoint_path, model)
        held = (opened.metadata or {}).get("hyper_parameters")
        known = inspect.signature(cls.__init__).parameters.keys() - {
            "self",
            "arch",
            "num_classes",
            "model_kwargs",
        }
        hyper = (
            {name: value for name, value in held.items() if name in known}
            if isinstance(held, dict)
            else {}
        )
        card = opened.card
        module = cls(card.arch, len(card.class_names), card.model_kwargs, **(hyper | changes))
        module.model.load_state_dict(opened.model.state_dict())
        return module

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Called by Lightning before the callbacks get their states back."""
        drop_foreign_paths(checkpoint, self.trainer)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)  # (N, 3, H, W) -> (N, classes)

    def on_fit_start(self) -> None:
        """Compile a second way into the model, beside the modules, so that no name gets a prefix."""
        plan = getattr(getattr(self.trainer, "datamodule", None), "augmentation", None)
        if self.consistency_weight and not getattr(plan, "dual_cutout", False):
            raise ValueError(
                "consistency compares the two answers of dual cutout: add --data.dual_cutout true."
            )
        self._compiled = (
            cast("nn.Module", torch.compile(self.model, dynamic=False))
            if self.compiled
            else self.model,
        )  # in a tuple it is no submodule

    def on_fit_end(self) -> None:
        self._compiled = (self.model,)

    def _count(self, right: Tensor, mirrored: Tensor, loss: Tensor) -> None:
        """Add a batch: which answers are right (N,), with the mirror image too (N,), and the mean loss."""
        self.tally = self.tally.to(loss.device)
        count = len(right)
        self.tally += torch.stack(
            (
                loss.detach().float() * count,
                right.sum(),
                mirrored.sum(),
                right.new_full((), count, dtype=torch.float),
            )
        )

    def _report(self, role: str) -> None:
        """Log the epoch's mean loss and accuracy over all processes, and start counting anew."""
        tally = self.trainer.strategy.reduce(self.tally.to(self.device), reduce_op="sum")
        assert isinstance(tally, Tensor)
        loss, accuracy, mirrored = tally[:3] / tally[3]
        same: dict[str, Any] = {
            "sync_dist": True,
            "reduce_fx": "max",
        }  # already so in all; else Lightning warns
        self.log_dict({f"{role}_loss": loss, f"{role}_accuracy": accuracy}, prog_bar=True, **same)
        if role == "test":
            self.log("test_error", 1 - accuracy, **same)
            self.log_dict(
                {"test_accuracy_flip_tta": mirrored, "test_error_flip_tta": 1 - mirrored}, **same
            )
            self.log("test_images", tally[3], **same)
        self.tally = torch.zeros(4)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        images, targets = batch
        logits = self._compiled[0](images).float()  # (N, classes)
        loss = self._loss(logits, targets)
        with torch.no_grad():
            right = logits.argmax(1) == (targets if targets.ndim == 1 else targets.argmax(1))
            self._count(right, right, loss)
        return loss

    def _loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss of logits (N, classes) for labels (N,) or probabilities (N, classes)."""
        if self.loss == "cross_entropy":
            loss = F.cross_entropy(logits, targets, label_smoothing=self.label_smoothing)
        else:
            hot = (
                (targets > BCE_TARGET_THRESHOLD).float()
                if targets.ndim == 2
                else one_hot(targets, logits.shape[1])
            )
            smooth = hot * (1 - self.label_smoothing) + self.label_smoothing / logits.shape[1]
            loss = F.binary_cross_entropy_with_logits(logits, smooth)
        if self.consistency_weight:
            first, second = logits.chunk(2)
            loss = loss + self.consistency_weight * F.mse_loss(first, second)
        return loss

    def on_train_epoch_end(self) -> None:
        self._report("train")

    def _eval_step(self, batch: tuple[Tensor, Tensor], mirror: bool = False) -> None:
        images, labels = batch
        logits = self._exact(images)
        right = mirrored = logits.argmax(1) == labels
        if mirror:
            both = logits.softmax(1) + self._exact(images.flip(-1)).softmax(1)
            mirrored = both.argmax(1) == labels
        self._count(right, mirrored, F.cross_entropy(logits, labels))

    def _exact(self, images: Tensor) -> Tensor:
        """Logits in float32, so that an accuracy does not depend on the precision of the training."""
        with torch.autocast(images.device.type, enabled=False):
            return self.model(images.to(self.dtype)).float()  # (N, classes)

    def on_validation_epoch_start(self) -> None:
        self._kept, self.tally = (
            self.tally,
            torch.zeros(4),
        )  # validation runs inside the training epoch

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self._eval_step(batch)

    def on_validation_epoch_end(self) -> None:
        self._report("val")
        self.tally = self._kept

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self._eval_step(batch, mirror=True)

    def on_test_epoch_end(self) -> None:
        self._report("test")

    def predict_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        return self._exact(batch[0]).softmax(1)  # (N, classes)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        held = param_groups(self.model.parameters(), self.weight_decay)
        optimizer = OPTIMIZERS[self.optimizer](held, self.lr, self.momentum)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: lr_factor(step, steps, self.warmup_fraction, self.lr_schedule)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
