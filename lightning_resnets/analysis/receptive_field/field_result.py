"""Tables and figure of theoretical and effective receptive fields."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lightning_resnets.analysis.plotting import (
    REFERENCE_LINE,
    SERIES_1,
    SERIES_2,
    TEXT_COLOR,
    TICK_SIZE,
    add_legend,
    figure_title,
    finish_figure,
    select_evenly,
    set_block_ticks,
    shorten_names,
)
from lightning_resnets.analysis.receptive_field.propagate import ReceptiveField
from lightning_resnets.analysis.result import Cell, Table
from lightning_resnets.utils.format import plural

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Field = NDArray[np.float32]

# Luo et al. count the pixels above this fraction of the maximum: 1 - 95.45 %, two standard
# deviations of a normal distribution.
EFFECTIVE_THRESHOLD = 1 - math.erf(math.sqrt(2))
BLOCKS_SHOWN = 5
MAP_CAPTION = (
    "maps: how strongly each pixel of the image acts on the center of the block's output "
    "(square root of its gradient, each map on its own scale)"
)

COLUMNS = (
    "model",
    "block",
    "stride",
    "offset",
    "shortest_height",
    "shortest_width",
    "longest_height",
    "longest_width",
    "includes_global",
    "effective_side",
    "effective_spread",
    "side_without_skips",
    "spread_without_skips",
    "reason_skipped",
)
NUM_THEORETICAL_COLUMNS = 7


@dataclass(frozen=True, slots=True, eq=False)
class ReceptiveFieldResult:
    """Receptive fields by block.

    Attributes:
        input_size: shape (C, H, W) of one image.
        theoretical: fields that follow from the graph.
        effective: means of absolute gradients (H, W), with sum 1.
        effective_without_skips: the same with every skip connection set to zero; empty for a model
            without skips, or if not requested.
        num_images: number of images behind the effective fields.
        noise: True if these were noise.
        model_name: name of the model.
        unknown: by block without a theoretical field, the reason.
    """

    input_size: tuple[int, int, int]
    theoretical: dict[str, ReceptiveField]
    effective: dict[str, Field]
    effective_without_skips: dict[str, Field]
    num_images: int | None = None
    noise: bool = True
    model_name: str = "model"
    unknown: dict[str, str] = dataclasses.field(default_factory=dict[str, str])

    def tables(self) -> dict[str, Table]:
        """Return sizes in pixels.

        Returns:
            `receptive_field`: one row per block: theoretical sizes, the side of a square as large
            as the effective field, and its standard deviation.
        """
        rows = tuple(self._row(block) for block in (*self.theoretical, *self.unknown))
        return {"receptive_field": Table(COLUMNS, rows)}

    def _row(self, block: str) -> tuple[Cell, ...]:
        """Return the table row of one block."""
        return (
            self.model_name,
            block,
            *self._theoretical_cells(block),
            *_effective_cells(self.effective, block),
            *_effective_cells(self.effective_without_skips, block),
            self.unknown.get(block, ""),
        )

    def _theoretical_cells(self, block: str) -> tuple[Cell, ...]:
        """Return stride, offset and sizes of one block; None if unknown."""
        if block in self.unknown:
            return (None,) * NUM_THEORETICAL_COLUMNS
        field = self.theoretical[block]
        # Stride and offset along height; models are square.
        height, width = field.longest
        return (
            height.stride,
            height.offset,
            field.shortest[0].size,
            field.shortest[1].size,
            height.size,
            width.size,
            field.includes_global,
        )

    def draw(self, figure: "Figure") -> None:
        """Draw sizes by block, and below the effective fields of some blocks.

        Args:
            figure: an empty matplotlib figure.
        """
        blocks = select_evenly(list(self.effective), BLOCKS_SHOWN)
        rows = [("with skips", self.effective)]
        if self.effective_without_skips:
            rows.append(("skips cut", self.effective_without_skips))
        heights = (1.7, *(1 for _ in rows))
        grid = figure.add_gridspec(1 + len(rows), max(len(blocks), 1), height_ratios=heights)
        self._draw_sizes(figure.add_subplot(grid[0, :]))
        names = dict(zip(self.theoretical, shorten_names(list(self.theoretical)), strict=True))
        for row, (label, fields) in enumerate(rows, 1):
            for column, block in enumerate(blocks):
                axes = figure.add_subplot(grid[row, column])
                _draw_field(axes, fields.get(block))
                axes.set_title(names.get(block, block) if row == 1 else "")
                # One row label is enough.
                axes.set_ylabel("" if column else label)
        if blocks:
            figure.supxlabel(MAP_CAPTION, fontsize=TICK_SIZE)
        finish_figure(figure, figure_title(self._title_text(), (self.model_name,)))

    def _title_text(self) -> str:
        """Return the text of the title."""
        if not self.effective:
            return "theoretical receptive field of each block"
        images = plural(self.num_images or 0, "image") + (" of noise" if self.noise else "")
        return f"theoretical and effective receptive field of each block · {images}"

    def _draw_sizes(self, axes: "Axes") -> None:
        """Draw theoretical and effective sizes by block."""
        names = list(self.theoretical)
        fields = self.theoretical.values()
        longest = [field.longest[0].size for field in fields]
        shortest = [field.shortest[0].size for field in fields]
        style = {"color": TEXT_COLOR, "linewidth": 1.2}
        axes.plot(longest, linestyle="-", label="theoretical, longest path", **style)
        axes.plot(shortest, linestyle=":", label="shortest path", **style)
        for label, series, effective in (
            ("effective", SERIES_1, self.effective),
            ("effective, skips cut", SERIES_2, self.effective_without_skips),
        ):
            known = [(i, name) for i, name in enumerate(names) if name in effective]
            sides = [field_width_and_spread(effective[name])[0] for _, name in known]
            if known:
                axes.plot([i for i, _ in known], sides, label=label, **series)
        # A field larger than the image is filled with padding.
        height = self.input_size[1]
        axes.axhline(height, label=f"image ({height})", **{**REFERENCE_LINE, "linestyle": "-."})
        set_block_ticks(axes, names)
        axes.set_ylabel("side (pixels)")
        axes.set_ylim(bottom=0)
        add_legend(axes)


def _draw_field(axes: "Axes", field: Field | None) -> None:
    """Draw one effective field, its square root so that the border is visible."""
    if field is not None:
        axes.imshow(field**0.5, cmap="magma")
    axes.set_xticks([])
    axes.set_yticks([])


def _effective_cells(fields: Mapping[str, Field], block: str) -> tuple[Cell, Cell]:
    """Return side and spread of a block's effective field; None if there is none."""
    return field_width_and_spread(fields[block]) if block in fields else (None, None)


def field_width_and_spread(field: Field) -> tuple[float, float]:
    """Measure the size of an effective receptive field.

    Args:
        field: shares of the gradient (H, W), with sum 1.

    Returns:
        The side of a square as large as the area above EFFECTIVE_THRESHOLD of the maximum, and the
        standard deviation of the field, both in pixels; 0 for a field of zeros.
    """
    if not field.sum():
        return 0.0, 0.0
    # Center of mass and mean squared distance from it.
    rows, columns = np.mgrid[: field.shape[0], : field.shape[1]]
    center_row = (field * rows).sum()
    center_column = (field * columns).sum()
    squared_distance = (rows - center_row) ** 2 + (columns - center_column) ** 2
    # Half the squared distance: the variance along one axis.
    variance = (field * squared_distance).sum() / 2
    # Pixels that count, as in the paper.
    area = (field > EFFECTIVE_THRESHOLD * field.max()).sum()
    return float(np.sqrt(area)), float(np.sqrt(variance))
