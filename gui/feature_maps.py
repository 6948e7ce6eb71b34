"""Feature maps to one image: all channels of a layer as a single uint8 atlas, and back from a pixel
to a channel.

Values become levels 0 to 254; level 255 is the gap between tiles. numpy only.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

GAP_LEVEL = 255


MAX_LEVEL = 254


ColormapKind = Literal["rising", "signed"]


@dataclass(frozen=True, slots=True)
class TileGrid:
    """Positions of the tiles of an atlas, in atlas pixels: `columns` a row, each tile height x
    width, `gap` around it."""

    count: int
    height: int
    width: int
    columns: int
    gap: int

    @property
    def rows(self) -> int:
        return -(-self.count // self.columns)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the atlas."""
        return (
            self.rows * (self.height + self.gap) + self.gap,
            self.columns * (self.width + self.gap) + self.gap,
        )

    def tile_origin(self, channel: int) -> tuple[int, int]:
        """(y, x) of a tile's first pixel."""
        row, column = divmod(channel, self.columns)
        return self.gap + row * (self.height + self.gap), self.gap + column * (
            self.width + self.gap
        )

    def locate(self, y: float, x: float) -> tuple[int, int, int] | None:
        """(channel, y, x) of the map element under an atlas position, None on a gap or outside."""
        row, inner_y = divmod(int(np.floor(y)) - self.gap, self.height + self.gap)
        column, inner_x = divmod(int(np.floor(x)) - self.gap, self.width + self.gap)
        channel = row * self.columns + column
        inside = 0 <= column < self.columns and row >= 0 and 0 <= channel < self.count
        return (
            (channel, inner_y, inner_x)
            if inside and inner_y < self.height and inner_x < self.width
            else None
        )


@dataclass(frozen=True, slots=True, eq=False)
class FeatureMapAtlas:
    """Levels (H, W) uint8, C-contiguous; where the tiles lie; the values at the ends of the ramp,
    per channel.
    """

    pixels: np.ndarray
    grid: TileGrid
    colormap: ColormapKind
    low: np.ndarray
    high: np.ndarray


def tile_gap(side: int) -> int:
    """Return the gap in atlas pixels that looks even at every tile size."""
    if side <= 16:
        return 1
    return 2 if side <= 40 else 4


def best_grid(count: int, height: int, width: int, room: tuple[float, float]) -> TileGrid:
    """The grid whose tiles come out largest in `room` (height, width) of the screen."""
    gap = tile_gap(max(height, width))

    def zoom(columns: int) -> float:
        high, wide = TileGrid(count, height, width, columns, gap).size
        return min(room[0] / high, room[1] / wide)

    start = max(
        1, round((count * room[1] * (height + gap) / max(room[0], 1) / (width + gap)) ** 0.5)
    )
    near = range(max(1, start - 3), min(count, start + 3) + 1)

    def worth(columns: int) -> tuple[float, int]:  # a full last row is worth a tenth of the size
        return zoom(columns) * (1.0 if count % columns == 0 else 0.9), columns

    return TileGrid(count, height, width, max(near, key=worth, default=1), gap)


def value_range(
    values: np.ndarray, shared: bool, ramp: ColormapKind
) -> tuple[np.ndarray, np.ndarray]:
    """Least and greatest value (C,) that the ramp spans, per channel or one for all; around zero
    where signed.
    """
    flat = values.reshape(len(values), -1)
    low, high = flat.min(1), flat.max(1)
    if shared:
        low, high = np.full_like(low, low.min()), np.full_like(high, high.max())
    if ramp == "signed":
        high = np.maximum(np.abs(low), np.abs(high))
        low = -high
    return low, high


def quantize(values: np.ndarray, low: np.ndarray, high: np.ndarray, flat: int = 0) -> np.ndarray:
    """Values (C, H, W) to levels 0 to 254 of the span low to high (C,); `flat` where it spans
    nothing.
    """
    span = high - low
    usual = span > 0
    scale, start = (
        np.where(usual, MAX_LEVEL / np.where(usual, span, 1), 1),
        np.where(usual, low, low - flat),
    )
    scaled = (values - start[:, None, None]) * scale[:, None, None]
    scaled = np.nan_to_num(scaled, nan=0.0, posinf=MAX_LEVEL, neginf=0.0)
    return np.clip(np.rint(scaled), 0, MAX_LEVEL).astype(np.uint8)


def colormap_for(*values: np.ndarray) -> ColormapKind:
    """Signed where anything is below zero, rising otherwise."""
    return "signed" if any(array.size and array.min() < 0 for array in values) else "rising"


def make_atlas(
    values: np.ndarray, grid: TileGrid, shared: bool = False, span: float | None = None
) -> FeatureMapAtlas:
    """One atlas of maps (C, H, W); `span` fixes the ramp to -span..span or 0..span for all,
    whatever the values.
    """
    ramp = colormap_for(values)
    if span is None:
        low, high = value_range(values, shared, ramp)
    else:
        ramp = "signed"
        low, high = np.full(len(values), -span), np.full(len(values), span)
    tall, wide = grid.height + grid.gap, grid.width + grid.gap
    board = np.full((grid.rows * grid.columns, tall, wide), GAP_LEVEL, np.uint8)
    board[: grid.count, : grid.height, : grid.width] = quantize(
        values, low, high, flat=MAX_LEVEL // 2 if ramp == "signed" else 0
    )
    body = (
        board.reshape(grid.rows, grid.columns, tall, wide)
        .swapaxes(1, 2)
        .reshape(grid.rows * tall, -1)
    )
    pixels = np.full(grid.size, GAP_LEVEL, np.uint8)
    pixels[grid.gap :, grid.gap :] = body
    return FeatureMapAtlas(pixels, grid, ramp, low, high)


def robust_range(*values: np.ndarray, beyond: float = 0.002) -> float:
    """The span that one scale for all of `values` should have: all but the share `beyond` of the
    elements lie in it.
    """
    magnitudes = np.abs(np.concatenate([array.ravel() for array in values]))
    magnitudes = magnitudes[np.isfinite(magnitudes)]
    return max(float(np.quantile(magnitudes, 1 - beyond)), 1e-12) if magnitudes.size else 1.0


@dataclass(frozen=True, slots=True)
class ResidualStats:
    """Figures of a residual sum: Euclidean norms, cosine of branch and shortcut, |branch| /
    |shortcut|.
    """

    shortcut: float
    branch: float
    total: float
    cosine: float
    branch_to_shortcut: float


def residual_stats(shortcut: np.ndarray, branch: np.ndarray, total: np.ndarray) -> ResidualStats:
    """Norms and cosine over all elements; cosine and share are 0 where a norm is 0."""
    a, b = shortcut.astype(np.float64).ravel(), branch.astype(np.float64).ravel()
    norm_a, norm_b = float(np.linalg.norm(a)), float(np.linalg.norm(b))
    cosine = float(a @ b / (norm_a * norm_b)) if norm_a and norm_b else 0.0
    share = norm_b / norm_a if norm_a else 0.0
    return ResidualStats(
        norm_a, norm_b, float(np.linalg.norm(total.astype(np.float64))), cosine, share
    )
