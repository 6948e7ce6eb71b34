"""Atlas of feature maps as Qt's image, in the colors of a theme."""

import numpy as np
from PySide6.QtGui import QColor, QImage

from gui.colormaps import diverging_colormap, sequential_colormap
from gui.feature_maps import GAP_LEVEL, ColormapKind, FeatureMapAtlas
from gui.theme import Theme


def color_table(colormap: ColormapKind, theme: Theme, gap_color: str) -> list[int]:
    """Build the color table of an atlas.

    Args:
        colormap: "rising" or "signed".
        theme: The theme whose colors to use.
        gap_color: Color "#rrggbb" of the gaps between tiles.

    Returns:
        256 colors as Qt's numbers; the last is that of the gaps.
    """
    diverging = colormap == "signed"
    colors = diverging_colormap(theme) if diverging else sequential_colormap(theme)
    # One color fewer than the color map has: the last level is the gap.
    levels = np.rint(np.linspace(0, 255, GAP_LEVEL)).astype(int)
    table = [QColor(*map(int, colors[level])).rgb() for level in levels]
    return [*table, QColor(gap_color).rgb()]


def atlas_image(atlas: FeatureMapAtlas, theme: Theme, gap_color: str) -> QImage:
    """Turn an atlas into an indexed image.

    Args:
        atlas: The atlas.
        theme: The theme whose colors to use.
        gap_color: Color "#rrggbb" of the gaps between tiles.

    Returns:
        An image that owns its memory.
    """
    height, width = atlas.pixels.shape
    stride = atlas.pixels.strides[0]
    indexed = QImage.Format.Format_Indexed8
    # Copied, because Qt does not keep the memory of the array alive.
    image = QImage(atlas.pixels.data, width, height, stride, indexed).copy()
    image.setColorTable(color_table(atlas.colormap, theme, gap_color))
    return image
