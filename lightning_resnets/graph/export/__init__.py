"""Write a graph to a file whose suffix selects the format."""

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
from lightning_resnets.utils.atomic_write import atomic_write_text
from lightning_resnets.utils.format import join_words

WRITERS: dict[str, Callable[[GraphData, str], str]] = {
    ".json": lambda graph, _: to_json(graph),
    ".graphml": lambda graph, _: to_graphml(graph),
    ".dot": to_dot,
    ".svg": to_svg,
    ".txt": lambda graph, _: f"{graph}\n",
}


def save_graph(graph: GraphData, path: str | PathLike[str]) -> None:
    """Write a graph as JSON, GraphML, DOT, SVG or text.

    Args:
        graph: the graph.
        path: file to write, or to replace; its suffix selects the format.

    Raises:
        GraphError: the suffix is not one of these.
        CheckpointError: the file cannot be written.
    """
    path = Path(path).expanduser()
    # Before anything is written: a wrong suffix leaves no file.
    writer = WRITERS.get(path.suffix.lower())
    if writer is None:
        raise GraphError(
            f"Cannot write a graph to '{path.name}': the name must end in {join_words(WRITERS)}."
        )
    atomic_write_text(path, writer(graph, path.stem))
