"""Measure the standard deviation of layer responses by depth, and each branch against its shortcut.

He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition, arXiv:1512.03385, section 4.2,
"Analysis of Layer Responses", and Fig. 7.
"""

from collections.abc import Callable
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
    REFERENCE_LINE,
    SERIES_1,
    SERIES_2,
    add_legend,
    figure_title,
    finish_figure,
    set_block_ticks,
    set_integer_ticks,
)
from lightning_resnets.analysis.result import (
    LabeledImages,
    ProgressCallback,
    Table,
    display_names,
    no_progress,
    track_progress,
)
from lightning_resnets.errors import AnalysisError
from lightning_resnets.graph import trace
from lightning_resnets.graph.data import Node
from lightning_resnets.graph.model_graph import ModelGraph
from lightning_resnets.merges import MergeKind

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class BranchRatio:
    """Branch F(x) against shortcut x, as means over images: |F(x)| / |x|, and their cosine."""

    ratio: float
    cosine: float


@dataclass(frozen=True, slots=True)
class LayerResponsesResult:
    """Responses of a model's 3x3 convolutions and residual branches.

    Attributes:
        std_by_layer: standard deviation by 3x3 convolution.
        branch_ratios: branch against shortcut by Add.
        baseline_std: standard deviations of the baseline.
        num_images: number of images.
        model_name: name of the model.
        baseline_name: name of the baseline.
    """

    std_by_layer: dict[str, float]
    branch_ratios: dict[str, BranchRatio]
    baseline_std: dict[str, float] | None = None
    num_images: int | None = None
    model_name: str = "model"
    baseline_name: str = "baseline"

    def tables(self) -> dict[str, Table]:
        """Return the numbers.

        Returns:
            `layer_responses`: one row per layer; `adds`: one row per Add.
        """
        layers: list[tuple[str, str, int, float]] = []
        for name, stds in self._by_model().items():
            layers += [(name, layer, i, std) for i, (layer, std) in enumerate(stds.items(), 1)]
        adds = [
            (self.model_name, add, i, branch.ratio, branch.cosine)
            for i, (add, branch) in enumerate(self.branch_ratios.items(), 1)
        ]
        return {
            "layer_responses": Table(("model", "layer", "depth", "std"), tuple(layers)),
            "adds": Table(("model", "add", "depth", "ratio", "cosine"), tuple(adds)),
        }

    def _by_model(self) -> dict[str, dict[str, float]]:
        """Return the standard deviations by model name."""
        stds = {self.model_name: self.std_by_layer}
        if self.baseline_std:
            stds[self.baseline_name] = self.baseline_std
        return stds

    def draw(self, figure: "Figure") -> None:
        """Draw both halves of the paper's figure, by depth and by rank, and below them every Add.

        Args:
            figure: an empty matplotlib figure.
        """
        rows = figure.subplots(2 if self.branch_ratios else 1, 2, squeeze=False)
        self._draw_stds(rows[0][0], is_sorted=False)
        self._draw_stds(rows[0][1], is_sorted=True)
        if self.branch_ratios:
            ratios = self.branch_ratios.values()
            self._draw_adds(rows[1][0], "|F(x)| / |x|", [one.ratio for one in ratios])
            self._draw_adds(rows[1][1], "cosine of F(x) and x", [one.cosine for one in ratios])
        text = "responses of layers and branches"
        finish_figure(figure, figure_title(text, list(self._by_model()), self.num_images))

    def _draw_stds(self, axes: "Axes", is_sorted: bool) -> None:
        """Draw the standard deviations by depth, or sorted by size."""
        by_model = self._by_model()
        for (label, stds), style in zip(by_model.items(), (SERIES_1, SERIES_2), strict=False):
            values = list(stds.values())
            if is_sorted:
                # The right half of the paper's figure 7.
                values.sort(reverse=True)
            axes.plot(range(1, len(values) + 1), values, label=label, **style)
        axes.set_ylim(bottom=0)
        set_integer_ticks(axes, max(map(len, by_model.values())), first=1)
        axes.set_xlabel("rank of the 3×3 layer, by std" if is_sorted else "index of the 3×3 layer")
        axes.set_ylabel("std of the layer's responses")
        if self.baseline_std and is_sorted:
            add_legend(axes)

    def _draw_adds(self, axes: "Axes", label: str, values: list[float]) -> None:
        """Draw one bar per Add."""
        axes.bar(range(len(values)), values, color=BLUE)
        axes.axhline(0, **REFERENCE_LINE)
        axes.set_ylabel(label)
        set_block_ticks(axes, [name.removesuffix(".add") for name in self.branch_ratios])
        axes.set_xlabel("block")


def layer_responses(
    model: nn.Module,
    images: LabeledImages,
    baseline: nn.Module | None = None,
    *,
    batch_size: int = 50,
    model_name: str = "",
    baseline_name: str = "",
    progress: ProgressCallback = no_progress,
) -> LayerResponsesResult:
    """Measure the standard deviation of every 3x3 convolution's response.

    The analysis of He, Zhang, Ren, Sun (2015): Deep Residual Learning for Image Recognition,
    section 4.2 and figure 7. It is taken over all values (images, channels, space), after batch
    norm if that follows directly, before nonlinearity and sum. At every Add, the norm of the
    branch over that of the shortcut, each of one image's (C, H, W), and their cosine.

    Args:
        model: a trained model.
        images: images; labels are not used.
        baseline: a model to compare with, such as the paper's plain models.
        batch_size: images per forward pass.
        model_name: name in tables and figures; the class name if empty.
        baseline_name: name of the baseline; its class name if empty.
        progress: called after every batch; it may raise AnalysisCancelled.

    Returns:
        Standard deviations by layer and branch ratios by Add.

    Raises:
        AnalysisError: a model has no 3x3 convolution.
    """
    model = with_merges(model, image_size(images))
    meters = [_ResponseMeter(model, images)]
    if baseline is not None:
        baseline = with_merges(baseline, image_size(images))
        meters.append(_ResponseMeter(baseline, images))
    steps: list[tuple[_ResponseMeter, Tensor]] = []
    for meter in meters:
        # Both models share one progress count.
        batches = to_model_device(images, meter.model).images.split(batch_size)
        steps += [(meter, batch) for batch in batches]
    for meter, batch in track_progress(steps, progress):
        with (
            eval_mode(meter.model),
            torch.inference_mode(),
            hook_modules(meter.model, meter.hooks),
        ):
            meter.model(batch)
    return LayerResponsesResult(
        meters[0].std_by_layer(),
        meters[0].branch_ratios(),
        None if baseline is None else meters[1].std_by_layer(),
        len(images),
        *display_names(model, baseline, model_name, baseline_name),
    )


def conv3x3_layers(graph: ModelGraph) -> dict[str, str]:
    """Find the hook point of every 3x3 convolution.

    Args:
        graph: the model's graph.

    Returns:
        Hook points by convolution: its batch norm if nothing else reads the convolution's output,
        else the convolution itself.
    """
    # Consumers of each node, in order of execution.
    nodes = {node.name: node for node in graph.nodes}
    consumers: dict[str, list[Node]] = {name: [] for name in nodes}
    for source, target, _ in graph.edges:
        consumers[source].append(nodes[target])
    found: dict[str, str] = {}
    for node in graph.nodes:
        # Grouped and strided 3x3 convolutions count as well.
        if not node.op.startswith("conv 3x3"):
            continue
        hook_point = _batch_norm_after(consumers[node.name]) or node.hook_point
        if hook_point:
            found[node.name] = hook_point
    return found


def _batch_norm_after(consumers: list[Node]) -> str:
    """Return the hook point of a batch norm that is the only consumer, else ""."""
    if len(consumers) == 1 and consumers[0].op == "batch norm":
        return consumers[0].hook_point
    return ""


class _ResponseMeter:
    """Sums the responses of one model over batches.

    A layer sums (number of values, values, squared values), an Add sums (images, ratios, cosines).
    """

    def __init__(self, model: nn.Module, images: LabeledImages) -> None:
        graph = trace(model, image_size(images))
        self.model = model
        self.hook_points = conv3x3_layers(graph)
        if not self.hook_points:
            operations = ", ".join(sorted({node.op for node in graph.nodes}))
            raise AnalysisError(f"The model has no 3x3 convolution. Its operations: {operations}.")
        skips = {skip.merge: skip.operand for skip in graph.skips if skip.kind is MergeKind.ADD}
        self.shortcut_operand = {
            node.name: skips.get(node.name, 0)
            for node in graph.merges
            if node.kind is MergeKind.ADD
        }
        self.sums = {
            name: torch.zeros(3, dtype=torch.float64)
            for name in (*self.hook_points.values(), *self.shortcut_operand)
        }
        self.hooks: dict[str, Callable[[str, tuple[Any, ...], Any], None]] = {
            **dict.fromkeys(self.hook_points.values(), self._update_layer),
            **dict.fromkeys(self.shortcut_operand, self._update_add),
        }

    def _update_layer(self, name: str, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        """Add one batch of a layer's output."""
        # Sums over millions of values need float64.
        exact = output.double()
        self._add(name, float(exact.numel()), exact.sum(), exact.square().sum())

    def _update_add(self, name: str, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        """Add one batch of the inputs of an Add."""
        operand = self.shortcut_operand[name]
        shortcut = inputs[operand].flatten(1).double()  # (N, C * H * W)
        branch = inputs[1 - operand].flatten(1).double()
        # Per image, then averaged: one large image must not dominate.
        ratio = branch.norm(dim=1) / shortcut.norm(dim=1)
        cosine = torch.cosine_similarity(shortcut, branch)
        self._add(name, float(len(shortcut)), ratio.sum(), cosine.sum())

    def _add(self, name: str, *values: Tensor | float) -> None:
        """Add three values to the sums of a layer or Add."""
        exact = [torch.as_tensor(value, dtype=torch.float64).cpu() for value in values]
        self.sums[name] += torch.stack(exact)

    def std_by_layer(self) -> dict[str, float]:
        """Return the standard deviation by 3x3 convolution."""
        found: dict[str, float] = {}
        for layer, hook_point in self.hook_points.items():
            count, total, squares = self.sums[hook_point].tolist()
            # Rounding can make a variance of 0 slightly negative.
            found[layer] = max(0.0, squares / count - (total / count) ** 2) ** 0.5
        return found

    def branch_ratios(self) -> dict[str, BranchRatio]:
        """Return the mean ratio and cosine by Add."""
        found: dict[str, BranchRatio] = {}
        for name in self.shortcut_operand:
            count, ratio, cosine = self.sums[name].tolist()
            found[name] = BranchRatio(ratio / count, cosine / count)
        return found
