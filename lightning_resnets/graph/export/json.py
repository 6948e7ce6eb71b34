"""Write a graph as a versioned JSON document, and read and check such a document."""

import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, asdict, fields
from typing import Any, TypeVar, get_args

from lightning_resnets.errors import GraphError
from lightning_resnets.graph.data import Edge, GraphData, Node, NonlinearityCounts, SkipConnection
from lightning_resnets.merges import MergeKind

G = TypeVar("G", bound=GraphData)
T = TypeVar("T", Node, SkipConnection)

FORMAT = "lightning_resnets graph"
VERSION = 1

LIST_FIELDS = ("nodes", "edges", "skips")
TEXT_FIELDS = ("traced_by", "merges_inserted")

ITEM_NAMES: dict[type[Any], str] = {Node: "node", SkipConnection: "skip"}
MAX_QUOTED = 40  # characters of a value in a message


def to_json(graph: GraphData, indent: int | None = 1) -> str:
    """Write a graph as JSON.

    Args:
        graph: the graph.
        indent: spaces per level; None for a single line.

    Returns:
        An object with format, version, the totals parameters and macs, and the fields of the
        graph. Nodes and skips are objects; edges are [source, target, operand] each.
    """
    # For readers of the file; `from_json` adds them up again.
    totals = {"parameters": graph.parameters, "macs": graph.macs}
    document = {"format": FORMAT, "version": VERSION, **totals, **asdict(graph)}
    return json.dumps(document, ensure_ascii=False, indent=indent) + "\n"


def from_json(text: str, graph_class: type[G]) -> G:
    """Read a graph that `to_json` wrote.

    Args:
        text: the document.
        graph_class: class of the result.

    Returns:
        The equal graph.

    Raises:
        GraphError: the document is not a valid graph.
    """
    document = _parse_document(text)
    nodes = tuple(_read_item(Node, item) for item in document["nodes"])
    edges = tuple(_read_edge(item) for item in document["edges"])
    skips = tuple(_read_item(SkipConnection, item) for item in document["skips"])
    _check_names_and_order(nodes, edges, skips)
    return graph_class(nodes, edges, skips, **_read_optional_fields(document))


def _parse_document(text: str) -> dict[str, Any]:
    """Parse JSON and check the format, the version and the lists."""
    try:
        document = json.loads(text)
    # Deeply nested brackets exceed the recursion limit.
    except (ValueError, RecursionError) as error:
        raise GraphError(f"Invalid JSON: {str(error).splitlines()[0]}.") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise GraphError(f'The document is not a graph: "format" must be "{FORMAT}".')
    version = document.get("version")
    # A newer version may have fields that would be lost silently.
    if version != VERSION:
        raise GraphError(f'"version" must be {VERSION}, got {version!r}.')
    for name in LIST_FIELDS:
        if not isinstance(document.get(name), list):
            raise GraphError(f'"{name}" must be a list.')
    return document


def _read_optional_fields(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that a document may leave out."""
    return {
        **_read_text_fields(document),
        "hidden_skips": _read_hidden_skips(document),
        "non_skip_merges": _read_non_skip_merges(document),
        "nonlinearities": _read_nonlinearities(document),
    }


def _read_text_fields(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the optional text fields that are present."""
    found: dict[str, Any] = {}
    for field in fields(GraphData):
        if field.name not in TEXT_FIELDS or field.name not in document:
            continue
        value = document[field.name]
        choices = get_args(field.type)
        if value not in choices:
            listed = ", ".join(map(json.dumps, choices))
            raise GraphError(f'"{field.name}" must be one of {listed}, got {_quote(value)}.')
        found[field.name] = value
    return found


def _read_hidden_skips(document: Mapping[str, Any]) -> tuple[SkipConnection, ...]:
    """Return the skips inside folded nodes."""
    items = document.get("hidden_skips", [])
    if not isinstance(items, list):
        raise GraphError('"hidden_skips" must be a list.')
    return tuple(_read_item(SkipConnection, item) for item in items)


def _read_non_skip_merges(document: Mapping[str, Any]) -> int:
    """Return the number of other merges inside folded nodes."""
    count = document.get("non_skip_merges", 0)
    if not _is_count(count):
        raise GraphError('"non_skip_merges" must be an integer of 0 or more.')
    return count


def _read_nonlinearities(document: Mapping[str, Any]) -> NonlinearityCounts | None:
    """Return the activation functions on the longest and shortest path, if they are present."""
    counts = document.get("nonlinearities")
    if counts is None:
        return None
    if not _is_list_of(_is_count)(counts) or len(counts) != 2:
        raise GraphError(f'"nonlinearities" must be [longest, shortest], got {_quote(counts)}.')
    return NonlinearityCounts(*counts)


def _is_count(value: Any) -> bool:
    """Return True for an integer of 0 or more."""
    # JSON's true and false are integers in Python.
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_text(value: Any) -> bool:
    """Return True for a string."""
    return isinstance(value, str)


def _is_positive(value: Any) -> bool:
    """Return True for an integer of 1 or more."""
    return _is_count(value) and value > 0


def _is_flag(value: Any) -> bool:
    """Return True for true and false."""
    return isinstance(value, bool)


def _is_optional_text(value: Any) -> bool:
    """Return True for a string and for null."""
    return value is None or _is_text(value)


def _is_optional_kind(value: Any) -> bool:
    """Return True for the name of a merge and for null."""
    return value is None or (_is_text(value) and value in set(MergeKind))


def _is_list_of(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Return a check for lists whose items pass another check."""

    def check_list(value: Any) -> bool:
        """Return True for a list whose items all pass."""
        return isinstance(value, list) and all(check(item) for item in value)

    return check_list


CHECKS: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("name", "op", "stage", "block", "hook_point", "source", "merge"), _is_text),
    **dict.fromkeys(("parameters", "macs", "operand"), _is_count),
    "shape": _is_list_of(_is_count),
    "members": _is_list_of(_is_text),
    "repeat_count": _is_positive,
    "is_module": _is_flag,
    "projection": _is_optional_text,
    "kind": _is_optional_kind,
}


def _read_item(item_class: type[T], item: Any) -> T:
    """Read a node or a skip and check every value."""
    what = ITEM_NAMES[item_class]
    if not isinstance(item, dict):
        raise GraphError(f"A {what} must be an object, got {_quote(item)}.")
    for field in fields(item_class):
        if field.default is MISSING and field.name not in item:
            raise GraphError(f'A {what} has no "{field.name}".')
    values = {name: _read_value(item_class, name, value) for name, value in item.items()}
    return item_class(**values)


def _read_value(item_class: type[Node] | type[SkipConnection], name: str, value: Any) -> Any:
    """Check one value of a node or a skip and convert it."""
    what = ITEM_NAMES[item_class]
    if name not in {field.name for field in fields(item_class)}:
        raise GraphError(f'A {what} has an unknown key, "{name[:MAX_QUOTED]}".')
    # Null is the kind of an ordinary node, but every skip has a merge.
    is_kindless = item_class is SkipConnection and name == "kind" and value is None
    if is_kindless or not CHECKS[name](value):
        raise GraphError(f'A {what} has an invalid "{name}": {_quote(value)}.')
    if name == "kind" and value is not None:
        return MergeKind(value)
    # The dataclasses are frozen, and so are their sequences.
    if isinstance(value, list):
        return tuple(value)
    return value


def _quote(value: Any) -> str:
    """Return the beginning of a value for a message."""
    # A file may hold a value of any length.
    return json.dumps(value)[:MAX_QUOTED]


def _read_edge(item: Any) -> Edge:
    """Read an edge and check its values."""
    is_triple = isinstance(item, list) and len(item) == 3
    if not (is_triple and _is_list_of(_is_text)(item[:2]) and _is_count(item[2])):
        raise GraphError(f"An edge must be [source, target, operand], got {_quote(item)}.")
    return item[0], item[1], item[2]


def _check_names_and_order(
    nodes: tuple[Node, ...], edges: tuple[Edge, ...], skips: tuple[SkipConnection, ...]
) -> None:
    """Check that names are unique, and that edges and skips go forward between known nodes."""
    positions = {node.name: position for position, node in enumerate(nodes)}
    if len(positions) < len(nodes):
        raise GraphError("Two nodes have the same name.")
    pairs = [(source, target) for source, target, _ in edges]
    pairs += [(skip.source, skip.merge) for skip in skips]
    for source, target in pairs:
        for name in (source, target):
            if name not in positions:
                raise GraphError(f"An edge or a skip names an unknown node, {name[:MAX_QUOTED]!r}.")
        # This also rules out cycles, on which the layout would not end.
        if positions[source] >= positions[target]:
            raise GraphError(
                f"Nodes must be in order of execution, but {target[:MAX_QUOTED]!r} comes before "
                f"its input {source[:MAX_QUOTED]!r}."
            )
