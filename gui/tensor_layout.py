"""Tensors of any shape as maps (channels, height, width). numpy only."""

from dataclasses import dataclass

import numpy as np

# Tokens without a position: class token, distillation token, registers.
MAX_EXTRA_TOKENS = 8
MIN_GRID_SIDE = 4  # smaller grids of tokens are more likely groups of channels


@dataclass(frozen=True, slots=True, eq=False)
class Maps:
    """A tensor as maps.

    Attributes:
        values: (C, H, W).
        class_token: values (P, C) of tokens without a position, None without such tokens.
    """

    values: np.ndarray
    class_token: np.ndarray | None = None


def to_maps(values: np.ndarray, input_size: tuple[int, int]) -> Maps:
    """Arrange a tensor as maps.

    Args:
        values: (K,) becomes maps of one element; (T, D) tokens become D maps of their grid;
            (H, W, C) is transposed; maps (R, C, H, W) of groups follow each other.
        input_size: height and width of the model's input, whose proportions the maps share.

    Returns:
        The maps, a view of the same memory where possible.
    """
    if values.ndim < 2:
        return Maps(values.reshape(-1, 1, 1))
    if values.ndim == 2:
        return _tokens_to_maps(values, input_size)
    if values.ndim == 3 and is_channels_last(values.shape, input_size):
        return Maps(values.transpose(2, 0, 1))
    return Maps(values.reshape(-1, *values.shape[-2:]))


def is_channels_last(shape: tuple[int, ...], input_size: tuple[int, int]) -> bool:
    """Tell (H, W, C) from (C, H, W) by the proportions of the model's input.

    Args:
        shape: three sizes.
        input_size: height and width of the model's input.

    Returns:
        True if only the first two sizes have these proportions.
    """
    is_first = _has_proportions(shape[0], shape[1], input_size)
    is_last = _has_proportions(shape[1], shape[2], input_size)
    # If both fit, PyTorch's own order is the likelier one.
    return is_first and not is_last


def token_grid(count: int, input_size: tuple[int, int]) -> tuple[int, int] | None:
    """Find the grid of patches that a number of tokens comes from.

    Args:
        count: number of tokens, with up to eight that have no position.
        input_size: height and width of the model's input.

    Returns:
        Rows and columns; None if no division of the input into square patches fits.
    """
    height, width = input_size
    # The finest grid first: it leaves the fewest tokens without a position.
    for rows in range(height, MIN_GRID_SIDE - 1, -1):
        patch, rest = divmod(height, rows)
        columns = width // patch if patch else 0
        # Patches are square and cover the whole input.
        if rest or columns * patch != width:
            continue
        if 0 <= count - rows * columns <= MAX_EXTRA_TOKENS:
            return rows, columns
    return None


def _tokens_to_maps(values: np.ndarray, input_size: tuple[int, int]) -> Maps:
    """Arrange tokens (T, D) as D maps of their grid; rows of numbers without a grid."""
    count, width = values.shape
    grid = token_grid(count, input_size)
    if grid is None:
        return Maps(values.reshape(count, 1, width))
    extra = count - grid[0] * grid[1]
    # By convention the extra tokens come first.
    maps = values[extra:].T.reshape(width, *grid)
    return Maps(maps, values[:extra] if extra else None)


def _has_proportions(height: int, width: int, input_size: tuple[int, int]) -> bool:
    """Return True for a map whose proportions are the input's, up to rounding."""
    return abs(height - width * input_size[0] / input_size[1]) < 1
