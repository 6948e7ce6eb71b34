"""All colours of the app, light and dark, in one place; chosen to stay apart for colour-blind eyes (a test keeps it).

Blue adds, orange concatenates, magenta gates; every merge has its own shape as well: no meaning hangs on colour alone.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Theme:
    """One set of colours, each "#rrggbb": grounds, inks, and one accent (with a pale tint) per kind of merge."""

    name: str
    dark: bool
    window: str  # behind everything
    panel: str  # cards, the canvas of the graph
    raised: str  # buttons, blocks
    hover: str
    line: str  # hairlines
    edge: str  # outlines of blocks, lines of the flow
    ink: str  # text
    soft: str  # secondary text, at least 4.5:1 on window and panel
    faint: str  # decoration only
    focus: str  # focus ring and selection
    focus_tint: str
    add: str
    add_tint: str
    concat: str
    concat_tint: str
    gate: str
    gate_tint: str
    cut: str
    cut_tint: str

    def accent(self, kind: str) -> str:
        """The accent of "add", "concat" or "gate"; the plain edge colour for anything else."""
        return getattr(self, kind) if kind in ("add", "concat", "gate", "cut") else self.edge

    def tint(self, kind: str) -> str:
        """The pale fill that goes with `accent(kind)`."""
        return getattr(self, f"{kind}_tint") if kind in ("add", "concat", "gate", "cut") else self.raised


LIGHT = Theme(
    name="light",
    dark=False,
    window="#F4F2EE",
    panel="#FFFFFF",
    raised="#F7F6F3",
    hover="#ECE9E3",
    line="#E1DDD5",
    edge="#6E747E",
    ink="#1D2026",
    soft="#5A606A",
    faint="#A2A7AF",
    focus="#0B7A75",
    focus_tint="#DDF1EF",
    add="#2458C5",
    add_tint="#E3EBFB",
    concat="#B45F00",
    concat_tint="#FBEBD8",
    gate="#A8216B",
    gate_tint="#FAE3EF",
    cut="#B3261E",
    cut_tint="#FBE4E2",
)

DARK = Theme(
    name="dark",
    dark=True,
    window="#131519",
    panel="#1B1E24",
    raised="#252932",
    hover="#2F3440",
    line="#30353F",
    edge="#8E97A6",
    ink="#ECEEF2",
    soft="#A9B1BD",
    faint="#656C79",
    focus="#4FD1C5",
    focus_tint="#17393A",
    add="#5C9DFF",
    add_tint="#1C2C48",
    concat="#FFB347",
    concat_tint="#40301A",
    gate="#F25FA5",
    gate_tint="#431F33",
    cut="#FF7B72",
    cut_tint="#45211F",
)

# Anchors of the colour tables for maps: one that only grows lighter, and one that says the sign as well.
_RISING = ("#0B0724", "#2B1460", "#5A1A77", "#8E2A70", "#C24259", "#E86B3D", "#F7A234", "#F9DC7A", "#FCFDE6")
_SIGNED_LIGHT = ("#1B3F94", "#4A7DCB", "#A3C2E6", "#F6F5F1", "#F0BE85", "#CD7A2B", "#7F3F06")
_SIGNED_DARK = ("#A5CBFF", "#4C86D9", "#22427A", "#17191E", "#75430F", "#D58430", "#FFD49B")


def rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def mix(a: str, b: str, share: float) -> str:
    """Colour `a` with `share` (0 to 1) of `b` in it."""
    red, green, blue = (round(x + (y - x) * share) for x, y in zip(rgb(a), rgb(b), strict=True))
    return f"#{red:02X}{green:02X}{blue:02X}"


def table(anchors: tuple[str, ...]) -> np.ndarray:
    """256 colours between the anchors, (256, 3) uint8."""
    colours = np.array([rgb(anchor) for anchor in anchors], float)
    at, marks = np.linspace(0, 1, 256), np.linspace(0, 1, len(anchors))
    return np.stack([np.interp(at, marks, colours[:, i]) for i in range(3)], 1).round().astype(np.uint8)


def rising(theme: Theme) -> np.ndarray:
    """Colours for values from least to most, dark to light in both themes."""
    return table(_RISING)


def signed(theme: Theme) -> np.ndarray:
    """Colours for values around zero: blue below, orange above, the ground of the theme at zero (entry 128)."""
    return table(_SIGNED_DARK if theme.dark else _SIGNED_LIGHT)


def source(index: int, count: int, theme: Theme) -> str:
    """The colour of the `index`th of `count` sources of a concatenation, along one ramp from early to late."""
    ramp = ("#3B4CC0", "#1E8FB5", "#2FA67A", "#A7A424", "#DE8A1E", "#B4380F")
    at = 0.0 if count < 2 else index / (count - 1) * (len(ramp) - 1)
    low = min(int(at), len(ramp) - 2)
    colour = mix(ramp[low], ramp[low + 1], at - low)
    return mix(colour, "#FFFFFF", 0.25) if theme.dark else colour
