"""Text for shapes, counts and lists of names: one helper for each, used by every message and table."""

from collections.abc import Collection, Iterable, Sequence


def format_shape(shape: Iterable[int | str]) -> str:
    """Format a shape as "256×56×56"; a shape without dimensions is "scalar"."""
    return "×".join(map(str, shape)) or "scalar"


def format_count(number: int) -> str:
    """Format a count with three significant digits: 820, 36.9 K, 1.18 M, 4.09 G."""
    for unit, size in (("G", 10**9), ("M", 10**6), ("K", 10**3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return str(number)


def join_words(words: Collection[str], last: str = "or") -> str:
    """Join words as in a sentence: "a, b or c"."""
    *most, end = words
    return f"{', '.join(most)} {last} {end}" if most else end


def join_first(names: Iterable[str], most: int = 8) -> str:
    """Join the first names with commas and say how many are left out: "a, b and 12 more"."""
    listed = list(names)
    left = len(listed) - most
    shown = ", ".join(listed[:most])
    return f"{shown} and {left:,} more" if left > 0 else shown


def plural(count: int, noun: str) -> str:
    """Format a count with its noun: "1 image", "2,000 images"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def evenly_spaced(count: int, most: int) -> Sequence[int]:
    """Return the indices of at most `most` of `count` items, evenly spaced, the first included.

    Args:
        count: number of items, 0 or more.
        most: number of indices wanted, 1 or more.

    Returns:
        Increasing indices in `range(count)`; all of them where `count <= most`.
    """
    if count <= most:
        return range(count)
    return [index * count // most for index in range(most)]
