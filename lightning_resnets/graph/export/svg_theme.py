"""Define the colors of a drawing and write its style sheet."""

from dataclasses import dataclass
from typing import Literal

Theme = Literal["auto", "light", "dark"]


@dataclass(frozen=True, slots=True)
class Palette:
    """The colors of a drawing; the last three are those of the merges."""

    ground: str
    band: str
    box: str
    outline: str
    ink: str
    soft: str
    add: str
    concat: str
    gate: str


LIGHT = Palette(
    ground="#FFFFFF",
    band="#F4F2EE",
    box="#FFFFFF",
    outline="#6E747E",
    ink="#1D2026",
    soft="#5A606A",
    add="#2458C5",
    concat="#B45F00",
    gate="#A8216B",
)

# Lighter tones of the same hues: the light ones lack contrast on dark.
DARK = Palette(
    ground="#131519",
    band="#1B1E24",
    box="#252932",
    outline="#8E97A6",
    ink="#ECEEF2",
    soft="#A9B1BD",
    add="#5C9DFF",
    concat="#FFB347",
    gate="#F25FA5",
)

STATIC_CSS = (
    ".flow,.add,.concat,.gate{fill:none;stroke-width:1.6} "
    ".skip{stroke-width:2.4} .dashed{stroke-dasharray:6 4} "
    ".name{font-weight:600} .box{stroke-width:1} "
    ".frame{fill:none;stroke-width:1.2;stroke-dasharray:2 3}"
)


def style_sheet(theme: Theme) -> str:
    """Write the style sheet of a drawing.

    Args:
        theme: "auto" follows the reader's screen (prefers-color-scheme).

    Returns:
        The rules in CSS.
    """
    rules = _color_rules(DARK if theme == "dark" else LIGHT)
    # Later rules win, so the dark ones stand last.
    dark = ""
    if theme == "auto":
        dark = f"@media (prefers-color-scheme: dark) {{ {_color_rules(DARK)} }}"
    return f"{rules} {STATIC_CSS} {dark}"


def _color_rules(palette: Palette) -> str:
    """Write the rules that differ between light and dark."""
    rules = [
        f".ground{{fill:{palette.ground}}}",
        f".band{{fill:{palette.band}}}",
        f".box{{fill:{palette.box};stroke:{palette.outline}}}",
        f".flow{{stroke:{palette.outline}}}",
        f".tip{{fill:{palette.outline}}}",
        f".frame{{stroke:{palette.ink}}}",
        f".ink{{fill:{palette.ink}}}",
        f".soft{{fill:{palette.soft}}}",
        f".inverse{{fill:{palette.ground}}}",
    ]
    merge_colors = {"add": palette.add, "concat": palette.concat, "gate": palette.gate}
    for kind, color in merge_colors.items():
        rules += [
            f".{kind}{{stroke:{color}}}",
            f".{kind}-fill{{fill:{color}}}",
            f".{kind}-mark{{fill:{palette.box};stroke:{color}}}",
        ]
    return " ".join(rules)
