"""What a file says of itself is found under the names that training scripts use."""

from typing import Any

import pytest

from lightning_resnets.checkpoint.reported import (
    find_class_names,
    find_reported_values,
    format_reported,
)


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        # kuangliu/pytorch-cifar; akamaster; pytorch/examples; OpenMMLab; SwAV.
        ({"acc": 95.11, "epoch": 199}, [0.9511, None]),
        ({"best_prec1": 91.78}, [0.9178]),
        ({"epoch": 90, "arch": "resnet50", "best_acc1": 76.13}, [None, 0.7613]),
        ({"meta": {"hook_msgs": {"accuracy_top-1": 76.55}}}, [0.7655]),
        ({"prec1": 0.7, "val_acc": 0.69, "best_acc": 1.0}, [0.7, 0.69, 1.0]),
        ({"metrics": {"top1": 76, "top5": 93}}, [0.76]),
    ],
)
def test_accuracies_and_epochs_are_found(
    metadata: dict[str, Any], expected: list[float | None]
) -> None:
    found = [item.accuracy for item in find_reported_values(metadata)]
    assert found == [None if value is None else pytest.approx(value) for value in expected]


@pytest.mark.parametrize(
    "metadata",
    [
        {"train_acc": 99.0},
        {"acc5": 97.0, "prec5": 92.0, "top5": 93.0},
        {"precision": 32, "accumulate_grad_batches": 4, "accelerator": 1, "stop": 1},
        {"acc": "95.1"},
        {"acc": True},
        {"acc": float("nan"), "best_acc": float("inf"), "val_acc": -1.0},
        {"a": {"b": {"c": {"acc": 95.0}}}},
        {},
        None,
    ],
)
def test_other_numbers_are_not_taken_for_accuracies(metadata: dict[str, Any] | None) -> None:
    assert not find_reported_values(metadata)


def test_value_above_100_percent_is_no_accuracy() -> None:
    assert not find_reported_values({"acc": 9511.0})


def test_values_are_shown_as_the_file_has_them() -> None:
    found = find_reported_values({"epoch": 199, "net": {}, "acc": 95.11, "metrics": {"acc": 0.5}})
    assert format_reported(found) == "epoch 199, acc 95.11, metrics.acc 0.5"


NAMES = ("cat", "dog", "frog")


@pytest.mark.parametrize(
    "metadata",
    [
        {"classes": ["cat", "dog", "frog"]},
        {"meta": {"CLASSES": NAMES}},
        {"hyper_parameters": {"class_names": list(NAMES)}},
        {"class_to_idx": {"frog": 2, "cat": 0, "dog": 1}},
        {"id2label": {"2": "frog", "0": "cat", "1": "dog"}},
        {"config": {"label2id": {"cat": "0", "dog": "1", "frog": "2"}}},
        {"labels": ["too", "few"], "classes": list(NAMES)},
    ],
)
def test_class_names_are_found(metadata: dict[str, Any]) -> None:
    assert find_class_names(metadata, 3) == NAMES


@pytest.mark.parametrize(
    "metadata",
    [
        {"classes": 3},
        {"classes": ["cat", "dog"]},
        {"classes": ["cat", "dog", 3]},
        {"classes": ["cat", "dog", "\x1b[31mred"]},
        {"class_to_idx": {"cat": 0, "dog": 1, "frog": 3}},
        {"class_to_idx": {"cat": 0, "dog": 1, "frog": None}},
        None,
    ],
)
def test_lists_that_do_not_fit_are_left_out(metadata: dict[str, Any] | None) -> None:
    assert find_class_names(metadata, 3) is None
