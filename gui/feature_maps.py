"""All channels of a layer as one uint8 image, and back from a pixel to a channel.

Values become levels 0 to 254; level 255 is the gap between tiles. numpy only.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

GAP_LEVEL = 255  # of atlas pixels that belong to no tile
MAX_LEVEL = 254  # of values
# Grids with a full last row are preferred to ones whose tiles are up to this much larger.
RAGGED_PENALTY = 0.9

ColormapKind = Literal["rising", "signed"]


@dataclass(frozen=True, slots=True)
class TileGrid:
    """Positions of the tiles of an atlas, in atlas pixels.

    Attributes:
        count: number of tiles.
        height: of each tile.
        width: of each tile.
        columns: number of tiles in a row.
        gap: pixels around each tile.
    """

    count: int
    height: int
    width: int
    columns: int
    gap: int

    @property
    def rows(self) -> int:
        """Return the number of rows; the last may not be full."""
        # Division rounded up.
        return -(-self.count // self.columns)

    @property
    def size(self) -> tuple[int, int]:
        """Return (height, width) of the atlas."""
        height = self.rows * (self.height + self.gap) + self.gap
        width = self.columns * (self.width + self.gap) + self.gap
        return height, width

    def tile_origin(self, channel: int) -> tuple[int, int]:
        """Return (y, x) of a tile's first pixel.

        Args:
            channel: number of the tile.
        """
        row, column = divmod(channel, self.columns)
        y = self.gap + row * (self.height + self.gap)
        x = self.gap + column * (self.width + self.gap)
        return y, x

    def locate(self, y: float, x: float) -> tuple[int, int, int] | None:
        """Find the map element under a position of the atlas.

        Args:
            y: in atlas pixels, from the top.
            x: in atlas pixels, from the left.

        Returns:
            (channel, y, x), None on a gap or outside.
        """
        # `floor`, because `int` would round -0.5 up into the first tile.
        row, inner_y = divmod(int(np.floor(y)) - self.gap, self.height + self.gap)
        column, inner_x = divmod(int(np.floor(x)) - self.gap, self.width + self.gap)
        channel = row * self.columns + column
        is_tile = 0 <= column < self.columns and row >= 0 and 0 <= channel < self.count
        is_inside = inner_y < self.height and inner_x < self.width
        if is_tile and is_inside:
            return (channel, inner_y, inner_x)
        return None


@dataclass(frozen=True, slots=True, eq=False)
class FeatureMapAtlas:
    """All maps of a layer as one image.

    Attributes:
        pixels: levels (H, W) uint8, C-contiguous.
        grid: positions of the tiles.
        colormap: kind of the color map.
        low: values (C,) at the start of the color map.
        high: values (C,) at its end.
    """

    pixels: np.ndarray
    grid: TileGrid
    colormap: ColormapKind
    low: np.ndarray
    high: np.ndarray


def tile_gap(side: int) -> int:
    """Return the gap in atlas pixels that looks even at every tile size.

    Args:
        side: longer side of a tile.
    """
    if side <= 16:
        return 1
    # Large maps are drawn at a smaller zoom, where a gap of one pixel would vanish.
    if side <= 40:
        return 2
    return 4


def best_grid(count: int, height: int, width: int, room: tuple[float, float]) -> TileGrid:
    """Choose the grid whose tiles are largest.

    Args:
        count: number of tiles.
        height: of each tile.
        width: of each tile.
        room: (height, width) of the space on the screen.

    Returns:
        The grid.
    """
    gap = tile_gap(max(height, width))

    def rank(columns: int) -> tuple[float, int]:
        """Rank by zoom, then by the number of columns."""
        grid_height, grid_width = TileGrid(count, height, width, columns, gap).size
        zoom = min(room[0] / grid_height, room[1] / grid_width)
        is_ragged = count % columns > 0
        return zoom * (RAGGED_PENALTY if is_ragged else 1.0), columns

    # The grid with the proportions of the room; the best one is near it.
    aspect = room[1] / max(room[0], 1) * (height + gap) / (width + gap)
    start = max(1, round((count * aspect) ** 0.5))
    candidates = range(max(1, start - 3), min(count, start + 3) + 1)
    return TileGrid(count, height, width, max(candidates, key=rank, default=1), gap)


def value_range(
    values: np.ndarray, shared: bool, colormap: ColormapKind
) -> tuple[np.ndarray, np.ndarray]:
    """Return the values at both ends of the color map.

    Args:
        values: maps (C, H, W).
        shared: True for one range for all channels, False for one per channel.
        colormap: "signed" for a range around zero.

    Returns:
        Minimum and maximum, each (C,).
    """
    flat = values.reshape(len(values), -1)
    low = flat.min(1)
    high = flat.max(1)
    if shared:
        low = np.full_like(low, low.min())
        high = np.full_like(high, high.max())
    if colormap == "signed":
        # Zero must lie in the middle, or the colors would not show the sign.
        high = np.maximum(np.abs(low), np.abs(high))
        low = -high
    return low, high


def quantize(values: np.ndarray, low: np.ndarray, high: np.ndarray, flat: int = 0) -> np.ndarray:
    """Turn values into levels 0 to 254.

    Args:
        values: maps (C, H, W); NaN and -inf become level 0, inf 254.
        low: values (C,) of level 0.
        high: values (C,) of level 254.
        flat: level of a channel whose range is empty.

    Returns:
        Levels (C, H, W) uint8.
    """
    span = high - low
    has_range = span > 0
    scale = np.where(has_range, MAX_LEVEL / np.where(has_range, span, 1), 1)
    start = np.where(has_range, low, low - flat)
    scaled = (values - start[:, None, None]) * scale[:, None, None]
    # NaN has no color of its own; the hover tells it from the lowest value.
    scaled = np.nan_to_num(scaled, nan=0.0, posinf=MAX_LEVEL, neginf=0.0)
    return np.clip(np.rint(scaled), 0, MAX_LEVEL).astype(np.uint8)


def colormap_for(*values: np.ndarray) -> ColormapKind:
    """Choose the color map: "signed" if any value is negative, else "rising".

    Args:
        values: arrays of any shape.
    """
    is_signed = any(array.size and array.min() < 0 for array in values)
    if is_signed:
        return "signed"
    return "rising"


def make_atlas(
    values: np.ndarray, grid: TileGrid, shared: bool = False, span: float | None = None
) -> FeatureMapAtlas:
    """Build the atlas of a layer.

    Args:
        values: maps (C, H, W).
        grid: positions of the tiles.
        shared: True for one color scale for all channels.
        span: fixes the color scale to -span..span, whatever the values are.

    Returns:
        The atlas.
    """
    colormap = colormap_for(values)
    if span is None:
        low, high = value_range(values, shared, colormap)
    else:
        colormap = "signed"
        low = np.full(len(values), -span)
        high = np.full(len(values), span)
    # A constant map has the color of zero.
    flat = MAX_LEVEL // 2 if colormap == "signed" else 0
    levels = quantize(values, low, high, flat)
    return FeatureMapAtlas(_arrange_tiles(levels, grid), grid, colormap, low, high)


def _arrange_tiles(levels: np.ndarray, grid: TileGrid) -> np.ndarray:
    """Place tiles (C, H, W) on the grid, with gaps between and around them."""
    height = grid.height + grid.gap
    width = grid.width + grid.gap
    board = np.full((grid.rows * grid.columns, height, width), GAP_LEVEL, np.uint8)
    board[: grid.count, : grid.height, : grid.width] = levels
    # (rows, columns, y, x) to (rows, y, columns, x), so that each row of tiles is contiguous.
    rows = board.reshape(grid.rows, grid.columns, height, width).swapaxes(1, 2)
    pixels = np.full(grid.size, GAP_LEVEL, np.uint8)
    pixels[grid.gap :, grid.gap :] = rows.reshape(grid.rows * height, -1)
    return pixels


def robust_range(*values: np.ndarray, beyond: float = 0.002) -> float:
    """Return the largest magnitude, without a few extreme values.

    Args:
        values: arrays of any shape.
        beyond: fraction of the elements that may be larger.

    Returns:
        The magnitude, above 0; 1 without any finite value.
    """
    magnitudes = np.abs(np.concatenate([array.ravel() for array in values]))
    # A diverged model has NaN and inf, which have no quantile.
    magnitudes = magnitudes[np.isfinite(magnitudes)]
    if not magnitudes.size:
        return 1.0
    return max(float(np.quantile(magnitudes, 1 - beyond)), 1e-12)


@dataclass(frozen=True, slots=True)
class ResidualStats:
    """Numbers of an addition.

    Attributes:
        shortcut: Euclidean norm of the shortcut.
        branch: norm of the branch.
        total: norm of their sum.
        cosine: of the angle between branch and shortcut.
        branch_to_shortcut: ratio of the norms.
    """

    shortcut: float
    branch: float
    total: float
    cosine: float
    branch_to_shortcut: float


def residual_stats(shortcut: np.ndarray, branch: np.ndarray, total: np.ndarray) -> ResidualStats:
    """Compute norms, ratio and cosine over all elements.

    Args:
        shortcut: array of any shape.
        branch: array of the same shape.
        total: their sum.

    Returns:
        The numbers; cosine and ratio are 0 where a norm is 0.
    """
    # In float64: sums of squares over a large map lose digits in float32.
    a = shortcut.astype(np.float64).ravel()
    b = branch.astype(np.float64).ravel()
    norm_a = float(np.linalg.norm(a))
    norm_b = float(np.linalg.norm(b))
    norm_total = float(np.linalg.norm(total.astype(np.float64)))
    cosine = float(a @ b / (norm_a * norm_b)) if norm_a and norm_b else 0.0
    ratio = norm_b / norm_a if norm_a else 0.0
    return ResidualStats(norm_a, norm_b, norm_total, cosine, ratio)
