"""Find what a file says of itself beside its weights: accuracy, epoch and class names.

Training scripts save such values under names of their own. They are what the author measured, so
they are shown and compared, and never change a result.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

# Words of `acc`, `best_acc1`, `prec1`, `best_prec1`, `val_accuracy`, `accuracy_top-1`.
ACCURACY_WORDS = {"acc", "accuracy", "prec"}
OTHER_WORDS = {"best", "max", "test", "val", "valid", "validation", "eval", "ema", "top", "1"}
WORD_RE = re.compile(r"[a-z]+|\d+")
EPOCH_NAMES = ("epoch", "epochs", "cur_epoch", "last_epoch", "best_epoch")
CLASS_LIST_NAMES = ("class_names", "classes", "CLASSES", "categories", "labels", "label_names")
CLASS_TO_INDEX_NAMES = ("class_to_idx", "label2id", "class_to_index")
INDEX_TO_CLASS_NAMES = ("idx_to_class", "id2label", "index_to_class")

MAX_DEPTH = 2  # tables within the metadata


@dataclass(frozen=True, slots=True)
class ReportedValue:
    """A number beside the weights.

    Attributes:
        name: its name in the file, with those of the tables around it: `metrics.acc`.
        value: the number as the file has it.
    """

    name: str
    value: float

    @property
    def accuracy(self) -> float | None:
        """Return the value as a fraction, or None if it is not an accuracy.

        Values above 1 are percentages.
        """
        if not _names_accuracy(self.name.rpartition(".")[2]):
            return None
        # 1 is taken for 100 %: nobody reports 1 %.
        if 0 <= self.value <= 1:
            return self.value
        if self.value <= 100:
            return self.value / 100
        return None


def _names_accuracy(name: str) -> bool:
    """Return whether a name means top-1 accuracy on images that were not trained on."""
    words = set(WORD_RE.findall(name.lower()))
    # Any other word, such as `train` or `top5`, means another quantity.
    is_accuracy = bool(words & ACCURACY_WORDS) or {"top", "1"} <= words
    return is_accuracy and words <= ACCURACY_WORDS | OTHER_WORDS


def find_reported_values(metadata: Mapping[str, Any] | None) -> tuple[ReportedValue, ...]:
    """Find accuracies and epochs in a file's metadata.

    Args:
        metadata: plain values beside the weights.

    Returns:
        They, in the order of the file.
    """
    found = list[ReportedValue]()
    for name, value in _walk(metadata or {}, "", MAX_DEPTH):
        # Booleans are integers in Python, and no accuracy.
        if type(value) not in (int, float) or not math.isfinite(value) or value < 0:
            continue
        reported = ReportedValue(name, float(value))
        if name.rpartition(".")[2] in EPOCH_NAMES or reported.accuracy is not None:
            found.append(reported)
    return tuple(found)


def _walk(table: Mapping[str, Any], prefix: str, depth: int) -> Iterator[tuple[str, Any]]:
    """Yield the dotted name and value of each entry of a table and the tables in it."""
    for name, value in table.items():
        if isinstance(value, Mapping) and depth > 0:
            yield from _walk(value, f"{prefix}{name}.", depth - 1)
        else:
            yield f"{prefix}{name}", value


def format_reported(values: tuple[ReportedValue, ...]) -> str:
    """Format values for a report.

    Args:
        values: what the file says.

    Returns:
        `acc 95.11, epoch 199`.
    """
    return ", ".join(f"{item.name} {item.value:.6g}" for item in values)


def find_class_names(
    metadata: Mapping[str, Any] | None, num_classes: int
) -> tuple[str, ...] | None:
    """Find the names of a model's classes in a file's metadata.

    Args:
        metadata: plain values beside the weights.
        num_classes: number of the model's outputs.

    Returns:
        One name for each output, or None if the file has no such list.
    """
    if num_classes < 1:
        return None
    for table in _tables(metadata or {}, MAX_DEPTH):
        if names := _names_in_table(table, num_classes):
            return names
    return None


def _names_in_table(table: Mapping[str, Any], num_classes: int) -> tuple[str, ...] | None:
    """Return the class names in one table, under any of the usual names."""
    for name in CLASS_LIST_NAMES:
        if names := _from_list(table.get(name), num_classes):
            return names
    for name in CLASS_TO_INDEX_NAMES:
        if names := _from_indices(table.get(name), num_classes):
            return names
    for name in INDEX_TO_CLASS_NAMES:
        value = table.get(name)
        # Hugging Face writes both directions.
        if isinstance(value, Mapping):
            value = {label: index for index, label in value.items()}
        if names := _from_indices(value, num_classes):
            return names
    return None


def _tables(table: Mapping[str, Any], depth: int) -> Iterator[Mapping[str, Any]]:
    """Yield a table and the tables in it, such as `hyper_parameters` and `meta`."""
    yield table
    for value in table.values():
        if isinstance(value, Mapping) and depth > 0:
            yield from _tables(value, depth - 1)


def _from_list(value: Any, num_classes: int) -> tuple[str, ...] | None:
    """Return a list of names if it has one for each class."""
    if not isinstance(value, (list, tuple)) or len(value) != num_classes:
        return None
    if not all(isinstance(name, str) and name.isprintable() for name in value):
        return None
    return tuple(value)


def _from_indices(value: Any, num_classes: int) -> tuple[str, ...] | None:
    """Return the names of a table from name to index, in the order of the indices."""
    if not isinstance(value, Mapping) or len(value) != num_classes:
        return None
    # JSON has text for keys that were integers.
    try:
        by_index = {int(index): name for name, index in value.items()}
    except (TypeError, ValueError):
        return None
    # Indices with gaps give None here, which is no name.
    names = [by_index.get(index) for index in range(num_classes)]
    return _from_list(names, num_classes)
