"""Sizes of a drawing of dense blocks, chosen so that it fills its room."""

from dataclasses import dataclass

from gui.layout.geometry import Point

# In units, from the top: the title, the arcs of the selected layer, the ribbon.
TITLE_HEIGHT = 38.0
ARC_HEIGHT = 44.0
RIBBON_HEIGHT = 46.0

# In columns: the width of the input of a block, the space after its last layer.
FIRST = 1.9
LAST = 0.6

# In units.
INSET = 7.0  # from the edge of a lane to its first column
END_WIDTH = 46.0  # a single node of the spine
TAIL_WIDTH = 78.0  # the column at the end
LANE_GAP = 12.0  # between lanes


@dataclass(frozen=True, slots=True)
class DenseSizes:
    """Sizes of a drawing in units; `cell` is the side of a cell of the matrices."""

    cell: float
    tall: float  # height of a node
    spine: float  # y of the centers of the layers
    grid: float  # y of the top of the matrices
    bottom: float
    per_channel: float  # height of one channel of a ribbon

    # The top of the ribbons does not depend on the room.
    base: float = TITLE_HEIGHT + ARC_HEIGHT


def fit_dense_sizes(
    columns: float, fixed_width: float, depth: int, channels: int, room: Point
) -> DenseSizes:
    """Choose the sizes with which all columns and the deepest matrix fit into a room.

    Args:
        columns: The number of columns of all blocks together.
        fixed_width: The width in units of all that is not a column.
        depth: The greatest number of rows of a matrix.
        channels: The greatest number of channels of a ribbon.
        room: The width and height in units that the drawing should fill at zoom 1.

    Returns:
        The sizes in units.
    """
    # 90 units: about the layers, the gaps around them and the caption.
    fixed_height = TITLE_HEIGHT + ARC_HEIGHT + RIBBON_HEIGHT + 90
    by_width = (room[0] - fixed_width) / columns
    by_height = (room[1] - fixed_height) / depth
    # Cells below 11 units cannot be clicked, above 44 they only take space.
    cell = max(11.0, min(44.0, by_width, by_height))
    # Nodes stay legible beside small cells and do not become towers beside large ones.
    tall = min(34.0, max(22.0, cell))
    spine = TITLE_HEIGHT + ARC_HEIGHT + RIBBON_HEIGHT + 14 + tall / 2
    grid = spine + tall / 2 + 14
    return DenseSizes(cell, tall, spine, grid, grid + depth * cell + 30, RIBBON_HEIGHT / channels)
