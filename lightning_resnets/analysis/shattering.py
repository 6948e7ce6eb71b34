"""Whether a net's gradient still looks like itself a step further on: shattered gradients, by depth.

Balduzzi, Frean, Leary, Lewis, Ma, McWilliams: The Shattered Gradients Problem: If resnets are the answer, then what is
the question?, arXiv:1702.08591, sections 2 and 3.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, fx, nn

from lightning_resnets.analysis.names import both
from lightning_resnets.analysis.result import AnalysisError, Pictures, Table, Tell, silent, told
from lightning_resnets.analysis.style import FIRST, LINE, SECOND, finish, legend, title
from lightning_resnets.analysis.ticks import by_depth
from lightning_resnets.analysis.walk import Walker, awake, placed, size_of
from lightning_resnets.graph import Followed, follow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Curves = dict[str, tuple[float, ...]]  # autocorrelation at lag 0, 1, ... by block


@dataclass(frozen=True, slots=True)
class ShatteringResult:
    """Autocorrelations of the input gradient of each block's output, of the net and of its twin.

    `step` is the way from one point to the next, as a share of the line.
    """

    curves: Curves
    twin: Curves | None
    step: float
    name: str = "net"
    twin_name: str = "twin"

    def tables(self) -> dict[str, Table]:
        """`shattering`: a row a block and lag."""
        rows = tuple(
            (name, block, depth, lag, value)
            for name, curves in self._nets().items()
            for depth, (block, curve) in enumerate(curves.items(), 1)
            for lag, value in enumerate(curve)
        )
        return {"shattering": Table(("net", "block", "depth", "lag", "autocorrelation"), rows)}

    def _nets(self) -> dict[str, Curves]:
        return {self.name: self.curves} | ({self.twin_name: self.twin} if self.twin else {})

    def draw(self, figure: "Figure") -> None:
        """The curves of the last blocks, and what is left after one step by depth."""
        last, depth = figure.subplots(1, 2, sharey=True)
        for (label, curves), look in zip(self._nets().items(), (FIRST, SECOND), strict=False):
            curve = list(curves.values())[-1]
            last.plot([100 * self.step * lag for lag in range(len(curve))], curve, label=label, **look)
            depth.plot([one[1] for one in curves.values()], **look)
        _finished(last, "behind the last block", "distance between pictures (% of the line)")
        _finished(depth, f"behind every block, one step of {100 * self.step:.1f} % apart", "block")
        by_depth(depth, max(map(list, self._nets().values()), key=len))
        last.set_ylabel("autocorrelation of the input gradient")
        if self.twin:
            legend(last)
        finish(figure, title("input gradient along a line between two pictures", list(self._nets())))


def _finished(axes: "Axes", words: str, label: str) -> None:
    axes.axhline(0, **{**LINE, "linestyle": ":"})
    axes.set_title(words)
    axes.set_xlabel(label)


def shattering(
    net: nn.Module, pictures: Pictures, twin: nn.Module | None = None, *, points: int = 64, seed: int = 0,
    name: str = "", twin_name: str = "", tell: Tell = silent,
) -> ShatteringResult:  # fmt: skip
    """The autocorrelation of the input gradient on the line from the first picture to the second, block by block.

    The experiment of Balduzzi, Frean, Leary, Lewis, Ma, McWilliams (2017): The Shattered Gradients Problem: If resnets
    are the answer, then what is the question? At each of the line's `points` the gradient is that of a block's output
    along one direction drawn at random; white noise has autocorrelation 0 behind lag 0, a smooth function nearly 1.
    `twin` is a plain net (`build("plain20")`) to see beside it. The paper looks at nets at initialisation, where batch
    norm goes by its batch: so it does here for nets that have seen none, the line's points being the batch. `name` and
    `twin_name` are what the nets are called in tables and figure (their classes). `tell(done, total)` hears of each
    net; it may raise Cancelled, and the nets are left as they were. Returns curves by block; raises AnalysisError for
    less than two pictures or points, or a net without blocks.
    """
    if len(pictures) < 2 or points < 4:
        raise AnalysisError("A line leads from one picture to another by at least 4 points: give two pictures or more.")
    nets = [net] if twin is None else [net, twin]
    found: list[Curves] = []
    for one in told(nets, tell):
        start, end = placed(pictures, one, 2).images
        line = between(start, end, points)
        slopes = gradients_of(one, follow(one, size_of(pictures)), line, seed)
        found.append({block: tuple(autocorrelation(slope, points // 2).tolist()) for block, slope in slopes.items()})
    names = both(net, twin, name, twin_name)
    return ShatteringResult(found[0], found[1] if twin is not None else None, 1 / (points - 1), *names)


def between(start: Tensor, end: Tensor, points: int) -> Tensor:
    """So many pictures (T, C, H, W) in equal steps from one to the other."""
    share = torch.linspace(0, 1, points, dtype=start.dtype, device=start.device).view(-1, 1, 1, 1)
    return start + share * (end - start)


def gradients_of(net: nn.Module, followed: Followed, line: Tensor, seed: int) -> dict[str, Tensor]:
    """The gradient (T, C * H * W) of every block's output along a random direction, at the points of a line."""
    ends = _ends(net, followed)
    dice = torch.Generator().manual_seed(seed)
    walker, env, found = Walker(net, followed, dict.fromkeys(ends.values())), dict[fx.Node, Any](), dict[str, Tensor]()
    with awake(net), torch.enable_grad():
        line = line.detach().requires_grad_()
        walker.given(line)
        for _ in walker.walk(env):
            pass
        for block, end in ends.items():
            made = env[end]
            along = torch.randn(made.shape[1:], generator=dice).to(made)
            slope = torch.autograd.grad((made * along).sum(), line, retain_graph=True)[0]
            found[block] = slope.flatten(1)
    return found


def _ends(net: nn.Module, followed: Followed) -> dict[str, fx.Node]:
    """The last step of every block of several operations, by its name."""
    cells = dict.fromkeys(block.cell for block in followed.blocks.blocks if block.macs and len(block.shape) == 3)
    ends = {
        cell: followed.named[cell]
        for cell in cells
        if cell in followed.named and next(net.get_submodule(cell).children(), None) is not None
    }
    if not ends:
        raise AnalysisError("This net has no block of several layers behind which its gradient could be taken.")
    return ends


def autocorrelation(series: Tensor, most: int) -> Tensor:
    """Of vectors along a line (T, D), for lags 0 to `most`: centred, added up over D, over what lag 0 has.

    Lags are added over the pairs there are and divided by T all the same, as is usual; a constant series has nan.
    """
    centred = series.double() - series.double().mean(0)
    whole = centred.square().sum()
    sums = [(centred[: len(centred) - lag] * centred[lag:]).sum() for lag in range(most + 1)]
    return torch.stack(sums) / whole
