"""Inputs and outputs shared by all analyses: labeled images, tables, figures and progress."""

import csv
import io
import json
import math
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

import torch
from torch import Tensor, nn

from lightning_resnets.errors import AnalysisError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Cell = str | int | float | None
ProgressCallback = Callable[[int, int], None]  # steps done, steps in total
T = TypeVar("T")

INTEGER_DTYPES = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
NO_IMAGES = "At least one image is required, got none."


def no_progress(done: int, total: int) -> None:
    """Ignore progress: the default of every analysis.

    Args:
        done: steps done.
        total: steps in total.
    """


def track_progress(items: Sequence[T], progress: ProgressCallback) -> Iterator[T]:
    """Iterate over items and report progress before the first and after each one.

    Args:
        items: what to iterate over.
        progress: called as `progress(done, total)`; it may raise AnalysisCancelled.

    Yields:
        The items in order.
    """
    progress(0, len(items))
    for done, item in enumerate(items, 1):
        yield item
        progress(done, len(items))


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells under named columns. As text, floats have seven significant digits."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def csv(self) -> str:
        """Format the table as CSV.

        Returns:
            A header line, then one line per row; None is an empty cell.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows([_csv_cell(cell) for cell in row] for row in self.rows)
        return text.getvalue()

    def json(self) -> str:
        """Format the table as JSON.

        Returns:
            A list of objects, one per row; None and non-finite numbers are null.
        """
        rows = [[_json_cell(cell) for cell in row] for row in self.rows]
        return json.dumps([dict(zip(self.columns, row, strict=True)) for row in rows], indent=1)


def round_cell(cell: Cell) -> Cell:
    """Round a float to seven significant digits: 0.39999999999999997 becomes 0.4.

    Args:
        cell: one value of a table.

    Returns:
        The rounded value; other types unchanged.
    """
    return float(f"{cell:.7g}") if isinstance(cell, float) else cell


def _csv_cell(cell: Cell) -> Cell:
    """Return a cell as CSV writes it: booleans are `true` and `false`, as in JSON."""
    return str(cell).lower() if isinstance(cell, bool) else round_cell(cell)


def _json_cell(cell: Cell) -> Cell:
    """Return a cell as JSON writes it: JSON has no NaN and no infinity."""
    is_non_finite = isinstance(cell, float) and not math.isfinite(cell)
    return None if is_non_finite else round_cell(cell)


class Result(Protocol):
    """Result of an analysis."""

    @abstractmethod
    def tables(self) -> dict[str, Table]:
        """Return the numbers.

        Returns:
            Tables by file name without suffix.
        """
        ...

    @abstractmethod
    def draw(self, figure: "Figure") -> None:
        """Draw the numbers.

        Args:
            figure: an empty matplotlib figure.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class LabeledImages:
    """Preprocessed images (N, C, H, W), float, and their labels (N,), integers from 0.

    Raises AnalysisError if there is no image, or if shapes or types do not match.
    """

    images: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        _check_image_tensor(self.images)
        _check_label_tensor(self.labels, len(self.images))

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, size: int = 250) -> Iterator[tuple[Tensor, Tensor]]:
        """Split images and labels into batches.

        Args:
            size: images per batch; the last batch may have fewer.

        Yields:
            Images (B, C, H, W) and labels (B,).
        """
        yield from zip(self.images.split(size), self.labels.split(size), strict=True)

    @classmethod
    def from_loader(
        cls, loader: Iterable[tuple[Tensor, Tensor]], max_images: int | None = None
    ) -> "LabeledImages":
        """Collect the batches of a loader, such as a datamodule's `test_dataloader()`.

        Args:
            loader: yields images (B, C, H, W) and labels (B,).
            max_images: number of images to take from the start; None takes all.

        Returns:
            The images in the loader's order.

        Raises:
            AnalysisError: the loader yields no batch.
        """
        images: list[Tensor] = []
        labels: list[Tensor] = []
        count = 0
        for batch, targets in loader:
            images.append(batch)
            labels.append(targets)
            count += len(targets)
            if max_images is not None and count >= max_images:
                break
        if not images:
            raise AnalysisError(NO_IMAGES)
        return cls(torch.cat(images)[:max_images], torch.cat(labels)[:max_images])


def _check_image_tensor(images: object) -> None:
    """Raise AnalysisError unless this is a float tensor (N, C, H, W) with N > 0."""
    if not isinstance(images, Tensor) or images.dim() != 4 or not images.is_floating_point():
        raise AnalysisError(
            f"images must be a preprocessed float tensor (N, C, H, W), got {_describe(images)}."
        )
    if not len(images):
        raise AnalysisError(NO_IMAGES)


def _check_label_tensor(labels: object, count: int) -> None:
    """Raise AnalysisError unless this is an integer tensor (count,) without negative labels."""
    if (
        not isinstance(labels, Tensor)
        or labels.dtype not in INTEGER_DTYPES
        or labels.shape != (count,)
    ):
        raise AnalysisError(
            f"labels must be an integer tensor of shape ({count},), one label per image, "
            f"got {_describe(labels)}."
        )
    lowest = int(labels.min())
    if lowest < 0:
        raise AnalysisError(f"labels must be 0 or more, got {lowest}.")


def require_labeled_images(images: object) -> LabeledImages:
    """Check that the caller passed LabeledImages, not a tensor.

    Args:
        images: the argument to check.

    Returns:
        The same object.

    Raises:
        AnalysisError: it is not LabeledImages.
    """
    if isinstance(images, LabeledImages):
        return images
    raise AnalysisError(
        f"images must be LabeledImages(images, labels), got {_describe(images)}. "
        "Where labels do not matter use LabeledImages(images, torch.zeros(len(images), "
        "dtype=torch.long))."
    )


def _describe(value: object) -> str:
    """Describe a value of the wrong type for an error message."""
    if isinstance(value, Tensor):
        dtype = str(value.dtype).removeprefix("torch.")
        return f"a {dtype} tensor of shape {tuple(value.shape)}"
    return f"a {type(value).__name__}"


def count_correct(model: nn.Module, images: LabeledImages) -> int:
    """Count the images whose top-1 prediction is correct.

    Args:
        model: a classifier in evaluation mode, on the images' device.
        images: images and labels.

    Returns:
        The number of correct predictions.
    """
    correct = 0
    with torch.inference_mode():
        for batch, labels in images.batches():
            correct += int((model(batch).argmax(1) == labels).sum())
    return correct


def display_name(model: nn.Module, name: str = "") -> str:
    """Return the name of a model in tables and figures.

    Args:
        model: the model.
        name: name given by the caller, or "".

    Returns:
        The given name, else the model's class name.
    """
    return name or type(model).__name__


def display_names(
    model: nn.Module,
    baseline: nn.Module | None,
    model_name: str = "",
    baseline_name: str = "",
) -> tuple[str, str]:
    """Return distinct names of a model and its baseline.

    Args:
        model: the model.
        baseline: the model to compare with, or None.
        model_name: name of the model, or "" for its class name.
        baseline_name: name of the baseline, or "" for its class name.

    Returns:
        Both names; the second is "" without a baseline.
    """
    first = display_name(model, model_name)
    if baseline is None:
        return first, ""
    second = display_name(baseline, baseline_name)
    return first, f"{second} (baseline)" if second == first else second


def check_labels(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Check that every label is one of the model's classes.

    Args:
        logits: the model's output (N, K).
        labels: labels (N,).

    Returns:
        The same logits and labels.

    Raises:
        AnalysisError: the output is not (N, K), or a label is not below K.
    """
    if logits.dim() != 2:
        raise AnalysisError(
            "The model must be a classifier with output (N, num_classes), got an output of shape "
            f"{tuple(logits.shape)}."
        )
    num_classes = logits.shape[1]
    lowest = int(labels.min())
    highest = int(labels.max())
    if lowest < 0 or highest >= num_classes:
        wrong = highest if lowest >= 0 else lowest
        raise AnalysisError(
            f"The model has {num_classes} classes (labels 0 to {num_classes - 1}), got an image "
            f"with label {wrong}. Use images of the model's own classes."
        )
    return logits, labels
