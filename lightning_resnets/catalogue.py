"""The list of all nets, with parameters and multiply-adds counted on the spot and the papers' errors beside them."""

import fnmatch
from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from lightning_resnets.blank import Blank
from lightning_resnets.facts import PUBLISHED, Published
from lightning_resnets.graph import trace
from lightning_resnets.zoo import NETS, build

HEADER = ("net", "parameters", "mult-adds", "picture", "error", "source of the error")
WIDTHS = (max(map(len, NETS)), 11, 9, 9, 7)


@dataclass(frozen=True, slots=True)
class Row:
    """A net of the zoo: what it costs for one picture of `size`, counted, and what its paper says of it."""

    name: str
    parameters: int
    macs: int
    size: tuple[int, int, int]
    published: Published | None


def blank(name: str) -> nn.Module:
    """The net in its paper's form, its weights not filled."""
    with Blank():
        return build(name, NETS[name].classes)


def row(name: str) -> Row:
    """Builds and follows the net, without computing or filling anything."""
    net = blank(name)
    count = sum(weight.numel() for weight in net.parameters())
    return Row(name, count, trace(net, NETS[name].size).macs, NETS[name].size, PUBLISHED.get(name))


def matching(pattern: str = "") -> list[str]:
    """Names that contain the pattern, or fit it where it has *, ? or []; ValueError where none does."""
    wild = any(mark in pattern for mark in "*?[")
    found = [name for name in NETS if fnmatch.fnmatchcase(name, pattern if wild else f"*{pattern}*")]
    if not found:
        raise ValueError(f"No net's name fits {pattern!r}: `lightning-resnets models` lists them all.")
    return found


def lines(pattern: str = "") -> Iterator[str]:
    """The table as text, a line a net, each as soon as it is counted."""
    found = matching(pattern)
    yield text(HEADER)
    for name in found:
        yield text(words(row(name)))


def words(row: Row) -> tuple[str, ...]:
    published = row.published
    error = (f"{published.error:.2f} %", published.source) if published else ("–", "")
    return (row.name, f"{row.parameters:,}", large(row.macs), "×".join(map(str, row.size)), *error)


def large(macs: int) -> str:
    """Multiply-adds in millions, from 10 G on in thousands of them."""
    return f"{macs / 1e6:,.1f} M" if macs < 1e10 else f"{macs / 1e9:,.2f} G"


def text(cells: tuple[str, ...]) -> str:
    pairs = enumerate(zip(cells, WIDTHS, strict=False))
    aligned = [cell.ljust(width) if i in (0, 3) else cell.rjust(width) for i, (cell, width) in pairs]
    return "  ".join([*aligned, cells[-1]]).rstrip()


def main(args: list[str]) -> None:
    """`lightning-resnets models [PATTERN]`."""
    if args[:1] in (["-h"], ["--help"]):
        print("usage: lightning-resnets models [PATTERN]\n\nAll nets, or those whose name contains PATTERN or fits it.")
        return
    if len(args) > 1:
        raise ValueError("`lightning-resnets models` takes one pattern at most: seresnet, 'densenet_bc_*'.")
    for line in lines(*args):
        print(line, flush=True)
