"""Draw the error of models against their cost: published models next to the bundled ones.

Canziani, Paszke, Culurciello 2016, arXiv:1605.07678, figure 2.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from torch import nn

from lightning_resnets.analysis.plotting import BLUE, TEXT_COLOR, TICK_SIZE
from lightning_resnets.checkpoint.bundled import bundled_checkpoints
from lightning_resnets.checkpoint.load import read_card
from lightning_resnets.graph import trace
from lightning_resnets.models.published_results import PUBLISHED_RESULTS
from lightning_resnets.models.registry import MODELS, create_model
from lightning_resnets.utils.parameters import count_parameters
from lightning_resnets.utils.skip_init import skip_init

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CostField = Literal["macs", "parameters"]


class Family(NamedTuple):
    """A family of models: prefix of their names, title and matplotlib marker."""

    prefix: str
    title: str
    marker: str


# The first prefix that matches counts.
FAMILIES = (
    Family("plain", "plain", "x"),
    Family("highway", "Highway", "+"),
    Family("se", "SE", "D"),
    Family("densenet", "DenseNet", "s"),
    Family("resnext", "ResNeXt", "v"),
    Family("wrn", "wide ResNet", "^"),
    Family("preresnet", "pre-activation", "<"),
    Family("inception_resnet", "Inception-ResNet", "P"),
    Family("bn_inception", "Inception", "p"),
    Family("resnet", "ResNet", "o"),
)

MEASURED = "measured"


class ModelPoint(NamedTuple):
    """A model in the comparison: its cost, its error in % and the source of that error."""

    model: str
    family: str
    parameters: int
    macs: int
    error: float
    source: str

    @property
    def is_measured(self) -> bool:
        """Return True for a bundled model, whose error we measured."""
        return self.source == MEASURED

    @property
    def has_error(self) -> bool:
        """Return True unless the error is NaN (unknown)."""
        # NaN is the only number that differs from itself.
        return self.error == self.error

    def cost(self, field: CostField) -> int:
        """Return the number of MACs or parameters."""
        return self.macs if field == "macs" else self.parameters


def published_point(name: str) -> ModelPoint:
    """Return a model with its published error.

    Args:
        name: a key of PUBLISHED_RESULTS.

    Returns:
        Its cost for one image and its error.
    """
    # Costs follow from shapes, so no weights are initialized.
    with skip_init():
        model = create_model(name, MODELS[name].num_classes)
    published = PUBLISHED_RESULTS[name]
    return _model_point(name, model, MODELS[name].input_size, published.error, published.source)


def bundled_points() -> list[ModelPoint]:
    """Return the bundled CIFAR-10 models with their measured errors.

    Returns:
        Models with the error on the whole test set from their model cards.
    """
    points: list[ModelPoint] = []
    for path in bundled_checkpoints().values():
        card = read_card(path)
        # Models of other datasets cannot be compared by error.
        if card.dataset != "cifar10" or "test_accuracy" not in card.metrics:
            continue
        with skip_init():
            model = create_model(card.arch, len(card.class_names), **card.model_kwargs)
        error = 100 * (1 - card.metrics["test_accuracy"])
        points.append(_model_point(card.arch, model, card.input_size, error, MEASURED))
    return points


def _model_point(
    name: str, model: nn.Module, input_size: tuple[int, int, int], error: float, source: str
) -> ModelPoint:
    """Count the cost of a model and return its point."""
    macs = trace(model, input_size).macs
    return ModelPoint(name, family(name), count_parameters(model), macs, error, source)


def family(name: str) -> str:
    """Return the family of a model.

    Args:
        name: name of a model.

    Returns:
        The title of its family, "others" if unknown.
    """
    for one in FAMILIES:
        if name.startswith(one.prefix):
            return one.title
    return "others"


def pareto_front(points: Sequence[ModelPoint], field: CostField) -> list[ModelPoint]:
    """Select the published models that no other beats in both error and cost.

    Args:
        points: models to compare.
        field: measure of the cost.

    Returns:
        Points on the Pareto front.
    """
    published = [point for point in points if not point.is_measured]
    front: list[ModelPoint] = []
    for point in published:
        # Equal cost is not cheaper: both may be on the front.
        cheaper = [one for one in published if one.cost(field) < point.cost(field)]
        if all(one.error > point.error for one in cheaper):
            front.append(point)
    return front


def draw_scatter(
    axes: "Axes", points: Sequence[ModelPoint], field: CostField, own: ModelPoint | None
) -> None:
    """Draw error against cost.

    Markers are open for published and filled for measured errors, with a shape and color per
    family. The analyzed model is a star, or a vertical line if its error is unknown.

    Args:
        axes: empty axes.
        points: models to compare with.
        field: measure of the cost.
        own: the analyzed model.
    """
    for number, one in enumerate(FAMILIES):
        _draw_family(axes, [p for p in points if p.family == one.title], field, one, number)
    # Costs span three orders of magnitude.
    axes.set_xscale("log")
    axes.margins(x=0.12, y=0.1)
    if own is not None and own.has_error:
        star = {"color": BLUE, "markeredgecolor": TEXT_COLOR, "markersize": 13, "zorder": 4}
        axes.plot(own.cost(field), own.error, "*", **star)
    elif own is not None:
        axes.axvline(own.cost(field), color=BLUE, linewidth=1.2)


def _draw_family(
    axes: "Axes", points: Sequence[ModelPoint], field: CostField, one: Family, number: int
) -> None:
    """Draw the published and the measured models of one family; label the first of both."""
    published = [point for point in points if not point.is_measured]
    measured = [point for point in points if point.is_measured]
    is_labeled = False
    for shown, fill_style in ((published, "none"), (measured, "full")):
        # One legend entry per family.
        label = one.title if shown and not is_labeled else None
        is_labeled = is_labeled or bool(shown)
        axes.plot(
            [point.cost(field) for point in shown],
            [point.error for point in shown],
            fillstyle=fill_style,
            label=label,
            marker=one.marker,
            color=f"C{number}",
            linestyle="",
            markersize=5,
        )


def label_candidates(
    points: Sequence[ModelPoint], fields: Sequence[CostField], own: ModelPoint | None
) -> list[ModelPoint]:
    """Select the points to label, the most important first.

    Args:
        points: all points of the plot.
        fields: cost measures of the panels.
        own: the analyzed model.

    Returns:
        The analyzed model, other bundled models, and published ones on a Pareto front.
    """
    front: set[ModelPoint] = set()
    for field in fields:
        front.update(pareto_front(points, field))
    # Labels are placed in this order, so the first ones find room.
    candidates = [own] if own is not None and own.has_error else []
    candidates += [p for p in points if p.is_measured and (own is None or p.model != own.model)]
    candidates += [p for p in points if p in front]
    return candidates


def draw_own_label(axes: "Axes", field: CostField, own: ModelPoint) -> None:
    """Label the vertical line of a model whose error is unknown.

    Args:
        axes: axes with the line.
        field: measure of the cost.
        own: the analyzed model.
    """
    axes.annotate(
        own.model,
        (own.cost(field), 1),
        (3, -3),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        va="top",
        fontsize=TICK_SIZE,
        color=BLUE,
        weight="bold",
    )
