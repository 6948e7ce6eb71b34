"""Outputs shared by all analyses: tables, figures, names and progress."""

import csv
import io
import json
import math
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

import torch
from torch import Tensor, nn

from lightning_resnets.analysis.labeled_images import NO_IMAGES as NO_IMAGES
from lightning_resnets.analysis.labeled_images import LabeledImages as LabeledImages
from lightning_resnets.analysis.labeled_images import (
    require_labeled_images as require_labeled_images,
)
from lightning_resnets.errors import AnalysisError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Cell = str | int | float | None
ProgressCallback = Callable[[int, int], None]  # steps done, steps in total
T = TypeVar("T")


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
    # A caller can show the total, or cancel, before the first slow step.
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
        # Files are the same on all systems.
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
    # float32 has about seven significant digits.
    if isinstance(cell, float):
        return float(f"{cell:.7g}")
    return cell


def _csv_cell(cell: Cell) -> Cell:
    """Return a cell as CSV writes it: booleans are `true` and `false`, as in JSON."""
    if isinstance(cell, bool):
        return str(cell).lower()
    return round_cell(cell)


def _json_cell(cell: Cell) -> Cell:
    """Return a cell as JSON writes it: JSON has no NaN and no infinity."""
    if isinstance(cell, float) and not math.isfinite(cell):
        return None
    return round_cell(cell)


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


def count_correct(model: nn.Module, images: LabeledImages) -> int:
    """Count the images whose top-1 prediction is correct.

    Args:
        model: a classifier in evaluation mode, on the images' device.
        images: images and labels.

    Returns:
        The number of correct predictions.
    """
    correct = 0
    # Counting needs no gradients.
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
    # Tables and legends use the name as a key.
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
            f"The model must output (N, num_classes), got shape {tuple(logits.shape)}."
        )
    last = logits.shape[1] - 1
    outside = labels[(labels < 0) | (labels > last)]
    if len(outside):
        raise AnalysisError(
            f"The model has {last + 1} classes (labels 0 to {last}), got an image with label "
            f"{int(outside.max())}. Use images of the model's own classes."
        )
    return logits, labels
