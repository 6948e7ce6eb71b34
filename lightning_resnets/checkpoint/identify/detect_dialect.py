"""Recognize the dialect of a file by its keys."""

import re
from collections.abc import Iterable
from functools import cache

from lightning_resnets.checkpoint.identify.dialects import DIALECTS, Dialect


def detect_dialect(names: Iterable[str]) -> Dialect:
    """Return the first dialect whose patterns match.

    Args:
        names: keys without prefixes.

    Returns:
        The dialect; the last row, ours, matches everything.
    """
    # One search over all keys is much faster than one per key.
    text = "\n".join(names)
    return next(dialect for dialect in DIALECTS if _matches(dialect, text))


def _matches(dialect: Dialect, text: str) -> bool:
    """Return True if all required and no forbidden patterns match; one key per line."""
    if not all(_line_start_re(pattern).search(text) for pattern in dialect.required_keys):
        return False
    return not any(_line_start_re(pattern).search(text) for pattern in dialect.forbidden_keys)


@cache
def _line_start_re(pattern: str) -> re.Pattern[str]:
    """Compile a pattern that must match at the start of a line."""
    return re.compile(f"^{pattern}", re.MULTILINE)
