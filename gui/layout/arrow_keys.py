"""Where the arrow keys lead from each node: along the edges of the graph, never into a dead end."""

from collections import deque
from itertools import pairwise
from typing import Literal

from gui.graph import Graph
from gui.layout.geometry import GraphLayout, NodeBox, input_edges

Direction = Literal["left", "right", "up", "down"]


OFF_SPINE_SHAPES = ("pill", "side")


def arrow_key_map(diagram: Graph, placement: GraphLayout) -> dict[str, dict[Direction, str]]:
    """Right and left follow the flow, up and down reach projections, squeeze paths and the rows beside."""
    places = {place.name: place for place in placement.boxes}
    at = {node.name: i for i, node in enumerate(diagram.nodes)}
    sources = {
        name: [link.source for link in links] for name, links in input_edges(diagram).items()
    }
    targets: dict[str, list[str]] = {name: [] for name in sources}
    for link in diagram.edges:
        targets[link.source].append(link.target)
    found: dict[str, dict[Direction, str]] = {}
    for name in at:
        ways: dict[Direction, str] = {}
        on = [t for t in targets[name] if places[t].shape not in OFF_SPINE_SHAPES] or targets[name]
        back = [s for s in sources[name] if places[s].shape not in OFF_SPINE_SHAPES] or sources[
            name
        ]
        if on:
            ways["right"] = min(on, key=at.__getitem__)
        if back:
            ways["left"] = max(back, key=at.__getitem__)
        aside = [n for n in (*sources[name], *targets[name]) if places[n].shape in OFF_SPINE_SHAPES]
        beside: tuple[tuple[Direction, str], ...] = (("up", "pill"), ("down", "side"))
        for way, shape in beside:
            near = [n for n in aside if places[n].shape == shape] or _rows(
                places, places[name], way
            )
            if near:
                ways[way] = near[0]
        found[name] = ways
    _open(found, list(at))
    return found


def _rows(places: dict[str, NodeBox], here: NodeBox, way: Direction) -> list[str]:
    """Nodes above or below, nearest first, those of the same column before those aside."""
    x, y = here.rect.center
    sign = -1 if way == "up" else 1

    def far(place: NodeBox) -> tuple[float, str]:
        dx, dy = abs(place.rect.center[0] - x), (place.rect.center[1] - y) * sign
        return dy + 3 * dx, place.name

    beyond = [
        p for p in places.values() if (p.rect.center[1] - y) * sign > 8 and p.name != here.name
    ]
    return [place.name for place in sorted(beyond, key=far)]


def _open(found: dict[str, dict[Direction, str]], order: list[str]) -> None:
    """Makes every node reachable from the first: what is not, takes over a key of the node executed before it."""
    for before, name in pairwise(order):
        if name not in reachable_from(found, order[0]):
            way: Direction = "up" if found[before].get("down") in found else "down"
            found[before][way] = name


def reachable_from(found: dict[str, dict[Direction, str]], start: str) -> set[str]:
    """All nodes that the arrow keys reach from `start`."""
    seen, queue = {start}, deque([start])
    while queue:
        for name in found[queue.popleft()].values():
            if name not in seen:
                seen.add(name)
                queue.append(name)
    return seen
