"""Measure the weights of all gates by channel, depth and class.

Hu, Shen, Albanie, Sun, Wu: Squeeze-and-Excitation Networks, arXiv:1709.01507, section 7.2 and its
figures.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from lightning_resnets.analysis.eval_context import (
    eval_mode,
    hook_modules,
    image_size,
    to_model_device,
    with_merges,
)
from lightning_resnets.analysis.gate_accumulator import CLOSED_BELOW as CLOSED_BELOW
from lightning_resnets.analysis.gate_accumulator import COLUMNS as COLUMNS
from lightning_resnets.analysis.gate_accumulator import OPEN_ABOVE as OPEN_ABOVE
from lightning_resnets.analysis.gate_accumulator import SUMMARY as SUMMARY
from lightning_resnets.analysis.gate_accumulator import GateAccumulator as GateAccumulator
from lightning_resnets.analysis.gate_accumulator import find_gates as find_gates
from lightning_resnets.analysis.plotting import (
    BLUE,
    SERIES_1,
    SERIES_2,
    LineStyle,
    add_legend,
    add_legend_below,
    figure_title,
    finish_figure,
    select_evenly,
    set_block_ticks,
    shorten_names,
)
from lightning_resnets.analysis.result import (
    Cell,
    LabeledImages,
    ProgressCallback,
    Table,
    display_name,
    no_progress,
    track_progress,
)
from lightning_resnets.errors import AnalysisError
from lightning_resnets.merges import Merge

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GATES_SHOWN = 4
MAX_LEGEND_CLASSES = 12  # with more classes, single lines are gray and their mean stands out
GRAY_STYLE: LineStyle = {"color": "0.7"}
LINE_STYLES = ("-", "--", ":")
GRID_COLUMNS = 12  # of the figure: divisible by the number of gates shown


@dataclass(frozen=True, slots=True, eq=False)
class GateWeightsResult:
    """Sums of every gate's weights in order of depth, and the names of the classes."""

    sums: dict[str, GateAccumulator]
    class_names: tuple[str, ...]
    model_name: str = "model"

    def tables(self) -> dict[str, Table]:
        """Return the statistics of all classes that have images.

        Returns:
            `gate_weights`: one row per gate and class; `depths`: per gate; `channels`: per channel.
        """
        by_class: list[tuple[Cell, ...]] = []
        by_gate: list[tuple[Cell, ...]] = []
        by_channel: list[tuple[Cell, ...]] = []
        for depth, (gate, sums) in enumerate(self.sums.items(), 1):
            key = (self.model_name, gate, depth)
            summary = sums.summary()
            by_gate.append((*key, *(summary[name] for name in SUMMARY)))
            # One row per class that has images.
            classes = zip(self.class_names, sums.rows(), sums.means().tolist(), strict=True)
            for class_name, (count, *statistics), means in classes:
                if count:
                    by_class.append((*key, class_name, int(count), *statistics))
                    by_channel += [(*key, class_name, i, mean) for i, mean in enumerate(means)]
        channel_columns = ("model", "gate", "depth", "class", "channel", "mean")
        return {
            "gate_weights": Table(("model", *COLUMNS), tuple(by_class)),
            "depths": Table(("model", "gate", "depth", *SUMMARY), tuple(by_gate)),
            "channels": Table(channel_columns, tuple(by_channel)),
        }

    def draw(self, figure: "Figure") -> None:
        """Draw the weights of four gates by channel, one line per class; below, all gates by depth.

        Args:
            figure: an empty matplotlib figure.
        """
        gates = select_evenly(list(self.sums), GATES_SHOWN)
        first_row: list[str] = []
        for gate in gates:
            first_row += [gate] * (GRID_COLUMNS // len(gates))
        # No gate has a name in parentheses.
        second_row = ["(shares)"] * (GRID_COLUMNS // 2) + ["(distance)"] * (GRID_COLUMNS // 2)
        mosaic: list[Any] = [first_row, second_row]
        panels = figure.subplot_mosaic(mosaic)
        for gate in gates:
            self._draw_channels(panels[gate], gate, is_first=gate == gates[0])
        self._draw_shares(panels["(shares)"])
        self._draw_distance(panels["(distance)"])
        if len(self._class_indices()) <= MAX_LEGEND_CLASSES:
            add_legend_below(figure, panels[gates[0]], columns=6)
        num_images = int(next(iter(self.sums.values())).count.sum())
        title = figure_title("gate weights by class", (self.model_name,), num_images)
        finish_figure(figure, title)

    def _class_indices(self) -> list[int]:
        """Return the classes that have images."""
        counts = next(iter(self.sums.values())).count.tolist()
        return [i for i, count in enumerate(counts) if count]

    def _draw_channels(self, axes: "Axes", gate: str, is_first: bool) -> None:
        """Draw the mean weight of one gate by channel, one line per class."""
        means = self.sums[gate].means()
        classes = self._class_indices()
        # Channels are sorted by their mean over classes, the same for all lines.
        overall = means[classes].mean(0)
        order = overall.argsort()
        has_legend = len(classes) <= MAX_LEGEND_CLASSES
        for number, index in enumerate(classes):
            style = _class_style(number) if has_legend else GRAY_STYLE
            values = means[index][order].tolist()
            axes.plot(values, linewidth=0.9, label=self.class_names[index], **style)
        if not has_legend:
            axes.plot(overall[order].tolist(), color=BLUE, linewidth=1.6)
        # The range of a sigmoid, with room for lines at 0 and 1.
        axes.set_ylim(-0.03, 1.03)
        # Shortened together with all others, so that titles stay distinct.
        axes.set_title(shorten_names(list(self.sums))[list(self.sums).index(gate)])
        axes.set_xlabel("channel, by mean weight")
        if is_first:
            note = "" if has_legend else f" ({len(classes):,} classes; blue: all)"
            axes.set_ylabel("mean weight" + note)

    def _draw_shares(self, axes: "Axes") -> None:
        """Draw the shares of closed and open weights by depth."""
        summaries = [sums.summary() for sums in self.sums.values()]
        closed = [100 * summary["closed"] for summary in summaries]
        opened = [100 * summary["open"] for summary in summaries]
        axes.plot(closed, label=f"closed (below {CLOSED_BELOW})", **SERIES_1)
        axes.plot(opened, label=f"open (above {OPEN_ABOVE})", **SERIES_2)
        axes.set_ylabel("share of weights (%)")
        add_legend(axes)
        set_block_ticks(axes, list(self.sums))
        axes.set_xlabel("gate")

    def _draw_distance(self, axes: "Axes") -> None:
        """Draw the class distance by depth."""
        distances = [sums.summary()["class_distance"] for sums in self.sums.values()]
        axes.plot(distances, **SERIES_1)
        axes.set_ylabel("class distance (rms)")
        axes.set_ylim(bottom=0)
        set_block_ticks(axes, list(self.sums))
        axes.set_xlabel("gate")


def _class_style(number: int) -> LineStyle:
    """Return a color and line style for the class of this number."""
    return {"color": f"C{number % 10}", "linestyle": LINE_STYLES[number % 3]}


def gate_weights(
    model: nn.Module,
    images: LabeledImages,
    class_names: Sequence[str] = (),
    *,
    batch_size: int = 50,
    model_name: str = "",
    progress: ProgressCallback = no_progress,
) -> GateWeightsResult:
    """Measure the weights of every Gate for the images of each class.

    The analysis of Hu, Shen, Albanie, Sun, Wu (2018): Squeeze-and-Excitation Networks, section
    7.2: mean weights by channel, shares of closed (below 0.05) and open (above 0.95) weights, and
    distances between classes. A weight that varies over space (Highway) counts by its mean.

    Args:
        model: a model with gates.
        images: images and labels.
        class_names: names of labels 0, 1, ...; their numbers if empty.
        batch_size: images per forward pass.
        model_name: name in tables and figures; the class name if empty.
        progress: called after every batch; it may raise AnalysisCancelled.

    Returns:
        Sums by gate and class, from which all statistics follow.

    Raises:
        AnalysisError: the model has no gate, or there are more labels than class names.
    """
    model = with_merges(model, image_size(images))
    gates = list(find_gates(model))
    if not gates:
        raise AnalysisError(f"The model has no gate. Its merges: {_merge_kinds(model) or 'none'}.")
    names = _check_class_names(images, class_names)
    modules = dict(model.named_modules())
    # A gate may be a submodule of its block or stand by itself.
    hook_points = {gate: f"{gate}.gate" if f"{gate}.gate" in modules else gate for gate in gates}
    sums: dict[str, GateAccumulator] = {}
    batches = list(to_model_device(images, model).batches(batch_size))
    for batch, labels in track_progress(batches, progress):
        hooks = {
            hook_point: _accumulate(sums, gate, labels, len(names))
            for gate, hook_point in hook_points.items()
        }
        with eval_mode(model), torch.inference_mode(), hook_modules(model, hooks):
            model(batch)
    # The forward pass may call gates in another order, or not at all.
    in_order = {gate: sums[gate] for gate in gates if gate in sums}
    return GateWeightsResult(in_order, names, display_name(model, model_name))


def _merge_kinds(model: nn.Module) -> str:
    """Return the kinds of a model's merges, joined by commas."""
    return ", ".join(
        sorted({str(part.kind) for part in model.modules() if isinstance(part, Merge)})
    )


def _check_class_names(images: LabeledImages, class_names: Sequence[str]) -> tuple[str, ...]:
    """Return one name per label; raise AnalysisError if some are missing."""
    # Names must cover the highest label.
    count = int(images.labels.max()) + 1
    if class_names and len(class_names) < count:
        raise AnalysisError(
            f"class_names has {len(class_names)} names (labels 0 to {len(class_names) - 1}), but "
            f"an image has label {count - 1}."
        )
    return tuple(class_names) or tuple(map(str, range(count)))


def _accumulate(
    sums: dict[str, GateAccumulator], gate: str, labels: Tensor, num_classes: int
) -> Callable[..., None]:
    """Return a hook function that adds one batch of a gate's weights to `sums`."""

    def hook(hook_point: str, inputs: tuple[Any, ...], output: Any) -> None:
        """Add the weights of one call."""
        # The second operand; the first is the map that it scales.
        weight = inputs[1]  # (N, C, 1, 1) or (N, C, H, W)
        if gate not in sums:
            sums[gate] = GateAccumulator.zeros(num_classes, weight.shape[1], weight.device)
        sums[gate].update(weight, labels)

    return hook
