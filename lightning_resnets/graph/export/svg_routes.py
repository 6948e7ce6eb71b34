"""Route the edges of a drawing: straight lines, side steps, and arcs left of a lane."""

from lightning_resnets.graph.data import Edge
from lightning_resnets.graph.export.svg_drawing import (
    ARC_ROOM,
    ARC_STEP,
    BOX_HEIGHT,
    BOX_WIDTH,
    RIBBON_ROOM,
    ROW_GAP,
    NodeBox,
    Point,
)
from lightning_resnets.graph.export.svg_grid import Columns, Rows
from lightning_resnets.graph.export.svg_layout import GridLayout

GUTTER = BOX_WIDTH / 2 + 12  # from the middle of a lane to the gap beside it


class EdgeRouter:
    """Finds the corners of every edge.

    Args:
        grid: rows and lanes of the nodes.
        columns: the placed lanes.
        rows: the placed rows.
        boxes: the boxes by node name.
    """

    def __init__(
        self, grid: GridLayout, columns: Columns, rows: Rows, boxes: dict[str, NodeBox]
    ) -> None:
        self.grid = grid
        self.columns = columns
        self.rows = rows
        self.boxes = boxes

    def route(self, source: str, target: str) -> tuple[Point, ...]:
        """Return the corners of an edge between two nodes.

        Args:
            source: name of the first node.
            target: name of the second node.

        Returns:
            A straight line or a side step to the main input of a node. Any other edge enters
            the target from the side.
        """
        if self.grid.main_input[target] == source:
            return self._route_down(source, target)
        return self._route_into_side(source, target)

    def _route_down(self, source: str, target: str) -> tuple[Point, ...]:
        """Go straight down, or step aside just below the fork."""
        start = (self.boxes[source].middle[0], self.boxes[source].bottom)
        end = (self.boxes[target].middle[0], self.boxes[target].rect[1])
        if self.grid.lanes[source] == self.grid.lanes[target]:
            return start, end
        below = self._below(source)
        return start, (start[0], below), (end[0], below), end

    def _route_into_side(self, source: str, target: str) -> tuple[Point, ...]:
        """Go down the own lane where it is free, else between two lanes, and in from the side."""
        box = self.boxes[target]
        start = (self.boxes[source].middle[0], self.boxes[source].bottom)
        target_x, y = box.middle
        comes_from_right = start[0] > target_x
        end = (box.rect[0], y)
        if comes_from_right:
            end = (box.right, y)
        # A later path may use the lane below the end of this one.
        is_lane_free = self.grid.lane_ends.get(source, -1) >= self.grid.rows[target]
        if comes_from_right and is_lane_free:
            return start, (start[0], y), end
        gutter = self.columns.middles[self.grid.lanes[target]]
        gutter += GUTTER if comes_from_right else -GUTTER
        below = self._below(source)
        return start, (start[0], below), (gutter, below), (gutter, y), end

    def _below(self, source: str) -> float:
        """Return the y halfway between the row of a node and the next."""
        row = self.grid.rows[source]
        return self.rows.tops[row] + self.rows.heights[row] + ROW_GAP / 2

    def arc(self, edge: Edge) -> tuple[Point, ...]:
        """Return the corners of an arc left of its lane.

        Args:
            edge: (source, target, operand index).

        Returns:
            Four corners. Longer arcs stand further out.
        """
        source, target, _ = edge
        first = self.boxes[source]
        last = self.boxes[target]
        lane = self.grid.lanes[target]
        x = self.columns.middles[lane] - BOX_WIDTH / 2 - ARC_ROOM
        x -= ARC_STEP * self.columns.levels[edge]
        if lane in self.columns.ribbon_lanes:
            x -= RIBBON_ROOM
        # A merge symbol is round: the line starts a little inside its square.
        start_x = first.rect[0] + (2 if first.node.kind else 0)
        start_y = leave_y(first)
        end_y = last.middle[1] - (4 if last.node.kind else 10)
        return (start_x, start_y), (x, start_y), (x, end_y), (last.rect[0] + 1, end_y)


def leave_y(box: NodeBox) -> float:
    """Return the y at which a side line leaves a box.

    Args:
        box: the box of the source.

    Returns:
        A y below the middle, so that lines in and out do not touch.
    """
    return box.middle[1] + (4 if box.node.kind else BOX_HEIGHT / 2 - 10)
