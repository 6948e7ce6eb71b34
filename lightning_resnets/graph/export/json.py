"""A graph as a JSON document with a version, and back to the equal graph; a document from anywhere is checked first."""

import json
from collections.abc import Callable
from dataclasses import MISSING, asdict, fields
from typing import Any, TypeVar, get_args

from lightning_resnets.errors import GraphError
from lightning_resnets.graph.data import GraphData, Node, SkipConnection
from lightning_resnets.merges import MergeKind

G = TypeVar("G", bound=GraphData)


FORMAT, VERSION = "lightning_resnets graph", 1


LIST_FIELDS = ("nodes", "edges", "skips")


TEXT_FIELDS = ("traced_by", "merges_inserted")


def to_json(graph: GraphData, indent: int | None = 1) -> str:
    """The graph as JSON: `format`, `version`, totals to look at, and all that `from_json` needs.

    `nodes` and `skips` are objects with the fields of Node and SkipConnection, `edges` are [source, target, operand] each.
    """
    totals = {"parameters": graph.parameters, "macs": graph.macs}
    document = {"format": FORMAT, "version": VERSION, **totals, **asdict(graph)}
    return json.dumps(document, ensure_ascii=False, indent=indent) + "\n"


def from_json(text: str, graph_class: type[G]) -> G:
    """The graph that `to_json` wrote; raises GraphError for anything else."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise GraphError(f"This is no JSON: {str(error).splitlines()[0]}.") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise GraphError(f'This JSON holds no graph: its "format" must be "{FORMAT}".')
    if document.get("version") != VERSION:
        raise GraphError(
            f"This graph is of version {document.get('version')!r}, and version {VERSION} is what is read."
        )
    for name in LIST_FIELDS:
        if not isinstance(document.get(name), list):
            raise GraphError(f'This graph has no list "{name}".')
    blocks = tuple(_made(Node, item) for item in document["nodes"])
    flow = tuple(_edge(item) for item in document["edges"])
    skips = tuple(_made(SkipConnection, item) for item in document["skips"])
    _agree(blocks, flow, skips)
    inside, even = document.get("hidden_skips", []), document.get("non_skip_merges", 0)
    if not isinstance(inside, list) or not _count(even):
        raise GraphError('"hidden_skips" must be a list and "non_skip_merges" a count.')
    words = {
        field.name: get_args(field.type) for field in fields(GraphData) if field.name in TEXT_FIELDS
    }
    more = {name: document[name] for name in words if name in document}
    if wrong := next((name for name, value in more.items() if value not in words[name]), None):
        raise GraphError(
            f'The "{wrong}" of this graph is {json.dumps(more[wrong])[:40]}, which it cannot be.'
        )
    return graph_class(
        blocks,
        flow,
        skips,
        **more,
        hidden_skips=tuple(_made(SkipConnection, item) for item in inside),
        non_skip_merges=even,
    )


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _many(one: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(one(item) for item in value)


CHECKS: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("name", "op", "stage", "block", "hook_point", "source", "merge"), _text),
    **dict.fromkeys(("parameters", "macs", "operand"), _count),
    "shape": _many(_count),
    "members": _many(_text),
    "repeat_count": lambda value: _count(value) and value > 0,
    "is_module": lambda value: isinstance(value, bool),
    "projection": lambda value: value is None or _text(value),
    "kind": lambda value: value is None or (_text(value) and value in set(MergeKind)),
}


def _made(made: type[Any], item: Any) -> Any:
    """A Block or Skip of a JSON object, every value looked at."""
    what = made.__name__.lower()
    if not isinstance(item, dict):
        raise GraphError(f"A {what} of this graph is {json.dumps(item)[:40]}, not an object.")
    known = {field.name: field for field in fields(made)}
    if missing := [
        name for name, field in known.items() if field.default is MISSING and name not in item
    ]:
        raise GraphError(f'A {what} of this graph has no "{missing[0]}".')
    for name, value in item.items():
        if name not in known:
            raise GraphError(f'A {what} of this graph has "{name[:40]}", which none has.')
        if not CHECKS[name](value) or (made is SkipConnection and name == "kind" and value is None):
            raise GraphError(
                f'A {what} of this graph has {json.dumps(value)[:40]} as its "{name}".'
            )
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in item.items()
    }
    return made(**{**values, "kind": MergeKind(values["kind"])} if values.get("kind") else values)


def _edge(item: Any) -> tuple[str, str, int]:
    if not (
        isinstance(item, list) and len(item) == 3 and _many(_text)(item[:2]) and _count(item[2])
    ):
        raise GraphError(f"{json.dumps(item)[:40]} is no [source, target, operand].")
    return item[0], item[1], item[2]


def _agree(
    blocks: tuple[Node, ...],
    flow: tuple[tuple[str, str, int], ...],
    skips: tuple[SkipConnection, ...],
) -> None:
    """All that flows and skips goes forward between blocks that there are."""
    places = {block.name: place for place, block in enumerate(blocks)}
    if len(places) < len(blocks):
        raise GraphError("Two blocks of this graph have one name.")
    for source, target in [edge[:2] for edge in flow] + [
        (skip.source, skip.merge) for skip in skips
    ]:
        if unknown := next((name for name in (source, target) if name not in places), None):
            raise GraphError(
                f"This graph has no block called {unknown[:40]!r}, but one leads to it or from it."
            )
        if places[source] >= places[target]:
            raise GraphError(
                f"{target[:40]!r} comes before {source[:40]!r}, which it reads: blocks stand in their order."
            )
