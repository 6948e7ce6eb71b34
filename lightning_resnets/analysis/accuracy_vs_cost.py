"""The comparison image of the field: error against what a model costs, published models beside those that ship.

Canziani, Paszke, Culurciello 2016, arXiv:1605.07678, figure 2.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from lightning_resnets.analysis.plotting import BLUE, TEXT_COLOR, TICK_SIZE
from lightning_resnets.checkpoint.bundled import bundled_checkpoints
from lightning_resnets.checkpoint.load import read_card
from lightning_resnets.graph import trace
from lightning_resnets.models.published_results import PUBLISHED_RESULTS
from lightning_resnets.models.registry import create_model
from lightning_resnets.models.summary import summarize_model
from lightning_resnets.utils.skip_init import skip_init

if TYPE_CHECKING:
    from matplotlib.axes import Axes


FAMILIES = (  # how a name begins, the family, its mark
    ("plain", "plain", "x"),
    ("highway", "Highway", "+"),
    ("se", "SE", "D"),
    ("densenet", "DenseNet", "s"),
    ("resnext", "ResNeXt", "v"),
    ("wrn", "wide ResNet", "^"),
    ("preresnet", "pre-activation", "<"),
    ("inception_resnet", "Inception-ResNet", "P"),
    ("bn_inception", "Inception", "p"),
    ("resnet", "ResNet", "o"),
)


MEASURED = "measured"


LABEL_OFFSETS = (
    (6, 0, "left", "center"),
    (-6, 0, "right", "center"),
    (0, 6, "center", "bottom"),
    (0, -6, "center", "top"),
    (5, 5, "left", "bottom"),
    (-5, 5, "right", "bottom"),
    (5, -5, "left", "top"),
    (-5, -5, "right", "top"),
    (14, 12, "left", "bottom"),
    (-14, 12, "right", "bottom"),
    (14, -12, "left", "top"),
    (-14, -12, "right", "top"),
)


Rectangle = tuple[float, float, float, float]  # left, bottom, right, top, in typographic points


LabelOffset = tuple[int, int, str, str]


class ModelPoint(NamedTuple):
    """A model in the comparison: error in %, whose figure that is, and what the model costs."""

    model: str
    family: str
    parameters: int
    macs: int
    error: float
    source: str


def published_point(name: str) -> ModelPoint:
    """A model of the zoo with its paper's error; it must be one that PUBLISHED knows."""
    row, known = summarize_model(name), PUBLISHED_RESULTS[name]
    return ModelPoint(name, family(name), row.parameters, row.macs, known.error, known.source)


def bundled_points() -> list[ModelPoint]:
    """The models that ship, with the error on the whole test set that their cards tell."""
    found: list[ModelPoint] = []
    for path in bundled_checkpoints().values():
        card = read_card(path)
        if card.dataset != "cifar10" or "test_accuracy" not in card.metrics:
            continue
        with skip_init():
            model = create_model(card.arch, len(card.class_names), **card.model_kwargs)
        count = sum(weight.numel() for weight in model.parameters())
        error = 100 * (1 - card.metrics["test_accuracy"])
        found.append(
            ModelPoint(
                card.arch,
                family(card.arch),
                count,
                trace(model, card.input_size).macs,
                error,
                MEASURED,
            )
        )
    return found


def family(name: str) -> str:
    """The family of a model by its name."""
    return next((family for start, family, _ in FAMILIES if name.startswith(start)), "others")


def pareto_front(points: Sequence[ModelPoint], field: str) -> list[ModelPoint]:
    """The published points that no other beats in both error and cost."""
    known = [point for point in points if point.source != MEASURED]
    cheaper = {p: [q for q in known if getattr(q, field) < getattr(p, field)] for p in known}
    return [point for point in known if all(other.error > point.error for other in cheaper[point])]


def draw_scatter(
    axes: "Axes", points: Sequence[ModelPoint], field: str, own: ModelPoint | None
) -> None:
    """Open marks as published, filled ones measured, a mark and color a family; a star for the model looked at."""
    for number, (_, name, mark) in enumerate(FAMILIES):
        look = {"marker": mark, "color": f"C{number}", "linestyle": "", "markersize": 5}
        for some, fill in ((False, "none"), (True, "full")):
            shown = [p for p in points if p.family == name and (p.source == MEASURED) is some]
            label = (
                name
                if shown
                and (not some or not any(p.family == name and p.source != MEASURED for p in points))
                else None
            )
            axes.plot(
                [getattr(p, field) for p in shown],
                [p.error for p in shown],
                fillstyle=fill,
                label=label,
                **look,
            )
    axes.set_xscale("log")
    axes.margins(x=0.12, y=0.1)
    if own is not None and own.error == own.error:
        axes.plot(
            getattr(own, field),
            own.error,
            "*",
            color=BLUE,
            markeredgecolor=TEXT_COLOR,
            markersize=13,
            zorder=4,
        )
    elif own is not None:
        axes.axvline(getattr(own, field), color=BLUE, linewidth=1.2)


def place_labels(
    axes: Sequence["Axes"],
    fields: Sequence[str],
    points: Sequence[ModelPoint],
    own: ModelPoint | None,
) -> None:
    """The same names on all axes: the model looked at, those that ship, and published ones that none beats.

    A published one for whose name there is no room on one of them has it on none.
    """
    best = [p for p in points if any(p in pareto_front(points, field) for field in fields)]
    bundled_ones = [
        p for p in points if p.source == MEASURED and (own is None or p.model != own.model)
    ]
    first = [own] if own is not None and own.error == own.error else []
    wanted = [*first, *bundled_ones, *best]
    found = [_places(one, field, points, wanted) for one, field in zip(axes, fields, strict=True)]
    for one, field, spots in zip(axes, fields, found, strict=True):
        for point in wanted:
            if all(point in spots for spots in found):
                x, y, ha, va = spots[point]
                look = {
                    "fontsize": TICK_SIZE - 0.5,
                    "color": TEXT_COLOR if point.source == MEASURED or point is own else "0.4",
                }
                axes_point = (getattr(point, field), point.error)
                weight = "bold" if point is own else "normal"
                one.annotate(
                    point.model,
                    axes_point,
                    (x, y),
                    textcoords="offset points",
                    ha=ha,
                    va=va,
                    weight=weight,
                    **look,
                )
        if own is not None and own.error != own.error:
            one.annotate(
                own.model,
                (getattr(own, field), 1),
                (3, -3),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                va="top",
                fontsize=TICK_SIZE,
                color=BLUE,
                weight="bold",
            )


def _places(
    axes: "Axes", field: str, points: Sequence[ModelPoint], wanted: Sequence[ModelPoint]
) -> dict[ModelPoint, LabelOffset]:
    """Where beside its point each name stands free of the marks and of the names before it."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    box = axes.get_position()
    wide, high = (
        72 * 0.9 * box.width * figure.get_figwidth(),
        72 * 0.8 * box.height * figure.get_figheight(),
    )

    def at(point: ModelPoint) -> tuple[float, float]:
        place = axes.transAxes.inverted().transform(
            axes.transData.transform((getattr(point, field), point.error))
        )
        return float(place[0]) * wide, float(place[1]) * high

    taken = [(x - 4, y - 4, x + 4, y + 4) for x, y in map(at, {*points, *wanted})]
    found: dict[ModelPoint, LabelOffset] = {}
    for point in wanted:
        for spot in LABEL_OFFSETS:
            area = _area(at(point), spot, len(point.model))
            if (
                area[0] >= 0
                and area[2] <= wide
                and area[1] >= 0
                and not any(_meet(area, other) for other in taken)
            ):
                found[point] = spot
                taken.append(area)
                break
    return found


def _area(at: tuple[float, float], spot: LabelOffset, letters: int) -> Rectangle:
    width, height = 0.56 * TICK_SIZE * letters, TICK_SIZE
    left = at[0] + spot[0] - {"left": 0, "center": width / 2, "right": width}[spot[2]]
    bottom = at[1] + spot[1] - {"bottom": 0, "center": height / 2, "top": height}[spot[3]]
    return left, bottom, left + width, bottom + height


def _meet(one: Rectangle, other: Rectangle) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
