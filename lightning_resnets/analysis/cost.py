"""Count the parameters and MACs of a model layer by layer, and compare its error with others.

The bottleneck: He et al. 2015, arXiv:1512.03385, section 4.1 and figure 5. The comparison:
Canziani, Paszke, Culurciello 2016, arXiv:1605.07678, figure 2.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import nn

from lightning_resnets.analysis import accuracy_vs_cost
from lightning_resnets.analysis.accuracy_vs_cost import ModelPoint
from lightning_resnets.analysis.label_placement import place_labels
from lightning_resnets.analysis.layer_cost import LayerCost as LayerCost
from lightning_resnets.analysis.layer_cost import bottleneck as bottleneck
from lightning_resnets.analysis.layer_cost import count_layers as count_layers
from lightning_resnets.analysis.plotting import (
    BLUE,
    ORANGE,
    TICK_SIZE,
    LineStyle,
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
from lightning_resnets.models.published_results import PUBLISHED_RESULTS
from lightning_resnets.models.registry import MODELS
from lightning_resnets.utils.format import format_count
from lightning_resnets.utils.parameters import count_parameters

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# torchvision's models: importing torchvision for two points of the figure would take too long.
COMPARISON_MODELS = ("vgg16", "inception_v3")
# Tracing each of these takes seconds: only compared when asked for by name.
SLOW_MODELS = ("resnet1202", "preresnet1001", "densenet_bc_250_24")
SMALL_IMAGE_SIZE = 64  # below: CIFAR models; from here on: ImageNet models

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
    """Cost of a model by layer, and models to compare with.

    Attributes:
        layers: the model's convolutions and linear layers.
        bottleneck: cost of a bottleneck block and of other blocks.
        points: models for images of about the same size.
        dataset: dataset of the errors.
        model_point: the model's own cost and error; the error is NaN if unknown.
    """

    layers: tuple[LayerCost, ...]
    bottleneck: Table
    points: tuple[ModelPoint, ...]
    dataset: str
    model_point: ModelPoint

    def tables(self) -> dict[str, Table]:
        """Return the counts.

        Returns:
            `cost`: one row per layer; `bottleneck`: one row per block; `comparison`: one row per
            model.
        """
        comparison = Table(ModelPoint._fields, tuple(tuple(point) for point in self.points))
        return {
            "cost": Table(COLUMNS, tuple(self._row(layer) for layer in self.layers)),
            "bottleneck": self.bottleneck,
            "comparison": comparison,
        }

    def _row(self, layer: LayerCost) -> tuple[Cell, ...]:
        """Return the table row of one layer."""
        return (
            self.model_point.model,
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
        """Draw the cost by block, the bottleneck comparison, and error against both costs.

        Args:
            figure: an empty matplotlib figure.
        """
        mosaic: list[Any] = [["blocks", "bottleneck"], ["macs", "parameters"]]
        panels = figure.subplot_mosaic(mosaic, height_ratios=(1, 1.6))
        self._draw_blocks(panels["blocks"])
        self._draw_bottleneck(panels["bottleneck"])
        macs = panels["macs"]
        parameters = panels["parameters"]
        # Both panels show the same errors.
        parameters.sharey(macs)
        accuracy_vs_cost.draw_scatter(macs, self.points, "macs", self.model_point)
        accuracy_vs_cost.draw_scatter(parameters, self.points, "parameters", self.model_point)
        macs.set_xlabel("MACs per image")
        parameters.set_xlabel("parameters")
        macs.set_ylabel(f"test error on {self.dataset} (%)")
        add_legend_below(figure, macs, columns=7)
        text = "cost (star or line: this model; filled: measured; open: published)"
        finish_figure(figure, figure_title(text, (self.model_point.model,)))
        place_labels([macs, parameters], ["macs", "parameters"], self.points, self.model_point)

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
        axes.set_xlabel("weights of a block")


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
    models: Sequence[str] | None = None,
    test_error: float | None = None,
    model_name: str = "",
    progress: ProgressCallback = no_progress,
) -> CostResult:
    """Count a model's parameters and MACs layer by layer, and compare its error with others.

    The bottleneck is that of He, Zhang, Ren, Sun (2015): Deep Residual Learning for Image
    Recognition, figure 5. The comparison follows Canziani, Paszke, Culurciello (2016): An Analysis
    of Deep Neural Network Models for Practical Applications, figure 2.

    Args:
        model: the model.
        input_size: shape (C, H, W) of one image.
        bottleneck_width: channels of the bottleneck block.
        models: names of models to compare with, which must have a published error; None for all
            with images of about the same size (CIFAR or ImageNet), except very slow ones.
        test_error: error of the model in %, if known.
        model_name: name in tables and figures; the class name if empty.
        progress: called after every model of the comparison; it may raise AnalysisCancelled.

    Returns:
        Layers, the bottleneck comparison, and points of error against cost.

    Raises:
        AnalysisError: one of `models` has no published error.
    """
    is_small = input_size[1] < SMALL_IMAGE_SIZE
    comparable = _comparable_models(is_small)
    _check_models(models or (), comparable)
    # The slow part comes after the cheap checks.
    layers = count_layers(model, input_size)
    points = list(accuracy_vs_cost.bundled_points()) if is_small else []
    for one in track_progress(list(comparable if models is None else models), progress):
        points.append(accuracy_vs_cost.published_point(one))
    own = ModelPoint(
        display_name(model, model_name),
        # From the given name: a class name such as ResNet says nothing about the family.
        accuracy_vs_cost.family(model_name),
        count_parameters(model),
        sum(layer.macs for layer in layers),
        # NaN: drawn as a line instead of a star.
        float("nan") if test_error is None else test_error,
        "analyzed model",
    )
    # Published errors are those of the model's usual dataset.
    dataset = "CIFAR-10" if is_small else "ImageNet"
    return CostResult(layers, bottleneck(bottleneck_width), tuple(points), dataset, own)


def _comparable_models(is_small: bool) -> list[str]:
    """Return the models with a published error for CIFAR (small) or ImageNet images."""
    return [
        name
        for name in PUBLISHED_RESULTS
        if name not in (*COMPARISON_MODELS, *SLOW_MODELS)
        and (MODELS[name].input_size[1] < SMALL_IMAGE_SIZE) == is_small
    ]


def _check_models(models: Sequence[str], comparable: list[str]) -> None:
    """Raise AnalysisError for a model without a published error."""
    for name in models:
        if name not in PUBLISHED_RESULTS or name in COMPARISON_MODELS:
            raise AnalysisError(
                f"'{name}' has no published error. Models with one: {', '.join(comparable)}."
            )
