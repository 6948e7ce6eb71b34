"""The model card: a checkpoint's description of itself, in validated JSON types."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from lightning_resnets.checkpoint.card_values import (
    are_finite_numbers,
    is_image_size,
    is_json,
    is_number,
    is_printable,
    to_json,
)
from lightning_resnets.data.datasets import MAX_CLASSES
from lightning_resnets.errors import CheckpointError
from lightning_resnets.preprocessing import Preprocessing
from lightning_resnets.utils.format import printable_key

CARD_VERSION = 1

# Written only if they differ from the default, so that older releases can read the card.
OPTIONAL_FIELDS = ("channel_order", "crop_pct", "interpolation", "bn_eps", "dialect", "assumed")
# Without these no model can be built, and no image preprocessed.
REQUIRED_FIELDS = ("arch", "class_names", "input_size", "mean", "std")
TUPLE_FIELDS = ("class_names", "input_size", "mean", "std", "assumed")
DICT_FIELDS = ("model_kwargs", "training", "versions", "metrics")

DATASET_TITLES = {
    "cifar10": "CIFAR-10",
    "cifar10-sample": "CIFAR-10 sample",
    "cifar100": "CIFAR-100",
    "imagenet": "ImageNet",
}

CHANNEL_ORDERS = ("RGB", "BGR")
INTERPOLATIONS = ("bilinear", "bicubic")

RESAVE = "Save the model again with a correct card."


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """A checkpoint's description of itself.

    Attributes:
        arch: name for `create_model`.
        model_kwargs: its keyword arguments.
        class_names: names of the classes, in the order of the logits; () for a feature extractor.
        input_size: (C, H, W).
        mean: mean per channel of images in 0..1, in the order `channel_order`.
        std: standard deviation per channel, as `mean`.
        channel_order: "RGB", or "BGR" for models that came from Caffe.
        crop_pct: fraction of the resized image that the center crop keeps (224 of 256: 0.875).
        interpolation: "bilinear" or "bicubic".
        bn_eps: epsilon of every batch norm, where it is not the model's own.
        dialect: naming scheme that the weights had, where it was not ours.
        assumed: names of entries that neither the file nor the user gave, such as `mean`.
        metrics: fractions in 0..1 (`test_accuracy`, `val_error`) and losses.
        dataset: short name of the dataset (`cifar10`).
        recipe: name of the training recipe.
        training: epochs, seconds, hardware and so on.
        versions: packages and their versions.
        card_version: version of this format.

    Raises:
        CheckpointError: a value has the wrong type or range.
    """

    arch: str
    model_kwargs: dict[str, Any] = field(default_factory=dict[str, Any])
    class_names: tuple[str, ...]
    input_size: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    channel_order: str = "RGB"
    crop_pct: float = 1.0
    interpolation: str = "bilinear"
    bn_eps: float | None = None
    dialect: str = ""
    assumed: tuple[str, ...] = ()
    metrics: dict[str, float] = field(default_factory=dict[str, float])
    dataset: str = ""
    recipe: str = ""
    training: dict[str, Any] = field(default_factory=dict[str, Any])
    versions: dict[str, str] = field(default_factory=dict[str, str])
    card_version: int = CARD_VERSION

    def __post_init__(self) -> None:
        """Check every entry; raise CheckpointError for the first that is invalid."""
        _check_texts(self)
        _check_preprocessing(self)
        _check_tables(self)

    @property
    def title(self) -> str:
        """Return model, dataset and accuracy: `resnet20 · CIFAR-10 · 91.24 % test accuracy`."""
        parts = (self.arch, self.dataset_title, _format_accuracy(self.metrics))
        return " · ".join(part for part in parts if part)

    @property
    def preprocessing(self) -> Preprocessing:
        """Return size and normalization of the model's input."""
        return Preprocessing(
            input_size=self.input_size,
            mean=self.mean,
            std=self.std,
            channel_order=self.channel_order,
            crop_pct=self.crop_pct,
            interpolation=self.interpolation,
        )

    @property
    def dataset_title(self) -> str:
        """Return the dataset's name as it is written in prose: `CIFAR-10`."""
        return DATASET_TITLES.get(self.dataset, self.dataset)

    def to_dict(self) -> dict[str, Any]:
        """Return the card in JSON types, without defaults of OPTIONAL_FIELDS.

        Metrics that are NaN or inf (a diverged loss) have no JSON form and are left out.
        """
        card = dict[str, Any]()
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name not in OPTIONAL_FIELDS or value != item.default:
                card[item.name] = to_json(value)
        # math.isfinite is false for NaN and inf.
        finite = {name: value for name, value in self.metrics.items() if math.isfinite(value)}
        # A metric may be an integer, such as 1 for an accuracy.
        card["metrics"] = {name: float(value) for name, value in finite.items()}
        return card

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "ModelCard":
        """Build a card from the entries of `to_dict`.

        Args:
            values: entries by name, as a file contains them.

        Returns:
            The card.

        Raises:
            CheckpointError: entries are missing, unknown or invalid.
        """
        if not isinstance(values, Mapping):
            raise CheckpointError(
                "The model card is not a table of names and values. Save the model again."
            )
        _check_version(values)
        _check_names(values, {item.name for item in fields(cls)})
        entries = dict[str, Any]()
        for name, value in values.items():
            # JSON has no tuples.
            if name in TUPLE_FIELDS and isinstance(value, list):
                value = tuple(value)
            entries[name] = value
        return cls(**entries)


def _check_version(values: Mapping[str, Any]) -> None:
    """Raise if the card was written by a newer release."""
    version = values.get("card_version", CARD_VERSION)
    # A newer card may have entries that are not known here.
    if isinstance(version, int) and version > CARD_VERSION:
        raise CheckpointError(
            f"The model card has version {version}, but this release reads version {CARD_VERSION}. "
            "Upgrade lightning-resnets to open the file."
        )


def _check_names(values: Mapping[str, Any], known: set[str]) -> None:
    """Raise if entries are unknown or required ones are missing."""
    # An entry that is ignored could change the result, such as another normalization.
    unknown = sorted(str(name) for name in values if name not in known)
    if unknown:
        raise CheckpointError(
            f"The model card has unknown entries ({', '.join(map(printable_key, unknown[:5]))}). "
            "Upgrade lightning-resnets to open the file."
        )
    missing = [name for name in REQUIRED_FIELDS if name not in values]
    if missing:
        raise CheckpointError(
            f"The model card lacks {', '.join(missing)}. Save the model again with a complete card."
        )


def _check_texts(card: ModelCard) -> None:
    """Check the entries that are names."""
    for name in ("arch", "dataset", "recipe", "dialect"):
        value = getattr(card, name)
        _require(is_printable((value,)), name, "text without control characters")
    _require(bool(card.arch), "arch", "the name of a model")
    are_names = is_printable(card.class_names) and len(card.class_names) <= MAX_CLASSES
    _require(are_names, "class_names", "a list of class names")
    entries = {item.name for item in fields(card)}
    is_known = is_printable(card.assumed) and set(card.assumed) <= entries
    _require(is_known, "assumed", "a list of entries of the card")


def _check_preprocessing(card: ModelCard) -> None:
    """Check the entries on the model's input."""
    is_size = is_image_size(card.input_size)
    _require(is_size, "input_size", "three integers: channels, height and width")
    for name in ("mean", "std"):
        values = getattr(card, name)
        is_valid = are_finite_numbers(values) and len(values) == card.input_size[0]
        _require(is_valid, name, "one number per channel")
    # Input is divided by std.
    is_positive = all(value > 1e-6 for value in card.std)
    _require(is_positive, "std", "one number above zero per channel")
    _require(card.channel_order in CHANNEL_ORDERS, "channel_order", " or ".join(CHANNEL_ORDERS))
    _require(card.interpolation in INTERPOLATIONS, "interpolation", " or ".join(INTERPOLATIONS))
    # A smaller crop would enlarge a small image enormously.
    is_fraction = is_number(card.crop_pct) and 0.1 <= card.crop_pct <= 1
    _require(is_fraction, "crop_pct", "a fraction between 0.1 and 1")
    # Batch norm divides by the root of variance plus epsilon.
    eps = card.bn_eps
    is_eps = eps is None or (is_number(eps) and 0 < eps < 1)
    _require(is_eps, "bn_eps", "a number between 0 and 1")


def _check_tables(card: ModelCard) -> None:
    """Check the entries that are tables, and the version."""
    for name in DICT_FIELDS:
        value = getattr(card, name)
        is_table = isinstance(value, dict) and is_json(value)
        _require(is_table, name, "a table of names and plain values")
    # Versions are printed, so each must be text.
    are_versions = is_printable(tuple(card.versions.values()))
    _require(are_versions, "versions", "a table of packages and versions")
    for name, value in card.metrics.items():
        # A diverged loss may be NaN or inf.
        _require(is_number(value), f"metrics.{name}", "a number")
        if name.endswith(("accuracy", "error")):
            _require(0 <= value <= 1, f"metrics.{name}", "a fraction between 0 and 1")
    _require(isinstance(card.card_version, int), "card_version", "an integer")


def _require(is_valid: bool, name: str, expected: str) -> None:
    """Raise CheckpointError for an entry that is not valid."""
    if not is_valid:
        raise CheckpointError(
            f"Model card entry '{printable_key(name)}' must be {expected}. {RESAVE}"
        )


def _format_accuracy(metrics: Mapping[str, float]) -> str:
    """Format the test accuracy, else the validation accuracy; "" if there is neither."""
    for split, label in (("test", "test accuracy"), ("val", "validation accuracy")):
        accuracy = metrics.get(f"{split}_accuracy")
        error = metrics.get(f"{split}_error")
        if accuracy is not None:
            return f"{100 * accuracy:.2f} % {label}"
        if error is not None:
            return f"{100 - 100 * error:.2f} % {label}"
    return ""
