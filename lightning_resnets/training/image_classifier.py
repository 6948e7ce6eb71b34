"""The LightningModule that trains any model of the registry as an image classifier."""

from pathlib import Path
from typing import Any, Self, cast

import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_resnets.errors import TrainingError
from lightning_resnets.models.registry import create_model
from lightning_resnets.training.callbacks.out_of_memory import OutOfMemoryHint
from lightning_resnets.training.checkpoint_paths import drop_foreign_paths
from lightning_resnets.training.classifier_options import (
    LossName,
    LRSchedule,
    check_model_options,
    check_training_options,
)
from lightning_resnets.training.hardware import to_channels_last
from lightning_resnets.training.losses import ClassificationLoss, check_targets
from lightning_resnets.training.lr_schedule import WarmupDecayLR, count_steps
from lightning_resnets.training.metric_logging import EpochMetrics
from lightning_resnets.training.module_checkpoint import LoadOptions, MapLocation, load_module
from lightning_resnets.training.monitor_check import check_monitored_metrics
from lightning_resnets.training.optimizers import (
    OPTIMIZERS,
    OptimizerName,
    allow_gradient_clipping,
    keeps_loss_scale,
    param_groups,
    select_parameters,
    unfreeze_optimized,
)


class ImageClassifier(EpochMetrics):
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
        TrainingError: a value is out of range.
        ModelError: the model's name or an option of it is not valid.
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
        lr_schedule: LRSchedule = "linear",
        optimizer: OptimizerName = "sgd",
        loss: LossName = "cross_entropy",
        consistency_weight: float = 0.0,
        compile: bool = False,  # noqa: A002 - the name of the option
    ) -> None:
        super().__init__()
        # Lightning writes the arguments into every checkpoint, to build the module from.
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
        check_model_options(num_classes, model_kwargs)
        check_training_options(self)
        self.model = create_model(arch, num_classes, **(model_kwargs or {}))
        # In a tuple it is not a submodule, so that no name of a weight gets a prefix.
        self._compiled_model: tuple[nn.Module] = (self.model,)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; one that Lightning sets 40 times a step skips nn.Module's checks."""
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]  # Lightning's is no plain classmethod
        cls,
        checkpoint_path: str | Path,
        map_location: MapLocation = None,
        hparams_file: str | Path | None = None,
        strict: bool | None = None,
        weights_only: bool | None = None,
        **kwargs: Any,
    ) -> Self:
        """Load a module with its weights; nothing in the file is run or imported.

        Lightning's own method imports what a file's hyperparameters name, and loads web addresses
        without any check. This one has the same arguments. It also loads any other file that
        `load_checkpoint` reads; then the hyperparameters that the file lacks have their defaults.

        Args:
            checkpoint_path: the file.
            map_location: device of the module, as in `torch.load`; the CPU by default.
            hparams_file: YAML or CSV file that replaces the file's hyperparameters.
            strict: False to load only the weights that match. By default all must.
            weights_only: unused, always True.
            **kwargs: hyperparameters to change. With another `num_classes` the classifier starts
                untrained. A custom model is built only if `arch` repeats its name here.

        Returns:
            The module in training mode.

        Raises:
            CheckpointError: the file cannot be loaded, or does not match the class.
        """
        options = LoadOptions(map_location, hparams_file, strict, kwargs)
        return load_module(cls, Path(checkpoint_path), options)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Remove paths outside of the run's folder, before Lightning restores the callbacks.

        Args:
            checkpoint: content of the file, changed in place.
        """
        # Without a Trainer there are no callbacks.
        if self._trainer is not None:
            drop_foreign_paths(checkpoint, self.trainer)

    def configure_callbacks(self) -> list[Callback]:
        """Return a callback that explains a lack of memory, once for each Trainer."""
        callbacks: list[Callback] = self.trainer.callbacks  # type: ignore[attr-defined]
        has_hint = any(isinstance(callback, OutOfMemoryHint) for callback in callbacks)
        return [] if has_hint else [OutOfMemoryHint()]

    def forward(self, x: Tensor) -> Tensor:
        """Compute logits.

        Args:
            x: images (N, C, H, W).

        Returns:
            Logits (N, K).
        """
        return self.model(x)

    def on_fit_start(self) -> None:
        """Compile the model, and check what dual cutout and monitored metrics need.

        Raises:
            DataError: a callback monitors a metric of a validation that the run does not have.
            TrainingError: consistency_weight is above 0 without dual cutout.
        """
        check_monitored_metrics(self.trainer)
        augmentation = getattr(getattr(self.trainer, "datamodule", None), "augmentation", None)
        if self.consistency_weight and not getattr(augmentation, "dual_cutout", False):
            raise TrainingError("consistency_weight needs dual cutout: --data.dual_cutout true.")
        unfreeze_optimized(self, self.trainer)
        if self.is_compiled:
            # All training batches have one shape, for which the code is fastest.
            compiled = cast("nn.Module", torch.compile(self.model, dynamic=False))
            self._compiled_model = (compiled,)

    def on_fit_end(self) -> None:
        """Release the compiled model."""
        self._compiled_model = (self.model,)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Compute the loss of a batch and count its correct predictions.

        Args:
            batch: images, and labels or probabilities.
            batch_idx: index of the batch in the epoch.

        Returns:
            The loss, a scalar.
        """
        images, targets = batch
        # The loss is computed in float32, whatever the precision of the model.
        logits = self._compiled_model[0](to_channels_last(images)).float()  # (N, K)
        check_targets(logits, targets, batch_idx)
        compute_loss = ClassificationLoss(self.loss, self.label_smoothing, self.consistency_weight)
        loss = compute_loss(logits, targets)
        self.count_train(loss, logits, targets)
        return loss

    def validation_step(
        self, batch: tuple[Tensor, Tensor], batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Count the correct predictions of a batch.

        Args:
            batch: images and labels.
            batch_idx: index of the batch in the validation.
            dataloader_idx: index of the loader.
        """
        images, labels = batch
        logits = self._float32_logits(images)
        check_targets(logits, labels, batch_idx)
        is_correct = logits.argmax(1) == labels
        # Without label smoothing, so that runs with different losses can be compared.
        loss = F.cross_entropy(logits, labels)
        self.count_eval("val", loss, is_correct, is_correct, dataloader_idx)

    def test_step(
        self, batch: tuple[Tensor, Tensor], batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Count the correct predictions of a batch, also with flip test-time augmentation.

        Args:
            batch: images and labels.
            batch_idx: index of the batch in the test.
            dataloader_idx: index of the loader.
        """
        images, labels = batch
        logits = self._float32_logits(images)
        check_targets(logits, labels, batch_idx)
        flipped = self._float32_logits(images.flip(-1))
        is_correct = logits.argmax(1) == labels
        # The sum has the same largest class as the mean.
        is_correct_flip_tta = (logits.softmax(1) + flipped.softmax(1)).argmax(1) == labels
        loss = F.cross_entropy(logits, labels)
        self.count_eval("test", loss, is_correct, is_correct_flip_tta, dataloader_idx)

    def predict_step(
        self, batch: tuple[Tensor, Tensor], batch_idx: int, dataloader_idx: int = 0
    ) -> Tensor:
        """Return the probabilities of a batch.

        Args:
            batch: images and labels.
            batch_idx: unused.
            dataloader_idx: unused.

        Returns:
            (N, K) float32.
        """
        return self._float32_logits(batch[0]).softmax(1)

    def _float32_logits(self, images: Tensor) -> Tensor:
        """Return logits in float32, so that an accuracy does not depend on the run's precision."""
        with torch.autocast(images.device.type, enabled=False):
            # Not compiled: the last batch is smaller, and would be compiled once more.
            return self.model(to_channels_last(images).to(self.dtype)).float()

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return the optimizer and its learning-rate schedule.

        Raises:
            TrainingError: the training has no last step, so that there is no schedule.
        """
        parameters = select_parameters(self, self.trainer)
        groups = param_groups(parameters, self.weight_decay)
        optimizer = OPTIMIZERS[self.optimizer](groups, self.lr, self.momentum)
        if not keeps_loss_scale(self, self.trainer):
            allow_gradient_clipping(optimizer)
        num_steps = count_steps(self.trainer)
        schedule = WarmupDecayLR(optimizer, num_steps, self.warmup_fraction, self.lr_schedule)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
