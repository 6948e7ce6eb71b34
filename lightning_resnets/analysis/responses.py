"""How strongly layers answer, by depth, and how much a branch adds to its shortcut.

He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition, arXiv:1512.03385, section 4.2, "Analysis of Layer
Responses", and Fig. 7.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from lightning_resnets.analysis.names import both
from lightning_resnets.analysis.result import AnalysisError, Pictures, Table, Tell, silent, told
from lightning_resnets.analysis.style import BLUE, FIRST, LINE, SECOND, finish, legend, title
from lightning_resnets.analysis.ticks import by_depth, numbered
from lightning_resnets.analysis.walk import evaluating, placed, revealed, size_of, watching
from lightning_resnets.blocks import BlockGraph
from lightning_resnets.graph import trace
from lightning_resnets.merge import Kind

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class Strength:
    """How a branch stands to its shortcut, means over pictures: |F(x)| / |x|, and the cosine of the angle between."""

    ratio: float
    cosine: float


@dataclass(frozen=True, slots=True)
class ResponsesResult:
    """Standard deviations by 3x3 convolution, of the net and of its twin, and strengths by Add."""

    deviations: dict[str, float]
    strengths: dict[str, Strength]
    twin: dict[str, float] | None = None
    pictures: int | None = None
    name: str = "net"
    twin_name: str = "twin"

    def tables(self) -> dict[str, Table]:
        """`responses`: a row a layer; `adds`: a row an Add."""
        rows = [(net, *row) for net, found in self._nets().items() for row in _numbered(found)]
        adds = [
            (self.name, name, depth, s.ratio, s.cosine) for depth, (name, s) in enumerate(self.strengths.items(), 1)
        ]
        return {
            "responses": Table(("net", "layer", "depth", "std"), tuple(rows)),
            "adds": Table(("net", "add", "depth", "ratio", "cosine"), tuple(adds)),
        }

    def _nets(self) -> dict[str, dict[str, float]]:
        return {self.name: self.deviations} | ({self.twin_name: self.twin} if self.twin else {})

    def draw(self, figure: "Figure") -> None:
        """The two halves of the paper's figure, by depth and by size, and below them every Add."""
        rows = figure.subplots(2 if self.strengths else 1, 2, squeeze=False)
        self._lines(rows[0][0], ordered=False)
        self._lines(rows[0][1], ordered=True)
        if self.strengths:
            self._adds(rows[1][0], "|F(x)| / |x|", [s.ratio for s in self.strengths.values()])
            self._adds(rows[1][1], "cosine of F(x) and x", [s.cosine for s in self.strengths.values()])
        finish(figure, title("responses of layers and branches", list(self._nets()), self.pictures))

    def _lines(self, axes: "Axes", ordered: bool) -> None:
        for (label, found), look in zip(self._nets().items(), (FIRST, SECOND), strict=False):
            shown = sorted(found.values(), reverse=True) if ordered else list(found.values())
            axes.plot(range(1, len(shown) + 1), shown, label=label, **look)
        axes.set_ylim(bottom=0)
        numbered(axes, max(map(len, self._nets().values())), first=1)
        axes.set_xlabel("rank of the 3×3 layer, by std" if ordered else "index of the 3×3 layer")
        axes.set_ylabel("std of the layer's responses")
        if self.twin and ordered:
            legend(axes)

    def _adds(self, axes: "Axes", label: str, values: list[float]) -> None:
        axes.bar(range(len(values)), values, color=BLUE)
        axes.axhline(0, **LINE)
        axes.set_ylabel(label)
        by_depth(axes, [name.removesuffix(".add") for name in self.strengths])
        axes.set_xlabel("block")


def _numbered(found: dict[str, float]) -> list[tuple[str, int, float]]:
    return [(name, depth, value) for depth, (name, value) in enumerate(found.items(), 1)]


def responses(
    net: nn.Module, pictures: Pictures, twin: nn.Module | None = None, *, batch: int = 50, name: str = "",
    twin_name: str = "", tell: Tell = silent,
) -> ResponsesResult:  # fmt: skip
    """The standard deviation of every 3x3 convolution's answer, after batch norm where one follows it directly.

    The analysis of He, Zhang, Ren, Sun (2015): Deep Residual Learning for Image Recognition, section 4.2 and figure 7:
    it is taken over all numbers (pictures, channels, space), before nonlinearity and sum. At every Add: the norm of the
    branch over that of the shortcut, each of one picture's (C, H, W), and their cosine. `twin` is another net to see
    beside it, as the paper's plain nets are. `name` and `twin_name` are what they are called in tables and figure
    (their classes). `tell(done, total)` hears of every batch; it may raise Cancelled, and the net is left as it was.
    Returns deviations by layer and strengths by Add; raises AnalysisError for a net without a 3x3 convolution.
    """
    net = revealed(net, size_of(pictures))
    twin = None if twin is None else revealed(twin, size_of(pictures))
    nets = [net] if twin is None else [net, twin]
    steps = [(one, chunk) for one in nets for chunk in placed(pictures, one).images.split(batch)]
    seen = {id(one): _Sums(one, pictures) for one in nets}
    for one, images in told(steps, tell):
        with evaluating(one), torch.inference_mode(), watching(one, seen[id(one)].looks):
            one(images)
    found, other = seen[id(net)], seen[id(twin)] if twin is not None else None
    names = both(net, twin, name, twin_name)
    beside = other.deviations() if other else None
    return ResponsesResult(found.deviations(), found.strengths(), beside, len(pictures), *names)


def layers(graph: BlockGraph) -> dict[str, str]:
    """The point to look at of every 3x3 convolution: its batch norm where only that follows, else itself."""
    behind: dict[str, list[str]] = {}
    for source, target, _ in graph.flow:
        behind.setdefault(source, []).append(target)
    blocks, found = {block.name: block for block in graph.blocks}, dict[str, str]()
    for block in graph.blocks:
        if not block.op.startswith("conv 3x3"):
            continue
        follower = blocks[behind[block.name][0]] if len(behind.get(block.name, ())) == 1 else None
        last = follower if follower and follower.op == "batch norm" and follower.output else block
        if last.output:
            found[block.name] = last.output
    return found


@dataclass(slots=True)
class _Sum:
    """Count, sum and sum of squares of one layer's numbers; two sums and a count of pictures of an Add."""

    values: Tensor = field(default_factory=lambda: torch.zeros(3, dtype=torch.float64))

    def add(self, *values: Tensor | float) -> None:
        self.values += torch.stack([torch.as_tensor(value, dtype=torch.float64).cpu() for value in values])


class _Sums:
    """What is added up of one net."""

    def __init__(self, net: nn.Module, pictures: Pictures) -> None:
        graph = trace(net, size_of(pictures))
        self.points = layers(graph)
        if not self.points:
            raise AnalysisError(
                "This net has no 3x3 convolution; its operations are "
                + ", ".join(sorted({b.op for b in graph.blocks}))
                + "."
            )
        skips = {skip.merge: skip.operand for skip in graph.skips if skip.kind is Kind.ADD}
        self.shortcut = {block.name: skips.get(block.name, 0) for block in graph.merges if block.kind is Kind.ADD}
        self.sums = {name: _Sum() for name in (*self.points.values(), *self.shortcut)}
        self.looks: dict[str, Callable[[str, tuple[Any, ...], Any], None]] = {
            **dict.fromkeys(self.points.values(), self.layer),
            **dict.fromkeys(self.shortcut, self.met),
        }

    def layer(self, name: str, given: tuple[Tensor, ...], made: Tensor) -> None:
        exact = made.double()
        self.sums[name].add(float(exact.numel()), exact.sum(), exact.square().sum())

    def met(self, name: str, given: tuple[Tensor, ...], made: Tensor) -> None:
        way = self.shortcut[name]
        x, branch = given[way].flatten(1).double(), given[1 - way].flatten(1).double()  # (N, C * H * W)
        ratio = branch.norm(dim=1) / x.norm(dim=1)
        self.sums[name].add(float(len(x)), ratio.sum(), torch.cosine_similarity(x, branch).sum())

    def deviations(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for layer, point in self.points.items():
            count, total, squares = self.sums[point].values.tolist()
            found[layer] = max(0.0, squares / count - (total / count) ** 2) ** 0.5
        return found

    def strengths(self) -> dict[str, Strength]:
        values = {name: self.sums[name].values.tolist() for name in self.shortcut}
        return {name: Strength(ratio / count, cosine / count) for name, (count, ratio, cosine) in values.items()}
