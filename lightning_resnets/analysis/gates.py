"""What gates weigh: their weights by channel, depth and class, how many are shut or open, how far classes lie apart.

Hu, Shen, Albanie, Sun, Wu: Squeeze-and-Excitation Networks, arXiv:1709.01507, section 7.2 and its figures.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from lightning_resnets.analysis.result import AnalysisError, Cell, Pictures, Table, Tell, silent, told
from lightning_resnets.analysis.ticks import FIRST, SECOND, by_depth, plain
from lightning_resnets.analysis.walk import evaluating, placed, watching
from lightning_resnets.merge import Gate, Merge

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOW, HIGH = 0.05, 0.95
SUMMARY = ("mean", "below", "above", "distance")
COLUMNS = ("gate", "depth", "class", "pictures", "mean", "std", "below", "above")


@dataclass(slots=True)
class Sums:
    """What is added up of one gate, by class (K)."""

    weights: Tensor  # (K, C)
    squares: Tensor  # (K,) of each picture's channels
    low: Tensor  # (K,) shares of weights below LOW, of each picture
    high: Tensor  # (K,)
    pictures: Tensor  # (K,)

    @classmethod
    def none(cls, classes: int, channels: int, device: torch.device) -> "Sums":
        exact = torch.float32 if device.type == "mps" else torch.float64
        rows = [torch.zeros(classes, dtype=exact, device=device) for _ in range(4)]
        return cls(torch.zeros(classes, channels, dtype=exact, device=device), *rows)

    def add(self, weight: Tensor, labels: Tensor) -> None:
        """`weight` (N, C, 1, 1) or (N, C, H, W), then by its mean over space, and `labels` (N,)."""
        weight = weight.detach().to(self.weights.dtype)
        mean = weight.mean((2, 3))  # (N, C)
        self.weights.index_add_(0, labels, mean)
        self.squares.index_add_(0, labels, mean.square().mean(1))
        self.low.index_add_(0, labels, (weight < LOW).to(weight.dtype).mean((1, 2, 3)))
        self.high.index_add_(0, labels, (weight > HIGH).to(weight.dtype).mean((1, 2, 3)))
        self.pictures.index_add_(0, labels, torch.ones_like(labels, dtype=weight.dtype))

    def flat(self) -> Tensor:
        return torch.cat((self.weights.flatten(), self.squares, self.low, self.high, self.pictures))

    def filled(self, flat: Tensor) -> "Sums":
        """The same from what `flat` gave, on the CPU."""
        classes, channels = self.weights.shape
        weights, *rows = flat.cpu().split([classes * channels, *[classes] * 4])
        return Sums(weights.view(classes, channels), *rows)

    def rows(self) -> list[tuple[float, ...]]:
        """For each class: pictures, mean and standard deviation over pictures and channels, shares below and above."""
        count = self.pictures
        mean = self.weights.mean(1) / count
        std = (self.squares / count - mean.square()).clamp_min(0).sqrt()
        columns = (count, mean, std, self.low / count, self.high / count)
        return list(zip(*(column.tolist() for column in columns), strict=True))

    def summary(self) -> dict[str, float]:
        """Over all pictures; `distance` is the root mean square, over channels and pairs of classes, of their means."""
        count, seen = self.pictures.sum(), self.pictures > 0
        means = self.weights[seen] / self.pictures[seen, None]  # (classes seen, C)
        between = float(means.var(0).mean()) if len(means) > 1 else 0.0  # half the mean square of all pairs
        values = {"mean": self.weights.mean(1).sum(), "below": self.low.sum(), "above": self.high.sum()}
        return {name: float(value / count) for name, value in values.items()} | {"distance": math.sqrt(2 * between)}

    def means(self) -> Tensor:
        """The mean weight of every channel by class (K, C), nan for a class without a picture."""
        return self.weights / self.pictures[:, None]


@dataclass(frozen=True, slots=True, eq=False)
class GatesResult:
    """What was added up of every gate, from the picture on, and the names of the classes."""

    sums: dict[str, Sums]
    classes: tuple[str, ...]

    def tables(self) -> dict[str, Table]:
        """`gates`: a row a gate and class; `depths`: a row a gate; `channels`: a row a gate, class and channel."""
        by_class: list[tuple[Cell, ...]] = []
        by_gate: list[tuple[Cell, ...]] = []
        by_channel: list[tuple[Cell, ...]] = []
        for depth, (name, one) in enumerate(self.sums.items(), 1):
            values = one.summary()
            by_gate.append((name, depth, *(values[key] for key in SUMMARY)))
            for label, (count, *rest), means in zip(self.classes, one.rows(), one.means().tolist(), strict=True):
                if count:
                    by_class.append((name, depth, label, int(count), *rest))
                    by_channel += [(name, depth, label, channel, value) for channel, value in enumerate(means)]
        return {
            "gates": Table(COLUMNS, tuple(by_class)),
            "depths": Table(("gate", "depth", *SUMMARY), tuple(by_gate)),
            "channels": Table(("gate", "depth", "class", "channel", "mean"), tuple(by_channel)),
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
        figure.set_layout_engine("constrained")

    def _channels(self, axes: "Axes", name: str, first: bool) -> None:
        means = self.sums[name].means()
        seen = [i for i, count in enumerate(self.sums[name].pictures.tolist()) if count]
        order = means[seen].mean(0).argsort()
        for i in seen:
            axes.plot(means[i][order].tolist(), lw=0.8, alpha=0.8)
        axes.set_ylim(-0.03, 1.03)
        axes.set_title(name, fontsize=9)
        axes.set_xlabel("channel, by mean weight", fontsize=8)
        if first:
            axes.set_ylabel(f"weight (lines: {len(seen)} classes)")
        plain(axes)

    def _shares(self, axes: "Axes") -> None:
        values = [one.summary() for one in self.sums.values()]
        axes.plot([100 * v["below"] for v in values], ms=4, label=f"shut, below {LOW}", **FIRST)
        axes.plot([100 * v["above"] for v in values], ms=4, label=f"open, above {HIGH}", **SECOND)
        axes.set_ylabel("share of weights (%)")
        axes.legend(frameon=False, fontsize=8)
        by_depth(axes, list(self.sums), most=12)

    def _distance(self, axes: "Axes") -> None:
        axes.plot([one.summary()["distance"] for one in self.sums.values()], ms=4, **FIRST)
        axes.set_ylabel("distance between classes")
        axes.set_ylim(bottom=0)
        by_depth(axes, list(self.sums), most=12)


def gates(
    net: nn.Module, pictures: Pictures, classes: Sequence[str] = (), *, batch: int = 50, tell: Tell = silent
) -> GatesResult:
    """How every Gate weighs the pictures of each class: means by channel, shares below .05 and above .95, distances.

    The distance of a gate is the root mean square, over channels and pairs of classes, of the difference of their mean
    weights. A weight that differs over space (Highway) counts by its mean there. `classes` names the labels 0, 1, ...;
    of themselves their numbers. Raises AnalysisError for a net without a gate, or where names are missing.
    """
    found, most = gates_of(net), int(pictures.labels.max()) + 1
    if not found:
        kinds = sorted({str(part.kind) for part in net.modules() if isinstance(part, Merge)})
        raise AnalysisError(f"This net has no gate; what meets in it is: {', '.join(kinds) or 'nothing'}.")
    if classes and len(classes) < most:
        raise AnalysisError(f"There are pictures of class {most - 1}, and names for 0 to {len(classes) - 1}.")
    named = tuple(classes) or tuple(map(str, range(most)))
    sums: dict[str, Sums] = {}
    points = {name: f"{name}.gate" if f"{name}.gate" in dict(net.named_modules()) else name for name in found}
    steps = list(placed(pictures, net).batches(batch))
    for images, labels in told(steps, tell):
        looks = {point: _adding(sums, name, labels, len(named)) for name, point in points.items()}
        with evaluating(net), torch.inference_mode(), watching(net, looks):
            net(images)
    return GatesResult({name: sums[name] for name in points if name in sums}, named)


def _adding(sums: dict[str, Sums], name: str, labels: Tensor, classes: int) -> Callable[..., None]:
    def look(point: str, given: tuple[Any, ...], made: Any) -> None:
        weight = given[1]  # (N, C, 1, 1) or (N, C, H, W)
        if name not in sums:
            sums[name] = Sums.none(classes, weight.shape[1], weight.device)
        sums[name].add(weight, labels)

    return look


def gates_of(module: nn.Module) -> dict[str, Gate]:
    """Every Gate of the module's net, from the input on, by the name of the part that owns it."""
    net = getattr(module, "net", module)
    return {name.removesuffix(".gate"): part for name, part in net.named_modules() if isinstance(part, Gate)}
