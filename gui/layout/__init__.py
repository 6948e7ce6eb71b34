"""From a diagram to positions: pure, without Qt; which of three drawings serves is read off the graph itself."""

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
from gui.layout.merge_inputs import input_endpoints as input_endpoints
from gui.layout.merge_inputs import input_for_node as input_for_node
from gui.layout.merge_inputs import merge_inputs as merge_inputs
from gui.layout.residual import layout_residual as layout_residual

DEFAULT_SIZE: Point = (860.0, 396.0)


MIN_WIDTH = 560.0


def available_size(width: float, height: float) -> Point:
    """The room that a drawing should fill to be shown in a view of `width` by `height` pixels, whatever its zoom."""
    wide = DEFAULT_SIZE[1] * width / max(height, 1.0)
    return (
        (wide, DEFAULT_SIZE[1])
        if wide > MIN_WIDTH
        else (MIN_WIDTH, MIN_WIDTH * height / max(width, 1.0))
    )


def layout_graph(diagram: Graph, room: Point = DEFAULT_SIZE) -> GraphLayout:
    """Where everything of `diagram` lies; `room` is the (width, height) that it should fill at zoom 1.

    A chain with additive skips and gates becomes rows of blocks under arcs, a chain of dense blocks ribbons over
    triangles, anything else a layered drawing. The same diagram always gives the same placement.
    """
    if not diagram.nodes:
        return GraphLayout()
    if chain := match_residual_chain(diagram):
        return layout_residual(diagram, chain, room)
    if blocks := match_dense_chain(diagram):
        return layout_dense(diagram, blocks, room)
    return layout_layered(diagram)
