"""How strongly layers answer, by depth, and how much a branch adds to its shortcut.

He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition, arXiv:1512.03385, section 4.2, "Analysis of Layer
Responses", and Fig. 7.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
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
from lightning_resnets.graph.model_graph import ModelGraph
from lightning_resnets.merges import MergeKind

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class BranchRatio:
    """How a branch stands to its shortcut, means over images: |F(x)| / |x|, and the cosine of the angle between."""

    ratio: float
    cosine: float


@dataclass(frozen=True, slots=True)
class LayerResponsesResult:
    """Standard deviations by 3x3 convolution, of the model and of its twin, and strengths by Add."""

    std_by_layer: dict[str, float]
    branch_ratios: dict[str, BranchRatio]
    baseline_std: dict[str, float] | None = None
    num_images: int | None = None
    name: str = "model"
    baseline_name: str = "twin"

    def tables(self) -> dict[str, Table]:
        """`responses`: a row a layer; `adds`: a row an Add."""
        rows = [
            (model, *row) for model, found in self._models().items() for row in _numbered(found)
        ]
        adds = [
            (self.name, name, depth, s.ratio, s.cosine)
            for depth, (name, s) in enumerate(self.branch_ratios.items(), 1)
        ]
        return {
            "responses": Table(("model", "layer", "depth", "std"), tuple(rows)),
            "adds": Table(("model", "add", "depth", "ratio", "cosine"), tuple(adds)),
        }

    def _models(self) -> dict[str, dict[str, float]]:
        return {self.name: self.std_by_layer} | (
            {self.baseline_name: self.baseline_std} if self.baseline_std else {}
        )

    def draw(self, figure: "Figure") -> None:
        """The two halves of the paper's figure, by depth and by size, and below them every Add."""
        rows = figure.subplots(2 if self.branch_ratios else 1, 2, squeeze=False)
        self._lines(rows[0][0], ordered=False)
        self._lines(rows[0][1], ordered=True)
        if self.branch_ratios:
            self._adds(rows[1][0], "|F(x)| / |x|", [s.ratio for s in self.branch_ratios.values()])
            self._adds(
                rows[1][1], "cosine of F(x) and x", [s.cosine for s in self.branch_ratios.values()]
            )
        finish_figure(
            figure,
            figure_title("responses of layers and branches", list(self._models()), self.num_images),
        )

    def _lines(self, axes: "Axes", ordered: bool) -> None:
        for (label, found), look in zip(self._models().items(), (SERIES_1, SERIES_2), strict=False):
            shown = sorted(found.values(), reverse=True) if ordered else list(found.values())
            axes.plot(range(1, len(shown) + 1), shown, label=label, **look)
        axes.set_ylim(bottom=0)
        set_integer_ticks(axes, max(map(len, self._models().values())), first=1)
        axes.set_xlabel("rank of the 3×3 layer, by std" if ordered else "index of the 3×3 layer")
        axes.set_ylabel("std of the layer's responses")
        if self.baseline_std and ordered:
            add_legend(axes)

    def _adds(self, axes: "Axes", label: str, values: list[float]) -> None:
        axes.bar(range(len(values)), values, color=BLUE)
        axes.axhline(0, **REFERENCE_LINE)
        axes.set_ylabel(label)
        set_block_ticks(axes, [name.removesuffix(".add") for name in self.branch_ratios])
        axes.set_xlabel("block")


def _numbered(found: dict[str, float]) -> list[tuple[str, int, float]]:
    return [(name, depth, value) for depth, (name, value) in enumerate(found.items(), 1)]


def layer_responses(
    model: nn.Module,
    images: LabeledImages,
    baseline: nn.Module | None = None,
    *,
    batch: int = 50,
    name: str = "",
    baseline_name: str = "",
    progress: ProgressCallback = no_progress,
) -> LayerResponsesResult:
    """The standard deviation of every 3x3 convolution's answer, after batch norm where one follows it directly.

    The analysis of He, Zhang, Ren, Sun (2015): Deep Residual Learning for Image Recognition, section 4.2 and figure 7:
    it is taken over all numbers (images, channels, space), before nonlinearity and sum. At every Add: the norm of the
    branch over that of the shortcut, each of one image's (C, H, W), and their cosine. `twin` is another model to see
    beside it, as the paper's plain models are. `name` and `twin_name` are what they are called in tables and figure
    (their classes). `tell(done, total)` hears of every batch; it may raise Cancelled, and the model is left as it was.
    Returns deviations by layer and strengths by Add; raises AnalysisError for a model without a 3x3 convolution.
    """
    model = with_merges(model, image_size(images))
    baseline = None if baseline is None else with_merges(baseline, image_size(images))
    models = [model] if baseline is None else [model, baseline]
    steps = [
        (one, chunk) for one in models for chunk in to_model_device(images, one).images.split(batch)
    ]
    seen = {id(one): _Sums(one, images) for one in models}
    for one, pixels in track_progress(steps, progress):
        with eval_mode(one), torch.inference_mode(), hook_modules(one, seen[id(one)].looks):
            one(pixels)
    found, other = seen[id(model)], seen[id(baseline)] if baseline is not None else None
    names = display_names(model, baseline, name, baseline_name)
    beside = other.deviations() if other else None
    return LayerResponsesResult(found.deviations(), found.strengths(), beside, len(images), *names)


def conv3x3_layers(graph: ModelGraph) -> dict[str, str]:
    """The point to look at of every 3x3 convolution: its batch norm where only that follows, else itself."""
    behind: dict[str, list[str]] = {}
    for source, target, _ in graph.edges:
        behind.setdefault(source, []).append(target)
    blocks, found = {block.name: block for block in graph.nodes}, dict[str, str]()
    for block in graph.nodes:
        if not block.op.startswith("conv 3x3"):
            continue
        follower = blocks[behind[block.name][0]] if len(behind.get(block.name, ())) == 1 else None
        last = (
            follower if follower and follower.op == "batch norm" and follower.hook_point else block
        )
        if last.hook_point:
            found[block.name] = last.hook_point
    return found


@dataclass(slots=True)
class _Sum:
    """Count, sum and sum of squares of one layer's numbers; two sums and a count of images of an Add."""

    values: Tensor = field(default_factory=lambda: torch.zeros(3, dtype=torch.float64))

    def add(self, *values: Tensor | float) -> None:
        self.values += torch.stack(
            [torch.as_tensor(value, dtype=torch.float64).cpu() for value in values]
        )


class _Sums:
    """What is added up of one model."""

    def __init__(self, model: nn.Module, images: LabeledImages) -> None:
        graph = trace(model, image_size(images))
        self.points = conv3x3_layers(graph)
        if not self.points:
            raise AnalysisError(
                "This model has no 3x3 convolution; its operations are "
                + ", ".join(sorted({b.op for b in graph.nodes}))
                + "."
            )
        skips = {skip.merge: skip.operand for skip in graph.skips if skip.kind is MergeKind.ADD}
        self.shortcut = {
            block.name: skips.get(block.name, 0)
            for block in graph.merges
            if block.kind is MergeKind.ADD
        }
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
        x, branch = (
            given[way].flatten(1).double(),
            given[1 - way].flatten(1).double(),
        )  # (N, C * H * W)
        ratio = branch.norm(dim=1) / x.norm(dim=1)
        self.sums[name].add(float(len(x)), ratio.sum(), torch.cosine_similarity(x, branch).sum())

    def deviations(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for layer, point in self.points.items():
            count, total, squares = self.sums[point].values.tolist()
            found[layer] = max(0.0, squares / count - (total / count) ** 2) ** 0.5
        return found

    def strengths(self) -> dict[str, BranchRatio]:
        values = {name: self.sums[name].values.tolist() for name in self.shortcut}
        return {
            name: BranchRatio(ratio / count, cosine / count)
            for name, (count, ratio, cosine) in values.items()
        }
