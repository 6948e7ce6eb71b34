"""Which earlier layers a dense block's layers read, from weights alone.

Huang, Liu, van der Maaten, Weinberger: Densely Connected Convolutional Networks, arXiv:1608.06993, section 5, "Feature
Reuse", and Fig. 5.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from lightning_resnets.analysis.eval_context import with_merges
from lightning_resnets.analysis.plotting import COLORMAP, figure_title, finish_figure
from lightning_resnets.analysis.result import (
    ProgressCallback,
    Table,
    display_name,
    no_progress,
    track_progress,
)
from lightning_resnets.errors import AnalysisError
from lightning_resnets.graph import trace
from lightning_resnets.graph.data import Node
from lightning_resnets.graph.model_graph import ModelGraph
from lightning_resnets.merges import MergeKind

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


CONSUMER_TYPES = (nn.Conv2d, nn.Linear)


# What keeps channels apart; a join of one part stands in the first layer of torchvision's dense blocks.
CHANNEL_PRESERVING_OPS = (
    "batch norm",
    "relu",
    "dropout",
    "avg pool",
    "max pool",
    "flatten",
    "mean",
    "identity",
    "join",
)


ChannelSources = tuple[tuple[str, int], ...]  # what made these channels, and how many of them


@dataclass(frozen=True, slots=True, eq=False)
class DenseBlockWeights:
    """Mean absolute weight of one dense block: `values[s, l]` from source s to reader l, nan where there is no way.

    The first source is the block's input; the last reader is what follows the block, a transition or the classifier.
    """

    sources: tuple[str, ...]
    consumers: tuple[str, ...]
    values: Tensor  # (S, L) float64


@dataclass(frozen=True, slots=True, eq=False)
class FeatureReuseResult:
    """The dense blocks in order of depth."""

    blocks: tuple[DenseBlockWeights, ...]
    name: str = "model"

    def tables(self) -> dict[str, Table]:
        """`reuse`: a row a connection, with its weight and that over the block's largest."""
        rows = [
            (self.name, number, source, reader, float(value), float(value / max_weight(block)))
            for number, block in enumerate(self.blocks, 1)
            for source, line in zip(block.sources, block.values, strict=True)
            for reader, value in zip(block.consumers, line, strict=True)
            if not value.isnan()
        ]
        columns = ("model", "block", "source", "target", "mean_abs_weight", "share_of_largest")
        return {"reuse": Table(columns, tuple(rows))}

    def draw(self, figure: "Figure") -> None:
        """A square of sources by readers for each block, each on its own scale from 0 to its largest."""
        columns = min(4, len(self.blocks))
        rows = -(-len(self.blocks) // columns)
        panels = figure.subplots(rows, columns, squeeze=False).flatten()
        for number, (axes, block) in enumerate(zip(panels, self.blocks, strict=False), 1):
            image = axes.imshow(
                (block.values / max_weight(block)).numpy(),
                vmin=0,
                vmax=1,
                cmap=COLORMAP,
                aspect="auto",
            )
            _named(axes, number, block)
        for axes in panels[len(self.blocks) :]:
            axes.set_axis_off()
        bar = figure.colorbar(image, ax=list(panels), shrink=0.7)  # pyright: ignore[reportPossiblyUnboundVariable]
        bar.set_label("mean |weight|, as a share of the block's largest")
        finish_figure(
            figure, figure_title("feature reuse in dense blocks, from weights alone", (self.name,))
        )


def max_weight(block: DenseBlockWeights) -> float:
    return float(block.values.nan_to_num(0).max()) or 1.0


def _named(axes: "Axes", number: int, block: DenseBlockWeights) -> None:
    step = -(-len(block.consumers) // 12)
    axes.set_title(f"dense block {number}")
    axes.set_xticks(
        range(0, len(block.consumers), step),
        [str(i + 1) for i in range(0, len(block.consumers), step)],
    )
    axes.set_yticks(
        range(0, len(block.sources), step), ["in", *map(str, range(step, len(block.sources), step))]
    )
    axes.set_xlabel(f"target layer\n(last: {block.consumers[-1].removeprefix('features.')})")
    if number == 1:
        axes.set_ylabel("source layer (in: the block's input)")


def feature_reuse(
    model: nn.Module,
    size: tuple[int, int, int] = (3, 32, 32),
    *,
    name: str = "",
    progress: ProgressCallback = no_progress,
) -> FeatureReuseResult:
    """The mean absolute weight from every source to every layer that reads it, in each dense block.

    Figure 5 of Huang, Liu, van der Maaten, Weinberger (2017): Densely Connected Convolutional Networks. The mean is
    over all weights between two layers: the L1 norm, divided by how many maps the source has (the paper's
    normalization), and by what the reader's filters and window have. The layer behind the block counts as one more
    reader. No image is needed, only its size (C, H, W). `name` is what the model is called in tables and figure (its
    class). `tell(done, total)` hears of every dense block; it may raise Cancelled. Returns a matrix of sources by
    targets for each block; raises AnalysisError where nothing is concatenated with what it was made of.
    """
    model = with_merges(model, size)
    graph = trace(model, size)
    dense = any(skip.kind is MergeKind.CONCAT for skip in graph.skips)
    every = find_consumers(graph, model).values() if dense else ()
    groups = [group for group in every if len({len(parts) for parts in group.values()}) > 1]
    if not groups:
        kinds = sorted({str(skip.kind) for skip in graph.skips}) or ["no skips at all"]
        raise AnalysisError(f"This model has no dense block; it has {', '.join(kinds)}.")
    return FeatureReuseResult(
        tuple(_weights(model, group) for group in track_progress(groups, progress)),
        display_name(model, name),
    )


def find_consumers(graph: ModelGraph, model: nn.Module) -> dict[str, dict[str, ChannelSources]]:
    """What every convolution and linear layer reads, by the first source: that is a dense block's input."""
    modules = dict(model.named_modules(remove_duplicate=False))
    parts: dict[str, ChannelSources] = {}
    groups: dict[str, dict[str, ChannelSources]] = {}
    for block in graph.nodes:
        given = graph.inputs(block.name)
        parts[block.name] = _parts(block, [parts[source] for source in given])
        if isinstance(modules.get(block.name), CONSUMER_TYPES) and given:
            read = parts[given[0]]
            groups.setdefault(read[0][0], {})[block.name] = read
    return groups


def _parts(block: Node, given: list[ChannelSources]) -> ChannelSources:
    if block.kind is MergeKind.CONCAT:
        return tuple(part for parts in given for part in parts)
    channels = block.shape[0] if block.shape else 0
    kept = (
        len(given) == 1
        and any(word in block.op for word in CHANNEL_PRESERVING_OPS)
        and sum(n for _, n in given[0]) == channels
    )
    return given[0] if kept else ((block.name, channels),)


def _weights(model: nn.Module, group: dict[str, ChannelSources]) -> DenseBlockWeights:
    sources = tuple(dict.fromkeys(source for parts in group.values() for source, _ in parts))
    values = torch.full((len(sources), len(group)), torch.nan, dtype=torch.float64)
    for column, (reader, parts) in enumerate(group.items()):
        start, channels = 0, mean_abs_weight_per_channel(model.get_submodule(reader))
        for source, count in parts:
            values[sources.index(source), column] = channels[start : start + count].mean()
            start += count
    return DenseBlockWeights(sources, tuple(group), values)


def mean_abs_weight_per_channel(reader: nn.Module) -> Tensor:
    """The mean absolute weight on each input channel (C,), float64, of a convolution in groups too."""
    assert isinstance(reader, CONSUMER_TYPES)
    groups = reader.groups if isinstance(reader, nn.Conv2d) else 1
    weight = reader.weight.detach().double().cpu().abs()
    out, into = weight.shape[:2]
    return weight.view(groups, out // groups, into, -1).mean((1, 3)).flatten()
