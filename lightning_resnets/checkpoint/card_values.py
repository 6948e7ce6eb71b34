"""Check and convert the values of a model card, which a file may have made up."""

import math
from typing import Any

MAX_VALUES = 10_000  # in one table of the card
MAX_DEPTH = 20  # tables within tables
MAX_IMAGE_SIDE = 1024  # pixels; the activations of a larger image would not fit in memory
MAX_FLOAT32 = 3.5e38  # just above the largest number, 3.4e38


def is_number(value: object) -> bool:
    """Return True for a number that float32 holds, and for NaN and inf (a diverged loss).

    Args:
        value: anything.

    Returns:
        True if it is.
    """
    # Python's booleans are integers.
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return False
    # math.isfinite raises for an integer beyond a float. Only NaN differs from itself.
    return abs(value) < MAX_FLOAT32 or value != value or abs(value) == math.inf


def are_finite_numbers(values: object) -> bool:
    """Return True for a tuple of finite numbers.

    Args:
        values: anything.

    Returns:
        True if it is.
    """
    if not isinstance(values, tuple):
        return False
    return all(is_number(value) and math.isfinite(value) for value in values)


def is_printable(values: object) -> bool:
    """Return True for a tuple of texts that a terminal only prints.

    Args:
        values: anything.

    Returns:
        True if it is.
    """
    if not isinstance(values, tuple):
        return False
    return all(isinstance(value, str) and value.isprintable() for value in values)


def is_image_size(size: object) -> bool:
    """Return True for (C, H, W) within the limits.

    Args:
        size: anything.

    Returns:
        True if it is.
    """
    if not isinstance(size, tuple) or len(size) != 3:
        return False
    # The type itself, because True is an instance of int.
    return all(type(side) is int and 0 < side <= MAX_IMAGE_SIDE for side in size)


def is_json(value: object) -> bool:
    """Return True for JSON types of bounded size and depth.

    The search keeps its own stack: a file may contain a list that holds the same list a billion
    times.

    Args:
        value: anything.

    Returns:
        True if it is.
    """
    stack = [(value, 0)]
    visits = 0
    while stack:
        item, depth = stack.pop()
        visits += 1
        # A list that holds itself ends by its depth.
        if visits > MAX_VALUES or depth > MAX_DEPTH or not _is_json_item(item):
            return False
        if isinstance(item, dict):
            stack.extend((child, depth + 1) for child in item.values())
        elif isinstance(item, (list, tuple)):
            stack.extend((child, depth + 1) for child in item)
    return True


def _is_json_item(item: object) -> bool:
    """Return True for a container with printable names, or a plain printable value."""
    if isinstance(item, dict):
        return is_printable(tuple(item))
    if item is None or isinstance(item, (list, tuple)):
        return True
    return type(item) in (bool, int, float, str) and is_printable((str(item),))


def to_json(value: Any) -> Any:
    """Return a value with lists in place of tuples.

    Args:
        value: a value of JSON types or tuples.

    Returns:
        The value as JSON would read it.
    """
    if isinstance(value, dict):
        return {name: to_json(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    return value
