"""Measure how quickly the input gradient decorrelates between nearby images, by depth.

Balduzzi, Frean, Leary, Lewis, Ma, McWilliams: The Shattered Gradients Problem: If resnets are the
answer, then what is the question?, arXiv:1702.08591, sections 2 and 3.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, fx, nn

from lightning_resnets.analysis.eval_context import (
    PartialExecutor,
    eval_mode_with_batch_stats,
    image_size,
    run_graph,
    to_model_device,
)
from lightning_resnets.analysis.plotting import (
    REFERENCE_LINE,
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
    display_names,
    no_progress,
    track_progress,
)
from lightning_resnets.errors import AnalysisError
from lightning_resnets.graph import TracedModel, trace_nodes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

AutocorrelationCurves = dict[str, tuple[float, ...]]  # autocorrelation at lag 0, 1, ... by block

MIN_POINTS = 4
COLUMNS = ("model", "block", "depth", "lag", "autocorrelation")


@dataclass(frozen=True, slots=True)
class ShatteredGradientsResult:
    """Autocorrelation of the input gradient by block, of a model and its baseline.

    Attributes:
        curves: by block, the autocorrelation at lag 0, 1, ...
        baseline_curves: the same of the baseline.
        step_size: distance of two neighboring points, as a fraction of the line.
        model_name: name of the model.
        baseline_name: name of the baseline.
    """

    curves: AutocorrelationCurves
    baseline_curves: AutocorrelationCurves | None
    step_size: float
    model_name: str = "model"
    baseline_name: str = "baseline"

    def tables(self) -> dict[str, Table]:
        """Return the curves.

        Returns:
            `shattered_gradients`: one row per block and lag.
        """
        rows: list[tuple[str, str, int, int, float]] = []
        for name, curves in self._by_model().items():
            for depth, (block, curve) in enumerate(curves.items(), 1):
                rows += [(name, block, depth, lag, value) for lag, value in enumerate(curve)]
        return {"shattered_gradients": Table(COLUMNS, tuple(rows))}

    def _by_model(self) -> dict[str, AutocorrelationCurves]:
        """Return the curves by model name."""
        curves = {self.model_name: self.curves}
        if self.baseline_curves:
            curves[self.baseline_name] = self.baseline_curves
        return curves

    def draw(self, figure: "Figure") -> None:
        """Draw the curve of the last block, and the value at lag 1 by depth.

        Args:
            figure: an empty matplotlib figure.
        """
        last_panel, depth_panel = figure.subplots(1, 2, sharey=True)
        by_model = self._by_model()
        step = 100 * self.step_size
        for (label, curves), style in zip(by_model.items(), (SERIES_1, SERIES_2), strict=False):
            last_curve = list(curves.values())[-1]
            distances = [step * lag for lag in range(len(last_curve))]
            last_panel.plot(distances, last_curve, label=label, **style)
            depth_panel.plot([curve[1] for curve in curves.values()], **style)
        _label_panel(last_panel, "after the last block", "distance between images (% of the line)")
        _label_panel(depth_panel, f"after every block, images {step:.1f} % apart", "block")
        # The deeper model sets the ticks.
        set_block_ticks(depth_panel, max(map(list, by_model.values()), key=len))
        last_panel.set_ylabel("autocorrelation of the input gradient")
        if self.baseline_curves:
            add_legend(last_panel)
        text = "input gradient along a line between two images"
        finish_figure(figure, figure_title(text, list(by_model)))


def _label_panel(axes: "Axes", title: str, x_label: str) -> None:
    """Set title and label, and draw a line at 0."""
    # White noise has an autocorrelation of 0.
    axes.axhline(0, **{**REFERENCE_LINE, "linestyle": ":"})
    axes.set_title(title)
    axes.set_xlabel(x_label)


def shattered_gradients(
    model: nn.Module,
    images: LabeledImages,
    baseline: nn.Module | None = None,
    *,
    num_points: int = 64,
    seed: int = 0,
    model_name: str = "",
    baseline_name: str = "",
    progress: ProgressCallback = no_progress,
) -> ShatteredGradientsResult:
    """Measure the autocorrelation of the input gradient along the line between two images.

    The experiment of Balduzzi, Frean, Leary, Lewis, Ma, McWilliams (2017): The Shattered Gradients
    Problem: If resnets are the answer, then what is the question? The gradient is that of a
    block's output along a random direction. For white noise the autocorrelation is 0 after lag 0,
    for a smooth function nearly 1. The paper studies models at initialization with batch
    statistics. An untrained model is treated the same here: the points form one batch.

    Args:
        model: a model, usually at initialization.
        images: images; the line leads from the first to the second.
        baseline: a model to compare with, such as `create_model("plain20")`.
        num_points: number of points on the line.
        seed: seed of the random directions.
        model_name: name in tables and figures; the class name if empty.
        baseline_name: name of the baseline; its class name if empty.
        progress: called after each model; it may raise AnalysisCancelled.

    Returns:
        Autocorrelations by block, at lags 0 to `num_points // 2`.

    Raises:
        AnalysisError: there are fewer than 2 images or 4 points, or a model has no blocks.
    """
    if len(images) < 2 or num_points < MIN_POINTS:
        raise AnalysisError(
            f"At least 2 images and {MIN_POINTS} points are required, got {len(images)} and "
            f"{num_points}."
        )
    models = [model] if baseline is None else [model, baseline]
    curves: list[AutocorrelationCurves] = []
    for one in track_progress(models, progress):
        # Only the first two images span the line.
        start, end = to_model_device(images, one, 2).images
        line = interpolate_images(start, end, num_points)
        # Every block of one model, from a single forward pass over the line.
        gradients = input_gradients(one, trace_nodes(one, image_size(images)), line, seed)
        curves.append(
            {
                block: tuple(autocorrelation(gradient, num_points // 2).tolist())
                for block, gradient in gradients.items()
            }
        )
    names = display_names(model, baseline, model_name, baseline_name)
    step_size = 1 / (num_points - 1)
    return ShatteredGradientsResult(
        curves[0], None if baseline is None else curves[1], step_size, *names
    )


def interpolate_images(start: Tensor, end: Tensor, num_points: int) -> Tensor:
    """Interpolate linearly between two images.

    Args:
        start: first image (C, H, W).
        end: last image (C, H, W).
        num_points: number of images T.

    Returns:
        Images (T, C, H, W) at equal distances, both ends included.
    """
    # Both ends are exact, which start + i * step would not be.
    fraction = torch.linspace(0, 1, num_points, dtype=start.dtype, device=start.device)
    return start + fraction.view(-1, 1, 1, 1) * (end - start)


def input_gradients(
    model: nn.Module, traced: TracedModel, line: Tensor, seed: int
) -> dict[str, Tensor]:
    """Compute the input gradient of every block's output along one random direction per block.

    Args:
        model: the model.
        traced: its traced graph.
        line: images (T, C, H, W), run as one batch.
        seed: seed of the directions.

    Returns:
        Gradients (T, C * H * W) by block.

    Raises:
        AnalysisError: the model has no block of several layers.
    """
    outputs = _block_output_nodes(model, traced)
    generator = torch.Generator().manual_seed(seed)
    # Block outputs must outlive the forward pass, for the backward passes.
    executor = PartialExecutor(model, traced, dict.fromkeys(outputs.values()))
    gradients: dict[str, Tensor] = {}
    with eval_mode_with_batch_stats(model), torch.enable_grad():
        # A leaf, so that gradients end at the images.
        line = line.detach().requires_grad_()
        values = run_graph(executor, line)
        for block, node in outputs.items():
            output = values[node]
            # Drawn on the CPU: the same numbers on every device.
            direction = torch.randn(output.shape[1:], generator=generator).to(output)
            # A vector-Jacobian product; the graph is kept for the next block.
            (gradient,) = torch.autograd.grad((output * direction).sum(), line, retain_graph=True)
            gradients[block] = gradient.flatten(1)
    return gradients


def _block_output_nodes(model: nn.Module, traced: TracedModel) -> dict[str, fx.Node]:
    """Return by name the output node of every block that has submodules."""
    # Blocks with weights whose output is a map, in order of execution.
    blocks = dict.fromkeys(
        node.block for node in traced.graph.nodes if node.macs and len(node.shape) == 3
    )
    outputs = {
        block: traced.node_by_name[block]
        for block in blocks
        if block in traced.node_by_name and list(model.get_submodule(block).children())
    }
    if not outputs:
        raise AnalysisError("The model has no block of several layers whose output can be used.")
    return outputs


def autocorrelation(series: Tensor, max_lag: int) -> Tensor:
    """Compute the autocorrelation of a series of vectors.

    The series is centered, products are summed over the vectors' entries. A lag has fewer pairs
    than the series has points, but the sum is divided by the same number, as is usual.

    Args:
        series: vectors (T, D).
        max_lag: highest lag.

    Returns:
        Values at lags 0 to `max_lag`, (max_lag + 1,) float64; NaN for a constant series.
    """
    # float64: differences of nearly equal gradients.
    centered = series.double() - series.double().mean(0)
    total = centered.square().sum()
    sums = [(centered[: len(centered) - lag] * centered[lag:]).sum() for lag in range(max_lag + 1)]
    return torch.stack(sums) / total
