"""Whether a model's gradient still looks like itself a step further on: shattered gradients, by depth.

Balduzzi, Frean, Leary, Lewis, Ma, McWilliams: The Shattered Gradients Problem: If resnets are the answer, then what is
the question?, arXiv:1702.08591, sections 2 and 3.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, fx, nn

from lightning_resnets.analysis.eval_context import (
    PartialExecutor,
    eval_mode_with_batch_stats,
    image_size,
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


@dataclass(frozen=True, slots=True)
class ShatteredGradientsResult:
    """Autocorrelations of the input gradient of each block's output, of the model and of its twin.

    `step` is the way from one point to the next, as a share of the line.
    """

    curves: AutocorrelationCurves
    baseline_curves: AutocorrelationCurves | None
    step_size: float
    name: str = "model"
    baseline_name: str = "twin"

    def tables(self) -> dict[str, Table]:
        """`shattering`: a row a block and lag."""
        rows = tuple(
            (name, block, depth, lag, value)
            for name, curves in self._models().items()
            for depth, (block, curve) in enumerate(curves.items(), 1)
            for lag, value in enumerate(curve)
        )
        return {"shattering": Table(("model", "block", "depth", "lag", "autocorrelation"), rows)}

    def _models(self) -> dict[str, AutocorrelationCurves]:
        return {self.name: self.curves} | (
            {self.baseline_name: self.baseline_curves} if self.baseline_curves else {}
        )

    def draw(self, figure: "Figure") -> None:
        """The curves of the last blocks, and what is left after one step by depth."""
        last, depth = figure.subplots(1, 2, sharey=True)
        for (label, curves), look in zip(
            self._models().items(), (SERIES_1, SERIES_2), strict=False
        ):
            curve = list(curves.values())[-1]
            last.plot(
                [100 * self.step_size * lag for lag in range(len(curve))],
                curve,
                label=label,
                **look,
            )
            depth.plot([one[1] for one in curves.values()], **look)
        _finished(last, "behind the last block", "distance between images (% of the line)")
        _finished(
            depth, f"behind every block, one step of {100 * self.step_size:.1f} % apart", "block"
        )
        set_block_ticks(depth, max(map(list, self._models().values()), key=len))
        last.set_ylabel("autocorrelation of the input gradient")
        if self.baseline_curves:
            add_legend(last)
        finish_figure(
            figure,
            figure_title("input gradient along a line between two images", list(self._models())),
        )


def _finished(axes: "Axes", words: str, label: str) -> None:
    axes.axhline(0, **{**REFERENCE_LINE, "linestyle": ":"})
    axes.set_title(words)
    axes.set_xlabel(label)


def shattered_gradients(
    model: nn.Module,
    images: LabeledImages,
    baseline: nn.Module | None = None,
    *,
    points: int = 64,
    seed: int = 0,
    name: str = "",
    baseline_name: str = "",
    progress: ProgressCallback = no_progress,
) -> ShatteredGradientsResult:
    """The autocorrelation of the input gradient on the line from the first image to the second, block by block.

    The experiment of Balduzzi, Frean, Leary, Lewis, Ma, McWilliams (2017): The Shattered Gradients Problem: If resnets
    are the answer, then what is the question? At each of the line's `points` the gradient is that of a block's output
    along one direction drawn at random; white noise has autocorrelation 0 behind lag 0, a smooth function nearly 1.
    `twin` is a plain model (`build("plain20")`) to see beside it. The paper looks at models at initialization, where batch
    norm goes by its batch: so it does here for models that have seen none, the line's points being the batch. `name` and
    `twin_name` are what the models are called in tables and figure (their classes). `tell(done, total)` hears of each
    model; it may raise Cancelled, and the models are left as they were. Returns curves by block; raises AnalysisError for
    less than two images or points, or a model without blocks.
    """
    if len(images) < 2 or points < 4:
        raise AnalysisError(
            "A line leads from one image to another by at least 4 points: give two images or more."
        )
    models = [model] if baseline is None else [model, baseline]
    found: list[AutocorrelationCurves] = []
    for one in track_progress(models, progress):
        start, end = to_model_device(images, one, 2).images
        line = interpolate_images(start, end, points)
        slopes = input_gradients(one, trace_nodes(one, image_size(images)), line, seed)
        found.append(
            {
                block: tuple(autocorrelation(slope, points // 2).tolist())
                for block, slope in slopes.items()
            }
        )
    names = display_names(model, baseline, name, baseline_name)
    return ShatteredGradientsResult(
        found[0], found[1] if baseline is not None else None, 1 / (points - 1), *names
    )


def interpolate_images(start: Tensor, end: Tensor, points: int) -> Tensor:
    """So many images (T, C, H, W) in equal steps from one to the other."""
    share = torch.linspace(0, 1, points, dtype=start.dtype, device=start.device).view(-1, 1, 1, 1)
    return start + share * (end - start)


def input_gradients(
    model: nn.Module, followed: TracedModel, line: Tensor, seed: int
) -> dict[str, Tensor]:
    """The gradient (T, C * H * W) of every block's output along a random direction, at the points of a line."""
    ends = _ends(model, followed)
    dice = torch.Generator().manual_seed(seed)
    walker, env, found = (
        PartialExecutor(model, followed, dict.fromkeys(ends.values())),
        dict[fx.Node, Any](),
        dict[str, Tensor](),
    )
    with eval_mode_with_batch_stats(model), torch.enable_grad():
        line = line.detach().requires_grad_()
        walker.set_images(line)
        for _ in walker.run_from(env):
            pass
        for block, end in ends.items():
            made = env[end]
            along = torch.randn(made.shape[1:], generator=dice).to(made)
            slope = torch.autograd.grad((made * along).sum(), line, retain_graph=True)[0]
            found[block] = slope.flatten(1)
    return found


def _ends(model: nn.Module, followed: TracedModel) -> dict[str, fx.Node]:
    """The last step of every block of several operations, by its name."""
    cells = dict.fromkeys(
        block.block for block in followed.graph.nodes if block.macs and len(block.shape) == 3
    )
    ends = {
        cell: followed.node_by_name[cell]
        for cell in cells
        if cell in followed.node_by_name
        and next(model.get_submodule(cell).children(), None) is not None
    }
    if not ends:
        raise AnalysisError(
            "This model has no block of several layers behind which its gradient could be taken."
        )
    return ends


def autocorrelation(series: Tensor, most: int) -> Tensor:
    """Of vectors along a line (T, D), for lags 0 to `most`: centered, added up over D, over what lag 0 has.

    Lags are added over the pairs there are and divided by T all the same, as is usual; a constant series has nan.
    """
    centered = series.double() - series.double().mean(0)
    whole = centered.square().sum()
    sums = [(centered[: len(centered) - lag] * centered[lag:]).sum() for lag in range(most + 1)]
    return torch.stack(sums) / whole
