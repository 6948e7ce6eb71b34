"""From a diagram to positions: pure, without Qt; which of three drawings serves is read off the graph itself."""

from gui.layout.chain import read_dense as read_dense
from gui.layout.chain import read_spine as read_spine
from gui.layout.dense import fan as fan
from gui.layout.dense import place_dense as place_dense
from gui.layout.layered import place_layered as place_layered
from gui.layout.plan import Arc as Arc
from gui.layout.plan import Band as Band
from gui.layout.plan import Cell as Cell
from gui.layout.plan import Matrix as Matrix
from gui.layout.plan import Place as Place
from gui.layout.plan import Placement as Placement
from gui.layout.plan import Point as Point
from gui.layout.plan import Rect as Rect
from gui.layout.plan import Strip as Strip
from gui.layout.plan import Wire as Wire
from gui.layout.plan import incoming as incoming
from gui.layout.spine import place_spine as place_spine
from gui.layout.travel import Way as Way
from gui.layout.travel import reached as reached
from gui.layout.travel import travel as travel
from gui.layout.ways import ends as ends
from gui.layout.ways import meant as meant
from gui.layout.ways import operands as operands
from gui.state import Diagram

ROOM: Point = (860.0, 396.0)
NARROW = 560.0


def room_for(width: float, height: float) -> Point:
    """The room that a drawing should fill to be shown in a view of `width` by `height` pixels, whatever its zoom."""
    wide = ROOM[1] * width / max(height, 1.0)
    return (wide, ROOM[1]) if wide > NARROW else (NARROW, NARROW * height / max(width, 1.0))


def place(diagram: Diagram, room: Point = ROOM) -> Placement:
    """Where everything of `diagram` lies; `room` is the (width, height) that it should fill at zoom 1.

    A chain with additive skips and gates becomes rows of blocks under arcs, a chain of dense blocks ribbons over
    triangles, anything else a layered drawing. The same diagram always gives the same placement.
    """
    if not diagram.nodes:
        return Placement()
    if chain := read_spine(diagram):
        return place_spine(diagram, chain, room)
    if blocks := read_dense(diagram):
        return place_dense(diagram, blocks, room)
    return place_layered(diagram)
