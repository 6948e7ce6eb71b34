"""What a model costs and what that buys: parameters and multiply-adds layer by layer, and error against both by model.

The bottleneck: He et al. 2015, arXiv:1512.03385, section 4.1 and figure 5. The comparison image of the field is that
of Canziani, Paszke, Culurciello 2016, arXiv:1605.07678, figure 2.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import nn

from lightning_resnets.analysis import accuracy_vs_cost
from lightning_resnets.analysis.accuracy_vs_cost import ModelPoint
from lightning_resnets.analysis.plotting import (
    BLUE,
    ORANGE,
    TICK_SIZE,
    add_legend,
    add_legend_below,
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
    track_progress,
)
from lightning_resnets.errors import AnalysisError
from lightning_resnets.graph import trace_nodes
from lightning_resnets.models.published_results import PUBLISHED_RESULTS
from lightning_resnets.models.registry import MODELS
from lightning_resnets.utils.format import format_count

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


COMPARISON_MODELS = (
    "vgg16",
    "inception_v3",
)  # torchvision's: not imported here for two points of the image


SLOW_MODELS = (
    "resnet1202",
    "preresnet1001",
    "densenet_bc_250_24",
)  # seconds to follow, each: left out unless asked for


class LayerCost(NamedTuple):
    """A convolution or linear map, counted by formula: weights, biases, and multiply-adds of one image.

    A weight works at so many `positions`: those of its output, of a transposed convolution those of its input.
    """

    name: str
    block: str
    op: str
    kernel_size: tuple[int, ...]
    in_channels_per_group: int  # channels of one group
    out_channels: int
    has_bias: bool
    output_positions: int

    @property
    def weights(self) -> int:
        count = self.in_channels_per_group * self.out_channels
        for side in self.kernel_size:
            count *= side
        return count

    @property
    def parameters(self) -> int:
        return self.weights + self.has_bias * self.out_channels

    @property
    def macs(self) -> int:
        return self.weights * self.output_positions

    @property
    def formula(self) -> str:
        """`3·3·64·128 = 73,728`, with the bias where there is one."""
        factors = "·".join(
            str(factor)
            for factor in (*self.kernel_size, self.in_channels_per_group, self.out_channels)
        )
        return (
            f"{factors}{f' + {self.out_channels}' if self.has_bias else ''} = {self.parameters:,}"
        )


@dataclass(frozen=True, slots=True)
class CostResult:
    """The model's layers, the bottleneck's sums at some width, and points of models for images of about that size.

    `own` is the model's own point; its error is nan where it is not known.
    """

    layers: tuple[LayerCost, ...]
    bottleneck: Table
    points: tuple[ModelPoint, ...]
    data: str
    model_point: ModelPoint

    def tables(self) -> dict[str, Table]:
        """`arithmetic`: a row a layer; `bottleneck`: a row a block; `field`: a row a model."""
        columns = (
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
        rows: list[tuple[Cell, ...]] = []
        for one in self.layers:
            known = (
                self.model_point.model,
                one.name,
                one.block,
                one.op,
                one.parameters,
                one.macs,
                one.output_positions,
                one.formula,
            )
            rows.append((*known, f"{one.weights:,}·{one.output_positions:,} = {one.macs:,}"))
        compared = Table(ModelPoint._fields, tuple(tuple(point) for point in self.points))
        return {
            "arithmetic": Table(columns, tuple(rows)),
            "bottleneck": self.bottleneck,
            "field": compared,
        }

    def draw(self, figure: "Figure") -> None:
        """The model block by block, the bottleneck against others, and error against both costs, a mark a family."""
        mosaic: list[Any] = [["blocks", "bottleneck"], ["macs", "parameters"]]
        grid = figure.subplot_mosaic(mosaic, height_ratios=(1, 1.6))
        self._blocks(grid["blocks"])
        self._bottleneck(grid["bottleneck"])
        grid["parameters"].sharey(grid["macs"])
        for name, words in (("macs", "multiply-adds per image"), ("parameters", "parameters")):
            accuracy_vs_cost.draw_scatter(grid[name], self.points, name, self.model_point)
            grid[name].set_xlabel(words)
        grid["macs"].set_ylabel(f"test error on {self.data} (%)")
        add_legend_below(figure, grid["macs"], columns=7)
        finish_figure(
            figure,
            figure_title(
                "what it costs (star or line: this model; filled: measured; open: published)",
                (self.model_point.model,),
            ),
        )
        accuracy_vs_cost.place_labels(
            [grid["macs"], grid["parameters"]],
            ["macs", "parameters"],
            self.points,
            self.model_point,
        )

    def _blocks(self, axes: "Axes") -> None:
        blocks = list(dict.fromkeys(one.block for one in self.layers))
        open_bars: dict[str, Any] = {"facecolor": "white", "edgecolor": ORANGE, "hatch": "////"}
        full_bars: dict[str, Any] = {"facecolor": BLUE, "edgecolor": BLUE}
        for shift, kind, words, look in (
            (-0.2, "macs", "multiply-adds", full_bars),
            (0.2, "parameters", "parameters", open_bars),
        ):
            sums = [
                sum(getattr(one, kind) for one in self.layers if one.block == block)
                for block in blocks
            ]
            shares = [100 * value / max(1, sum(sums)) for value in sums]
            at = [i + shift for i in range(len(blocks))]
            axes.bar(at, shares, 0.4, label=f"{words} ({format_count(sum(sums))})", **look)
        set_block_ticks(axes, blocks)
        axes.set_ylabel("share of the model (%)")
        add_legend(axes)

    def _bottleneck(self, axes: "Axes") -> None:
        rows = self.bottleneck.rows
        names, counts = [str(row[0]) for row in rows], [int(row[1] or 0) for row in rows]
        axes.barh(range(len(counts)), counts, color=[BLUE, *["0.7"] * (len(names) - 1)])
        axes.invert_yaxis()
        for place, (name, count) in enumerate(zip(names, counts, strict=True)):
            axes.annotate(
                f"{name}: {count:,}",
                (count, place),
                (3, 0),
                textcoords="offset points",
                va="center",
                fontsize=TICK_SIZE,
            )
        axes.set_xlim(0, 1.9 * max(counts))
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_xlabel("weights of a block")


def cost(
    model: nn.Module,
    size: tuple[int, int, int] = (3, 32, 32),
    width: int = 256,
    models: Sequence[str] | None = None,
    error: float | None = None,
    name: str = "",
    progress: ProgressCallback = no_progress,
) -> CostResult:
    """The layers of a model for images of `size` (C, H, W), a bottleneck `width` wide, and `models` in comparison.

    The bottleneck is that of He, Zhang, Ren, Sun (2015): Deep Residual Learning for Image Recognition, figure 5; the
    comparison after Canziani, Paszke, Culurciello (2016): An Analysis of Deep Neural Network Models for Practical
    Applications, figure 2. `models` are names with a published error; None for those whose images are as large (CIFAR
    below 64 pixels, else ImageNet) and that are not over 200 layers deep. `error` is the model's own in %, where it is
    known, `name` what it is called in tables and figure (its class). `tell(done, total)` hears of every model of the
    comparison; it may raise Cancelled. Returns layers, sums and points; raises AnalysisError for a name without a
    published error.
    """
    small = size[1] < 64
    known = [
        name
        for name in PUBLISHED_RESULTS
        if name not in (*COMPARISON_MODELS, *SLOW_MODELS)
        and (MODELS[name].input_size[1] < 64) == small
    ]
    if wrong := [
        name for name in models or () if name not in PUBLISHED_RESULTS or name in COMPARISON_MODELS
    ]:
        raise AnalysisError(
            f"There is no published error of '{wrong[0]}': there are those of {', '.join(known)}."
        )
    found = count_layers(model, size)
    points = list(accuracy_vs_cost.bundled_points()) if small else []
    points += [
        accuracy_vs_cost.published_point(one)
        for one in track_progress(list(known if models is None else models), progress)
    ]
    count, macs = (
        sum(weight.numel() for weight in model.parameters()),
        sum(one.macs for one in found),
    )
    known_error = float("nan") if error is None else error
    own = ModelPoint(
        display_name(model, name),
        accuracy_vs_cost.family(name),
        count,
        macs,
        known_error,
        "the model looked at",
    )
    return CostResult(
        found, bottleneck(width), tuple(points), "CIFAR-10" if small else "ImageNet", own
    )


def count_layers(model: nn.Module, size: tuple[int, int, int]) -> tuple[LayerCost, ...]:
    """Every convolution (transposed ones and functions too) and linear map in order of execution.

    One that is used twice counts in both places. Attention and recurrent layers have a row for each of their matrices.
    """
    followed = trace_nodes(model, size)
    blocks = {followed.node_by_name[block.name]: block for block in followed.graph.nodes}
    found: list[LayerCost] = []
    for step, products in followed.weight_products.items():
        block = blocks.get(step)  # none for what depends on no image: a position code's convolution
        name, op = (block.name, block.op) if block else (str(step.target), "without the image")
        for one in products:
            label = f"{name}.{one.name}" if one.name else name
            outputs, inputs, *window = one.shape
            found.append(
                LayerCost(
                    label,
                    block.block or name if block else name,
                    op,
                    tuple(window),
                    inputs,
                    outputs,
                    one.bias,
                    one.positions,
                )
            )
    return tuple(found)


def bottleneck(width: int = 256, side: int = 56) -> Table:
    """A bottleneck against 3x3 convolutions at its width, no batch norm: weights, and multiply-adds at side x side.

    At 256: 69,632 weights against 589,824 of one 3x3 ("70K against 600K") and 1,179,648 of the two 3x3 of a basic block
    of that width; two 3x3 at a quarter of it, 73,728, cost as much as the bottleneck (He et al., figure 5).
    """
    inner = width // 4
    ways = {
        f"bottleneck {width}→{inner}→{inner}→{width}": (
            (1, width, inner),
            (3, inner, inner),
            (1, inner, width),
        ),
        f"one 3x3 at {width}": ((3, width, width),),
        f"two 3x3 at {width}": ((3, width, width),) * 2,
        f"two 3x3 at {inner}": ((3, inner, inner),) * 2,
    }
    least = sum(k * k * given * made for k, given, made in next(iter(ways.values())))
    rows: list[tuple[Cell, ...]] = []
    for name, convolutions in ways.items():
        weights = sum(k * k * given * made for k, given, made in convolutions)
        formula = " + ".join(f"{k}·{k}·{given}·{made}" for k, given, made in convolutions)
        rows.append(
            (name, weights, weights * side * side, f"{side}×{side}", weights / least, formula)
        )
    return Table(
        ("block", "parameters", "macs", "positions", "times_bottleneck", "formula"), tuple(rows)
    )
