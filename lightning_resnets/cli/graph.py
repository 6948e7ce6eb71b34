"""`lightning-resnets graph FILE`: the graph of any model or checkpoint as text, or as what a file's ending says."""

import argparse
import contextlib
from difflib import get_close_matches
from pathlib import Path

from torch import nn

from lightning_resnets.checkpoint.bundled import bundled_checkpoints, resolve_checkpoint
from lightning_resnets.checkpoint.load import load_checkpoint
from lightning_resnets.cli.args import ModelArgumentParser, join_words
from lightning_resnets.errors import CheckpointError
from lightning_resnets.graph import TraceError, trace
from lightning_resnets.graph.data import FOLD_DEPTHS
from lightning_resnets.graph.export import WRITERS
from lightning_resnets.graph.insert_merges import insert_merges
from lightning_resnets.graph.summary import format_cost
from lightning_resnets.interactive.model import is_builtin
from lightning_resnets.models import registry
from lightning_resnets.models.known import index
from lightning_resnets.utils.atomic_write import atomic_write
from lightning_resnets.utils.skip_init import skip_init

ImageSize = tuple[int, int, int]


DEFAULT_SIZE: ImageSize = (3, 224, 224)


MAX_SIDE = 4096


def main(args: list[str]) -> None:
    """`lightning-resnets graph FILE [--size H] [--fold DEPTH] [--repeats] [--out OUT]`; raises ValueError."""
    options = build_parser().parse_args(args)
    out = check_output_path(options.out, options.overwrite) if options.out else None
    model, size = open_model(options.file, options.model)
    if options.size:
        size = (size[0], options.size, options.size)
    graph = trace(model, size).fold(options.fold, repeats=options.repeats)
    if out is None:
        print(graph)
        return
    with atomic_write(out) as part:
        part.write_text(
            WRITERS[out.suffix.lower()](graph, Path(options.file).name),
            encoding="utf-8",
            newline="\n",
        )
    blocks, total = len(graph.nodes), sum(block.repeat_count for block in graph.nodes)
    of = f" for {total:,} with repeats" if total > blocks else ""
    print(f"{out}: {blocks:,} blocks{of}, {format_cost(graph)}")


def build_parser() -> argparse.ArgumentParser:
    parser = ModelArgumentParser(
        "graph",
        "The graph of a model: blocks, shapes, parameters, multiply-adds and skips. FILE may be the name of a model too:\n"
        "one of `lightning-resnets models`, torchvision/NAME, timm/NAME, or module:function of your own.",
    )
    parser.add_argument(
        "--size",
        type=parse_image_side,
        metavar="H",
        help="pixels of a side of the image (the model's own)",
    )
    parser.add_argument(
        "--fold",
        type=parse_fold_depth,
        default="blocks",
        metavar="{stages,blocks,none}",
        help="what is drawn as one (blocks)",
    )
    parser.add_argument(
        "--repeats", action="store_true", help="equal neighbors once, with how often"
    )
    parser.add_argument("--out", metavar="OUT", help=f"a file to write: {join_words(WRITERS)}")
    parser.add_argument("--overwrite", action="store_true", help="replace OUT where it is there")
    return parser


def parse_fold_depth(text: str) -> str:
    if text not in FOLD_DEPTHS:
        raise argparse.ArgumentTypeError(
            f"'{text}' is no depth to fold to: take stages, blocks or none"
        )
    return text


def parse_image_side(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 0 < int(text) <= MAX_SIDE:
        raise argparse.ArgumentTypeError(f"'{text}' is no number of pixels from 1 to {MAX_SIDE}")
    return int(text)


def check_output_path(text: str, overwrite: bool) -> Path:
    """OUT as a path that may be written; asked before the model is made, so that a mistake costs no time."""
    out = Path(text).expanduser()
    if out.suffix.lower() not in WRITERS:
        raise CheckpointError(
            f"'{out.name}' says by its ending what to write: take {join_words(WRITERS)}."
        )
    if not out.parent.is_dir():
        raise CheckpointError(
            f"There is no folder '{out.parent}': make it first, or choose another."
        )
    if out.exists() and not out.is_file():
        raise CheckpointError(f"'{out}' is no ordinary file: choose another name.")
    if out.exists() and not overwrite:
        raise CheckpointError(f"'{out}' is there already: choose another name, or add --overwrite.")
    return out


def open_model(name: str, model: str | None = None) -> tuple[nn.Module, ImageSize]:
    """The model of that name or in that file, its joins named, and the size of its images."""
    if model is None and name in registry.MODELS:
        return build_uninitialized(name, registry.MODELS[name].num_classes), registry.MODELS[
            name
        ].input_size
    if (
        model is None
        and not Path(name).exists()
        and (":" in name or name.startswith(("torchvision/", "timm/")))
    ):
        wanted = index.known_models().get(name)
        size = wanted.input_size if wanted else DEFAULT_SIZE
        return insert_merges_if_possible(build_uninitialized(name, 1000), size), size
    if (
        name not in bundled_checkpoints()
        and not Path(name).expanduser().exists()
        and "/" not in name
        and not Path(name).suffix
    ):
        raise_unknown_model(name)
    opened = load_checkpoint(resolve_checkpoint(name), **({"model": model} if model else {}))
    size = opened.card.input_size
    return (
        opened.model
        if is_builtin(opened.card.arch)
        else insert_merges_if_possible(opened.model, size)
    ), size


def raise_unknown_model(name: str) -> None:
    """Raise where a name is neither a model nor begins that of one that ships, saying which ones are near."""
    if not any(file.startswith(f"{name}-") for file in bundled_checkpoints()):
        near = get_close_matches(name, (*registry.MODELS, *bundled_checkpoints()), 3, 0.6)
        hint = f"near: {', '.join(near)}" if near else "`lightning-resnets models` lists the models"
        raise CheckpointError(f"There is no model and no file called '{name}' ({hint}).")


def build_uninitialized(name: str, num_classes: int) -> nn.Module:
    """A model whose weights nobody needs."""
    with skip_init():
        return registry.create_model(name, num_classes)


def insert_merges_if_possible(model: nn.Module, size: ImageSize) -> nn.Module:
    """A model of somebody else with its joins named, as far as they can be found."""
    with contextlib.suppress(TraceError):
        return insert_merges(model, size)
    return model
