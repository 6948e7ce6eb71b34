"""An accuracy at chance level, or unlike the file's own, is said."""

from typing import Any

import pytest

from lightning_resnets.checkpoint.model_card import ModelCard
from lightning_resnets.evaluation.accuracy_notes import accuracy_notes, find_accuracies


def make_card(num_classes: int = 10, **entries: Any) -> ModelCard:
    return ModelCard(
        arch="resnet20",
        class_names=tuple(f"class {index}" for index in range(num_classes)),
        input_size=(3, 32, 32),
        mean=(0.5,) * 3,
        std=(0.5,) * 3,
        **entries,
    )


@pytest.mark.parametrize(
    ("top1", "num_images", "num_classes", "is_chance"),
    [
        (0.11, 10_000, 10, False),  # 3.3 standard deviations above 10 %
        (0.108, 10_000, 10, True),
        (0.11, 1000, 10, True),
        (0.02, 1000, 10, True),
        (0.30, 1000, 10, False),
        (0.30, 10, 10, True),
        (0.001, 5000, 1000, True),
        (0.05, 1000, 1000, False),
        (0.52, 1000, 2, True),
        (1.0, 1000, 1, False),
    ],
)
def test_chance_level_depends_on_classes_and_images(
    top1: float, num_images: int, num_classes: int, is_chance: bool
) -> None:
    notes = accuracy_notes(top1, num_images, make_card(num_classes), None, "folder")
    assert any("at chance level" in note for note in notes) == is_chance


@pytest.mark.parametrize(
    ("metadata", "top1", "expected"),
    [
        ({"acc": 86.0}, 0.55, "acc 86.00%"),
        ({"best_prec1": 0.93}, 0.90, "best_prec1 93.00%"),
        ({"acc": 86.0}, 0.85, ""),
        # The nearest of several is meant.
        ({"acc": 55.0, "best_acc": 86.0}, 0.86, ""),
        ({"acc": 50.0, "best_acc": 86.0}, 0.60, "acc 50.00%"),
        ({"epoch": 12}, 0.5, ""),
        (None, 0.5, ""),
    ],
)
def test_difference_from_the_files_own_accuracy_is_said(
    metadata: dict[str, Any] | None, top1: float, expected: str
) -> None:
    notes = accuracy_notes(top1, 10_000, make_card(), metadata, "folder")
    assert len(notes) == bool(expected)
    if expected:
        assert f"The file says {expected}, which differs" in notes[0]


def test_few_images_explain_a_large_difference() -> None:
    assert not accuracy_notes(0.80, 25, make_card(), {"acc": 90.0}, "folder")
    assert accuracy_notes(0.80, 2500, make_card(), {"acc": 90.0}, "folder")


def test_metrics_of_a_card_count_for_its_own_dataset_only() -> None:
    card = make_card(dataset="cifar10", metrics={"test_accuracy": 0.92, "test_loss": 0.3})
    assert find_accuracies(card, None, "cifar10") == {"test_accuracy": 0.92}
    assert find_accuracies(card, None, "sample") == {"test_accuracy": 0.92}
    assert find_accuracies(card, None, "folder") == {}
    assert find_accuracies(card, {"acc": 91.0}, "imagenet") == {"acc": 0.91}
