"""A graph into a file, whose ending says in which form."""

from collections.abc import Callable
from os import PathLike
from pathlib import Path

from lightning_resnets.blocks import BlockGraph
from lightning_resnets.exports.document import GraphError, to_json
from lightning_resnets.exports.dot import to_dot
from lightning_resnets.exports.graphml import to_graphml
from lightning_resnets.exports.svg import to_svg

LARGE = 120  # blocks of a drawing that can still be read on a screen
FORMS: dict[str, Callable[[BlockGraph, str], str]] = {
    ".json": lambda graph, _: to_json(graph),
    ".graphml": lambda graph, _: to_graphml(graph),
    ".dot": to_dot,
    ".svg": to_svg,
    ".txt": lambda graph, _: f"{graph}\n",
}


def save(graph: BlockGraph, path: str | PathLike[str]) -> None:
    """Write the graph as JSON, GraphML, DOT, SVG or text, in the place of what was there.

    Raises GraphError for another ending, and OSError where the file cannot be written.
    """
    path = Path(path).expanduser()
    form = FORMS.get(path.suffix.lower())
    if form is None:
        *most, last = FORMS
        raise GraphError(f"'{path.name}' says by its ending what to write: take {', '.join(most)} or {last}.")
    path.write_text(form(graph, path.stem), encoding="utf-8", newline="\n")


def drawable(graph: BlockGraph) -> BlockGraph:
    """The graph itself, or where it is too large to be drawn well folded to blocks, equal neighbours as one."""
    return graph if len(graph.blocks) <= LARGE else graph.fold("block", repeats=True)
