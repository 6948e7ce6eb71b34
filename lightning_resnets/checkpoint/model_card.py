"""The card: what a checkpoint says of itself, in JSON types only, so that any reader may trust its shape."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from lightning_resnets.errors import CheckpointError

CARD_VERSION = 1


OPTIONAL_FIELDS = (
    "channel_order",
    "crop_pct",
    "interpolation",
    "bn_eps",
    "dialect",
)  # entries that the first version did not have


DATASET_TITLES = {
    "cifar10": "CIFAR-10",
    "cifar10-sample": "CIFAR-10 sample",
    "cifar100": "CIFAR-100",
    "imagenet": "ImageNet",
}


MAX_CLASSES = 100_000


MAX_VALUES = 10_000  # in one table of the card


MAX_IMAGE_SIDE = 1024  # pixels; what a model keeps of a larger image would not fit in memory


CHANNEL_ORDERS, INTERPOLATIONS = ("RGB", "BGR"), ("bilinear", "bicubic")


MAX_DEPTH = 20  # tables within tables


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """What a checkpoint says of itself.

    `arch` and `options` rebuild the model by `zoo.build`. `size` is (C, H, W). `mean` and `std` have one number a
    channel, for images in 0..1, in the order `channels`: "RGB", or "BGR" for models that came from Caffe. An image's
    shorter side is scaled to the size over `crop` (torchvision's 224 of 256: 0.875), by `resample` ("bilinear",
    "bicubic"), and the center cut out. `epsilon` is that of every batch norm where it is not the model's own.
    `dialect` says whose names the weights had where they were not ours. `metrics` holds shares in 0..1
    (`test_accuracy`, `test_error`, `val_accuracy`) and losses. `data` is the data set's short name (`cifar10`),
    `recipe` the name of the recipe, `trained` the circumstances (epochs, seconds, hardware). Raises CheckpointError
    where a value has the wrong type or range.
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
    metrics: dict[str, float] = field(default_factory=dict[str, float])
    dataset: str = ""
    recipe: str = ""
    training: dict[str, Any] = field(default_factory=dict[str, Any])
    versions: dict[str, str] = field(default_factory=dict[str, str])
    card_version: int = CARD_VERSION

    def __post_init__(self) -> None:
        for name in ("arch", "dataset", "recipe", "dialect"):
            _need(_words((getattr(self, name),)), name, "text without control signs")
        _need(bool(self.arch), "arch", "the name of a model")
        _need(
            _words(self.class_names) and 0 < len(self.class_names) <= MAX_CLASSES,
            "class_names",
            "a list of class names",
        )
        _need(
            _sides(self.input_size), "input_size", "three whole numbers, channels, height and width"
        )
        for name in ("mean", "std"):
            values = getattr(self, name)
            _need(
                _numbers(values) and len(values) == self.input_size[0],
                name,
                "one number for each channel",
            )
        _need(
            all(value > 1e-6 for value in self.std), "std", "one number above zero for each channel"
        )
        _need(self.channel_order in CHANNEL_ORDERS, "channel_order", " or ".join(CHANNEL_ORDERS))
        _need(self.interpolation in INTERPOLATIONS, "interpolation", " or ".join(INTERPOLATIONS))
        _need(
            _number(self.crop_pct) and 0.1 <= self.crop_pct <= 1,
            "crop_pct",
            "a share between 0.1 and 1",
        )
        _need(
            self.bn_eps is None or (_number(self.bn_eps) and 0 < self.bn_eps < 1),
            "bn_eps",
            "a small number",
        )
        for name in ("model_kwargs", "training", "versions", "metrics"):
            value = getattr(self, name)
            _need(isinstance(value, dict) and _plain(value), name, "names and plain values")
        _need(_words(tuple(self.versions.values())), "versions", "names and version texts")
        for name, value in self.metrics.items():
            _need(_number(value), f"metrics.{name}", "a number")
            if name.endswith(("accuracy", "error")):
                _need(0 <= value <= 1, f"metrics.{name}", "a share between 0 and 1")
        _need(isinstance(self.card_version, int), "card_version", "a whole number")

    @property
    def title(self) -> str:
        """Model, data and accuracy in one line: `resnet20 · CIFAR-10 · 91.24 % test accuracy`."""
        accuracy = _accuracy(self.metrics)
        return " · ".join(part for part in (self.arch, self.dataset_title, accuracy) if part)

    @property
    def dataset_title(self) -> str:
        """The data set as people write it: `CIFAR-10`."""
        return DATASET_TITLES.get(self.dataset, self.dataset)

    def to_dict(self) -> dict[str, Any]:
        """The card in JSON types, without what is as ever, so that older versions read it too.

        A metric that is not finite (a diverged loss) has no such form and is left out.
        """
        later = {item.name: item.default for item in fields(self) if item.name in OPTIONAL_FIELDS}
        card = {item.name: getattr(self, item.name) for item in fields(self)}
        card = {
            name: value for name, value in card.items() if name not in later or value != later[name]
        }
        card["metrics"] = {
            name: float(value) for name, value in self.metrics.items() if math.isfinite(value)
        }
        return {name: _listed(value) for name, value in card.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "ModelCard":
        """The card that `to_dict` wrote; raises CheckpointError for anything else."""
        if not isinstance(values, Mapping):
            raise CheckpointError(
                "The card in this checkpoint is not a table of names and values; save the model again."
            )
        version = values.get("card_version", CARD_VERSION)
        if isinstance(version, int) and version > CARD_VERSION:
            raise CheckpointError(
                f"This checkpoint has a card of format {version} and this version reads format {CARD_VERSION}: "
                "upgrade lightning-resnets to open it."
            )
        known = {item.name for item in fields(cls)}
        if unknown := sorted(str(name) for name in values if name not in known):
            raise CheckpointError(
                f"The card in this checkpoint has entries that this version does not know ({', '.join(unknown[:5])}): "
                "upgrade lightning-resnets to open it."
            )
        missing = [
            name
            for name in ("arch", "class_names", "input_size", "mean", "std")
            if name not in values
        ]
        if missing:
            raise CheckpointError(
                f"The card in this checkpoint lacks {', '.join(missing)}: save the model again with a complete card."
            )
        tuples = ("class_names", "input_size", "mean", "std")
        return cls(
            **{name: _tupled(value) if name in tuples else value for name, value in values.items()}
        )


def _need(good: bool, name: str, expected: str) -> None:
    if not good:
        raise CheckpointError(
            f"The card's entry '{name}' must be {expected}: save the model again with a correct card."
        )


def _number(value: object) -> bool:
    """A number that float32 holds, or one that is not finite (a loss that diverged)."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return False
    return abs(value) < 3.5e38 or value != value or abs(value) == math.inf


def _numbers(values: object) -> bool:
    return isinstance(values, tuple) and all(
        _number(value) and math.isfinite(value) for value in values
    )


def _words(values: object) -> bool:
    """Texts that may be printed on a terminal."""
    return isinstance(values, tuple) and all(
        isinstance(value, str) and value.isprintable() for value in values
    )


def _sides(size: object) -> bool:
    if not isinstance(size, tuple) or len(size) != 3:
        return False
    return all(
        isinstance(side, int) and not isinstance(side, bool) and 0 < side <= MAX_IMAGE_SIDE
        for side in size
    )


def _plain(value: object) -> bool:
    """JSON types only, of a sane size and depth: a file may hold a list that contains the same list a billion times."""
    waiting, seen = [(value, 0)], 0
    while waiting:
        item, depth = waiting.pop()
        seen += 1
        if seen > MAX_VALUES or depth > MAX_DEPTH:
            return False
        if isinstance(item, dict):
            if not _words(tuple(item)):
                return False
            waiting.extend((inner, depth + 1) for inner in item.values())
        elif isinstance(item, (list, tuple)):
            waiting.extend((inner, depth + 1) for inner in item)
        elif (item is not None and type(item) not in (bool, int, float, str)) or not _words(
            (str(item),)
        ):
            return False
    return True


def _listed(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _listed(item) for name, item in value.items()}
    return [_listed(item) for item in value] if isinstance(value, (list, tuple)) else value


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _accuracy(metrics: Mapping[str, float]) -> str:
    for split, words in (("test", "test accuracy"), ("val", "validation accuracy")):
        if f"{split}_accuracy" in metrics:
            return f"{100 * metrics[f'{split}_accuracy']:.2f} % {words}"
        if f"{split}_error" in metrics:
            return f"{100 - 100 * metrics[f'{split}_error']:.2f} % {words}"
    return ""
