"""Arrow key targets of each node: along the edges of the graph, never into a dead end."""

from collections import deque
from itertools import pairwise
from typing import Literal

import numpy as np

from gui.graph import Graph
from gui.layout.geometry import GraphLayout, NodeBox, input_edges

Direction = Literal["left", "right", "up", "down"]


OFF_SPINE_SHAPES = ("pill", "side")  # projections, weights of gates
SAME_ROW_HEIGHT = 8.0  # in units


class Neighborhood:
    """Finds the nearest node above or below, the same column before the others.

    Args:
        boxes: The boxes of all nodes by name.
    """

    def __init__(self, boxes: dict[str, NodeBox]) -> None:
        self._names = np.array(list(boxes))
        # As arrays, because each node is compared with all others.
        centers = np.array([box.rect.center for box in boxes.values()]).reshape(-1, 2)
        self._x, self._y = centers.T

    def nearest(self, start: NodeBox, direction: Direction) -> str | None:
        """Return the nearest node in a direction.

        Args:
            start: The box to start from.
            direction: "up" or "down".

        Returns:
            Its name, None if there is none.
        """
        x, y = start.rect.center
        dy = (self._y - y) * (-1 if direction == "up" else 1)
        # Sideways counts three times, so that the keys stay in a column.
        distance = dy + 3 * np.abs(self._x - x)
        # Boxes of one row differ by a few units in height; these keep them out.
        distance[dy <= SAME_ROW_HEIGHT] = np.inf
        smallest = distance.min()
        if np.isinf(smallest):
            return None
        # Of equally near nodes the first by name, so that keys are the same every time.
        return min(self._names[distance == smallest].tolist())


def arrow_key_map(diagram: Graph, placement: GraphLayout) -> dict[str, dict[Direction, str]]:
    """Map each node to its neighbors by arrow key.

    Right and left follow the data flow. Up and down reach projections, squeeze paths and the
    rows above and below.

    Args:
        diagram: The folded graph.
        placement: Its layout.

    Returns:
        For each node name the target of each direction that leads anywhere.
    """
    boxes = {box.name: box for box in placement.boxes}
    order = {node.name: i for i, node in enumerate(diagram.nodes)}
    sources = {
        name: [edge.source for edge in edges] for name, edges in input_edges(diagram).items()
    }
    targets: dict[str, list[str]] = {name: [] for name in sources}
    for edge in diagram.edges:
        targets[edge.source].append(edge.target)
    around = Neighborhood(boxes)
    key_map: dict[str, dict[Direction, str]] = {}
    for name in order:
        flow = _flow_keys(boxes, order, sources[name], targets[name])
        neighbors = [*sources[name], *targets[name]]
        key_map[name] = flow | _vertical_keys(boxes, boxes[name], neighbors, around)
    _connect_unreachable(key_map, list(order))
    return key_map


def _flow_keys(
    boxes: dict[str, NodeBox], order: dict[str, int], sources: list[str], targets: list[str]
) -> dict[Direction, str]:
    """Choose the targets of the right and left keys, on the spine where possible."""
    keys: dict[Direction, str] = {}
    following = _prefer_spine(boxes, targets)
    preceding = _prefer_spine(boxes, sources)
    # The nearest node in execution order, so that no node on the spine is jumped over.
    if following:
        keys["right"] = min(following, key=order.__getitem__)
    if preceding:
        keys["left"] = max(preceding, key=order.__getitem__)
    return keys


def _prefer_spine(boxes: dict[str, NodeBox], names: list[str]) -> list[str]:
    """Keep the nodes on the spine, or all nodes if none is on it."""
    on_spine = [name for name in names if boxes[name].shape not in OFF_SPINE_SHAPES]
    return on_spine or names


def _vertical_keys(
    boxes: dict[str, NodeBox], box: NodeBox, neighbors: list[str], around: Neighborhood
) -> dict[Direction, str]:
    """Choose the targets of the up and down keys."""
    keys: dict[Direction, str] = {}
    # Projections are drawn above the spine, the weight paths of gates below it.
    beside: tuple[tuple[Direction, str], ...] = (("up", "pill"), ("down", "side"))
    for direction, shape in beside:
        near = [name for name in neighbors if boxes[name].shape == shape]
        target = near[0] if near else around.nearest(box, direction)
        if target:
            keys[direction] = target
    return keys


def _connect_unreachable(key_map: dict[str, dict[Direction, str]], order: list[str]) -> None:
    """Make every node reachable from the first one.

    An unreachable node takes over a key of the node that is executed before it.
    """
    if not order:
        return
    reached = reachable_from(key_map, order[0])
    for before, name in pairwise(order):
        if name not in reached:
            # A key that leads nowhere yet, if there is one.
            is_down_taken = key_map[before].get("down") in key_map
            direction: Direction = "up" if is_down_taken else "down"
            key_map[before][direction] = name
            # The key may have been the only one to some other node.
            reached = reachable_from(key_map, order[0])


def reachable_from(key_map: dict[str, dict[Direction, str]], start: str) -> set[str]:
    """Return all nodes that the arrow keys reach from a node.

    Args:
        key_map: The result of `arrow_key_map`.
        start: The name of the node to start from.

    Returns:
        The names of the reachable nodes, with `start`.
    """
    reached = {start}
    queue = deque([start])
    while queue:
        for name in key_map[queue.popleft()].values():
            if name not in reached:
                reached.add(name)
                queue.append(name)
    return reached
