"""Text that any XML reader and any screen takes: what cannot stand in a document is spelt out."""


def format_shape(shape: tuple[int, ...]) -> str:
    """256×56×56."""
    return "×".join(map(str, shape))


def format_count(number: int) -> str:
    """A count in four characters or so: 820, 36.9 K, 1.18 M."""
    for unit, size in (("G", 10**9), ("M", 10**6), ("K", 10**3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return str(number)
