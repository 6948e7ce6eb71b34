"""Draw the depth of the winners of ILSVRC by year, the "revolution of depth", and of a model."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from torch import nn

from lightning_resnets.analysis.plotting import (
    BLUE,
    ORANGE,
    TEXT_COLOR,
    TICK_SIZE,
    figure_title,
    finish_figure,
)
from lightning_resnets.analysis.result import (
    Cell,
    ProgressCallback,
    Table,
    display_name,
    no_progress,
    track_progress,
)
from lightning_resnets.graph import trace
from lightning_resnets.models.depth import count_depth
from lightning_resnets.models.ilsvrc import CHALLENGE_ENTRIES, ChallengeEntry
from lightning_resnets.models.summary import ModelSummary, summarize_model
from lightning_resnets.utils.format import plural

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = (
    "year",
    "name",
    "layers",
    "top5_error",
    "model",
    "parameters",
    "macs",
    "source",
    "note",
)


@dataclass(frozen=True, slots=True)
class DepthByYearResult:
    """Winners of ILSVRC, and the depth of a model if there is one.

    Attributes:
        entries: entries of the challenge, the oldest first.
        summaries: cost of the entries' models, by name in the model registry.
        depth: layers with weights on the longest path of the analyzed model; None without one.
        model_name: its name.
    """

    entries: tuple[ChallengeEntry, ...]
    summaries: dict[str, ModelSummary]
    depth: int | None = None
    model_name: str = "model"

    def tables(self) -> dict[str, Table]:
        """Return the entries.

        Returns:
            `depth_by_year`: one row per entry; `model`: the depth of the analyzed model, if any.
        """
        rows = tuple(self._row(entry) for entry in self.entries)
        tables = {"depth_by_year": Table(COLUMNS, rows)}
        if self.depth is not None:
            tables["model"] = Table(("model", "layers"), ((self.model_name, self.depth),))
        return tables

    def _row(self, entry: ChallengeEntry) -> tuple[Cell, ...]:
        """Return the table row of one entry."""
        summary = self.summaries.get(entry.model)
        return (
            entry.year,
            entry.name,
            entry.layers,
            entry.top5_error,
            entry.model or None,
            summary.parameters if summary else None,
            summary.macs if summary else None,
            entry.source,
            entry.note or None,
        )

    def draw(self, figure: "Figure") -> None:
        """Draw the number of layers above the top-5 error, by year.

        Args:
            figure: an empty matplotlib figure.
        """
        depth_panel, error_panel = figure.subplots(2, 1, sharex=True, height_ratios=(1.5, 1))
        self._draw_depths(depth_panel)
        errors = [entry.top5_error for entry in self.entries]
        _draw_bars(error_panel, errors, [f"{error:g} %" for error in errors], ORANGE)
        error_panel.set_ylabel("top-5 test error (%)")
        names = [f"{entry.name}\n{entry.year}" for entry in self.entries]
        error_panel.set_xticks(range(len(names)), names)
        error_panel.set_xlabel("ILSVRC entry")
        text = "layers and error of the winners of ILSVRC (second place: VGG-19)"
        names = () if self.depth is None else (self.model_name,)
        finish_figure(figure, figure_title(text, names))

    def _draw_depths(self, axes: "Axes") -> None:
        """Draw the layers of each entry."""
        # Entries without one depth get a label, but no bar.
        depths = [entry.layers or 0 for entry in self.entries]
        _draw_bars(axes, depths, [_describe_depth(entry) for entry in self.entries], BLUE)
        axes.set_ylabel("layers with weights")
        if self.depth is not None:
            self._draw_own_depth(axes, self.depth)

    def _draw_own_depth(self, axes: "Axes", depth: int) -> None:
        """Draw the layers of the analyzed model as a line with its name."""
        axes.axhline(depth, color=TEXT_COLOR, linewidth=0.9, linestyle="--", zorder=0)
        axes.annotate(
            f"{self.model_name}: {plural(depth, 'layer')}",
            (0, depth),
            (3, 2),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            va="bottom",
            fontsize=TICK_SIZE,
            color=TEXT_COLOR,
            weight="bold",
        )


def _describe_depth(entry: ChallengeEntry) -> str:
    """Describe the depth of an entry."""
    if entry.layers is not None:
        return plural(entry.layers, "layer")
    # Before AlexNet features were designed by hand; later an ensemble had several depths.
    return "no deep\nnetwork" if entry.year < 2012 else "ensemble of\nseveral depths"


def _draw_bars(axes: "Axes", heights: Sequence[float], labels: Sequence[str], color: str) -> None:
    """Draw bars with labels on top."""
    axes.bar(range(len(heights)), heights, color=color, width=0.6)
    for position, (height, label) in enumerate(zip(heights, labels, strict=True)):
        axes.annotate(
            label,
            (position, height),
            (0, 2),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=TICK_SIZE,
            # White behind the text, so that the line of the analyzed model does not cross it.
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
        )
    # Room for the labels above the bars.
    axes.set_ylim(0, 1.18 * max(heights))


def depth_by_year(
    model: nn.Module | None = None,
    input_size: tuple[int, int, int] = (3, 32, 32),
    *,
    model_name: str = "",
    progress: ProgressCallback = no_progress,
) -> DepthByYearResult:
    """Compare the depth of a model with those of the winners of ILSVRC classification.

    Args:
        model: the model; None for the winners only.
        input_size: shape (C, H, W) of one image.
        model_name: name in tables and figures; the class name if empty.
        progress: called after every model of the comparison; it may raise AnalysisCancelled.

    Returns:
        Entries by year with layers, top-5 error and source.
    """
    names = [entry.model for entry in CHALLENGE_ENTRIES if entry.model]
    summaries = {name: _summarize(name) for name in track_progress(names, progress)}
    if model is None:
        return DepthByYearResult(CHALLENGE_ENTRIES, summaries)
    depth = count_depth(trace(model, input_size))
    return DepthByYearResult(CHALLENGE_ENTRIES, summaries, depth, display_name(model, model_name))


@cache
def _summarize(name: str) -> ModelSummary:
    """Count the cost of a model, once: it is the same for every analysis."""
    return summarize_model(name)
