"""Tables and figure of class activation maps."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from lightning_resnets.analysis.plotting import (
    TICK_SIZE,
    figure_title,
    finish_figure,
    select_evenly,
    shorten_names,
)
from lightning_resnets.analysis.result import Cell, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLOCKS_SHOWN = 4
IMAGES_SHOWN = 6

COLUMNS = (
    "model",
    "image",
    "class",
    "probability",
    "method",
    "block",
    "height",
    "width",
    "largest",
    "mean",
    "half_max_area",
    "peak_row",
    "peak_column",
)


class _MapColumn(NamedTuple):
    """One column of the figure: a title and the maps (N, h, w) of all images."""

    title: str
    maps: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class SaliencyResult:
    """Raw maps of the evidence for a class, after the ReLU, not normalized.

    Attributes:
        images: preprocessed images (N, C, H, W).
        target_classes: class of each image's maps (N,).
        logits: logit of that class (N,).
        probabilities: softmax probability of that class (N,).
        grad_cam: Grad-CAM maps (N, h, w) by block, at the block's own size.
        layer_cam: Layer-CAM maps by block.
        cam: CAM of the last map (N, h, w), without a ReLU; None unless the model's head is global
            average pooling and one linear layer.
        class_names: names of the classes.
        model_name: name of the model.
    """

    images: Tensor
    target_classes: Tensor
    logits: Tensor
    probabilities: Tensor
    grad_cam: dict[str, Tensor]
    layer_cam: dict[str, Tensor]
    cam: Tensor | None
    class_names: tuple[str, ...] = ()
    model_name: str = "model"

    def _methods(self) -> tuple[tuple[str, dict[str, Tensor]], ...]:
        """Return the maps of both gradient methods by block."""
        return (("Grad-CAM", self.grad_cam), ("Layer-CAM", self.layer_cam))

    def tables(self) -> dict[str, Table]:
        """Return statistics of the maps.

        Returns:
            `saliency`: one row per image, method and block: the map's maximum and mean, the
            smallest fraction of the image that holds half of its sum, and its peak (row and column
            as fractions of height and width).
        """
        rows: list[tuple[Cell, ...]] = []
        for method, by_block in self._methods():
            for block, maps in by_block.items():
                rows += [self._row(i, method, block, one) for i, one in enumerate(maps)]
        if self.cam is not None:
            last_block = list(self.grad_cam)[-1]
            maps = self.cam.clamp(min=0)
            rows += [self._row(i, "CAM", last_block, one) for i, one in enumerate(maps)]
        return {"saliency": Table(COLUMNS, tuple(rows))}

    def _row(self, image: int, method: str, block: str, one: Tensor) -> tuple[Cell, ...]:
        """Return the statistics of one map (h, w)."""
        height, width = one.shape
        # argmax counts row by row.
        row, column = divmod(int(one.argmax()), width)
        peak: tuple[Cell, ...] = (None, None, None)  # a map of zeros has no peak
        if one.max() > 0:
            peak = (half_max_area(one), (row + 0.5) / height, (column + 0.5) / width)
        return (
            self.model_name,
            image,
            self.class_name(image),
            float(self.probabilities[image]),
            method,
            block,
            height,
            width,
            float(one.max()),
            float(one.mean()),
            *peak,
        )

    def class_name(self, image: int) -> str:
        """Return the name of the class that an image's maps are for.

        Args:
            image: index of the image.

        Returns:
            The class name, or its number if names are unknown.
        """
        number = int(self.target_classes[image])
        return self.class_names[number] if number < len(self.class_names) else str(number)

    def draw(self, figure: "Figure") -> None:
        """Draw one row per image: maps of some blocks over the image, each scaled to its maximum.

        Args:
            figure: an empty matplotlib figure.
        """
        num_shown = min(len(self.images), IMAGES_SHOWN)
        columns = self._map_columns()
        grid = figure.subplots(num_shown, len(columns) + 1, squeeze=False)
        for row, panels in enumerate(grid):
            self._draw_row(list(panels), row, columns)
        note = f", {num_shown} of them shown" if num_shown < len(self.images) else ""
        text = "evidence for the named class (each map on its own scale)"
        title = figure_title(text, (self.model_name,), len(self.images))
        finish_figure(figure, title + note, layout="compressed")
        for axes in grid[0]:
            axes.title.set_fontsize(TICK_SIZE)

    def _map_columns(self) -> list[_MapColumn]:
        """Return the columns of the figure."""
        # Evenly from the first to the last block.
        blocks = select_evenly(list(self.grad_cam), BLOCKS_SHOWN)
        names = dict(zip(self.grad_cam, shorten_names(list(self.grad_cam)), strict=True))
        columns: list[_MapColumn] = []
        for method, by_block in self._methods():
            columns += [_MapColumn(f"{method}\n{names[one]}", by_block[one]) for one in blocks]
        if self.cam is not None:
            columns.append(_MapColumn("CAM\nlast map", self.cam.clamp(min=0)))
        return columns

    def _draw_row(self, panels: Sequence["Axes"], row: int, columns: list[_MapColumn]) -> None:
        """Draw one image and its maps."""
        image = to_displayable(self.images[row])
        panels[0].imshow(image)
        panels[0].set_ylabel(f"{self.class_name(row)}\n{float(self.probabilities[row]):.0%}")
        for axes, (title, maps) in zip(panels[1:], columns, strict=True):
            overlay = resize_maps(maps[row : row + 1], self.images.shape[2:])[0]
            # The image in gray below, so that colors are those of the map.
            axes.imshow(image.mean(2), cmap="gray")
            axes.imshow(overlay.numpy(), cmap="inferno", vmin=0, vmax=1, alpha=0.6)
            if row == 0:
                axes.set_title(f"{title}\n{maps.shape[1]}×{maps.shape[2]}")
        for axes in panels:
            axes.set_xticks([])
            axes.set_yticks([])


def resize_maps(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Resize maps to an image and scale each to 0..1.

    Args:
        maps: maps (N, h, w).
        size: height and width of the image.

    Returns:
        Maps (N, H, W), bilinear.
    """
    # Bilinear, as in the papers' figures.
    large = F.interpolate(maps[:, None], tuple(size), mode="bilinear", align_corners=False)[:, 0]
    lowest = large.amin((1, 2), keepdim=True)
    extent = large.amax((1, 2), keepdim=True) - lowest
    return (large - lowest) / extent.clamp(min=1e-12)


def half_max_area(one: Tensor) -> float:
    """Compute the smallest fraction of positions that holds half of a map's sum.

    Args:
        one: a map (h, w) without negative values.

    Returns:
        A fraction from 0 to 1; 0 for a map of zeros.
    """
    # Positions sorted by value, largest first.
    cumulative = one.flatten().sort(descending=True).values.cumsum(0)
    total = cumulative[-1]
    if not bool(total > 0):  # also for NaN
        return 0.0
    return float((cumulative < total / 2).sum() + 1) / one.numel()


def to_displayable(image: Tensor) -> NDArray[np.float32]:
    """Convert a preprocessed image to RGB for display.

    Args:
        image: (C, H, W), any range.

    Returns:
        (H, W, 3) from 0 to 1; the channel mean in gray unless C is 3.
    """
    # Preprocessing is not undone: any range becomes 0 to 1.
    low = image.min()
    scaled = (image - low) / (image.max() - low).clamp(min=1e-12)
    if len(scaled) != 3:
        scaled = scaled.mean(0, keepdim=True).expand(3, -1, -1)
    return scaled.permute(1, 2, 0).cpu().numpy()
