"""Color maps: sequential, diverging and per source."""

import numpy as np

from gui.theme import Theme

# Anchors of the color tables for maps: one that only grows lighter, and one that says the sign as
# well.
_RISING = (
    "#0B0724",
    "#2B1460",
    "#5A1A77",
    "#8E2A70",
    "#C24259",
    "#E86B3D",
    "#F7A234",
    "#F9DC7A",
    "#FCFDE6",
)


_SIGNED_LIGHT = ("#1B3F94", "#4A7DCB", "#A3C2E6", "#F6F5F1", "#F0BE85", "#CD7A2B", "#7F3F06")


_SIGNED_DARK = ("#A5CBFF", "#4C86D9", "#22427A", "#17191E", "#75430F", "#D58430", "#FFD49B")


def hex_to_rgb(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def blend(a: str, b: str, share: float) -> str:
    """Color `a` with `share` (0 to 1) of `b` in it."""
    red, green, blue = (
        round(x + (y - x) * share) for x, y in zip(hex_to_rgb(a), hex_to_rgb(b), strict=True)
    )
    return f"#{red:02X}{green:02X}{blue:02X}"


def interpolate_colors(anchors: tuple[str, ...]) -> np.ndarray:
    """256 colors between the anchors, (256, 3) uint8."""
    colors = np.array([hex_to_rgb(anchor) for anchor in anchors], float)
    at, marks = np.linspace(0, 1, 256), np.linspace(0, 1, len(anchors))
    return (
        np.stack([np.interp(at, marks, colors[:, i]) for i in range(3)], 1).round().astype(np.uint8)
    )


def sequential_colormap(theme: Theme) -> np.ndarray:
    """Colors for values from least to most, dark to light in both themes."""
    return interpolate_colors(_RISING)


def diverging_colormap(theme: Theme) -> np.ndarray:
    """Colors for values around zero: blue below, orange above, the ground of the theme at zero
    (entry 128).
    """
    return interpolate_colors(_SIGNED_DARK if theme.dark else _SIGNED_LIGHT)


def source_color(index: int, count: int, theme: Theme) -> str:
    """The color of the `index`th of `count` sources of a concatenation, along one ramp from early
    to late.
    """
    ramp = ("#3B4CC0", "#1E8FB5", "#2FA67A", "#A7A424", "#DE8A1E", "#B4380F")
    at = 0.0 if count < 2 else index / (count - 1) * (len(ramp) - 1)
    low = min(int(at), len(ramp) - 2)
    color = blend(ramp[low], ramp[low + 1], at - low)
    return blend(color, "#FFFFFF", 0.25) if theme.dark else color
