"""What gates weigh: their weights by channel, depth and class, how many are shut or open, how far classes lie apart.

Hu, Shen, Albanie, Sun, Wu: Squeeze-and-Excitation Networks, arXiv:1709.01507, section 7.2 and its figures.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from lightning_resnets.analysis.names import called
from lightning_resnets.analysis.result import AnalysisError, Cell, Pictures, Table, Tell, silent, told
from lightning_resnets.analysis.style import BLUE, FIRST, SECOND, below, finish, legend, title
from lightning_resnets.analysis.ticks import by_depth, short
from lightning_resnets.analysis.walk import evaluating, placed, revealed, size_of, watching
from lightning_resnets.merge import Gate, Merge

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOW, HIGH = 0.05, 0.95
NAMED = 12  # classes that a legend names; of more the mean stands out
STROKES = ("-", "--", ":")
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
    """What was added up of every gate, in order of depth, and the names of the classes."""

    sums: dict[str, Sums]
    classes: tuple[str, ...]
    name: str = "net"

    def tables(self) -> dict[str, Table]:
        """`gates`: a row a gate and class; `depths`: a row a gate; `channels`: a row a gate, class and channel."""
        by_class: list[tuple[Cell, ...]] = []
        by_gate: list[tuple[Cell, ...]] = []
        by_channel: list[tuple[Cell, ...]] = []
        for depth, (gate, one) in enumerate(self.sums.items(), 1):
            values, at = one.summary(), (self.name, gate, depth)
            by_gate.append((*at, *(values[key] for key in SUMMARY)))
            for label, (count, *rest), means in zip(self.classes, one.rows(), one.means().tolist(), strict=True):
                if count:
                    by_class.append((*at, label, int(count), *rest))
                    by_channel += [(*at, label, channel, value) for channel, value in enumerate(means)]
        return {
            "gates": Table(("net", *COLUMNS), tuple(by_class)),
            "depths": Table(("net", "gate", "depth", *SUMMARY), tuple(by_gate)),
            "channels": Table(("net", "gate", "depth", "class", "channel", "mean"), tuple(by_channel)),
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
        if len(self._seen()) <= NAMED:
            below(figure, grid["c0"], columns=6)
        pictures = int(next(iter(self.sums.values())).pictures.sum())
        finish(figure, title("weights of the gates by class", (self.name,), pictures))

    def _seen(self) -> list[int]:
        """The classes that have pictures."""
        return [i for i, count in enumerate(next(iter(self.sums.values())).pictures.tolist()) if count]

    def _channels(self, axes: "Axes", name: str, first: bool) -> None:
        means, seen = self.sums[name].means(), self._seen()
        order = means[seen].mean(0).argsort()
        named = len(seen) <= NAMED
        for place, i in enumerate(seen):
            look: dict[str, Any] = (
                {"color": f"C{place % 10}", "linestyle": STROKES[place % 3]} if named else {"color": "0.7"}
            )
            axes.plot(means[i][order].tolist(), linewidth=0.9, label=self.classes[i], **look)
        if not named:
            axes.plot(means[seen].mean(0)[order].tolist(), color=BLUE, linewidth=1.6)
        axes.set_ylim(-0.03, 1.03)
        axes.set_title(short(list(self.sums))[list(self.sums).index(name)])
        axes.set_xlabel("channel, by mean weight")
        if first:
            axes.set_ylabel("mean weight" if named else f"mean weight ({len(seen):,} classes; blue: all)")

    def _shares(self, axes: "Axes") -> None:
        values = [one.summary() for one in self.sums.values()]
        axes.plot([100 * v["below"] for v in values], label=f"shut, below {LOW}", **FIRST)
        axes.plot([100 * v["above"] for v in values], label=f"open, above {HIGH}", **SECOND)
        axes.set_ylabel("share of weights (%)")
        legend(axes)
        by_depth(axes, list(self.sums))
        axes.set_xlabel("gate")

    def _distance(self, axes: "Axes") -> None:
        axes.plot([one.summary()["distance"] for one in self.sums.values()], **FIRST)
        axes.set_ylabel("class distance (rms)")
        axes.set_ylim(bottom=0)
        by_depth(axes, list(self.sums))
        axes.set_xlabel("gate")


def gates(
    net: nn.Module, pictures: Pictures, classes: Sequence[str] = (), *, batch: int = 50, name: str = "",
    tell: Tell = silent,
) -> GatesResult:  # fmt: skip
    """How every Gate weighs the pictures of each class: means by channel, shares below .05 and above .95, distances.

    The analysis of Hu, Shen, Albanie, Sun, Wu (2018): Squeeze-and-Excitation Networks, section 7.2. The distance of a
    gate is the root mean square, over channels and pairs of classes, of the difference of their mean weights. A weight
    that differs over space (Highway) counts by its mean there. `classes` names the labels 0, 1, ...; of themselves
    their numbers. `name` is what the net is called in tables and figure (its class). `tell(done, total)` hears of every
    batch; it may raise Cancelled, and the net is left as it was. Returns sums from which means follow; raises
    AnalysisError for a net without a gate, or where names are missing.
    """
    net = revealed(net, size_of(pictures))
    found, most = gates_of(net), int(pictures.labels.max()) + 1
    if not found:
        kinds = sorted({str(part.kind) for part in net.modules() if isinstance(part, Merge)})
        raise AnalysisError(f"This net has no gate; what meets in it is: {', '.join(kinds) or 'nothing'}.")
    if classes and len(classes) < most:
        raise AnalysisError(f"There are pictures of class {most - 1}, and names for 0 to {len(classes) - 1}.")
    named = tuple(classes) or tuple(map(str, range(most)))
    sums: dict[str, Sums] = {}
    modules = dict(net.named_modules())
    points = {gate: f"{gate}.gate" if f"{gate}.gate" in modules else gate for gate in found}
    steps = list(placed(pictures, net).batches(batch))
    for images, labels in told(steps, tell):
        looks = {point: _adding(sums, gate, labels, len(named)) for gate, point in points.items()}
        with evaluating(net), torch.inference_mode(), watching(net, looks):
            net(images)
    return GatesResult({gate: sums[gate] for gate in points if gate in sums}, named, called(net, name))


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
