"""`lightning-resnets graph`: print the graph of any model, or write it to a file."""

import argparse
import sys
from argparse import Namespace
from pathlib import Path

from lightning_resnets.cli.args import CommandParser, check_output_path, parse_image_side
from lightning_resnets.cli.open_model import (
    MODEL_OR_CHECKPOINT_HELP,
    OpenedStructure,
    open_structure,
)
from lightning_resnets.errors import TraceError
from lightning_resnets.graph import ModelGraph, trace
from lightning_resnets.graph.data import FOLD_DEPTHS
from lightning_resnets.graph.export import WRITERS
from lightning_resnets.graph.summary import format_cost
from lightning_resnets.utils.atomic_write import atomic_write_text
from lightning_resnets.utils.format import format_shape, join_words


def main(args: list[str]) -> None:
    """Run `lightning-resnets graph MODEL_OR_CHECKPOINT [options]`.

    Args:
        args: command-line arguments after the command.

    Raises:
        ValueError: an argument is wrong, or the model cannot be opened or traced.
    """
    options = build_parser().parse_args(args)
    out: Path | None = options.out
    if out is not None:
        out = out.expanduser()
        # Before the model is opened and traced, which takes time.
        check_output_path(out, WRITERS, options.overwrite)
    opened = open_structure(options.checkpoint, options.model, options.select, options.image_size)
    graph = _trace(opened, options)
    if out is None:
        print(graph)
    else:
        _write(graph, out, Path(options.checkpoint).name)
    if opened.is_size_assumed:
        size = format_shape(opened.input_size)
        # Not on standard output, which may go to another program.
        print(f"input size {size} is assumed: --image-size N sets another", file=sys.stderr)


def _trace(opened: OpenedStructure, options: Namespace) -> ModelGraph:
    """Trace the model and fold its graph."""
    try:
        graph = trace(opened.model, opened.input_size)
    except TraceError as error:
        # The advice would be wrong for a size that the user or the card gave.
        if not opened.is_size_assumed:
            raise
        raise TraceError(
            f"{error} This size is assumed: --image-size N sets the model's own."
        ) from error
    return graph.fold(options.fold, collapse_repeats=options.collapse_repeats)


def _write(graph: ModelGraph, out: Path, name: str) -> None:
    """Write the graph in the format of the file's ending, and print its size and cost."""
    text = WRITERS[out.suffix.lower()](graph, name)
    atomic_write_text(out, text)
    num_nodes = len(graph.nodes)
    # A collapsed node stands for several equal ones.
    num_unfolded = sum(node.repeat_count for node in graph.nodes)
    repeats = ""
    if num_unfolded > num_nodes:
        repeats = f" ({num_unfolded:,} with repeats)"
    print(f"{out}: {num_nodes:,} nodes{repeats}, {format_cost(graph)}")


def build_parser() -> CommandParser:
    """Build the parser of `graph`.

    Returns:
        The parser.
    """
    parser = CommandParser(
        "graph",
        "Print the graph of a model: nodes, shapes, parameters, MACs and skip connections.",
    )
    parser.add_checkpoint("MODEL_OR_CHECKPOINT", MODEL_OR_CHECKPOINT_HELP)
    _add_drawing_options(parser)
    parser.add_argument(
        "--out", type=Path, metavar="OUT", help=f"file to write ({join_words(WRITERS)})"
    )
    # Without it an existing file is left alone.
    parser.add_overwrite()
    return parser


def _add_drawing_options(parser: CommandParser) -> None:
    """Add the options that decide what the graph shows."""
    parser.add_argument(
        "--image-size",
        type=parse_image_side,
        metavar="N",
        help="height and width of the input image in pixels (default: the model's own; 224 for a "
        "custom model without a model card)",
    )
    parser.add_argument(
        "--fold",
        type=parse_fold_depth,
        default="blocks",
        metavar="{stages,blocks,none}",
        help="what to draw as one node (default: blocks)",
    )
    parser.add_argument(
        "--collapse-repeats", action="store_true", help="draw equal neighbors once, with a count"
    )


def parse_fold_depth(text: str) -> str:
    """Parse the depth to fold a graph to.

    Args:
        text: the user's input.

    Returns:
        A key of `FOLD_DEPTHS`.

    Raises:
        argparse.ArgumentTypeError: there is no such depth.
    """
    # A type instead of choices: FOLD_DEPTHS has synonyms that the help text leaves out.
    if text not in FOLD_DEPTHS:
        raise argparse.ArgumentTypeError(f"must be stages, blocks or none, got '{text}'")
    return text
