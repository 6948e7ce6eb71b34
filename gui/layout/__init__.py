"""Layout of a graph without Qt, as rows, dense blocks or layers, chosen by its edges."""

from gui.graph import Graph
from gui.layout.arrow_keys import Direction as Direction
from gui.layout.arrow_keys import arrow_key_map as arrow_key_map
from gui.layout.arrow_keys import reachable_from as reachable_from
from gui.layout.chains import match_dense_chain as match_dense_chain
from gui.layout.chains import match_residual_chain as match_residual_chain
from gui.layout.dense import layout_dense as layout_dense
from gui.layout.dense import selected_arcs as selected_arcs
from gui.layout.geometry import Arc as Arc
from gui.layout.geometry import ConnectivityMatrix as ConnectivityMatrix
from gui.layout.geometry import GraphLayout as GraphLayout
from gui.layout.geometry import MatrixCell as MatrixCell
from gui.layout.geometry import NodeBox as NodeBox
from gui.layout.geometry import Point as Point
from gui.layout.geometry import Rect as Rect
from gui.layout.geometry import RibbonStrip as RibbonStrip
from gui.layout.geometry import StageBand as StageBand
from gui.layout.geometry import Wire as Wire
from gui.layout.geometry import input_edges as input_edges
from gui.layout.layered import layout_layered as layout_layered
from gui.layout.layered_routes import skip_routes as skip_routes
from gui.layout.merge_inputs import input_endpoints as input_endpoints
from gui.layout.merge_inputs import input_for_node as input_for_node
from gui.layout.merge_inputs import merge_inputs as merge_inputs
from gui.layout.residual import layout_residual as layout_residual

# Width and height in units of a drawing before the size of its view is known.
DEFAULT_SIZE: Point = (860.0, 396.0)


# Below this width in units the labels of blocks would overlap.
MIN_WIDTH = 560.0


def available_size(width: float, height: float) -> Point:
    """Compute the room that a drawing should fill, with the aspect ratio of its view.

    Args:
        width: The width of the view in pixels.
        height: The height of the view in pixels.

    Returns:
        The width and height of the room in units, independent of the zoom.
    """
    # A view that is not laid out yet has no height.
    room_width = DEFAULT_SIZE[1] * width / max(height, 1.0)
    if room_width > MIN_WIDTH:
        return room_width, DEFAULT_SIZE[1]
    # A narrow view gets more height instead, in its own proportions.
    return MIN_WIDTH, MIN_WIDTH * height / max(width, 1.0)


def layout_graph(diagram: Graph, room: Point = DEFAULT_SIZE) -> GraphLayout:
    """Lay out a graph; equal graphs have equal layouts.

    A chain with additive skips and gates becomes rows of blocks under arcs. A chain of dense
    blocks becomes ribbons over triangles. Any other graph becomes a layered drawing.

    Args:
        diagram: The folded graph.
        room: The width and height in units that the drawing should fill at zoom 1.

    Returns:
        The layout in units, empty for an empty graph.
    """
    if not diagram.nodes:
        return GraphLayout()
    # The most telling drawing first; the layered one takes whatever is left.
    if chain := match_residual_chain(diagram):
        return layout_residual(diagram, chain, room)
    if blocks := match_dense_chain(diagram):
        return layout_dense(diagram, blocks, room)
    return layout_layered(diagram)
