"""Count the parameters and MACs of a model layer by layer, and those of a bottleneck block.

The bottleneck: He et al. 2015, arXiv:1512.03385, section 4.1 and figure 5.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import nn

from lightning_resnets.analysis.layer_cost import LayerCost as LayerCost
from lightning_resnets.analysis.layer_cost import bottleneck as bottleneck
from lightning_resnets.analysis.layer_cost import count_layers as count_layers
from lightning_resnets.analysis.plotting import (
    BLUE,
    ORANGE,
    TICK_SIZE,
    LineStyle,
    add_legend,
    figure_title,
    finish_figure,
    set_block_ticks,
)
from lightning_resnets.analysis.result import (
    Cell,
    ProgressCallback,
    Table,
    display_name,
    no_progress,
)
from lightning_resnets.utils.format import format_count

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = (
    "model",
    "layer",
    "block",
    "op",
    "parameters",
    "macs",
    "positions",
    "formula_parameters",
    "formula_macs",
)
MACS_STYLE: LineStyle = {"facecolor": BLUE, "edgecolor": BLUE}
PARAMETERS_STYLE: LineStyle = {"facecolor": "white", "edgecolor": ORANGE, "hatch": "////"}


@dataclass(frozen=True, slots=True)
class CostResult:
    """Cost of a model by layer.

    Attributes:
        layers: the model's convolutions and linear layers.
        bottleneck: cost of a bottleneck block and of other blocks.
        model_name: name of the model.
    """

    layers: tuple[LayerCost, ...]
    bottleneck: Table
    model_name: str = "model"

    def tables(self) -> dict[str, Table]:
        """Return the counts.

        Returns:
            `cost`: one row per layer; `bottleneck`: one row per block.
        """
        return {
            "cost": Table(COLUMNS, tuple(self._row(layer) for layer in self.layers)),
            "bottleneck": self.bottleneck,
        }

    def _row(self, layer: LayerCost) -> tuple[Cell, ...]:
        """Return the table row of one layer."""
        return (
            self.model_name,
            layer.name,
            layer.block,
            layer.op,
            layer.parameters,
            layer.macs,
            layer.output_positions,
            layer.formula,
            f"{layer.weights:,}·{layer.output_positions:,} = {layer.macs:,}",
        )

    def draw(self, figure: "Figure") -> None:
        """Draw the cost by block, and that of a bottleneck next to other blocks.

        Args:
            figure: an empty matplotlib figure.
        """
        blocks, bottleneck_panel = figure.subplots(2, 1, height_ratios=(1.6, 1))
        self._draw_blocks(blocks)
        self._draw_bottleneck(bottleneck_panel)
        finish_figure(
            figure,
            figure_title("cost of convolutions and linear layers by block", (self.model_name,)),
        )

    def _draw_blocks(self, axes: "Axes") -> None:
        """Draw the shares of MACs and parameters by block."""
        # Summed by block; a dict keeps the order of execution.
        macs: dict[str, int] = {}
        parameters: dict[str, int] = {}
        for layer in self.layers:
            macs[layer.block] = macs.get(layer.block, 0) + layer.macs
            parameters[layer.block] = parameters.get(layer.block, 0) + layer.parameters
        _draw_shares(axes, -0.2, list(macs.values()), "MACs", MACS_STYLE)
        _draw_shares(axes, 0.2, list(parameters.values()), "parameters", PARAMETERS_STYLE)
        set_block_ticks(axes, list(macs))
        axes.set_ylabel("share of the model (%)")
        add_legend(axes)

    def _draw_bottleneck(self, axes: "Axes") -> None:
        """Draw the weights of a bottleneck and of other blocks."""
        names = [str(row[0]) for row in self.bottleneck.rows]
        counts = [int(row[1] or 0) for row in self.bottleneck.rows]
        axes.barh(range(len(counts)), counts, color=[BLUE, *["0.7"] * (len(names) - 1)])
        axes.invert_yaxis()
        for row, (name, count) in enumerate(zip(names, counts, strict=True)):
            axes.annotate(
                f"{name}: {count:,}",
                (count, row),
                (3, 0),
                textcoords="offset points",
                va="center",
                fontsize=TICK_SIZE,
            )
        axes.set_xlim(0, 1.9 * max(counts))  # room for the names
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_xlabel("weights of a bottleneck, and of blocks to compare it with")


def _draw_shares(
    axes: "Axes", shift: float, counts: list[int], label: str, style: LineStyle
) -> None:
    """Draw one bar per block, next to those of the other quantity."""
    total = sum(counts)
    shares = [100 * count / max(1, total) for count in counts]
    positions = [i + shift for i in range(len(counts))]
    # Two bars per block, side by side.
    axes.bar(positions, shares, 0.4, label=f"{label} ({format_count(total)})", **style)


def cost(
    model: nn.Module,
    input_size: tuple[int, int, int] = (3, 32, 32),
    *,
    bottleneck_width: int = 256,
    model_name: str = "",
    progress: ProgressCallback = no_progress,
) -> CostResult:
    """Count a model's parameters and MACs layer by layer.

    Args:
        model: the model.
        input_size: shape (C, H, W) of one image.
        bottleneck_width: channels of the bottleneck block (He et al. 2015, figure 5).
        model_name: name in tables and figures; the class name if empty.
        progress: called before and after counting; it may raise AnalysisCancelled.

    Returns:
        Layers, and the cost of a bottleneck.
    """
    progress(0, 1)
    layers = count_layers(model, input_size)
    progress(1, 1)
    return CostResult(layers, bottleneck(bottleneck_width), display_name(model, model_name))
