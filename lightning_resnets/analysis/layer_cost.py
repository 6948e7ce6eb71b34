"""Count parameters and MACs of single layers and of the bottleneck block."""

from typing import NamedTuple

from torch import fx, nn

from lightning_resnets.analysis.result import Cell, Table
from lightning_resnets.graph import trace_nodes
from lightning_resnets.graph.data import Node
from lightning_resnets.graph.macs import WeightProduct

Convolution = tuple[int, int, int]  # kernel size, input channels, output channels

BOTTLENECK_COLUMNS = (
    "block",
    "parameters",
    "macs",
    "positions",
    "relative_to_bottleneck",
    "formula",
)


class LayerCost(NamedTuple):
    """Size of one convolution or linear layer, from which its cost follows.

    Attributes:
        name: name of the layer.
        block: block that holds it.
        op: kind of operation.
        kernel_size: () for a linear layer.
        in_channels_per_group: input channels of one group.
        out_channels: output channels.
        has_bias: True if there is one bias per output channel.
        output_positions: how often each weight is used: number of output positions, of a
            transposed convolution the number of input positions.
    """

    name: str
    block: str
    op: str
    kernel_size: tuple[int, ...]
    in_channels_per_group: int
    out_channels: int
    has_bias: bool
    output_positions: int

    @property
    def weights(self) -> int:
        """Return the number of weights without bias."""
        count = self.in_channels_per_group * self.out_channels
        for side in self.kernel_size:
            count *= side
        return count

    @property
    def parameters(self) -> int:
        """Return the number of weights and biases."""
        # A batch norm behind the layer is not counted.
        return self.weights + self.has_bias * self.out_channels

    @property
    def macs(self) -> int:
        """Return the multiply-adds for one image."""
        # Biases are additions only and not counted, as is usual.
        return self.weights * self.output_positions

    @property
    def formula(self) -> str:
        """Return the number of parameters as a product: `3·3·64·128 = 73,728`."""
        # As in the paper: kernel size, input channels, output channels.
        factors = (*self.kernel_size, self.in_channels_per_group, self.out_channels)
        bias = f" + {self.out_channels}" if self.has_bias else ""
        return f"{'·'.join(map(str, factors))}{bias} = {self.parameters:,}"


def count_layers(model: nn.Module, input_size: tuple[int, int, int]) -> tuple[LayerCost, ...]:
    """List every convolution and linear layer in order of execution.

    Transposed convolutions and functional calls are included. A layer that is used twice is listed
    twice. Attention and recurrent layers have one entry per matrix.

    Args:
        model: the model.
        input_size: shape (C, H, W) of one image.

    Returns:
        Cost by layer.
    """
    traced = trace_nodes(model, input_size)
    # Graph nodes carry block names, fx nodes the weights.
    graph_nodes = {traced.node_by_name[node.name]: node for node in traced.graph.nodes}
    layers: list[LayerCost] = []
    for fx_node, products in traced.weight_products.items():
        labels = _layer_labels(fx_node, graph_nodes.get(fx_node))
        layers += [_layer_cost(*labels, product) for product in products]
    return tuple(layers)


def _layer_labels(fx_node: fx.Node, node: Node | None) -> tuple[str, str, str]:
    """Return name, block and operation of a layer."""
    # Operations that do not depend on the image (a position encoding) are not in the graph.
    if node is None:
        name = str(fx_node.target)
        return name, name, "independent of the image"
    return node.name, node.block or node.name, node.op


def _layer_cost(name: str, block: str, op: str, product: WeightProduct) -> LayerCost:
    """Return the cost of one weight of a layer."""
    out_channels, in_channels, *kernel_size = product.shape
    return LayerCost(
        # A layer of several weights, such as attention, has one entry for each.
        f"{name}.{product.name}" if product.name else name,
        block,
        op,
        tuple(kernel_size),
        in_channels,
        out_channels,
        product.bias,
        product.positions,
    )


def bottleneck(width: int = 256, side: int = 56) -> Table:
    """Compare a bottleneck block with 3x3 convolutions, without batch norm.

    At width 256 the bottleneck has 69,632 weights, one 3x3 convolution 589,824, the two of a basic
    block 1,179,648. Two 3x3 convolutions at a quarter of the width, 73,728, cost about as much as
    the bottleneck (He et al. 2015, figure 5).

    Args:
        width: channels of the block.
        side: height and width of the feature map.

    Returns:
        One row per block: weights, MACs, and weights relative to the bottleneck.
    """
    blocks = _compared_blocks(width, width // 4)
    weights = {name: _count_weights(layers) for name, layers in blocks.items()}
    reference = next(iter(weights.values()))  # the bottleneck comes first
    rows: list[tuple[Cell, ...]] = []
    for name, layers in blocks.items():
        count = weights[name]
        macs = count * side * side
        formula = " + ".join(f"{k}·{k}·{inputs}·{outputs}" for k, inputs, outputs in layers)
        rows.append((name, count, macs, f"{side}×{side}", count / reference, formula))
    return Table(BOTTLENECK_COLUMNS, tuple(rows))


def _compared_blocks(width: int, inner: int) -> dict[str, tuple[Convolution, ...]]:
    """Return the convolutions of a bottleneck, and of blocks to compare it with."""
    bottleneck_layers = ((1, width, inner), (3, inner, inner), (1, inner, width))
    return {
        f"bottleneck {width}→{inner}→{inner}→{width}": bottleneck_layers,
        f"one 3x3 at {width}": ((3, width, width),),
        f"two 3x3 at {width}": ((3, width, width),) * 2,
        f"two 3x3 at {inner}": ((3, inner, inner),) * 2,
    }


def _count_weights(layers: tuple[Convolution, ...]) -> int:
    """Return the number of weights of some convolutions."""
    return sum(k * k * inputs * outputs for k, inputs, outputs in layers)
