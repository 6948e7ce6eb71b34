"""Read from weights alone which earlier layers each layer of a dense block uses.

Huang, Liu, van der Maaten, Weinberger: Densely Connected Convolutional Networks, arXiv:1608.06993,
section 5, "Feature Reuse", and Fig. 5.
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
    from matplotlib.image import AxesImage

ChannelSources = tuple[tuple[str, int], ...]  # nodes that computed the channels, and how many each

CONSUMER_TYPES = (nn.Conv2d, nn.Linear)
# The first layer of torchvision's dense blocks concatenates one part, a "join".
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

COLUMNS = ("model", "block", "source", "target", "mean_abs_weight", "share_of_largest")
MAX_TICKS = 12


@dataclass(frozen=True, slots=True, eq=False)
class DenseBlockWeights:
    """Mean absolute weights of one dense block.

    Attributes:
        sources: names of the layers that are read; the first one is the block's input.
        consumers: names of the layers that read; the last one follows the block (a transition or
            the classifier).
        values: (sources, consumers) float64; NaN where a consumer does not read a source.
    """

    sources: tuple[str, ...]
    consumers: tuple[str, ...]
    values: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class FeatureReuseResult:
    """Mean absolute weights of all dense blocks in order of depth."""

    blocks: tuple[DenseBlockWeights, ...]
    model_name: str = "model"

    def tables(self) -> dict[str, Table]:
        """Return the weights.

        Returns:
            `feature_reuse`: one row per connection, with its weight and that relative to the
            largest weight of the target.
        """
        rows: list[tuple[str, int, str, str, float, float]] = []
        for number, block in enumerate(self.blocks, 1):
            relative = relative_weights(block)
            for i, source in enumerate(block.sources):
                for j, consumer in enumerate(block.consumers):
                    weight = block.values[i, j]
                    if not weight.isnan():
                        values = (float(weight), float(relative[i, j]))
                        rows.append((self.model_name, number, source, consumer, *values))
        return {"feature_reuse": Table(COLUMNS, tuple(rows))}

    def draw(self, figure: "Figure") -> None:
        """Draw a matrix of sources by consumers for each block.

        Args:
            figure: an empty matplotlib figure.
        """
        # DenseNets for ImageNet have four dense blocks, those for CIFAR three.
        columns = min(4, len(self.blocks))
        rows = -(-len(self.blocks) // columns)
        panels = figure.subplots(rows, columns, squeeze=False).flatten()
        images: list[AxesImage] = []
        for number, (axes, block) in enumerate(zip(panels, self.blocks, strict=False), 1):
            relative = relative_weights(block).numpy()
            images.append(axes.imshow(relative, vmin=0, vmax=1, cmap=COLORMAP, aspect="auto"))
            _label_matrix(axes, number, block)
        # The last row may have empty panels.
        for axes in panels[len(self.blocks) :]:
            axes.set_axis_off()
        # All matrices have one color scale.
        bar = figure.colorbar(images[-1], ax=list(panels), shrink=0.7)
        bar.set_label("mean |weight|, relative to the largest of the target layer")
        text = "feature reuse in dense blocks, from weights alone"
        finish_figure(figure, figure_title(text, (self.model_name,)))


def relative_weights(block: DenseBlockWeights) -> Tensor:
    """Scale the weights of every target layer by its largest one, as in the paper's figure 5.

    The classifier's weights are far larger than those of convolutions. On one scale for the whole
    block all other layers would be dark.

    Args:
        block: weights of one dense block.

    Returns:
        Values from 0 to 1, of the same shape; 0 where a layer's weights are all 0.
    """
    largest = block.values.nan_to_num(0).amax(0)
    # A layer of zeros is divided by 1.
    return block.values / torch.where(largest == 0, 1, largest)


def _label_matrix(axes: "Axes", number: int, block: DenseBlockWeights) -> None:
    """Set title, ticks and labels of one block's matrix."""
    step = -(-len(block.consumers) // MAX_TICKS)
    consumers = range(0, len(block.consumers), step)
    sources = range(0, len(block.sources), step)
    axes.set_title(f"dense block {number}")
    axes.set_xticks(consumers, [str(i + 1) for i in consumers])
    axes.set_yticks(sources, ["in", *map(str, sources[1:])])
    axes.set_xlabel(f"target layer\n(last: {block.consumers[-1].removeprefix('features.')})")
    if number == 1:
        axes.set_ylabel("source layer (in: the block's input)")


def feature_reuse(
    model: nn.Module,
    input_size: tuple[int, int, int] = (3, 32, 32),
    *,
    model_name: str = "",
    progress: ProgressCallback = no_progress,
) -> FeatureReuseResult:
    """Compute the mean absolute weight from every source to every layer that reads it.

    Figure 5 of Huang, Liu, van der Maaten, Weinberger (2017): Densely Connected Convolutional
    Networks. The mean is over all weights between two layers: the L1 norm divided by the source's
    number of channels (the paper's normalization) and by the consumer's filters and kernel size.
    The layer after the block counts as one more consumer.

    Args:
        model: a model with dense blocks.
        input_size: shape (C, H, W) of one image; no image is needed.
        model_name: name in tables and figures; the class name if empty.
        progress: called after every dense block; it may raise AnalysisCancelled.

    Returns:
        A matrix of sources by consumers for each dense block.

    Raises:
        AnalysisError: the model has no dense block.
    """
    model = with_merges(model, input_size)
    graph = trace(model, input_size)
    has_dense_skips = any(skip.kind is MergeKind.CONCAT for skip in graph.skips)
    # A model without dense skips has groups too, of one layer each.
    groups = list(find_consumers(graph, model).values()) if has_dense_skips else []
    # In a dense block the number of sources grows from layer to layer.
    dense = [group for group in groups if len({len(parts) for parts in group.values()}) > 1]
    if not dense:
        kinds = ", ".join(sorted({str(skip.kind) for skip in graph.skips}))
        raise AnalysisError(
            f"The model has no dense block. Its skip connections: {kinds or 'none'}."
        )
    blocks = tuple(_block_weights(model, group) for group in track_progress(dense, progress))
    return FeatureReuseResult(blocks, display_name(model, model_name))


def find_consumers(graph: ModelGraph, model: nn.Module) -> dict[str, dict[str, ChannelSources]]:
    """Find the sources of the input channels of every convolution and linear layer.

    Args:
        graph: the model's graph.
        model: the model.

    Returns:
        Sources by consumer, grouped by the first source: the input of a dense block.
    """
    # Names of the graph are module names, also of shared modules.
    modules = dict(model.named_modules(remove_duplicate=False))
    sources: dict[str, ChannelSources] = {}
    groups: dict[str, dict[str, ChannelSources]] = {}
    for node in graph.nodes:
        inputs = graph.inputs(node.name)
        sources[node.name] = _channel_sources(node, [sources[name] for name in inputs])
        if isinstance(modules.get(node.name), CONSUMER_TYPES) and inputs:
            consumed = sources[inputs[0]]
            # All layers of a dense block read its input first.
            first_source = consumed[0][0]
            groups.setdefault(first_source, {})[node.name] = consumed
    return groups


def _channel_sources(node: Node, inputs: list[ChannelSources]) -> ChannelSources:
    """Return the sources of a node's output channels, given those of its inputs."""
    if node.kind is MergeKind.CONCAT:
        joined: ChannelSources = ()
        for parts in inputs:
            joined += parts
        return joined
    channels = node.shape[0] if node.shape else 0
    is_preserving = any(op in node.op for op in CHANNEL_PRESERVING_OPS)
    # Flattening several positions multiplies the channels, so their numbers must agree too.
    if is_preserving and len(inputs) == 1 and sum(count for _, count in inputs[0]) == channels:
        return inputs[0]
    return ((node.name, channels),)


def _block_weights(model: nn.Module, group: dict[str, ChannelSources]) -> DenseBlockWeights:
    """Compute the mean absolute weights of one dense block."""
    unique: dict[str, None] = {}
    for parts in group.values():
        unique |= dict.fromkeys(source for source, _ in parts)
    sources = tuple(unique)
    # NaN where there is no connection: layers read only what came before.
    values = torch.full((len(sources), len(group)), torch.nan, dtype=torch.float64)
    for column, (consumer, parts) in enumerate(group.items()):
        by_channel = mean_abs_weight_per_channel(model.get_submodule(consumer))
        # Input channels are in the order of the concatenation.
        start = 0
        for source, count in parts:
            values[sources.index(source), column] = by_channel[start : start + count].mean()
            start += count
    return DenseBlockWeights(sources, tuple(group), values)


def mean_abs_weight_per_channel(consumer: nn.Module) -> Tensor:
    """Compute the mean absolute weight of each input channel.

    Args:
        consumer: a convolution, also in groups, or a linear layer.

    Returns:
        Means (C,) float64.
    """
    assert isinstance(consumer, CONSUMER_TYPES)
    groups = consumer.groups if isinstance(consumer, nn.Conv2d) else 1
    weight = consumer.weight.detach().double().cpu().abs()
    out_channels, in_channels = weight.shape[:2]
    # Mean over filters and kernel, separately in each group.
    return weight.view(groups, out_channels // groups, in_channels, -1).mean((1, 3)).flatten()
