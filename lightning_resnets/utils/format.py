"""Text for shapes, counts and lists of names: one helper for each, used by messages and tables."""

from collections.abc import Collection, Iterable, Sequence

from lightning_resnets.errors import sanitize

MAX_LISTED_ITEMS = 8
MAX_KEY_TEXT = 80  # characters of a name in a message


def format_shape(shape: Iterable[int | str]) -> str:
    """Format a shape as "256×56×56".

    Args:
        shape: sizes of the dimensions.

    Returns:
        The text; "scalar" for a shape without dimensions.
    """
    return "×".join(map(str, shape)) or "scalar"


def format_count(number: int) -> str:
    """Format a count with three significant digits: 820, 36.9 K, 1.18 M, 4.09 G.

    Args:
        number: 0 or more.

    Returns:
        The text.
    """
    for unit, size in (("G", 10**9), ("M", 10**6), ("K", 10**3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return str(number)


def printable_key(name: object) -> str:
    """Format a name that comes from a file for a message.

    Args:
        name: anything that a file uses as a key.

    Returns:
        At most 80 printable characters, the last one "…" if the name is longer.
    """
    # Bytes are cut before they are spelled out.
    text = str(name[: MAX_KEY_TEXT + 1] if isinstance(name, bytes) else name)
    if len(text) > MAX_KEY_TEXT:
        text = f"{text[: MAX_KEY_TEXT - 1]}…"
    return sanitize(text) or "(empty name)"


def format_value(value: object) -> str:
    """Format a wrong value for a message.

    Args:
        value: anything that a user may pass.

    Returns:
        At most 80 printable characters; only the type of an object without a short text.
    """
    if isinstance(value, (str, bytes, int, float, bool, type(None))):
        # A long text is cut before it is quoted.
        return printable_key(repr(value[:MAX_KEY_TEXT] if isinstance(value, str) else value))
    # A long list, or a tensor, would fill the screen.
    if isinstance(value, (tuple, list)) and len(value) <= MAX_LISTED_ITEMS:
        return printable_key(repr(value))
    return f"an object of type {type(value).__name__}"


def first_line(error: Exception) -> str:
    """Return the first line of an exception's message.

    Args:
        error: the exception.

    Returns:
        The line without a period; the exception's type if it has no message.
    """
    # torch's messages may have a stack trace below the first line.
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")


def join_words(words: Collection[str], last: str = "or") -> str:
    """Join words as in a sentence: "a, b or c".

    Args:
        words: at least one word.
        last: conjunction in front of the last word.

    Returns:
        The text.
    """
    *most, end = words
    return f"{', '.join(most)} {last} {end}" if most else end


def join_first(names: Iterable[str], most: int = 8) -> str:
    """Join the first names with commas and count the rest: "a, b and 12 more".

    Args:
        names: names in order.
        most: number of names to list.

    Returns:
        The text.
    """
    # An iterator has no length.
    listed = list(names)
    left = len(listed) - most
    text = ", ".join(listed[:most])
    return f"{text} and {left:,} more" if left > 0 else text


def plural(count: int, noun: str) -> str:
    """Format a count with its noun: "1 image", "2,000 images".

    Args:
        count: number of things.
        noun: singular of a noun whose plural ends in s.

    Returns:
        The text.
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def evenly_spaced(count: int, most: int) -> Sequence[int]:
    """Select at most `most` of `count` items, evenly spaced, the first included.

    Args:
        count: number of items, 0 or more.
        most: number of indices wanted, 1 or more.

    Returns:
        Increasing indices in `range(count)`; all of them where `count <= most`.
    """
    if count <= most:
        return range(count)
    # Integer arithmetic never repeats an index when count > most.
    return [index * count // most for index in range(most)]
