"""The LightningModule that trains any model of the registry as an image classifier."""

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
from lightning_resnets.training.metrics import ClassificationCounts
from lightning_resnets.training.optimizers import OPTIMIZERS, OptimizerName, param_groups

# Probability above which binary cross entropy counts a class of a mixed image as present.
BCE_TARGET_THRESHOLD = 0.2

# Arguments that a model card replaces when a checkpoint is loaded.
MODEL_ARGUMENTS = {"self", "arch", "num_classes", "model_kwargs"}


def lr_factor(step: int, num_steps: int, warmup_fraction: float, lr_schedule: str) -> float:
    """Return the learning rate of a step as a fraction of its peak.

    Args:
        step: optimizer step, from 0.
        num_steps: steps of the whole training.
        warmup_fraction: fraction of the steps in which the rate rises linearly.
        lr_schedule: "linear" or "cosine", the decay to zero.

    Returns:
        0 to 1.
    """
    warmup_steps = warmup_fraction * num_steps
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    remaining = (num_steps - step) / max(1.0, num_steps - warmup_steps)  # 1 at the peak, then to 0
    return remaining if lr_schedule == "linear" else 0.5 - 0.5 * math.cos(math.pi * remaining)


class ImageClassifier(L.LightningModule):
    """A model, a loss, and an optimizer with warm-up and decay of the learning rate.

    All hyperparameters are plain values, so that a checkpoint contains only JSON types and tensors.
    A training batch is images (N, C, H, W) and labels (N,) int64 or probabilities (N, K) float32.
    Logs `train_loss`, `train_accuracy`, `val_...` and `test_...` once an epoch. The test also logs
    `test_accuracy_flip_tta`, from the mean probability of an image and its mirror image.

    Args:
        arch: name of the model for `create_model`.
        num_classes: number K of classes.
        model_kwargs: keyword arguments of the model.
        lr: peak learning rate.
        momentum: momentum of SGD, or beta 1 of the other optimizers.
        weight_decay: decay of weights with two or more dimensions.
        label_smoothing: probability that is spread over all classes.
        warmup_fraction: fraction of the steps before the peak.
        lr_schedule: "linear" or "cosine" decay to zero.
        optimizer: a key of `OPTIMIZERS`.
        loss: "cross_entropy", or "bce": binary cross entropy of each class, in which a mixed image
            shows both of its classes ("ResNet strikes back", arXiv:2110.00476).
        consistency_weight: weight of the squared distance between the logits of an image under the
            two squares of dual cutout.
        compile: compile the model, and nothing around it, with torch.compile.

    Raises:
        ValueError: a value is out of range.
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
        compile: bool = False,  # noqa: A002 - the name of the option
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.lr = lr
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.label_smoothing = label_smoothing
        self.warmup_fraction = warmup_fraction
        self.lr_schedule = lr_schedule
        self.optimizer = optimizer
        self.loss = loss
        self.consistency_weight = consistency_weight
        self.is_compiled = compile
        self._check_options(model_kwargs or {})
        model = create_model(arch, num_classes, **(model_kwargs or {}))
        self.model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        # In a tuple it is not a submodule, so that no name of a weight gets a prefix.
        self._compiled_model: tuple[nn.Module] = (self.model,)
        self.train_counts = ClassificationCounts()
        # Validation runs inside a training epoch, so it has counts of its own.
        self.eval_counts = ClassificationCounts()

    def _check_options(self, model_kwargs: dict[str, Any]) -> None:
        """Raise ValueError for the first option that is out of range."""
        self._require("lr", 0 < self.lr < math.inf, "above 0")
        self._require("momentum", 0 <= self.momentum < 1, "at least 0 and below 1")
        self._require("weight_decay", 0 <= self.weight_decay < math.inf, "at least 0")
        self._require("label_smoothing", 0 <= self.label_smoothing < 1, "at least 0 and below 1")
        self._require("warmup_fraction", 0 <= self.warmup_fraction <= 1, "0 to 1")
        self._require("consistency_weight", 0 <= self.consistency_weight < math.inf, "at least 0")
        if invalid := {"num_classes", "name"} & model_kwargs.keys():
            raise ValueError(
                f"model_kwargs must not contain '{min(invalid)}': the dataset sets the number of "
                "classes and arch the name."
            )

    def _require(self, name: str, is_valid: bool, allowed: str) -> None:
        """Raise ValueError with the allowed range unless an option is valid."""
        if not is_valid:
            value = getattr(self, name)
            raise ValueError(f"{name} must be {allowed}, got {value:g} (--model.{name}).")

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; one that Lightning sets 40 times a step skips nn.Module's checks."""
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]  # Lightning's other arguments are not safe
        cls, checkpoint_path: str | Path, model: str | None = None, **overrides: Any
    ) -> Self:
        """Load a module with its weights; nothing in the file is run or imported.

        Lightning's own method imports what a file's hyperparameters name, and loads web addresses
        without any check.

        Args:
            checkpoint_path: any checkpoint that `load_checkpoint` reads.
            model: name of the model, for `load_checkpoint`.
            **overrides: hyperparameters to change. Those that the file lacks have their defaults.

        Returns:
            The module.

        Raises:
            CheckpointError: the file cannot be loaded.
        """
        loaded = load_checkpoint(checkpoint_path, model)
        saved = (loaded.metadata or {}).get("hyper_parameters")
        hyperparameters = _known_hyperparameters(cls, saved) | overrides
        card = loaded.card
        module = cls(card.arch, len(card.class_names), card.model_kwargs, **hyperparameters)
        module.model.load_state_dict(loaded.model.state_dict())
        return module

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Remove paths outside of the run's folder, before Lightning restores the callbacks.

        Args:
            checkpoint: content of the file, changed in place.
        """
        drop_foreign_paths(checkpoint, self.trainer)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (N, K) of images (N, C, H, W)."""
        return self.model(x)

    def on_fit_start(self) -> None:
        """Compile the model, and check that dual cutout is on where consistency needs it.

        Raises:
            ValueError: there is no dual cutout.
        """
        plan = getattr(getattr(self.trainer, "datamodule", None), "augmentation", None)
        if self.consistency_weight and not getattr(plan, "dual_cutout", False):
            raise ValueError(
                "consistency_weight requires dual cutout: add --data.dual_cutout true."
            )
        if self.is_compiled:
            compiled = cast("nn.Module", torch.compile(self.model, dynamic=False))
            self._compiled_model = (compiled,)

    def on_fit_end(self) -> None:
        """Release the compiled model."""
        self._compiled_model = (self.model,)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Compute the loss of a batch and count its correct predictions.

        Args:
            batch: images, and labels or probabilities.
            batch_idx: unused.

        Returns:
            The loss, a scalar.
        """
        images, targets = batch
        logits = self._compiled_model[0](images).float()  # (N, K)
        loss = self._loss(logits, targets)
        with torch.no_grad():
            labels = targets if targets.ndim == 1 else targets.argmax(1)
            is_correct = logits.argmax(1) == labels
            self.train_counts.update(loss, is_correct, is_correct)
        return loss

    def _loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of logits (N, K) for labels (N,) or probabilities (N, K)."""
        if self.loss == "cross_entropy":
            loss = F.cross_entropy(logits, targets, label_smoothing=self.label_smoothing)
        else:
            loss = self._binary_cross_entropy(logits, targets)
        if self.consistency_weight:
            first, second = logits.chunk(2)
            loss = loss + self.consistency_weight * F.mse_loss(first, second)
        return loss

    def _binary_cross_entropy(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the binary cross entropy over images and classes."""
        num_classes = logits.shape[1]
        if targets.ndim == 2:
            is_present = (targets > BCE_TARGET_THRESHOLD).float()
        else:
            is_present = one_hot(targets, num_classes)
        smooth = is_present * (1 - self.label_smoothing) + self.label_smoothing / num_classes
        return F.binary_cross_entropy_with_logits(logits, smooth)

    def on_train_epoch_end(self) -> None:
        """Log loss and accuracy of the training epoch."""
        self._log_counts("train", self.train_counts)

    def on_validation_epoch_start(self) -> None:
        """Forget the images of a validation that was interrupted."""
        self.eval_counts.reset()

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Count the correct predictions of a batch.

        Args:
            batch: images and labels.
            batch_idx: unused.
        """
        images, labels = batch
        logits = self._float32_logits(images)
        is_correct = logits.argmax(1) == labels
        self.eval_counts.update(F.cross_entropy(logits, labels), is_correct, is_correct)

    def on_validation_epoch_end(self) -> None:
        """Log loss and accuracy of the validation."""
        self._log_counts("val", self.eval_counts)

    def on_test_epoch_start(self) -> None:
        """Forget the images of a test that was interrupted."""
        self.eval_counts.reset()

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Count the correct predictions of a batch, also with flip test-time augmentation.

        Args:
            batch: images and labels.
            batch_idx: unused.
        """
        images, labels = batch
        logits = self._float32_logits(images)
        flipped = self._float32_logits(images.flip(-1))
        is_correct = logits.argmax(1) == labels
        is_correct_flip_tta = (logits.softmax(1) + flipped.softmax(1)).argmax(1) == labels
        self.eval_counts.update(F.cross_entropy(logits, labels), is_correct, is_correct_flip_tta)

    def on_test_epoch_end(self) -> None:
        """Log loss, accuracies and errors of the test."""
        self._log_counts("test", self.eval_counts)

    def _log_counts(self, role: str, counts: ClassificationCounts) -> None:
        """Log the means over all ranks, and reset the counts."""
        means = counts.compute()
        counts.reset()
        # All ranks have the same values; without these options Lightning warns.
        same: dict[str, Any] = {"sync_dist": True, "reduce_fx": "max"}
        accuracy = means["accuracy"]
        values = {f"{role}_loss": means["loss"], f"{role}_accuracy": accuracy}
        self.log_dict(values, prog_bar=True, **same)
        if role == "test":
            flip_tta = means["accuracy_flip_tta"]
            self.log("test_error", 1 - accuracy, **same)
            self.log("test_accuracy_flip_tta", flip_tta, **same)
            self.log("test_error_flip_tta", 1 - flip_tta, **same)
            self.log("test_images", means["images"], **same)

    def _float32_logits(self, images: Tensor) -> Tensor:
        """Return logits in float32, so that an accuracy does not depend on the run's precision."""
        with torch.autocast(images.device.type, enabled=False):
            return self.model(images.to(self.dtype)).float()

    def predict_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Return the probabilities of a batch.

        Args:
            batch: images and labels.
            batch_idx: unused.

        Returns:
            (N, K) float32.
        """
        return self._float32_logits(batch[0]).softmax(1)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return the optimizer and its learning-rate schedule."""
        groups = param_groups(self.model.parameters(), self.weight_decay)
        optimizer = OPTIMIZERS[self.optimizer](groups, self.lr, self.momentum)
        num_steps = int(self.trainer.estimated_stepping_batches)

        def factor(step: int) -> float:
            return lr_factor(step, num_steps, self.warmup_fraction, self.lr_schedule)

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def _known_hyperparameters(cls: type[ImageClassifier], saved: object) -> dict[str, Any]:
    """Return the saved hyperparameters that the class takes, without those that name the model."""
    if not isinstance(saved, dict):
        return {}
    known = inspect.signature(cls.__init__).parameters.keys() - MODEL_ARGUMENTS
    return {name: value for name, value in saved.items() if name in known}
