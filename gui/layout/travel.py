"""Where the arrow keys lead from each node: along the edges of the graph, never into a dead end."""

from collections import deque
from itertools import pairwise
from typing import Literal

from gui.layout.plan import Place, Placement, incoming
from gui.state import Diagram

Way = Literal["left", "right", "up", "down"]
ASIDE = ("pill", "side")


def travel(diagram: Diagram, placement: Placement) -> dict[str, dict[Way, str]]:
    """Right and left follow the flow, up and down reach projections, squeeze paths and the rows beside."""
    places = {place.name: place for place in placement.places}
    at = {node.name: i for i, node in enumerate(diagram.nodes)}
    sources = {name: [link.source for link in links] for name, links in incoming(diagram).items()}
    targets: dict[str, list[str]] = {name: [] for name in sources}
    for link in diagram.links:
        targets[link.source].append(link.target)
    found: dict[str, dict[Way, str]] = {}
    for name in at:
        ways: dict[Way, str] = {}
        on = [t for t in targets[name] if places[t].shape not in ASIDE] or targets[name]
        back = [s for s in sources[name] if places[s].shape not in ASIDE] or sources[name]
        if on:
            ways["right"] = min(on, key=at.__getitem__)
        if back:
            ways["left"] = max(back, key=at.__getitem__)
        aside = [n for n in (*sources[name], *targets[name]) if places[n].shape in ASIDE]
        beside: tuple[tuple[Way, str], ...] = (("up", "pill"), ("down", "side"))
        for way, shape in beside:
            near = [n for n in aside if places[n].shape == shape] or _rows(places, places[name], way)
            if near:
                ways[way] = near[0]
        found[name] = ways
    _open(found, list(at))
    return found


def _rows(places: dict[str, Place], here: Place, way: Way) -> list[str]:
    """Nodes above or below, nearest first, those of the same column before those aside."""
    x, y = here.rect.middle
    sign = -1 if way == "up" else 1

    def far(place: Place) -> tuple[float, str]:
        dx, dy = abs(place.rect.middle[0] - x), (place.rect.middle[1] - y) * sign
        return dy + 3 * dx, place.name

    beyond = [p for p in places.values() if (p.rect.middle[1] - y) * sign > 8 and p.name != here.name]
    return [place.name for place in sorted(beyond, key=far)]


def _open(found: dict[str, dict[Way, str]], order: list[str]) -> None:
    """Makes every node reachable from the first: what is not, takes over a key of the node executed before it."""
    for before, name in pairwise(order):
        if name not in reached(found, order[0]):
            way: Way = "up" if found[before].get("down") in found else "down"
            found[before][way] = name


def reached(found: dict[str, dict[Way, str]], start: str) -> set[str]:
    """All nodes that the arrow keys reach from `start`."""
    seen, queue = {start}, deque([start])
    while queue:
        for name in found[queue.popleft()].values():
            if name not in seen:
                seen.add(name)
                queue.append(name)
    return seen
