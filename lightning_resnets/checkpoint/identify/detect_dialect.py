"""Recognize the dialect of a file by its keys."""

import re
from collections.abc import Iterable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

from lightning_resnets.checkpoint.identify.dialect_table import DIALECTS
from lightning_resnets.checkpoint.identify.dialects import Dialect

NO_METADATA: Mapping[str, Any] = MappingProxyType({})


def detect_dialect(names: Iterable[str], metadata: Mapping[str, Any] = NO_METADATA) -> Dialect:
    """Return the first dialect whose patterns match.

    Args:
        names: keys without prefixes.
        metadata: values beside the weights; `__author__` tells dialects with equal keys apart.

    Returns:
        The dialect; the last row, ours, matches everything.
    """
    # One search over all keys is much faster than one per key.
    text = "\n".join(names)
    author = metadata.get("__author__")
    rows = (dialect for dialect in DIALECTS if dialect.author in ("", author))
    return next(dialect for dialect in rows if _matches(dialect, text))


def _matches(dialect: Dialect, text: str) -> bool:
    """Return True if all required and no forbidden patterns match; one key per line."""
    if not all(_line_start_re(pattern).search(text) for pattern in dialect.required_keys):
        return False
    return not any(_line_start_re(pattern).search(text) for pattern in dialect.forbidden_keys)


@cache
def _line_start_re(pattern: str) -> re.Pattern[str]:
    """Compile a pattern that must match at the start of a line."""
    return re.compile(f"^{pattern}", re.MULTILINE)
