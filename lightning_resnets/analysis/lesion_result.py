"""Tables and figure of the lesion experiment."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import mean
from typing import TYPE_CHECKING, Any, NamedTuple

from lightning_resnets.analysis.plotting import (
    REFERENCE_LINE,
    SERIES_1,
    SERIES_2,
    LineStyle,
    add_legend_below,
    figure_title,
    finish_figure,
    markers_only,
    set_block_ticks,
    set_integer_ticks,
)
from lightning_resnets.analysis.result import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = ("model", "change", "blocks", "error", "reason_skipped")


@dataclass(frozen=True, slots=True)
class LesionErrors:
    """Errors of one model, as fractions of the images.

    Attributes:
        num_classes: number of classes, for the error of random guessing.
        intact_error: error of the unchanged model.
        error_without_block: error by dropped block.
        error_without_k_blocks: by number k of dropped blocks, the error of each random draw.
        error_with_swap: error by pair of swapped blocks.
        skipped_blocks: by block that was not dropped, the reason.
    """

    num_classes: int
    intact_error: float
    error_without_block: dict[str, float]
    error_without_k_blocks: dict[int, tuple[float, ...]]
    error_with_swap: dict[tuple[str, str], float]
    skipped_blocks: dict[str, str] = field(default_factory=dict[str, str])

    def rows(self, name: str) -> Iterator[tuple[str, str, int, float | None, str]]:
        """Iterate over the rows of the result's table.

        Args:
            name: name of the model.

        Yields:
            Cells in the order of COLUMNS.
        """
        yield name, "intact", 0, self.intact_error, ""
        for block, error in self.error_without_block.items():
            yield name, f"without {block}", 1, error, ""
        for block, reason in self.skipped_blocks.items():
            yield name, f"without {block}", 1, None, reason
        for k, errors in self.error_without_k_blocks.items():
            for error in errors:
                yield name, f"without {k} at random", k, error, ""
        for (first, second), error in self.error_with_swap.items():
            yield name, f"{first} and {second} swapped", 2, error, ""


@dataclass(frozen=True, slots=True)
class LesionResult:
    """Errors of a model and its baseline on the same images."""

    errors: LesionErrors
    baseline_errors: LesionErrors | None
    num_images: int
    model_name: str = "model"
    baseline_name: str = "baseline"

    def tables(self) -> dict[str, Table]:
        """Return the errors.

        Returns:
            `lesion`: one row per change of each model. A block that could not be dropped has no
            error, but a reason.
        """
        # Both models in one table, told apart by the first column.
        rows = list(self.errors.rows(self.model_name))
        if self.baseline_errors:
            rows += self.baseline_errors.rows(self.baseline_name)
        return {"lesion": Table(COLUMNS, tuple(rows))}

    def draw(self, figure: "Figure") -> None:
        """Draw the error without each block, without k blocks, and with neighbors swapped.

        Args:
            figure: an empty matplotlib figure.
        """
        series = [_Series(self.model_name, SERIES_1, self.errors)]
        if self.baseline_errors:
            series.append(_Series(self.baseline_name, SERIES_2, self.baseline_errors))
        _draw(figure, series, self.num_images)


class _Series(NamedTuple):
    """Errors of one model with its name and style."""

    name: str
    style: LineStyle
    errors: LesionErrors


def _draw(figure: "Figure", series: Sequence[_Series], num_images: int) -> None:
    """Draw all panels."""
    has_swaps = any(one.errors.error_with_swap for one in series)
    # Without swappable neighbors the second panel takes their place.
    second = "swapped" if has_swaps else "several"
    mosaic: list[Any] = [["each", "each"], ["several", second]]
    panels = figure.subplot_mosaic(mosaic, height_ratios=(1.2, 1))
    _draw_each_block(panels["each"], series)
    _draw_several_blocks(panels["several"], series)
    if has_swaps:
        _draw_swaps(panels["swapped"], series)
    add_legend_below(figure, panels["each"], columns=3)
    names = [one.name for one in series]
    title = figure_title("error with blocks dropped or swapped", names, num_images)
    finish_figure(figure, title)


def _draw_each_block(axes: "Axes", series: Sequence[_Series]) -> None:
    """Draw the error without each single block."""
    names: list[str] = []
    for one in series:
        # Blocks of both models, in the order of the model; they may differ.
        names += [name for name in one.errors.error_without_block if name not in names]
    for one in series:
        errors = one.errors.error_without_block
        # A block that the other model lacks leaves a gap.
        known = [(i, 100 * errors[name]) for i, name in enumerate(names) if name in errors]
        axes.plot(
            *zip(*known, strict=True), label=f"{one.name}, changed", **markers_only(one.style)
        )
    _draw_reference_lines(axes, series)
    set_block_ticks(axes, names)
    num_skipped = sum(len(one.errors.skipped_blocks) for one in series)
    note = f" ({num_skipped} cannot be dropped: see the table)" if num_skipped else ""
    axes.set_xlabel("dropped block" + note)


def _draw_several_blocks(axes: "Axes", series: Sequence[_Series]) -> None:
    """Draw the error by number of dropped blocks."""
    for one in series:
        by_count = {
            # 0 and 1 dropped blocks are known exactly, not sampled.
            0: (one.errors.intact_error,),
            1: tuple(one.errors.error_without_block.values()),
            **one.errors.error_without_k_blocks,
        }
        means = [100 * mean(errors) for errors in by_count.values()]
        pairs = list(zip(means, by_count.values(), strict=True))
        # Error bars are distances from the mean.
        below = [middle - 100 * min(errors) for middle, errors in pairs]
        above = [100 * max(errors) - middle for middle, errors in pairs]
        axes.errorbar(list(by_count), means, [below, above], capsize=2, **one.style)
    _draw_reference_lines(axes, series)
    set_integer_ticks(
        axes, max(max(one.errors.error_without_k_blocks, default=1) for one in series)
    )
    axes.set_xlabel("number of blocks dropped at random (bars: min, max)")


def _draw_swaps(axes: "Axes", series: Sequence[_Series]) -> None:
    """Draw the error by pair of swapped neighbors."""
    names: list[str] = []
    for one in series:
        names += [_pair_name(*pair) for pair in one.errors.error_with_swap]
    names = list(dict.fromkeys(names))
    for one in series:
        known = [
            (names.index(_pair_name(*pair)), 100 * error)
            for pair, error in one.errors.error_with_swap.items()
        ]
        if known:
            axes.plot(*zip(*known, strict=True), **markers_only(one.style))
    _draw_reference_lines(axes, series)
    set_block_ticks(axes, names)
    axes.set_xlabel("swapped neighbors")


def _draw_reference_lines(axes: "Axes", series: Sequence[_Series]) -> None:
    """Draw the error of the unchanged models and of random guessing."""
    for one in series:
        error = 100 * one.errors.intact_error
        style = {
            **REFERENCE_LINE,
            "color": one.style["color"],
            "linestyle": one.style["linestyle"],
        }
        axes.axhline(error, label=f"{one.name}, intact ({error:.1f} %)", **style)
    # Random guessing among equally frequent classes.
    chance = 100 * (1 - 1 / series[0].errors.num_classes)
    axes.axhline(chance, label=f"chance ({chance:.4g} %)", **{**REFERENCE_LINE, "linestyle": ":"})
    # One scale for all panels, with room for markers at 0 and 100 %.
    axes.set_ylim(-4, 104)
    axes.set_ylabel("error (%)")


def _pair_name(first: str, second: str) -> str:
    """Format two neighbors of one stage: `layer1.0, 1`."""
    return f"{first}, {second.rpartition('.')[2]}"
