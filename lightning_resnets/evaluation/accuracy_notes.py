"""Say where a measured accuracy is surprising: at chance level, or not what the file says."""

import math
from collections.abc import Mapping
from typing import Any

from lightning_resnets.checkpoint.model_card import ModelCard
from lightning_resnets.checkpoint.reported import find_reported_values

NUM_DEVIATIONS = 3  # standard deviations of a share, beyond which a difference is real
MIN_DIFFERENCE = 0.02  # other test images or another resizing explain less

# Evaluation datasets that hold images of a training dataset's test set.
TEST_SETS = {"cifar10": "cifar10", "sample": "cifar10", "imagenet": "imagenet"}

HINT = "`evaluate --try-preprocessing` compares normalizations."


def accuracy_notes(
    top1: float, num_images: int, card: ModelCard, metadata: Mapping[str, Any] | None, dataset: str
) -> tuple[str, ...]:
    """Compare an accuracy with chance and with what the file says.

    Args:
        top1: measured top-1 accuracy, 0 to 1.
        num_images: number of images that it was measured on.
        card: the model card.
        metadata: plain values beside the weights.
        dataset: name of the evaluation dataset.

    Returns:
        Sentences; none where nothing is surprising.
    """
    notes = [
        _chance_note(top1, num_images, len(card.class_names)),
        _report_note(top1, num_images, find_accuracies(card, metadata, dataset)),
    ]
    return tuple(note for note in notes if note)


def find_accuracies(
    card: ModelCard, metadata: Mapping[str, Any] | None, dataset: str
) -> dict[str, float]:
    """Find the accuracies that a file reports.

    Args:
        card: the model card; its own count if they belong to this dataset.
        metadata: plain values beside the weights.
        dataset: name of the evaluation dataset.

    Returns:
        Fractions by their names in the file.
    """
    found = dict[str, float]()
    if TEST_SETS.get(dataset) == card.dataset:
        for name in ("test_accuracy", "val_accuracy"):
            if name in card.metrics:
                found[name] = card.metrics[name]
    for item in find_reported_values(metadata):
        if item.accuracy is not None:
            found[item.name] = item.accuracy
    return found


def _chance_note(top1: float, num_images: int, num_classes: int) -> str:
    """Say that an accuracy cannot be told from guessing; "" if it can."""
    if num_classes < 2:
        return ""
    chance = 1 / num_classes
    # Far below chance is a surprise too: the classes may be in another order.
    if top1 > chance + NUM_DEVIATIONS * _deviation(chance, num_images):
        return ""
    return (
        f"This accuracy is at chance level ({chance:.2%} for {num_classes:,} classes): the model "
        "may be for other classes, their order may differ, or the images may be normalized "
        f"differently. {HINT}"
    )


def _report_note(top1: float, num_images: int, reported: Mapping[str, float]) -> str:
    """Say that an accuracy is none of those in the file; "" if it is one or there is none."""
    if not reported:
        return ""
    # A file may have several: of the last epoch, of the best one.
    name = min(reported, key=lambda key: abs(reported[key] - top1))
    nearest = reported[name]
    tolerance = max(MIN_DIFFERENCE, NUM_DEVIATIONS * _deviation(nearest, num_images))
    if abs(nearest - top1) <= tolerance:
        return ""
    return (
        f"The file says {name} {nearest:.2%}, which differs: normalization, classes or images may "
        f"be others than the author's. {HINT}"
    )


def _deviation(share: float, count: int) -> float:
    """Return the standard deviation of a share that is measured on `count` images."""
    return math.sqrt(share * (1 - share) / count)
