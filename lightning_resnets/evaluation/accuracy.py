"""Measure the top-1 and top-5 accuracy of a loaded model on labeled images."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from lightning_resnets.checkpoint.load import LoadedCheckpoint
from lightning_resnets.checkpoint.model_card import ModelCard
from lightning_resnets.data import image_folder
from lightning_resnets.data.datasets import DATASETS
from lightning_resnets.data.evaluation_sets import subsample
from lightning_resnets.errors import DataError
from lightning_resnets.evaluation.accuracy_notes import accuracy_notes, find_accuracies
from lightning_resnets.utils.arguments import check_choice, check_int, check_path, check_type

OWN_DIALECT = "lightning_resnets"  # of a checkpoint whose weights have our names

# Larger batches are slower: their feature maps leave the cache.
PIXELS_PER_BATCH = 16 * 224 * 224
MAX_DEFAULT_BATCH_SIZE = 64
MAX_THREADS = 1024

ProgressCallback = Callable[[int, int, int], None]  # images done, correct ones, all images


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationResult:
    """Accuracy of a model on a dataset.

    Attributes:
        arch: name of the architecture.
        dialect: key naming scheme of the checkpoint.
        dataset: name of the dataset, a key of `DATASETS`.
        correct: number of images with the correct top-1 class.
        total: number of images.
        top1: top-1 accuracy, 0 to 1.
        top5: top-5 accuracy, 0 to 1.
        seconds: wall time, with loading and decoding.
        reported: accuracies that the file says, by their names there.
        notes: sentences on what is surprising about the accuracy.
    """

    arch: str
    dialect: str
    dataset: str
    correct: int
    total: int
    top1: float
    top5: float
    seconds: float
    reported: Mapping[str, float] = field(default_factory=dict[str, float])
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        speed = ""
        # A coarse clock may measure 0 seconds.
        if self.seconds:
            speed = f" ({self.total / self.seconds:,.0f} images/s)"
        rows = (
            ("model", f"{self.arch} ({self.dialect} key naming)"),
            ("dataset", self.dataset),
            ("top-1 accuracy", f"{self.top1:.2%}"),
            ("top-5 accuracy", f"{self.top5:.2%}"),
            ("images", f"{self.total:,} ({self.correct:,} correct)"),
            ("seconds", f"{self.seconds:,.1f}{speed}"),
            *(("file says", f"{name} {value:.2%}") for name, value in self.reported.items()),
            *(("note", note) for note in self.notes),
        )
        return "\n".join(f"{label:<16}{text}" for label, text in rows)


def label_rank(logits: Tensor, labels: Tensor) -> Tensor:
    """Count the classes that rank before the label; of equal logits the earlier class goes first.

    Args:
        logits: (N, K).
        labels: (N,) int64.

    Returns:
        (N,) int64, 0 for a correct top-1 class; K where a logit is NaN.
    """
    label_logits = logits.gather(1, labels[:, None])  # (N, 1)
    is_earlier = torch.arange(logits.shape[1]) < labels[:, None]  # (N, K)
    ranks_before = (logits > label_logits) | ((logits == label_logits) & is_earlier)
    # Every comparison with NaN is false, which would rank the label first.
    has_nan = logits.isnan().any(1)
    return ranks_before.sum(1).masked_fill(has_nan, logits.shape[1])


def no_progress(done: int, correct: int, total: int) -> None:
    """Ignore progress.

    Args:
        done: number of images done.
        correct: number of correct ones.
        total: number of all images.
    """


def count_correct(
    model: nn.Module,
    batches: Iterable[Tensor],
    labels: Tensor,
    progress: ProgressCallback = no_progress,
) -> tuple[int, int]:
    """Count the images with a correct top-1 class, and with the label among the top 5.

    Args:
        model: model in evaluation mode; its memory layout becomes channels-last.
        batches: (N, C, H, W) each, in the order of the labels.
        labels: (number of all images,) int64.
        progress: called after each batch.

    Returns:
        The number of top-1 and of top-5 hits.
    """
    done = top1 = top5 = 0
    for ranks in _rank_batches(model, batches, labels):
        top1 += int((ranks < 1).sum())
        top5 += int((ranks < 5).sum())
        done += len(ranks)
        progress(done, top1, len(labels))
    assert done == len(labels), "a label for each image"
    return top1, top5


@torch.inference_mode()
def _rank_batches(model: nn.Module, batches: Iterable[Tensor], labels: Tensor) -> Iterator[Tensor]:
    """Yield the ranks of the labels of each batch, (N,) int64."""
    # Convolutions on the CPU are faster in channels-last layout.
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    start = 0
    for batch in batches:
        logits = model(batch.contiguous(memory_format=torch.channels_last))
        yield label_rank(logits, labels[start : start + len(batch)])
        start += len(batch)


def evaluate(
    loaded: LoadedCheckpoint,
    dataset: str,
    data_dir: Path,
    batch_size: int | None = None,
    num_images: int | None = None,
    num_workers: int = 1,
    progress: ProgressCallback = no_progress,
) -> EvaluationResult:
    """Measure the accuracy of a loaded model.

    Args:
        loaded: the model with its model card.
        dataset: a key of `DATASETS`.
        data_dir: folder of the dataset; ignored for the bundled sample.
        batch_size: images per forward pass; None to choose it by image size.
        num_images: largest number of images, evenly spaced over the dataset; None for all.
        num_workers: threads that decode images.
        progress: called after each batch.

    Returns:
        Counts, accuracy and wall time.

    Raises:
        DataError: the dataset is missing or has other classes.
        ImageError: a file cannot be read as an image.
    """
    _check_arguments(loaded, dataset, batch_size, num_images, num_workers)
    data_dir = check_path("data_dir", data_dir, DataError)
    card = loaded.card
    require_classes(card)
    labeled = DATASETS[dataset].load_eval_set(data_dir, card.class_names)
    images, labels = subsample(labeled, num_images)
    # Batches are decoded while the model runs, so the time has both.
    start = time.perf_counter()
    size = batch_size or default_batch_size(card)
    batches = image_folder.load_batches(images, card.preprocessing, size, num_workers)
    top1, top5 = count_correct(loaded.model, batches, torch.tensor(labels), progress)
    share = top1 / len(labels)
    return EvaluationResult(
        arch=card.arch,
        dialect=card.dialect or OWN_DIALECT,
        dataset=dataset,
        correct=top1,
        total=len(labels),
        top1=share,
        top5=top5 / len(labels),
        seconds=time.perf_counter() - start,
        reported=find_accuracies(card, loaded.metadata, dataset),
        notes=accuracy_notes(share, len(labels), card, loaded.metadata, dataset),
    )


def _check_arguments(
    loaded: LoadedCheckpoint,
    dataset: str,
    batch_size: int | None,
    num_images: int | None,
    num_workers: int,
) -> None:
    """Raise unless these are arguments of `evaluate`."""
    check_type("loaded", loaded, LoadedCheckpoint, "what load_checkpoint returns")
    check_choice("dataset", dataset, tuple(DATASETS), DataError)
    for name, value in (("batch_size", batch_size), ("num_images", num_images)):
        if value is not None:
            check_int(name, value, 1, error=DataError)
    check_int("num_workers", num_workers, 1, MAX_THREADS, DataError)


def require_classes(card: ModelCard) -> None:
    """Raise DataError for a model without a classifier.

    Args:
        card: the model card.

    Raises:
        DataError: the model is a feature extractor.
    """
    if not card.class_names:
        raise DataError(
            f"{card.arch} has no classifier in this file, only features, so it has no accuracy. "
            "`graph`, `analyze` and the app show its layers."
        )


def default_batch_size(card: ModelCard) -> int:
    """Choose a batch size whose feature maps stay in the CPU's cache.

    Args:
        card: model card with the input size.

    Returns:
        16 for images of 224 pixels a side; at most 64 for smaller ones.
    """
    _, height, width = card.input_size
    return max(1, min(MAX_DEFAULT_BATCH_SIZE, PIXELS_PER_BATCH // (height * width)))
