"""What every analysis gives and takes: numbers that become a table and a figure, progress that can be stopped."""

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

if TYPE_CHECKING:
    from matplotlib.figure import Figure
from lightning_resnets.errors import AnalysisError

Cell = str | int | float | None


ProgressCallback = Callable[[int, int], None]  # steps done, steps in all


T = TypeVar("T")


INTEGER_DTYPES = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


def no_progress(done: int, total: int) -> None:
    """Tells nobody."""


def track_progress(items: Sequence[T], progress: ProgressCallback) -> Iterator[T]:
    """The items one after another; `tell` hears of it before the first and after each, and may raise Cancelled."""
    progress(0, len(items))
    for done, item in enumerate(items, 1):
        yield item
        progress(done, len(items))


@dataclass(frozen=True, slots=True)
class Table:
    """Numbers with names: the same columns in every row. Its texts round what is not whole to seven digits."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def csv(self) -> str:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        cells = (
            [str(cell).lower() if isinstance(cell, bool) else round_cell(cell) for cell in row]
            for row in self.rows
        )
        writer.writerows(cells)
        return text.getvalue()

    def json(self) -> str:
        """A list of objects, one a row; null for what is not there and for what is no finite number."""
        cells = ([_finite(round_cell(cell)) for cell in row] for row in self.rows)
        return json.dumps([dict(zip(self.columns, row, strict=True)) for row in cells], indent=1)


def round_cell(cell: Cell) -> Cell:
    """0.4 for 0.39999999999999997: what a reader of a file takes for the number."""
    return float(f"{cell:.7g}") if isinstance(cell, float) else cell


def _finite(cell: Cell) -> Cell:
    return None if isinstance(cell, float) and not math.isfinite(cell) else cell


class Result(Protocol):
    """What an analysis found."""

    @abstractmethod
    def tables(self) -> dict[str, Table]:
        """The numbers, by the name of a file without ending."""
        ...

    @abstractmethod
    def draw(self, figure: "Figure") -> None:
        """Draw them on an empty figure of matplotlib, with axes named and units given."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class LabeledImages:
    """Images as a model takes them, (N, C, H, W) float32, and their labels (N,) int64, counted from 0.

    Raises AnalysisError for what is none, for no image at all, and where the labels are not one an image.
    """

    images: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        if (
            not isinstance(self.images, Tensor)
            or self.images.dim() != 4
            or not self.images.is_floating_point()
        ):
            raise AnalysisError(
                f"Images are a float tensor (N, C, H, W) as a model takes them, not {_form(self.images)}."
            )
        if not len(self.images):
            raise AnalysisError("There is no image to look at: give one or more.")
        whole = isinstance(self.labels, Tensor) and self.labels.dtype in INTEGER_DTYPES
        if not whole or self.labels.shape != self.images.shape[:1]:
            raise AnalysisError(
                f"The labels of {len(self.images)} images are a tensor of as many whole numbers, not "
                f"{_form(self.labels)}."
            )
        if int(self.labels.min()) < 0:
            raise AnalysisError(
                f"Labels are counted from 0: there is no class {int(self.labels.min())}."
            )

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, size: int = 250) -> Iterator[tuple[Tensor, Tensor]]:
        yield from zip(self.images.split(size), self.labels.split(size), strict=True)

    @classmethod
    def from_loader(
        cls, loader: Iterable[tuple[Tensor, Tensor]], most: int | None = None
    ) -> "LabeledImages":
        """What a loader of batches gives, at most so many images: any datamodule's `test_dataloader()`."""
        images, labels, count = list[Tensor](), list[Tensor](), 0
        for batch, targets in loader:
            images.append(batch)
            labels.append(targets)
            count += len(targets)
            if most is not None and count >= most:
                break
        if not images:
            raise AnalysisError("There is no image to look at: give one or more.")
        return cls(torch.cat(images)[:most], torch.cat(labels)[:most])


def require_labeled_images(images: object) -> LabeledImages:
    """Images as they are; raises AnalysisError for a tensor alone and for anything else."""
    if isinstance(images, LabeledImages):
        return images
    raise AnalysisError(
        f"This takes Images(images, labels), not {_form(images)}; where labels do not matter any will do, as in "
        "Images(images, torch.zeros(len(images), dtype=torch.long))."
    )


def _form(thing: object) -> str:
    """What something is, as a sentence says it."""
    if isinstance(thing, Tensor):
        return (
            f"a tensor of {str(thing.dtype).removeprefix('torch.')} and shape {tuple(thing.shape)}"
        )
    return f"a {type(thing).__name__}"


def count_correct(model: nn.Module, images: LabeledImages) -> int:
    """How many images a model in evaluation gets right."""
    with torch.inference_mode():
        return sum(
            int((model(batch).argmax(1) == labels).sum()) for batch, labels in images.batches()
        )


def display_name(model: nn.Module, name: str = "") -> str:
    """The name given, else that of the model's class."""
    return name or type(model).__name__


def display_names(
    model: nn.Module, baseline: nn.Module | None, name: str = "", baseline_name: str = ""
) -> tuple[str, str]:
    """What a model and its twin are called, never the same; "" for a twin that is not there."""
    one, other = (
        display_name(model, name),
        "" if baseline is None else display_name(baseline, baseline_name),
    )
    return one, f"{other} (twin)" if other == one else other


def check_labels(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The same logits (N, K) and labels (N,); raises AnalysisError where a label is none of the K classes."""
    least, most = int(labels.min()), int(labels.max())
    if logits.dim() != 2:
        raise AnalysisError(
            f"This model answers with a tensor of {logits.dim()} axes: a score for each class is needed."
        )
    if least < 0 or most >= logits.shape[1]:
        raise AnalysisError(
            f"There are images of class {most if least >= 0 else least}, and this model tells {logits.shape[1]} "
            f"classes apart, 0 to {logits.shape[1] - 1}: give labels of its own classes."
        )
    return logits, labels
