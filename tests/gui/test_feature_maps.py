"""The atlas against a loop written for clarity, and its way back from a pixel to a value."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gui.feature_maps import (
    GAP_LEVEL,
    MAX_LEVEL,
    TileGrid,
    best_grid,
    colormap_for,
    make_atlas,
    residual_stats,
    robust_range,
)

shapes = st.tuples(st.integers(1, 40), st.integers(1, 9), st.integers(1, 9))


def random(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def slow_atlas(values: np.ndarray, grid: TileGrid, shared: bool) -> np.ndarray:
    """The same image, one element at a time."""
    pixels = np.full(grid.size, GAP_LEVEL, np.uint8)
    for c, one in enumerate(values):
        scope = values if shared else one
        low, high = float(scope.min()), float(scope.max())
        if values.min() < 0:
            high = max(abs(low), abs(high))
            low = -high
        top, left = grid.tile_origin(c)
        for y in range(one.shape[0]):
            for x in range(one.shape[1]):
                level = (float(one[y, x]) - low) / (high - low) * MAX_LEVEL if high > low else 0
                pixels[top + y, left + x] = round(level)
    return pixels


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("least", [-9.0, 0.0])
def test_the_atlas_equals_a_slow_implementation(shared: bool, least: float) -> None:
    values = np.maximum(random((7, 5, 4)), least)
    grid = best_grid(7, 5, 4, room=(100, 300))
    fast, slow = (
        make_atlas(values, grid, shared).pixels.astype(int),
        slow_atlas(values, grid, shared).astype(int),
    )
    assert np.abs(fast - slow).max() <= 1
    assert np.array_equal(fast == GAP_LEVEL, slow == GAP_LEVEL)


@given(shapes, st.floats(20, 2000), st.floats(20, 2000))
def test_locate_finds_every_element(shape: tuple[int, int, int], high: float, wide: float) -> None:
    grid = best_grid(*shape, room=(high, wide))
    channel, y, x = (side - 1 for side in shape)
    top, left = grid.tile_origin(channel)
    assert grid.locate(top + y + 0.5, left + x + 0.5) == (channel, y, x)
    assert grid.locate(top - 0.5, left) is None
    assert grid.locate(*grid.size) is None
    assert grid.columns * grid.rows >= shape[0] > grid.columns * (grid.rows - 1)


def test_gaps_belong_to_no_channel() -> None:
    values = np.abs(random((10, 3, 4))) + 1
    atlas = make_atlas(values, best_grid(10, 3, 4, room=(50, 120)))
    for y in range(atlas.pixels.shape[0]):
        for x in range(atlas.pixels.shape[1]):
            assert (atlas.grid.locate(y, x) is None) == (atlas.pixels[y, x] == GAP_LEVEL)


def test_a_wide_room_has_more_columns_than_a_tall_one() -> None:
    assert (
        best_grid(64, 8, 8, room=(100, 900)).columns > best_grid(64, 8, 8, room=(900, 100)).columns
    )


def test_signed_maps_have_zero_in_the_middle() -> None:
    values = np.array([[[-2.0, 0.0, 1.0]]])
    atlas = make_atlas(values, TileGrid(1, 1, 3, 1, 1))
    assert atlas.colormap == "signed"
    assert atlas.pixels[1, 1:4].tolist() == [0, MAX_LEVEL // 2, 190]


def test_a_zero_channel_among_signed_ones_has_the_color_of_zero() -> None:
    values = np.stack([random((4, 4)), np.zeros((4, 4), np.float32)])
    atlas = make_atlas(values, TileGrid(2, 4, 4, 2, 1))
    y, x = atlas.grid.tile_origin(1)
    assert (atlas.pixels[y : y + 4, x : x + 4] == MAX_LEVEL // 2).all()


def test_a_zero_channel_among_positive_ones_is_dark() -> None:
    values = np.stack([np.abs(random((4, 4))), np.zeros((4, 4), np.float32)])
    atlas = make_atlas(values, TileGrid(2, 4, 4, 2, 1))
    y, x = atlas.grid.tile_origin(1)
    assert (atlas.pixels[y : y + 4, x : x + 4] == 0).all()


def test_values_that_are_not_finite_have_colors() -> None:
    values = np.array([[[np.nan, np.inf, -np.inf, 0.0]]], np.float32)
    with np.errstate(invalid="ignore"):
        assert make_atlas(values, TileGrid(1, 1, 4, 1, 1), span=1.0).pixels.dtype == np.uint8


def test_a_fixed_span_makes_atlases_comparable() -> None:
    small, large = make_atlas(np.full((1, 1, 1), 0.5), TileGrid(1, 1, 1, 1, 1), span=2.0), None
    large = make_atlas(np.full((1, 1, 1), 1.0), TileGrid(1, 1, 1, 1, 1), span=2.0)
    assert (small.pixels[1, 1], large.pixels[1, 1]) == (159, 190)


def test_colormap_is_signed_for_negative_values() -> None:
    assert colormap_for(np.zeros(3), np.ones(2)) == "rising"
    assert colormap_for(np.ones(2), -np.ones(2)) == "signed"


def test_the_robust_range_ignores_one_outlier() -> None:
    values = np.ones(10_000)
    values[0] = 1e6
    assert robust_range(values, -values[1:]) == pytest.approx(1.0)
    assert robust_range(np.zeros(4)) > 0


def test_residual_stats_of_a_right_angle() -> None:
    found = residual_stats(np.array([3.0, 0.0]), np.array([0.0, 4.0]), np.array([3.0, 4.0]))
    assert (found.shortcut, found.branch, found.total) == (3, 4, 5)
    assert found.cosine == 0
    assert found.branch_to_shortcut == pytest.approx(4 / 3)


def test_residual_stats_of_a_cut_shortcut_are_finite() -> None:
    found = residual_stats(np.zeros(3), np.ones(3), np.ones(3))
    assert (found.cosine, found.branch_to_shortcut) == (0, 0)


def test_two_thousand_maps_take_less_than_a_frame() -> None:
    import time

    values = random((2048, 7, 7))
    grid = best_grid(*values.shape, room=(700, 1000))
    began = time.perf_counter()
    make_atlas(values, grid)
    assert time.perf_counter() - began < 0.25
