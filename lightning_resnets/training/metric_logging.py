"""Count the images of each epoch and log loss and accuracy, exactly, once an epoch."""

from typing import Any

import lightning as L
import torch
from torch import Tensor, nn

from lightning_resnets.errors import TrainingError
from lightning_resnets.training.metrics import ClassificationCounts, CountedMean

# Means that are logged, by the role of the images.
LOGGED_MEANS = {
    "train": ("loss", "accuracy"),
    "val": ("loss", "accuracy"),
    "test": ("loss", "accuracy", "error", "accuracy_flip_tta", "error_flip_tta", "images"),
}
PROGRESS_BAR_MEANS = ("loss", "accuracy")


class EpochMetrics(L.LightningModule):
    """A LightningModule with counts for training and for each loader of an evaluation.

    Steps call `count_train` and `count_eval`. A subclass whose steps do not call them logs its own
    metrics, and nothing is logged here. With several loaders the names end in
    "/dataloader_idx_0" and so on, as Lightning's own.
    """

    def __init__(self) -> None:
        super().__init__()
        self.train_counts = ClassificationCounts()
        # Validation runs inside a training epoch, so it has counts of its own, one per loader.
        self.eval_counts = nn.ModuleList([ClassificationCounts()])

    def setup(self, stage: str) -> None:
        """Forget the images of a run that ended with an exception.

        Args:
            stage: unused.
        """
        # Before a checkpoint is loaded, which may restore the counts of half an epoch.
        self.train_counts.reset()

    def on_train_epoch_start(self) -> None:
        """Begin an epoch without images. Lightning skips this where it resumes within an epoch."""
        self.train_counts.reset()

    def count_train(self, loss: Tensor, logits: Tensor, targets: Tensor) -> None:
        """Count the correct predictions of a training batch.

        Args:
            loss: mean loss, a scalar.
            logits: (N, K).
            targets: labels (N,) or probabilities (N, K), of which the largest counts.
        """
        with torch.no_grad():
            labels = targets if targets.ndim == 1 else targets.argmax(1)
            is_correct = logits.argmax(1) == labels
            # There is no flip test-time augmentation in training.
            self.train_counts.update(loss, is_correct, is_correct)

    def on_train_epoch_end(self) -> None:
        """Log loss and accuracy of the training epoch."""
        self._log_counts("train", self.train_counts)

    def on_validation_epoch_start(self) -> None:
        """Begin a validation without images."""
        trainer = self.trainer
        if trainer.sanity_checking:
            self._reset_eval_counts(trainer.num_sanity_val_batches)
        else:
            self._reset_eval_counts(trainer.num_val_batches)

    def on_test_epoch_start(self) -> None:
        """Begin a test without images."""
        self._reset_eval_counts(self.trainer.num_test_batches)

    def _reset_eval_counts(self, num_batches: list[int | float]) -> None:
        """Create or reset the counts of each loader."""
        if len(num_batches) != len(self.eval_counts):
            counts = [ClassificationCounts().to(self.device) for _ in num_batches]
            self.eval_counts = nn.ModuleList(counts)
        for counts in self.eval_counts:
            counts.reset()  # type: ignore[operator]
        has_batches = all(number > 0 for number in num_batches)
        # Lightning would wait for ever for the metrics of a rank that has logged none.
        if len(num_batches) > 1 and not self.trainer.strategy.reduce_boolean_decision(has_batches):
            raise TrainingError(
                "With several evaluation loaders, each process needs a batch of each loader, but "
                f"the loaders of one have {num_batches} batches. Use fewer processes, or evaluate "
                "the loaders one after the other."
            )

    def count_eval(
        self,
        role: str,
        loss: Tensor,
        is_correct: Tensor,
        is_correct_flip_tta: Tensor,
        dataloader_idx: int,
    ) -> None:
        """Count the correct predictions of an evaluation batch.

        Args:
            role: "val" or "test".
            loss: mean loss, a scalar.
            is_correct: (N,) bool.
            is_correct_flip_tta: (N,) bool, the same with flip test-time augmentation.
            dataloader_idx: index of the loader.
        """
        counts = self.eval_counts[dataloader_idx]
        assert isinstance(counts, ClassificationCounts)
        counts.update(loss, is_correct, is_correct_flip_tta)
        # Only within a step does Lightning keep the metrics of several loaders apart. With one
        # loader they are logged at the end, when also a process without batches takes part.
        if len(self.eval_counts) > 1:
            self._log_within_step(role, counts, len(is_correct))

    def _log_within_step(self, role: str, counts: ClassificationCounts, batch_size: int) -> None:
        """Log the means of one of several loaders, which Lightning computes at the end."""
        for name in LOGGED_MEANS[role]:
            self.log(
                f"{role}_{name}",
                CountedMean(counts, name),
                on_step=False,
                on_epoch=True,
                prog_bar=name in PROGRESS_BAR_MEANS,
                batch_size=batch_size,
                # Lightning finds no attribute for a metric that is not a submodule.
                metric_attribute="eval_counts",
            )

    def on_validation_epoch_end(self) -> None:
        """Log loss and accuracy of the validation."""
        self._log_eval("val")

    def on_test_epoch_end(self) -> None:
        """Log loss, accuracies and errors of the test."""
        self._log_eval("test")

    def _log_eval(self, role: str) -> None:
        """Log the means of an evaluation with one loader."""
        if len(self.eval_counts) == 1:
            counts = self.eval_counts[0]
            assert isinstance(counts, ClassificationCounts)
            self._log_counts(role, counts)

    def _log_counts(self, role: str, counts: ClassificationCounts) -> None:
        """Log the means over all ranks, if there were images, and reset the counts."""
        means = counts.compute()
        counts.reset()
        # As in a subclass whose steps do not count: it logs metrics of its own.
        if means["images"] == 0:
            return
        # All ranks have the same values; without these options Lightning warns.
        same: dict[str, Any] = {"sync_dist": True, "reduce_fx": "max"}
        for name in LOGGED_MEANS[role]:
            is_in_bar = name in PROGRESS_BAR_MEANS
            self.log(f"{role}_{name}", means[name], prog_bar=is_in_bar, **same)
