"""Model cards survive JSON, reject invalid entries, and format their title."""

import dataclasses
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightning_resnets.checkpoint.model_card import OPTIONAL_FIELDS, ModelCard
from lightning_resnets.errors import CheckpointError

PLAIN: dict[str, Any] = {
    "arch": "resnet20",
    "class_names": ("cat", "dog"),
    "input_size": (3, 32, 32),
    "mean": (0.49, 0.48, 0.44),
    "std": (0.24, 0.24, 0.26),
}


def card(**changes: Any) -> ModelCard:
    return ModelCard(**{**PLAIN, **changes})


PRINTED = st.text().filter(str.isprintable)


@given(
    options=st.dictionaries(
        PRINTED, st.none() | st.booleans() | st.integers() | PRINTED | st.lists(st.integers())
    ),
    classes=st.lists(PRINTED, min_size=1),
    accuracy=st.floats(0, 1),
)
def test_json_round_trip(options: dict[str, Any], classes: list[str], accuracy: float) -> None:
    written = card(
        model_kwargs=options,
        class_names=tuple(classes),
        metrics={"test_accuracy": accuracy},
        training={"epochs": 2},
    )
    assert ModelCard.from_dict(json.loads(json.dumps(written.to_dict()))) == written


def test_to_dict_has_every_field_in_json_types() -> None:
    values = card().to_dict()
    assert set(values) == {field.name for field in dataclasses.fields(ModelCard)} - set(
        OPTIONAL_FIELDS
    )
    assert values["input_size"] == [3, 32, 32]


@pytest.mark.parametrize(
    "entry",
    [
        {"arch": "a\x1b[2Jb"},
        {"dataset": "a\nb"},
        {"class_names": ("a\rb",)},
        {"metrics": {"\x1b]0;": 1.0}},
        {"model_kwargs": {"a": "\x07"}},
    ],
)
def test_control_characters_raise(entry: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError) as caught:
        card(**entry)
    assert str(caught.value).isprintable()


def test_deep_tables_raise() -> None:
    deep: dict[str, Any] = {}
    for _ in range(3000):
        deep = {"a": deep}
    with pytest.raises(CheckpointError, match="training"):
        card(training=deep)


def test_optional_fields_are_written_if_not_default() -> None:
    entries = {
        "channel_order": "BGR",
        "crop_pct": 0.875,
        "interpolation": "bicubic",
        "bn_eps": 1e-3,
        "dialect": "Keras",
    }
    written = card(**entries)
    assert {name: written.to_dict()[name] for name in entries} == entries
    assert ModelCard.from_dict(written.to_dict()) == written


@pytest.mark.parametrize(
    "entry",
    [
        {"channel_order": "GBR"},
        {"crop_pct": 0},
        {"crop_pct": 2.0},
        {"interpolation": "nearest"},
        {"bn_eps": -1},
        {"dialect": 3},
    ],
)
def test_invalid_preprocessing_raises(entry: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError, match=next(iter(entry))):
        card(**entry)


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_nonfinite_metrics_are_left_out(loss: float) -> None:
    values = card(metrics={"test_loss": loss, "test_accuracy": 0.1}).to_dict()
    assert values["metrics"] == {"test_accuracy": 0.1}
    json.dumps(values, allow_nan=False)


@pytest.mark.parametrize(
    ("changes", "title"),
    [
        (
            {"dataset": "cifar10", "metrics": {"test_accuracy": 0.9124}},
            "resnet20 · CIFAR-10 · 91.24 % test accuracy",
        ),
        (
            {"dataset": "cifar10", "metrics": {"test_error": 0.0876}},
            "resnet20 · CIFAR-10 · 91.24 % test accuracy",
        ),
        (
            {"dataset": "mine", "metrics": {"val_accuracy": 0.5}},
            "resnet20 · mine · 50.00 % validation accuracy",
        ),
        ({"dataset": "cifar10-sample"}, "resnet20 · CIFAR-10 sample"),
        ({}, "resnet20"),
    ],
)
def test_title_has_model_dataset_and_accuracy(changes: dict[str, Any], title: str) -> None:
    assert card(**changes).title == title


def billions() -> list[Any]:
    value: list[Any] = []
    for _ in range(12):
        value = [value] * 12
    return value


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("arch", 3),
        ("arch", ""),
        ("class_names", "cat"),
        ("class_names", [1, 2]),
        ("input_size", [3, 32]),
        ("input_size", [3, 32, 0]),
        ("input_size", [3, 32, True]),
        ("input_size", [3, 32, 10**6]),
        ("mean", [0.5]),
        ("mean", [0.5, 0.5, math.nan]),
        ("std", [0.2, 0.2, 0.0]),
        ("model_kwargs", [1]),
        ("model_kwargs", {1: 2}),
        ("model_kwargs", {"a": {1, 2}}),
        ("model_kwargs", {"a": billions()}),
        ("metrics", {"test_accuracy": 91.2}),
        ("metrics", {"test_accuracy": math.nan}),
        ("metrics", {"test_loss": "low"}),
        ("versions", {"torch": 2}),
        ("recipe", None),
        ("card_version", "new"),
    ],
)
def test_invalid_entries_raise(entry: str, value: object) -> None:
    with pytest.raises(CheckpointError, match=rf"entry '{entry}.*must be") as caught:
        ModelCard.from_dict({**PLAIN, entry: value})
    assert "\n" not in str(caught.value)


def test_missing_unknown_and_newer_entries_raise() -> None:
    with pytest.raises(CheckpointError, match="lacks class_names, std"):
        ModelCard.from_dict(
            {name: value for name, value in PLAIN.items() if name not in ("class_names", "std")}
        )
    with pytest.raises(CheckpointError, match=r"unknown entries \(smell\)"):
        ModelCard.from_dict({**PLAIN, "smell": "of roses"})
    with pytest.raises(CheckpointError, match="version 2, but this release reads version 1"):
        ModelCard.from_dict({**PLAIN, "smell": "of roses", "card_version": 2})
    with pytest.raises(CheckpointError, match="not a table"):
        ModelCard.from_dict(["resnet20"])  # type: ignore[arg-type]
