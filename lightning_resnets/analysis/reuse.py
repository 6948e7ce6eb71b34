"""Which earlier layers a dense block's layers read, from weights alone.

Huang, Liu, van der Maaten, Weinberger: Densely Connected Convolutional Networks, arXiv:1608.06993, section 5, "Feature
Reuse", and Fig. 5.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from lightning_resnets.analysis.names import called
from lightning_resnets.analysis.result import AnalysisError, Table, Tell, silent, told
from lightning_resnets.analysis.style import MAP, finish, title
from lightning_resnets.analysis.walk import revealed
from lightning_resnets.blocks import Block, BlockGraph
from lightning_resnets.graph import trace
from lightning_resnets.merge import Kind

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

READERS = (nn.Conv2d, nn.Linear)
# What keeps channels apart; a join of one part stands in the first layer of torchvision's dense blocks.
KEEPING = ("batch norm", "relu", "dropout", "avg pool", "max pool", "flatten", "mean", "identity", "join")
Parts = tuple[tuple[str, int], ...]  # what made these channels, and how many of them


@dataclass(frozen=True, slots=True, eq=False)
class DenseWeights:
    """Mean absolute weight of one dense block: `values[s, l]` from source s to reader l, nan where there is no way.

    The first source is the block's input; the last reader is what follows the block, a transition or the classifier.
    """

    sources: tuple[str, ...]
    readers: tuple[str, ...]
    values: Tensor  # (S, L) float64


@dataclass(frozen=True, slots=True, eq=False)
class ReuseResult:
    """The dense blocks in order of depth."""

    blocks: tuple[DenseWeights, ...]
    name: str = "net"

    def tables(self) -> dict[str, Table]:
        """`reuse`: a row a connection, with its weight and that over the block's largest."""
        rows = [
            (self.name, number, source, reader, float(value), float(value / largest(block)))
            for number, block in enumerate(self.blocks, 1)
            for source, line in zip(block.sources, block.values, strict=True)
            for reader, value in zip(block.readers, line, strict=True)
            if not value.isnan()
        ]
        columns = ("net", "block", "source", "target", "mean_abs_weight", "share_of_largest")
        return {"reuse": Table(columns, tuple(rows))}

    def draw(self, figure: "Figure") -> None:
        """A square of sources by readers for each block, each on its own scale from 0 to its largest."""
        columns = min(4, len(self.blocks))
        rows = -(-len(self.blocks) // columns)
        panels = figure.subplots(rows, columns, squeeze=False).flatten()
        for number, (axes, block) in enumerate(zip(panels, self.blocks, strict=False), 1):
            image = axes.imshow((block.values / largest(block)).numpy(), vmin=0, vmax=1, cmap=MAP, aspect="auto")
            _named(axes, number, block)
        for axes in panels[len(self.blocks) :]:
            axes.set_axis_off()
        bar = figure.colorbar(image, ax=list(panels), shrink=0.7)  # pyright: ignore[reportPossiblyUnboundVariable]
        bar.set_label("mean |weight|, as a share of the block's largest")
        finish(figure, title("feature reuse in dense blocks, from weights alone", (self.name,)))


def largest(block: DenseWeights) -> float:
    return float(block.values.nan_to_num(0).max()) or 1.0


def _named(axes: "Axes", number: int, block: DenseWeights) -> None:
    step = -(-len(block.readers) // 12)
    axes.set_title(f"dense block {number}")
    axes.set_xticks(range(0, len(block.readers), step), [str(i + 1) for i in range(0, len(block.readers), step)])
    axes.set_yticks(range(0, len(block.sources), step), ["in", *map(str, range(step, len(block.sources), step))])
    axes.set_xlabel(f"target layer\n(last: {block.readers[-1].removeprefix('features.')})")
    if number == 1:
        axes.set_ylabel("source layer (in: the block's input)")


def reuse(
    net: nn.Module, size: tuple[int, int, int] = (3, 32, 32), *, name: str = "", tell: Tell = silent
) -> ReuseResult:
    """The mean absolute weight from every source to every layer that reads it, in each dense block.

    Figure 5 of Huang, Liu, van der Maaten, Weinberger (2017): Densely Connected Convolutional Networks. The mean is
    over all weights between two layers: the L1 norm, divided by how many maps the source has (the paper's
    normalisation), and by what the reader's filters and window have. The layer behind the block counts as one more
    reader. No picture is needed, only its size (C, H, W). `name` is what the net is called in tables and figure (its
    class). `tell(done, total)` hears of every dense block; it may raise Cancelled. Returns a matrix of sources by
    targets for each block; raises AnalysisError where nothing is concatenated with what it was made of.
    """
    net = revealed(net, size)
    graph = trace(net, size)
    dense = any(skip.kind is Kind.CONCAT for skip in graph.skips)
    every = readers(graph, net).values() if dense else ()
    groups = [group for group in every if len({len(parts) for parts in group.values()}) > 1]
    if not groups:
        kinds = sorted({str(skip.kind) for skip in graph.skips}) or ["no skips at all"]
        raise AnalysisError(f"This net has no dense block; it has {', '.join(kinds)}.")
    return ReuseResult(tuple(_weights(net, group) for group in told(groups, tell)), called(net, name))


def readers(graph: BlockGraph, net: nn.Module) -> dict[str, dict[str, Parts]]:
    """What every convolution and linear layer reads, by the first source: that is a dense block's input."""
    modules = dict(net.named_modules(remove_duplicate=False))
    parts: dict[str, Parts] = {}
    groups: dict[str, dict[str, Parts]] = {}
    for block in graph.blocks:
        given = graph.operands(block.name)
        parts[block.name] = _parts(block, [parts[source] for source in given])
        if isinstance(modules.get(block.name), READERS) and given:
            read = parts[given[0]]
            groups.setdefault(read[0][0], {})[block.name] = read
    return groups


def _parts(block: Block, given: list[Parts]) -> Parts:
    if block.kind is Kind.CONCAT:
        return tuple(part for parts in given for part in parts)
    channels = block.shape[0] if block.shape else 0
    kept = len(given) == 1 and any(word in block.op for word in KEEPING) and sum(n for _, n in given[0]) == channels
    return given[0] if kept else ((block.name, channels),)


def _weights(net: nn.Module, group: dict[str, Parts]) -> DenseWeights:
    sources = tuple(dict.fromkeys(source for parts in group.values() for source, _ in parts))
    values = torch.full((len(sources), len(group)), torch.nan, dtype=torch.float64)
    for column, (reader, parts) in enumerate(group.items()):
        start, channels = 0, per_channel(net.get_submodule(reader))
        for source, count in parts:
            values[sources.index(source), column] = channels[start : start + count].mean()
            start += count
    return DenseWeights(sources, tuple(group), values)


def per_channel(reader: nn.Module) -> Tensor:
    """The mean absolute weight on each input channel (C,), float64, of a convolution in groups too."""
    assert isinstance(reader, READERS)
    groups = reader.groups if isinstance(reader, nn.Conv2d) else 1
    weight = reader.weight.detach().double().cpu().abs()
    out, into = weight.shape[:2]
    return weight.view(groups, out // groups, into, -1).mean((1, 3)).flatten()
