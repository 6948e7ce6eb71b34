"""How much gradient goes back through each block's shortcut and through its branch.

He, Zhang, Ren, Sun: Identity Mappings in Deep Residual Networks, arXiv:1603.05027, section 2, equation (5): the
gradient at a block's input is a sum of two, one of which no weight touches.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from lightning_resnets.analysis.ablation_targets import residual_blocks
from lightning_resnets.analysis.eval_context import (
    NodeValues,
    PartialExecutor,
    eval_mode_with_batch_stats,
    image_size,
    to_model_device,
    with_merges,
)
from lightning_resnets.analysis.plotting import (
    SERIES_1,
    SERIES_2,
    add_legend,
    figure_title,
    finish_figure,
    set_block_ticks,
)
from lightning_resnets.analysis.result import (
    LabeledImages,
    ProgressCallback,
    Table,
    check_labels,
    display_name,
    no_progress,
    track_progress,
)
from lightning_resnets.errors import AnalysisError
from lightning_resnets.graph import trace_nodes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class GradientNorms:
    """Gradient norms at one block's input: by its shortcut, by its branch, and both together."""

    shortcut: float
    branch: float
    total: float


@dataclass(frozen=True, slots=True)
class GradientFlowResult:
    """Flows by block, of the model and of another state of it (at initialization)."""

    flows: dict[str, GradientNorms]
    untrained: dict[str, GradientNorms] | None = None
    num_images: int | None = None
    name: str = "model"

    def tables(self) -> dict[str, Table]:
        """`gradients`: a row a block of each state of the model."""
        states = (("trained", self.flows), ("initial", self.untrained or {}))
        rows = tuple(
            (self.name, state, name, depth, flow.shortcut, flow.branch, flow.total)
            for state, flows in states
            for depth, (name, flow) in enumerate(flows.items(), 1)
        )
        return {
            "gradients": Table(
                ("model", "state", "block", "depth", "shortcut", "branch", "both"), rows
            )
        }

    def draw(self, figure: "Figure") -> None:
        """Both norms by depth, a panel for each state of the model, on one scale."""
        panels = figure.subplots(1, 2 if self.untrained else 1, squeeze=False, sharey=True)[0]
        titles = ("trained", "at initialization") if self.untrained else ("",)
        for axes, flows, words in zip(panels, (self.flows, self.untrained), titles, strict=False):
            _drawn(axes, flows or {})
            axes.set_title(words)
        panels[0].set_ylabel("gradient norm at the block's input")
        add_legend(panels[-1])
        finish_figure(
            figure,
            figure_title("gradient through shortcut and branch", (self.name,), self.num_images),
        )


def _drawn(axes: "Axes", flows: dict[str, GradientNorms]) -> None:
    axes.plot([flow.shortcut for flow in flows.values()], label="through the shortcut", **SERIES_1)
    axes.plot([flow.branch for flow in flows.values()], label="through the branch", **SERIES_2)
    if all(min(flow.shortcut, flow.branch) > 0 for flow in flows.values()):
        axes.set_yscale("log")
    set_block_ticks(axes, list(flows))
    axes.set_xlabel("block")


def gradient_flow(
    model: nn.Module,
    images: LabeledImages,
    fresh: nn.Module | None = None,
    *,
    most: int = 100,
    batch: int = 20,
    name: str = "",
    progress: ProgressCallback = no_progress,
) -> GradientFlowResult:
    """Where paths part in front of every residual Add: the norms of the gradients that come back by both.

    The two terms of equation (5) of He, Zhang, Ren, Sun (2016): Identity Mappings in Deep Residual Networks. A norm is
    that of one image's (C, H, W), of the image's own loss, as the mean over the first `most` images. A projected
    shortcut counts with its projection. The model runs in evaluation; one whose batch norms have seen nothing yet
    normalizes by its batch, as it would in its first step. `fresh` is the same model at its initialization
    (`build("resnet20")`). `name` is what the model is called in tables and figure (its class). `tell(done, total)` hears
    of every batch; it may raise Cancelled, and the model is left as it was. Returns the norms by block; raises
    AnalysisError for a model without a residual block, and for labels that the model has no score for.
    """
    model = with_merges(model, image_size(images))
    fresh = None if fresh is None else with_merges(fresh, image_size(images))
    models = [model] if fresh is None else [model, fresh]
    seekers = {id(one): _Seeker(one, to_model_device(images, one, most)) for one in models}
    steps = [(one, i) for one in models for i in range(0, len(seekers[id(one)].images), batch)]
    for one, i in track_progress(steps, progress):
        with eval_mode_with_batch_stats(one), torch.enable_grad():
            seekers[id(one)].look(slice(i, i + batch))
    flows, count = (
        {key: seeker.flows() for key, seeker in seekers.items()},
        len(seekers[id(model)].images),
    )
    return GradientFlowResult(
        flows[id(model)], flows.get(id(fresh)), count, display_name(model, name)
    )


class _Seeker:
    """Takes gradients block by block, from values that the walk through the model kept."""

    def __init__(self, model: nn.Module, images: LabeledImages) -> None:
        followed = trace_nodes(model, image_size(images))
        self.skips = residual_blocks(followed.graph)
        if not self.skips:
            raise AnalysisError(
                "This model has no residual block, so no gradient goes through a shortcut."
            )
        self.images, self.named = images, followed.node_by_name
        self.merges = {name: followed.node_by_name[skip.merge] for name, skip in self.skips.items()}
        needed = {node for name in self.skips for node in (*self.met(name), self.merges[name])}
        self.walker = PartialExecutor(model, followed, dict.fromkeys(needed))
        self.sums = {name: torch.zeros(3, dtype=torch.float64) for name in self.skips}

    def met(self, name: str) -> tuple[fx.Node, fx.Node, fx.Node]:
        """The steps that give a block's input, the end of its shortcut and the end of its branch."""
        skip, merge = self.skips[name], self.merges[name]
        ends = [one for one in (*merge.args, *merge.kwargs.values()) if isinstance(one, fx.Node)]
        return self.named[skip.source], ends[skip.operand], ends[1 - skip.operand]

    def look(self, some: slice) -> None:
        env: NodeValues = {}
        self.walker.set_images(self.images.images[some].clone().requires_grad_())
        for _ in self.walker.run_from(env):
            pass
        loss = F.cross_entropy(
            *check_labels(env[self.walker.nodes[-1]], self.images.labels[some]), reduction="sum"
        )
        sums = torch.autograd.grad(
            loss, [env[node] for node in self.merges.values()], retain_graph=True
        )
        for name, behind in zip(self.skips, sums, strict=True):
            start, shortcut, branch = (env[node] for node in self.met(name))
            one = behind if shortcut is start else _back(shortcut, start, behind)
            other = _back(branch, start, behind)
            norms = [
                part.flatten(1).double().norm(dim=1).sum() for part in (one, other, one + other)
            ]
            self.sums[name] += torch.stack(norms).cpu()

    def flows(self) -> dict[str, GradientNorms]:
        return {
            name: GradientNorms(*(value / len(self.images)).tolist())
            for name, value in self.sums.items()
        }


def _back(end: Tensor, start: Tensor, gradient: Tensor) -> Tensor:
    """What of a gradient at the end of a way arrives at its start; by ways round the start nothing does."""
    return torch.autograd.grad(end, start, gradient, retain_graph=True, materialize_grads=True)[0]
