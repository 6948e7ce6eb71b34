"""Rules that rename weights, and the rows that published weights and checkpoint dialects share.

A rule is a regular expression and a replacement. In the replacement `{2}` stands for group 2 and
`{2-1}` for the number in group 2 minus 1, because many sources count blocks from 1.
"""

import re
from functools import partial

KeyRules = tuple[tuple[str, str], ...]

# torchvision's DenseNets of before PyTorch 0.4: `norm.1.weight` instead of `norm1.weight`.
OLD_DENSENET: KeyRules = ((r"^(.*denselayer\d+\.(?:norm|conv))\.([12]\.\w+)$", "{1}{2}"),)

# Cadene's conversions of Caffe's SE networks, which timm calls `legacy_se...`.
CADENE_SE: KeyRules = (
    (r"^layer0\.", ""),
    (r"\.se_module\.", ".se."),
    (r"^last_linear\.", "fc."),
)

# Auxiliary classifiers serve training only; our models are built without them.
AUX_CLASSIFIER_KEYS = re.compile(r"(?:aux[12]|AuxLogits)\.")

_GROUP_RE = re.compile(r"\{(\d)([+-]\d)?\}")


def rename_key(name: str, rules: KeyRules) -> str:
    """Apply every rule, in order, to the name of a weight.

    Args:
        name: name in the source's naming scheme.
        rules: patterns and their replacements.

    Returns:
        The name in our models.
    """
    for pattern, replacement in rules:
        name = re.sub(pattern, lambda match, text=replacement: expand_groups(text, match), name)
    return name


def expand_groups(text: str, match: re.Match[str]) -> str:
    """Fill a replacement with the groups of a match.

    Args:
        text: a replacement with references such as `{2}` and `{2-1}`.
        match: the match of the rule's pattern.

    Returns:
        The text with the groups in place of the references.
    """

    return _GROUP_RE.sub(partial(_expand_reference, match), text)


def _expand_reference(match: re.Match[str], reference: re.Match[str]) -> str:
    """Return the text that a reference such as `{2-1}` stands for."""
    # A group in an alternative that was not taken is None.
    found = match[int(reference[1])] or ""
    offset = reference[2]
    if offset is None:
        return found
    return str(_parse_number(found) + int(offset))


def _parse_number(text: str) -> int:
    """Return digits as a number, a letter counted from a = 0, `b12` as 12."""
    # He's Caffe models name the blocks of a long stage a, b1, b2, and so on.
    digits = text.lstrip("abcdefghijklmnopqrstuvwxyz")
    return int(digits) if digits else ord(text[0]) - ord("a")
