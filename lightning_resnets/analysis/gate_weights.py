"""What gates weigh: their weights by channel, depth and class, how many are shut or open, how far classes lie apart.

Hu, Shen, Albanie, Sun, Wu: Squeeze-and-Excitation Networks, arXiv:1709.01507, section 7.2 and its figures.
"""

import math
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
from lightning_resnets.analysis.plotting import (
    BLUE,
    SERIES_1,
    SERIES_2,
    add_legend,
    add_legend_below,
    figure_title,
    finish_figure,
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
from lightning_resnets.merges import Gate, Merge

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


CLOSED_BELOW, OPEN_ABOVE = 0.05, 0.95


MAX_LEGEND_CLASSES = 12  # classes that a legend names; of more the mean stands out


LINE_STYLES = ("-", "--", ":")


SUMMARY = ("mean", "below", "above", "distance")


COLUMNS = ("gate", "depth", "class", "images", "mean", "std", "below", "above")


@dataclass(slots=True)
class GateAccumulator:
    """What is added up of one gate, by class (K)."""

    weights: Tensor  # (K, C)
    squares: Tensor  # (K,) of each image's channels
    closed: Tensor  # (K,) shares of weights below LOW, of each image
    open: Tensor  # (K,)
    count: Tensor  # (K,)

    @classmethod
    def zeros(cls, num_classes: int, channels: int, device: torch.device) -> "GateAccumulator":
        exact = torch.float32 if device.type == "mps" else torch.float64
        rows = [torch.zeros(num_classes, dtype=exact, device=device) for _ in range(4)]
        return cls(torch.zeros(num_classes, channels, dtype=exact, device=device), *rows)

    def update(self, weight: Tensor, labels: Tensor) -> None:
        """`weight` (N, C, 1, 1) or (N, C, H, W), then by its mean over space, and `labels` (N,)."""
        weight = weight.detach().to(self.weights.dtype)
        mean = weight.mean((2, 3))  # (N, C)
        self.weights.index_add_(0, labels, mean)
        self.squares.index_add_(0, labels, mean.square().mean(1))
        self.closed.index_add_(0, labels, (weight < CLOSED_BELOW).to(weight.dtype).mean((1, 2, 3)))
        self.open.index_add_(0, labels, (weight > OPEN_ABOVE).to(weight.dtype).mean((1, 2, 3)))
        self.count.index_add_(0, labels, torch.ones_like(labels, dtype=weight.dtype))

    def flatten(self) -> Tensor:
        return torch.cat((self.weights.flatten(), self.squares, self.closed, self.open, self.count))

    def unflatten(self, flat: Tensor) -> "GateAccumulator":
        """The same from what `flat` gave, on the CPU."""
        classes, channels = self.weights.shape
        weights, *rows = flat.cpu().split([classes * channels, *[classes] * 4])
        return GateAccumulator(weights.view(classes, channels), *rows)

    def rows(self) -> list[tuple[float, ...]]:
        """For each class: images, mean and standard deviation over images and channels, shares below and above."""
        count = self.count
        mean = self.weights.mean(1) / count
        std = (self.squares / count - mean.square()).clamp_min(0).sqrt()
        columns = (count, mean, std, self.closed / count, self.open / count)
        return list(zip(*(column.tolist() for column in columns), strict=True))

    def summary(self) -> dict[str, float]:
        """Over all images; `distance` is the root mean square, over channels and pairs of classes, of their means."""
        count, seen = self.count.sum(), self.count > 0
        means = self.weights[seen] / self.count[seen, None]  # (classes seen, C)
        between = (
            float(means.var(0).mean()) if len(means) > 1 else 0.0
        )  # half the mean square of all pairs
        values = {
            "mean": self.weights.mean(1).sum(),
            "below": self.closed.sum(),
            "above": self.open.sum(),
        }
        return {name: float(value / count) for name, value in values.items()} | {
            "distance": math.sqrt(2 * between)
        }

    def means(self) -> Tensor:
        """The mean weight of every channel by class (K, C), nan for a class without an image."""
        return self.weights / self.count[:, None]


@dataclass(frozen=True, slots=True, eq=False)
class GateWeightsResult:
    """What was added up of every gate, in order of depth, and the names of the classes."""

    sums: dict[str, GateAccumulator]
    classes: tuple[str, ...]
    name: str = "model"

    def tables(self) -> dict[str, Table]:
        """`gates`: a row a gate and class; `depths`: a row a gate; `channels`: a row a gate, class and channel."""
        by_class: list[tuple[Cell, ...]] = []
        by_gate: list[tuple[Cell, ...]] = []
        by_channel: list[tuple[Cell, ...]] = []
        for depth, (gate, one) in enumerate(self.sums.items(), 1):
            values, at = one.summary(), (self.name, gate, depth)
            by_gate.append((*at, *(values[key] for key in SUMMARY)))
            for label, (count, *rest), means in zip(
                self.classes, one.rows(), one.means().tolist(), strict=True
            ):
                if count:
                    by_class.append((*at, label, int(count), *rest))
                    by_channel += [
                        (*at, label, channel, value) for channel, value in enumerate(means)
                    ]
        return {
            "gates": Table(("model", *COLUMNS), tuple(by_class)),
            "depths": Table(("model", "gate", "depth", *SUMMARY), tuple(by_gate)),
            "channels": Table(
                ("model", "gate", "depth", "class", "channel", "mean"), tuple(by_channel)
            ),
        }

    def draw(self, figure: "Figure") -> None:
        """Weights by channel of four gates, a line a class; below, all gates by depth."""
        names = list(self.sums)
        shown = sorted({round(i * (len(names) - 1) / 3) for i in range(4)})
        mosaic: list[Any] = [
            [f"c{i}" for i in shown for _ in range(12 // len(shown))],
            ["shares"] * 6 + ["distance"] * 6,
        ]
        grid = figure.subplot_mosaic(mosaic)
        for i in shown:
            self._channels(grid[f"c{i}"], names[i], first=i == 0)
        self._shares(grid["shares"])
        self._distance(grid["distance"])
        if len(self._seen()) <= MAX_LEGEND_CLASSES:
            add_legend_below(figure, grid["c0"], columns=6)
        images = int(next(iter(self.sums.values())).count.sum())
        finish_figure(figure, figure_title("weights of the gates by class", (self.name,), images))

    def _seen(self) -> list[int]:
        """The classes that have images."""
        return [i for i, count in enumerate(next(iter(self.sums.values())).count.tolist()) if count]

    def _channels(self, axes: "Axes", name: str, first: bool) -> None:
        means, seen = self.sums[name].means(), self._seen()
        order = means[seen].mean(0).argsort()
        named = len(seen) <= MAX_LEGEND_CLASSES
        for place, i in enumerate(seen):
            look: dict[str, Any] = (
                {"color": f"C{place % 10}", "linestyle": LINE_STYLES[place % 3]}
                if named
                else {"color": "0.7"}
            )
            axes.plot(means[i][order].tolist(), linewidth=0.9, label=self.classes[i], **look)
        if not named:
            axes.plot(means[seen].mean(0)[order].tolist(), color=BLUE, linewidth=1.6)
        axes.set_ylim(-0.03, 1.03)
        axes.set_title(shorten_names(list(self.sums))[list(self.sums).index(name)])
        axes.set_xlabel("channel, by mean weight")
        if first:
            axes.set_ylabel(
                "mean weight" if named else f"mean weight ({len(seen):,} classes; blue: all)"
            )

    def _shares(self, axes: "Axes") -> None:
        values = [one.summary() for one in self.sums.values()]
        axes.plot(
            [100 * v["below"] for v in values], label=f"shut, below {CLOSED_BELOW}", **SERIES_1
        )
        axes.plot([100 * v["above"] for v in values], label=f"open, above {OPEN_ABOVE}", **SERIES_2)
        axes.set_ylabel("share of weights (%)")
        add_legend(axes)
        set_block_ticks(axes, list(self.sums))
        axes.set_xlabel("gate")

    def _distance(self, axes: "Axes") -> None:
        axes.plot([one.summary()["distance"] for one in self.sums.values()], **SERIES_1)
        axes.set_ylabel("class distance (rms)")
        axes.set_ylim(bottom=0)
        set_block_ticks(axes, list(self.sums))
        axes.set_xlabel("gate")


def gate_weights(
    model: nn.Module,
    images: LabeledImages,
    class_names: Sequence[str] = (),
    *,
    batch: int = 50,
    name: str = "",
    progress: ProgressCallback = no_progress,
) -> GateWeightsResult:
    """How every Gate weighs the images of each class: means by channel, shares below .05 and above .95, distances.

    The analysis of Hu, Shen, Albanie, Sun, Wu (2018): Squeeze-and-Excitation Networks, section 7.2. The distance of a
    gate is the root mean square, over channels and pairs of classes, of the difference of their mean weights. A weight
    that differs over space (Highway) counts by its mean there. `classes` names the labels 0, 1, ...; of themselves
    their numbers. `name` is what the model is called in tables and figure (its class). `tell(done, total)` hears of every
    batch; it may raise Cancelled, and the model is left as it was. Returns sums from which means follow; raises
    AnalysisError for a model without a gate, or where names are missing.
    """
    model = with_merges(model, image_size(images))
    found, most = find_gates(model), int(images.labels.max()) + 1
    if not found:
        kinds = sorted({str(part.kind) for part in model.modules() if isinstance(part, Merge)})
        raise AnalysisError(
            f"This model has no gate; what meets in it is: {', '.join(kinds) or 'nothing'}."
        )
    if class_names and len(class_names) < most:
        raise AnalysisError(
            f"There are images of class {most - 1}, and names for 0 to {len(class_names) - 1}."
        )
    named = tuple(class_names) or tuple(map(str, range(most)))
    sums: dict[str, GateAccumulator] = {}
    modules = dict(model.named_modules())
    points = {gate: f"{gate}.gate" if f"{gate}.gate" in modules else gate for gate in found}
    steps = list(to_model_device(images, model).batches(batch))
    for pixels, labels in track_progress(steps, progress):
        looks = {point: _adding(sums, gate, labels, len(named)) for gate, point in points.items()}
        with eval_mode(model), torch.inference_mode(), hook_modules(model, looks):
            model(pixels)
    return GateWeightsResult(
        {gate: sums[gate] for gate in points if gate in sums}, named, display_name(model, name)
    )


def _adding(
    sums: dict[str, GateAccumulator], name: str, labels: Tensor, num_classes: int
) -> Callable[..., None]:
    def look(point: str, given: tuple[Any, ...], made: Any) -> None:
        weight = given[1]  # (N, C, 1, 1) or (N, C, H, W)
        if name not in sums:
            sums[name] = GateAccumulator.zeros(num_classes, weight.shape[1], weight.device)
        sums[name].update(weight, labels)

    return look


def find_gates(module: nn.Module) -> dict[str, Gate]:
    """Every Gate of the module's model, from the input on, by the name of the part that owns it."""
    model = getattr(module, "model", module)
    return {
        name.removesuffix(".gate"): part
        for name, part in model.named_modules()
        if isinstance(part, Gate)
    }
