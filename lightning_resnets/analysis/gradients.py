"""How much gradient goes back through each block's shortcut and through its branch.

He, Zhang, Ren, Sun: Identity Mappings in Deep Residual Networks, arXiv:1603.05027, section 2, equation (5): the
gradient at a block's input is a sum of two, one of which no weight touches.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from lightning_resnets.analysis.names import called, scored
from lightning_resnets.analysis.result import AnalysisError, Pictures, Table, Tell, silent, told
from lightning_resnets.analysis.style import FIRST, SECOND, finish, legend, title
from lightning_resnets.analysis.targets import residual
from lightning_resnets.analysis.ticks import by_depth
from lightning_resnets.analysis.walk import Env, Walker, awake, placed, revealed, size_of
from lightning_resnets.graph import follow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class Flow:
    """Gradient norms at one block's input: by its shortcut, by its branch, and both together."""

    shortcut: float
    branch: float
    both: float


@dataclass(frozen=True, slots=True)
class GradientsResult:
    """Flows by block, of the net and of another state of it (at initialisation)."""

    flows: dict[str, Flow]
    fresh: dict[str, Flow] | None = None
    pictures: int | None = None
    name: str = "net"

    def tables(self) -> dict[str, Table]:
        """`gradients`: a row a block of each state of the net."""
        states = (("trained", self.flows), ("initial", self.fresh or {}))
        rows = tuple(
            (self.name, state, name, depth, flow.shortcut, flow.branch, flow.both)
            for state, flows in states
            for depth, (name, flow) in enumerate(flows.items(), 1)
        )
        return {"gradients": Table(("net", "state", "block", "depth", "shortcut", "branch", "both"), rows)}

    def draw(self, figure: "Figure") -> None:
        """Both norms by depth, a panel for each state of the net, on one scale."""
        panels = figure.subplots(1, 2 if self.fresh else 1, squeeze=False, sharey=True)[0]
        titles = ("trained", "at initialisation") if self.fresh else ("",)
        for axes, flows, words in zip(panels, (self.flows, self.fresh), titles, strict=False):
            _drawn(axes, flows or {})
            axes.set_title(words)
        panels[0].set_ylabel("gradient norm at the block's input")
        legend(panels[-1])
        finish(figure, title("gradient through shortcut and branch", (self.name,), self.pictures))


def _drawn(axes: "Axes", flows: dict[str, Flow]) -> None:
    axes.plot([flow.shortcut for flow in flows.values()], label="through the shortcut", **FIRST)
    axes.plot([flow.branch for flow in flows.values()], label="through the branch", **SECOND)
    if all(min(flow.shortcut, flow.branch) > 0 for flow in flows.values()):
        axes.set_yscale("log")
    by_depth(axes, list(flows))
    axes.set_xlabel("block")


def gradients(
    net: nn.Module, pictures: Pictures, fresh: nn.Module | None = None, *, most: int = 100, batch: int = 20,
    name: str = "", tell: Tell = silent,
) -> GradientsResult:  # fmt: skip
    """Where paths part in front of every residual Add: the norms of the gradients that come back by both.

    The two terms of equation (5) of He, Zhang, Ren, Sun (2016): Identity Mappings in Deep Residual Networks. A norm is
    that of one picture's (C, H, W), of the picture's own loss, as the mean over the first `most` pictures. A projected
    shortcut counts with its projection. The net runs in evaluation; one whose batch norms have seen nothing yet
    normalises by its batch, as it would in its first step. `fresh` is the same net at its initialisation
    (`build("resnet20")`). `name` is what the net is called in tables and figure (its class). `tell(done, total)` hears
    of every batch; it may raise Cancelled, and the net is left as it was. Returns the norms by block; raises
    AnalysisError for a net without a residual block, and for labels that the net has no score for.
    """
    net = revealed(net, size_of(pictures))
    fresh = None if fresh is None else revealed(fresh, size_of(pictures))
    nets = [net] if fresh is None else [net, fresh]
    seekers = {id(one): _Seeker(one, placed(pictures, one, most)) for one in nets}
    steps = [(one, i) for one in nets for i in range(0, len(seekers[id(one)].pictures), batch)]
    for one, i in told(steps, tell):
        with awake(one), torch.enable_grad():
            seekers[id(one)].look(slice(i, i + batch))
    flows, count = {key: seeker.flows() for key, seeker in seekers.items()}, len(seekers[id(net)].pictures)
    return GradientsResult(flows[id(net)], flows.get(id(fresh)), count, called(net, name))


class _Seeker:
    """Takes gradients block by block, from values that the walk through the net kept."""

    def __init__(self, net: nn.Module, pictures: Pictures) -> None:
        followed = follow(net, size_of(pictures))
        self.skips = residual(followed.blocks)
        if not self.skips:
            raise AnalysisError("This net has no residual block, so no gradient goes through a shortcut.")
        self.pictures, self.named = pictures, followed.named
        self.merges = {name: followed.named[skip.merge] for name, skip in self.skips.items()}
        needed = {node for name in self.skips for node in (*self.met(name), self.merges[name])}
        self.walker = Walker(net, followed, dict.fromkeys(needed))
        self.sums = {name: torch.zeros(3, dtype=torch.float64) for name in self.skips}

    def met(self, name: str) -> tuple[fx.Node, fx.Node, fx.Node]:
        """The steps that give a block's input, the end of its shortcut and the end of its branch."""
        skip, merge = self.skips[name], self.merges[name]
        ends = [one for one in (*merge.args, *merge.kwargs.values()) if isinstance(one, fx.Node)]
        return self.named[skip.source], ends[skip.operand], ends[1 - skip.operand]

    def look(self, some: slice) -> None:
        env: Env = {}
        self.walker.given(self.pictures.images[some].clone().requires_grad_())
        for _ in self.walker.walk(env):
            pass
        loss = F.cross_entropy(*scored(env[self.walker.nodes[-1]], self.pictures.labels[some]), reduction="sum")
        sums = torch.autograd.grad(loss, [env[node] for node in self.merges.values()], retain_graph=True)
        for name, behind in zip(self.skips, sums, strict=True):
            start, shortcut, branch = (env[node] for node in self.met(name))
            one = behind if shortcut is start else _back(shortcut, start, behind)
            other = _back(branch, start, behind)
            norms = [part.flatten(1).double().norm(dim=1).sum() for part in (one, other, one + other)]
            self.sums[name] += torch.stack(norms).cpu()

    def flows(self) -> dict[str, Flow]:
        return {name: Flow(*(value / len(self.pictures)).tolist()) for name, value in self.sums.items()}


def _back(end: Tensor, start: Tensor, gradient: Tensor) -> Tensor:
    """What of a gradient at the end of a way arrives at its start; by ways round the start nothing does."""
    return torch.autograd.grad(end, start, gradient, retain_graph=True, materialize_grads=True)[0]
