"""Measure how much gradient flows back through each block's shortcut and through its branch.

He, Zhang, Ren, Sun: Identity Mappings in Deep Residual Networks, arXiv:1603.05027, section 2,
equation (5): the gradient at a block's input is a sum of two terms, one of which no weight scales.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from lightning_resnets.analysis.ablation_targets import residual_blocks
from lightning_resnets.analysis.eval_context import (
    PartialExecutor,
    eval_mode_with_batch_stats,
    image_size,
    run_graph,
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

COLUMNS = ("model", "state", "block", "depth", "shortcut", "branch", "total")


@dataclass(frozen=True, slots=True)
class GradientNorms:
    """Gradient norms at the input of one block: through its shortcut, its branch, and both."""

    shortcut: float
    branch: float
    total: float


FlowByBlock = dict[str, GradientNorms]


@dataclass(frozen=True, slots=True)
class GradientFlowResult:
    """Gradient norms by block, of the model and of the same model at initialization."""

    flows: FlowByBlock
    untrained: FlowByBlock | None = None
    num_images: int | None = None
    model_name: str = "model"

    def tables(self) -> dict[str, Table]:
        """Return the norms.

        Returns:
            `gradient_flow`: one row per block of each state of the model.
        """
        rows = self._rows("trained", self.flows)
        if self.untrained:
            rows += self._rows("initial", self.untrained)
        return {"gradient_flow": Table(COLUMNS, tuple(rows))}

    def _rows(
        self, state: str, flows: FlowByBlock
    ) -> list[tuple[str, str, str, int, float, float, float]]:
        """Return one row per block of one state of the model."""
        return [
            (self.model_name, state, block, depth, flow.shortcut, flow.branch, flow.total)
            for depth, (block, flow) in enumerate(flows.items(), 1)
        ]

    def draw(self, figure: "Figure") -> None:
        """Draw both norms by depth, one panel per state of the model, on one scale.

        Args:
            figure: an empty matplotlib figure.
        """
        states = [("", self.flows)]
        if self.untrained:
            states = [("trained", self.flows), ("at initialization", self.untrained)]
        # One scale, so that training and initialization can be compared.
        panels = figure.subplots(1, len(states), squeeze=False, sharey=True)[0]
        for axes, (title, flows) in zip(panels, states, strict=True):
            _draw_flows(axes, flows)
            axes.set_title(title)
        panels[0].set_ylabel("gradient norm at the block's input")
        add_legend(panels[-1])
        text = "gradient through shortcut and branch"
        finish_figure(figure, figure_title(text, (self.model_name,), self.num_images))


def _draw_flows(axes: "Axes", flows: FlowByBlock) -> None:
    """Draw the norms of one state of the model."""
    axes.plot([flow.shortcut for flow in flows.values()], label="through the shortcut", **SERIES_1)
    axes.plot([flow.branch for flow in flows.values()], label="through the branch", **SERIES_2)
    # A zero has no logarithm.
    if all(min(flow.shortcut, flow.branch) > 0 for flow in flows.values()):
        axes.set_yscale("log")
    set_block_ticks(axes, list(flows))
    axes.set_xlabel("block")


def gradient_flow(
    model: nn.Module,
    images: LabeledImages,
    untrained: nn.Module | None = None,
    *,
    max_images: int = 100,
    batch_size: int = 20,
    model_name: str = "",
    progress: ProgressCallback = no_progress,
) -> GradientFlowResult:
    """Measure the gradients that arrive at each block's input through shortcut and branch.

    The two terms of equation (5) of He, Zhang, Ren, Sun (2016): Identity Mappings in Deep Residual
    Networks. A norm is taken over one image's gradient (C, H, W) of that image's own loss, then
    averaged over images. A projection shortcut includes its projection. Models run in evaluation
    mode; untrained batch norms use batch statistics, as in their first training step.

    Args:
        model: a model with residual blocks.
        images: images and labels.
        untrained: the same model at initialization, such as `create_model("resnet20")`.
        max_images: number of images to take from the start.
        batch_size: images per pass.
        model_name: name in tables and figures; the class name if empty.
        progress: called after every batch; it may raise AnalysisCancelled.

    Returns:
        Gradient norms by block.

    Raises:
        AnalysisError: the model has no residual block, or a label is not one of its classes.
    """
    models = [model] if untrained is None else [model, untrained]
    meters: list[_GradientMeter] = []
    steps: list[tuple[_GradientMeter, int]] = []
    for one in models:
        merged = with_merges(one, image_size(images))
        meter = _GradientMeter(merged, to_model_device(images, merged, max_images))
        meters.append(meter)
        # Both models share one progress count.
        steps += [(meter, start) for start in range(0, len(meter.images), batch_size)]
    for meter, start in track_progress(steps, progress):
        with eval_mode_with_batch_stats(meter.model), torch.enable_grad():
            meter.update(slice(start, start + batch_size))
    flows = [meter.flows() for meter in meters]
    return GradientFlowResult(
        flows[0],
        None if untrained is None else flows[1],
        len(meters[0].images),
        display_name(meters[0].model, model_name),
    )


class _GradientMeter:
    """Sums gradient norms of one model block by block."""

    def __init__(self, model: nn.Module, images: LabeledImages) -> None:
        traced = trace_nodes(model, image_size(images))
        self.model = model
        self.images = images
        self.skips = residual_blocks(traced.graph)
        if not self.skips:
            raise AnalysisError(
                "The model has no residual block, so no gradient flows through a shortcut."
            )
        self.node_by_name = traced.node_by_name
        self.merges = {name: self.node_by_name[skip.merge] for name, skip in self.skips.items()}
        # Values needed again by the backward passes must outlive the forward pass.
        retained = dict.fromkeys(self.merges.values())
        for name in self.skips:
            retained |= dict.fromkeys(self.block_nodes(name))
        self.executor = PartialExecutor(model, traced, retained)
        self.sums = {name: torch.zeros(3, dtype=torch.float64) for name in self.skips}

    def block_nodes(self, name: str) -> tuple[fx.Node, fx.Node, fx.Node]:
        """Return the nodes of a block.

        Args:
            name: name of the block.

        Returns:
            Its input, shortcut output and branch output.
        """
        skip = self.skips[name]
        merge = self.merges[name]
        # Operands may be given by position or by name.
        values = (*merge.args, *merge.kwargs.values())
        operands = [value for value in values if isinstance(value, fx.Node)]
        source = self.node_by_name[skip.source]
        return source, operands[skip.operand], operands[1 - skip.operand]

    def update(self, batch: slice) -> None:
        """Add the gradient norms of one batch.

        Args:
            batch: range of the images.
        """
        # A copy: a slice would share the memory of the caller's images.
        images = self.images.images[batch].clone().requires_grad_()
        values = run_graph(self.executor, images)
        logits, labels = check_labels(values[self.executor.nodes[-1]], self.images.labels[batch])
        # A sum, so that each image's gradient is that of its own loss.
        loss = F.cross_entropy(logits, labels, reduction="sum")
        merged = [values[node] for node in self.merges.values()]
        # The gradient at each Add's output, then from there to the block's input.
        output_gradients = torch.autograd.grad(loss, merged, retain_graph=True)
        for name, gradient in zip(self.skips, output_gradients, strict=True):
            start, shortcut, branch = (values[node] for node in self.block_nodes(name))
            first = gradient
            # An identity shortcut passes the gradient on unchanged.
            if shortcut is not start:
                first = _backward(shortcut, start, gradient)
            second = _backward(branch, start, gradient)
            # The total is the norm of the sum, not the sum of norms.
            norms = [_sum_of_norms(part) for part in (first, second, first + second)]
            self.sums[name] += torch.stack(norms).cpu()

    def flows(self) -> FlowByBlock:
        """Return the mean norms by block."""
        count = len(self.images)
        return {name: GradientNorms(*(norms / count).tolist()) for name, norms in self.sums.items()}


def _sum_of_norms(gradient: Tensor) -> Tensor:
    """Return the sum over images of the norm of each image's gradient (C, H, W)."""
    # float64: squares of tiny gradients underflow in float32.
    return gradient.flatten(1).double().norm(dim=1).sum()


def _backward(output: Tensor, start: Tensor, gradient: Tensor) -> Tensor:
    """Backpropagate a gradient from a branch's output to the block's input."""
    # Zeros where the branch does not depend on the block's input at all.
    return torch.autograd.grad(output, start, gradient, retain_graph=True, materialize_grads=True)[
        0
    ]
