"""Color maps: sequential, diverging, and one color per source of a concatenation."""

import numpy as np

from gui.theme import Theme

# Anchors of the color maps: one only grows lighter, the others show the sign as well.
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
# Zero is near the ground of the theme: pale on light, dark on dark.
_SIGNED_LIGHT = ("#1B3F94", "#4A7DCB", "#A3C2E6", "#F6F5F1", "#F0BE85", "#CD7A2B", "#7F3F06")
_SIGNED_DARK = ("#A5CBFF", "#4C86D9", "#22427A", "#17191E", "#75430F", "#D58430", "#FFD49B")
# From cold to warm, so that early sources differ from late ones at a glance.
_SOURCES = ("#3B4CC0", "#1E8FB5", "#2FA67A", "#A7A424", "#DE8A1E", "#B4380F")


def hex_to_rgb(color: str) -> tuple[int, int, int]:
    """Return red, green and blue, each 0 to 255.

    Args:
        color: "#rrggbb".
    """
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def blend(a: str, b: str, share: float) -> str:
    """Mix two colors.

    Args:
        a: "#rrggbb".
        b: "#rrggbb".
        share: how much of `b`, 0 to 1.

    Returns:
        "#RRGGBB".
    """
    pairs = zip(hex_to_rgb(a), hex_to_rgb(b), strict=True)
    red, green, blue = (round(x + (y - x) * share) for x, y in pairs)
    return f"#{red:02X}{green:02X}{blue:02X}"


def interpolate_colors(anchors: tuple[str, ...]) -> np.ndarray:
    """Interpolate between colors at equal distances.

    Args:
        anchors: two or more "#rrggbb".

    Returns:
        256 colors, (256, 3) uint8.
    """
    colors = np.array([hex_to_rgb(anchor) for anchor in anchors], float)
    # One entry for each value of an 8-bit pixel.
    positions = np.linspace(0, 1, 256)
    anchor_positions = np.linspace(0, 1, len(anchors))
    channels = [np.interp(positions, anchor_positions, colors[:, i]) for i in range(3)]
    return np.stack(channels, 1).round().astype(np.uint8)


def sequential_colormap(theme: Theme) -> np.ndarray:
    """Return the colors for values from minimum to maximum, dark to light in both themes.

    Args:
        theme: the colors of the app.

    Returns:
        (256, 3) uint8.
    """
    return interpolate_colors(_RISING)


def diverging_colormap(theme: Theme) -> np.ndarray:
    """Return the colors for values around zero: blue below, orange above.

    Args:
        theme: the colors of the app; zero (entry 128) looks like its ground.

    Returns:
        (256, 3) uint8.
    """
    return interpolate_colors(_SIGNED_DARK if theme.dark else _SIGNED_LIGHT)


def source_color(index: int, count: int, theme: Theme) -> str:
    """Return the color of one source of a concatenation, on one ramp from early to late.

    Args:
        index: number of the source, from 0.
        count: number of sources.
        theme: the colors of the app.

    Returns:
        "#RRGGBB".
    """
    position = 0.0
    if count > 1:
        position = index / (count - 1) * (len(_SOURCES) - 1)
    # The last color has no successor: it is the end of the last segment.
    first = min(int(position), len(_SOURCES) - 2)
    color = blend(_SOURCES[first], _SOURCES[first + 1], position - first)
    # Lighter on a dark ground.
    if theme.dark:
        return blend(color, "#FFFFFF", 0.25)
    return color
