"""Text that any XML reader and any screen takes: what cannot stand in a document is spelt out."""

import re
from xml.sax.saxutils import escape

from lightning_resnets.blocks import BlockGraph

FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, section 2.2


def clean(text: str) -> str:
    """The text with what XML forbids as `\\x00`, and a backslash as two where one could be taken for that."""
    if not FORBIDDEN.search(text) and "\\x" not in text:
        return text
    return FORBIDDEN.sub(lambda found: f"\\x{ord(found.group()):02x}", text.replace("\\", "\\\\"))


def xml(text: object) -> str:
    """The text as it may stand in an element or between double quotes."""
    return escape(clean(str(text)), {'"': "&quot;", "\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})


def sides(shape: tuple[int, ...]) -> str:
    """256×56×56."""
    return "×".join(map(str, shape))


def short(number: int) -> str:
    """A count in four characters or so: 820, 36.9 K, 1.18 M."""
    for unit, size in (("G", 10**9), ("M", 10**6), ("K", 10**3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return str(number)


def stages(graph: BlockGraph) -> dict[str, list[str]]:
    """The names of the blocks in each stage that holds more than one."""
    held: dict[str, list[str]] = {}
    for block in graph.blocks:
        held.setdefault(block.stage, []).append(block.name)
    return {stage: names for stage, names in held.items() if stage and len(names) > 1}
