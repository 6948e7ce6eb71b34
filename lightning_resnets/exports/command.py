"""`lightning-resnets graph FILE`: the graph of any net or checkpoint as text, or as what a file's ending says."""

import argparse
import contextlib
from difflib import get_close_matches
from pathlib import Path

from torch import nn

from lightning_resnets import zoo
from lightning_resnets.blank import Blank
from lightning_resnets.blocks import DEPTHS
from lightning_resnets.checkpoint.card import CheckpointError
from lightning_resnets.checkpoint.command import Arguments
from lightning_resnets.checkpoint.origin import index
from lightning_resnets.checkpoint.read import open_checkpoint
from lightning_resnets.checkpoint.shipped import find, shipped
from lightning_resnets.checkpoint.write import listed, replacing
from lightning_resnets.exports.saving import FORMS
from lightning_resnets.graph import TraceError, trace
from lightning_resnets.graph.reveal import reveal
from lightning_resnets.lens import zoo_net
from lightning_resnets.outline import cost

Size = tuple[int, int, int]
USUAL: Size = (3, 224, 224)
LARGEST = 4096


def main(args: list[str]) -> None:
    """`lightning-resnets graph FILE [--size H] [--fold DEPTH] [--repeats] [--out OUT]`; raises ValueError."""
    options = arguments().parse_args(args)
    out = ready(options.out, options.overwrite) if options.out else None
    net, size = found(options.file, options.net)
    if options.size:
        size = (size[0], options.size, options.size)
    graph = trace(net, size).fold(options.fold, repeats=options.repeats)
    if out is None:
        print(graph)
        return
    with replacing(out) as part:
        part.write_text(FORMS[out.suffix.lower()](graph, Path(options.file).name), encoding="utf-8", newline="\n")
    blocks, total = len(graph.blocks), sum(block.times for block in graph.blocks)
    of = f" for {total:,} with repeats" if total > blocks else ""
    print(f"{out}: {blocks:,} blocks{of}, {cost(graph)}")


def arguments() -> argparse.ArgumentParser:
    parser = Arguments(
        "graph",
        "The graph of a net: blocks, shapes, parameters, multiply-adds and skips. FILE may be the name of a net too:\n"
        "one of `lightning-resnets models`, torchvision/NAME, timm/NAME, or module:function of your own.",
    )
    parser.add_argument("--size", type=side, metavar="H", help="pixels of a side of the picture (the net's own)")
    parser.add_argument(
        "--fold", type=depth, default="blocks", metavar="{stages,blocks,none}", help="what is drawn as one (blocks)"
    )
    parser.add_argument("--repeats", action="store_true", help="equal neighbours once, with how often")
    parser.add_argument("--out", metavar="OUT", help=f"a file to write: {listed(FORMS)}")
    parser.add_argument("--overwrite", action="store_true", help="replace OUT where it is there")
    return parser


def depth(text: str) -> str:
    if text not in DEPTHS:
        raise argparse.ArgumentTypeError(f"'{text}' is no depth to fold to: take stages, blocks or none")
    return text


def side(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 0 < int(text) <= LARGEST:
        raise argparse.ArgumentTypeError(f"'{text}' is no number of pixels from 1 to {LARGEST}")
    return int(text)


def ready(text: str, overwrite: bool) -> Path:
    """OUT as a path that may be written; asked before the net is made, so that a mistake costs no time."""
    out = Path(text).expanduser()
    if out.suffix.lower() not in FORMS:
        raise CheckpointError(f"'{out.name}' says by its ending what to write: take {listed(FORMS)}.")
    if not out.parent.is_dir():
        raise CheckpointError(f"There is no folder '{out.parent}': make it first, or choose another.")
    if out.exists() and not out.is_file():
        raise CheckpointError(f"'{out}' is no ordinary file: choose another name.")
    if out.exists() and not overwrite:
        raise CheckpointError(f"'{out}' is there already: choose another name, or add --overwrite.")
    return out


def found(name: str, net: str | None = None) -> tuple[nn.Module, Size]:
    """The net of that name or in that file, its joins named, and the size of its pictures."""
    if net is None and name in zoo.NETS:
        return blank(name, zoo.NETS[name].classes), zoo.NETS[name].size
    if net is None and not Path(name).exists() and (":" in name or name.startswith(("torchvision/", "timm/"))):
        wanted = index.names().get(name)
        size = wanted.size if wanted else USUAL
        return shown(blank(name, 1000), size), size
    if name not in shipped() and not Path(name).expanduser().exists() and "/" not in name and not Path(name).suffix:
        unknown(name)
    opened = open_checkpoint(find(name), **({"net": net} if net else {}))
    size = opened.card.size
    return (opened.net if zoo_net(opened.card.arch) else shown(opened.net, size)), size


def unknown(name: str) -> None:
    """Raise where a name is neither a net nor begins that of one that ships, saying which ones are near."""
    if not any(file.startswith(f"{name}-") for file in shipped()):
        near = get_close_matches(name, (*zoo.NETS, *shipped()), 3, 0.6)
        hint = f"near: {', '.join(near)}" if near else "`lightning-resnets models` lists the nets"
        raise CheckpointError(f"There is no net and no file called '{name}' ({hint}).")


def blank(name: str, classes: int) -> nn.Module:
    """A net whose weights nobody needs."""
    with Blank():
        return zoo.build(name, classes)


def shown(net: nn.Module, size: Size) -> nn.Module:
    """A net of somebody else with its joins named, as far as they can be found."""
    with contextlib.suppress(TraceError):
        return reveal(net, size)
    return net
