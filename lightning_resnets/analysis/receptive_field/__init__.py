"""What part of the image a block sees: the theoretical box, exact from the graph, and the effective one by gradients.

The box: arithmetic of windows and strides, as in Dumoulin & Visin 2016, arXiv:1603.07285, along the shortest and the
longest path. The effective field: Luo et al. 2016, arXiv:1701.04128, section 2: the gradient of the center.
"""

import dataclasses
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lightning_resnets.analysis.block_outputs import (
    BlockOutput,
    block_outputs,
    device_of,
    evenly_spaced,
    select_blocks,
)
from lightning_resnets.analysis.eval_context import with_merges
from lightning_resnets.analysis.plotting import (
    REFERENCE_LINE,
    SERIES_1,
    SERIES_2,
    TEXT_COLOR,
    add_legend,
    figure_title,
    finish_figure,
    format_image_count,
    set_block_ticks,
    shorten_names,
)
from lightning_resnets.analysis.receptive_field.propagate import ReceptiveField, receptive_fields
from lightning_resnets.analysis.result import (
    Cell,
    LabeledImages,
    ProgressCallback,
    Table,
    display_name,
    no_progress,
    track_progress,
)
from lightning_resnets.errors import AnalysisError
from lightning_resnets.graph import trace_nodes
from lightning_resnets.interventions import Intervention, ScaleInput, intervene
from lightning_resnets.interventions.record import record_activations
from lightning_resnets.merges import MergeKind

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


EFFECTIVE_THRESHOLD = 1 - math.erf(
    math.sqrt(2)
)  # 1 - 95.45 %: Luo et al. count what is above this share of the largest


BLOCKS_SHOWN = 5


@dataclass(frozen=True, slots=True, eq=False)
class ReceptiveFieldResult:
    """By block: its `Reach`, and the effective field (H, W), a mean of absolute gradients whose sum is 1.

    `unknown` is by block the sentence that says why it has no `Reach`.

    `cut` is the same with every skip set to zero, empty for a model without skips or where it was not asked for.
    """

    input_size: tuple[int, int, int]
    theoretical: dict[str, ReceptiveField]
    effective: dict[str, NDArray[np.float32]]
    effective_without_skips: dict[str, NDArray[np.float32]]
    num_images: int | None = None  # images that the fields are means of
    noise: bool = True
    name: str = "model"
    unknown: dict[str, str] = dataclasses.field(default_factory=dict)

    def tables(self) -> dict[str, Table]:
        """A row a block: the boxes in pixels, and the side of a square as large as the effective field."""
        columns = (
            "model",
            "block",
            "stride",
            "offset",
            "shortest_height",
            "shortest_width",
            "longest_height",
            "longest_width",
            "whole_picture",
            "effective_side",
            "effective_spread",
            "side_without_skips",
            "spread_without_skips",
            "note",
        )
        return {
            "receptive": Table(
                columns, tuple(self._row(block) for block in (*self.theoretical, *self.unknown))
            )
        }

    def _row(self, block: str) -> tuple[Cell, ...]:
        seen = [
            field_width_and_spread(fields[block]) if block in fields else (None, None)
            for fields in (self.effective, self.effective_without_skips)
        ]
        if block in self.unknown:
            return (self.name, block, *[None] * 7, *seen[0], *seen[1], self.unknown[block])
        reach = self.theoretical[block]
        sides = [span.size for box in (reach.shortest, reach.longest) for span in box]
        span = reach.longest[0]
        return (
            self.name,
            block,
            span.stride,
            span.offset,
            *sides,
            reach.includes_global,
            *seen[0],
            *seen[1],
            "",
        )

    def draw(self, figure: "Figure") -> None:
        """Above the sides by block, below the effective fields of some blocks on the image's grid."""
        blocks = evenly_spaced(list(self.effective), BLOCKS_SHOWN)
        rows = [("with skips", self.effective)] + (
            [("skips cut", self.effective_without_skips)] if self.effective_without_skips else []
        )
        grid = figure.add_gridspec(
            1 + len(rows), max(len(blocks), 1), height_ratios=(1.7, *[1 for _ in rows])
        )
        self._sides(figure.add_subplot(grid[0, :]))
        names = dict(zip(self.theoretical, shorten_names(list(self.theoretical)), strict=True))
        for row, (label, fields) in enumerate(rows, 1):
            for column, block in enumerate(blocks):
                axes = figure.add_subplot(grid[row, column])
                if block in fields:
                    axes.imshow(fields[block] ** 0.5, cmap="magma")
                axes.set_title(names.get(block, block) if row == 1 else "")
                axes.set_ylabel(label if not column else "")
                axes.set_xticks([])
                axes.set_yticks([])
        seen = (
            format_image_count(self.num_images or 0) + (" of noise" if self.noise else "")
            if self.effective
            else ""
        )
        words = "receptive field by block" + (
            f", effective: √ of the share, {seen}" if seen else ""
        )
        finish_figure(figure, figure_title(words, (self.name,)))

    def _sides(self, axes: "Axes") -> None:
        names = list(self.theoretical)
        for label, line, field in (
            ("theoretical, longest path", "-", "longest"),
            ("shortest path", ":", "shortest"),
        ):
            sides = [getattr(self.theoretical[name], field)[0].size for name in names]
            axes.plot(sides, color=TEXT_COLOR, linestyle=line, linewidth=1.2, label=label)
        for label, look, fields in (
            ("effective", SERIES_1, self.effective),
            ("effective, skips cut", SERIES_2, self.effective_without_skips),
        ):
            known = [
                (i, field_width_and_spread(fields[name])[0])
                for i, name in enumerate(names)
                if name in fields
            ]
            if known:
                axes.plot(*zip(*known, strict=True), label=label, **look)
        axes.axhline(
            self.input_size[1],
            label=f"image ({self.input_size[1]})",
            **{**REFERENCE_LINE, "linestyle": "-."},
        )
        set_block_ticks(axes, names)
        axes.set_ylabel("side (pixels)")
        axes.set_ylim(bottom=0)
        add_legend(axes)


def receptive_field(
    model: nn.Module,
    size: tuple[int, int, int] = (3, 32, 32),
    blocks: Iterable[str] | None = None,
    images: LabeledImages | int = 10,
    cut: bool = True,
    seed: int = 0,
    name: str = "",
    progress: ProgressCallback = no_progress,
) -> ReceptiveFieldResult:
    """The boxes and the effective fields of the blocks (all, or those named) for images of `size` (C, H, W).

    The boxes by the arithmetic of Dumoulin, Visin (2016): A guide to convolution arithmetic for deep learning; the
    effective fields after Luo, Li, Urtasun, Zemel (2016): Understanding the Effective Receptive Field in Deep
    Convolutional Neural Networks. The effective field is averaged over `images`: of noise as in the paper where it is
    their number, 0 for none. `cut` looks once more with every skip of the model set to zero: an identity or projection at
    an Add, all but the last part at a Concat. `name` is what the model is called in tables and figure (its class).
    `tell(done, total)` hears of every field; it may raise Cancelled, and the model is left as it was. Returns boxes and
    fields by block; raises AnalysisError for a block that the model does not have, and where the box of no block is
    known.
    """
    if isinstance(images, LabeledImages):
        size = cast(tuple[int, int, int], tuple(images.images.shape[1:]))
    model = with_merges(model, size)
    followed = trace_nodes(model, size)
    found = select_blocks(block_outputs(model, followed), blocks)
    known = receptive_fields(model, followed, size)
    reach = {place.block: known.known[place.node] for place in found if place.node in known.known}
    unknown = {
        place.block: known.unknown[place.node] for place in found if place.node in known.unknown
    }
    if unknown and not reach:
        raise AnalysisError(next(iter(unknown.values())))
    batch = noise_images(images, size, seed) if isinstance(images, int) else images.images
    skips = [skip for skip in followed.graph.skips if skip.kind is not MergeKind.GATE]
    named = dict(model.named_modules(remove_duplicate=False))
    cuts = [ScaleInput(skip.merge, skip.operand, 0.0) for skip in skips if skip.merge in named]
    ways: list[list[ScaleInput]] = [[], cuts] if cut and cuts else [[]]
    fields: list[dict[str, NDArray[np.float32]]] = [{}, {}]
    if len(batch):
        batch = batch.to(device_of(model))
        made = (
            pair for ops in ways for pair in effective_receptive_field(model, batch, found, ops)
        )
        for way in track_progress([way for way in range(len(ways)) for _ in found], progress):
            block, field = next(made)
            fields[way][block] = field
    noisy, words = isinstance(images, int), display_name(model, name)
    return ReceptiveFieldResult(
        size, reach, fields[0], fields[1], len(batch), noisy, words, unknown
    )


def noise_images(count: int, size: tuple[int, int, int], seed: int) -> Tensor:
    return torch.randn(count, *size, generator=torch.Generator().manual_seed(seed))


def effective_receptive_field(
    model: nn.Module, images: Tensor, found: Sequence[BlockOutput], ops: Sequence[Intervention] = ()
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """|gradient of the center of a map, summed over its channels, by the image|: mean of all, (H, W), sum 1."""
    modes = {module: module.training for module in model.modules()}
    try:
        model.eval()
        with (
            torch.enable_grad(),
            intervene(model, *ops),
            record_activations(model, [place.hook_point for place in found]) as seen,
        ):
            model(images := images.detach().requires_grad_())
    finally:
        for module, mode in modes.items():
            module.training = mode
    for place in found:
        values = seen.outputs[place.hook_point]
        center = values[:, :, values.shape[2] // 2, values.shape[3] // 2].sum()
        (gradient,) = torch.autograd.grad(center, images, retain_graph=True)
        field = gradient.abs().mean((0, 1)).double()  # (H, W)
        yield place.block, (field / field.sum().clamp(min=1e-300)).float().cpu().numpy()


def field_width_and_spread(field: NDArray[np.float32]) -> tuple[float, float]:
    """The side of a square as large as what is above Luo's share of the largest, and the standard deviation; pixels."""
    if not field.sum():
        return 0.0, 0.0
    rows, columns = np.mgrid[: field.shape[0], : field.shape[1]]
    middle = ((field * rows).sum(), (field * columns).sum())
    variance = (field * ((rows - middle[0]) ** 2 + (columns - middle[1]) ** 2)).sum() / 2
    return float(np.sqrt((field > EFFECTIVE_THRESHOLD * field.max()).sum())), float(
        np.sqrt(variance)
    )
