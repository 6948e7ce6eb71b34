"""A graph into a file, whose ending says in which form."""

from collections.abc import Callable
from os import PathLike
from pathlib import Path

from lightning_resnets.errors import GraphError
from lightning_resnets.graph.data import GraphData
from lightning_resnets.graph.export.dot import to_dot
from lightning_resnets.graph.export.graphml import to_graphml
from lightning_resnets.graph.export.json import from_json as from_json
from lightning_resnets.graph.export.json import to_json
from lightning_resnets.graph.export.svg import to_svg

WRITERS: dict[str, Callable[[GraphData, str], str]] = {
    ".json": lambda graph, _: to_json(graph),
    ".graphml": lambda graph, _: to_graphml(graph),
    ".dot": to_dot,
    ".svg": to_svg,
    ".txt": lambda graph, _: f"{graph}\n",
}


def save_graph(graph: GraphData, path: str | PathLike[str]) -> None:
    """Write the graph as JSON, GraphML, DOT, SVG or text, in the place of what was there.

    Raises GraphError for another ending, and OSError where the file cannot be written.
    """
    path = Path(path).expanduser()
    form = WRITERS.get(path.suffix.lower())
    if form is None:
        *most, last = WRITERS
        raise GraphError(
            f"'{path.name}' says by its ending what to write: take {', '.join(most)} or {last}."
        )
    path.write_text(form(graph, path.stem), encoding="utf-8", newline="\n")
