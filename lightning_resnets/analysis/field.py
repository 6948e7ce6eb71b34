"""The comparison picture of the field: error against what a net costs, published nets beside those that ship.

Canziani, Paszke, Culurciello 2016, arXiv:1605.07678, figure 2.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from lightning_resnets import catalogue
from lightning_resnets.analysis.style import BLUE, INK, SMALL
from lightning_resnets.blank import Blank
from lightning_resnets.checkpoint.read import read
from lightning_resnets.checkpoint.shipped import shipped
from lightning_resnets.facts import PUBLISHED
from lightning_resnets.graph import trace
from lightning_resnets.zoo import build

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FAMILIES = (  # how a name begins, the family, its mark
    ("plain", "plain", "x"), ("highway", "Highway", "+"), ("se", "SE", "D"), ("densenet", "DenseNet", "s"),
    ("resnext", "ResNeXt", "v"), ("wrn", "wide ResNet", "^"), ("preresnet", "pre-activation", "<"),
    ("inception_resnet", "Inception-ResNet", "P"), ("bn_inception", "Inception", "p"), ("resnet", "ResNet", "o"),
)  # fmt: skip
MEASURED = "measured"
SIDES = ((6, 0, "left", "center"), (-6, 0, "right", "center"), (0, 6, "center", "bottom"), (0, -6, "center", "top"),
         (5, 5, "left", "bottom"), (-5, 5, "right", "bottom"), (5, -5, "left", "top"), (-5, -5, "right", "top"),
         (14, 12, "left", "bottom"), (-14, 12, "right", "bottom"), (14, -12, "left", "top"),
         (-14, -12, "right", "top"))  # fmt: skip
Rectangle = tuple[float, float, float, float]  # left, bottom, right, top, in typographic points
Spot = tuple[int, int, str, str]


class Point(NamedTuple):
    """A net in the comparison: error in %, whose figure that is, and what the net costs."""

    net: str
    family: str
    parameters: int
    macs: int
    error: float
    source: str


def published(name: str) -> Point:
    """A net of the zoo with its paper's error; it must be one that PUBLISHED knows."""
    row, known = catalogue.row(name), PUBLISHED[name]
    return Point(name, family(name), row.parameters, row.macs, known.error, known.source)


def measured() -> list[Point]:
    """The nets that ship, with the error on the whole test set that their cards tell."""
    found: list[Point] = []
    for path in shipped().values():
        card = read(path)
        if card.data != "cifar10" or "test_accuracy" not in card.metrics:
            continue
        with Blank():
            net = build(card.arch, len(card.classes), **card.options)
        count = sum(weight.numel() for weight in net.parameters())
        error = 100 * (1 - card.metrics["test_accuracy"])
        found.append(Point(card.arch, family(card.arch), count, trace(net, card.size).macs, error, MEASURED))
    return found


def family(name: str) -> str:
    """The family of a net by its name."""
    return next((family for start, family, _ in FAMILIES if name.startswith(start)), "others")


def named(points: Sequence[Point], field: str) -> list[Point]:
    """The published points that no other beats in both error and cost."""
    known = [point for point in points if point.source != MEASURED]
    cheaper = {p: [q for q in known if getattr(q, field) < getattr(p, field)] for p in known}
    return [point for point in known if all(other.error > point.error for other in cheaper[point])]


def draw(axes: "Axes", points: Sequence[Point], field: str, own: Point | None) -> None:
    """Open marks as published, filled ones measured, a mark and colour a family; a star for the net looked at."""
    for number, (_, name, mark) in enumerate(FAMILIES):
        look = {"marker": mark, "color": f"C{number}", "linestyle": "", "markersize": 5}
        for some, fill in ((False, "none"), (True, "full")):
            shown = [p for p in points if p.family == name and (p.source == MEASURED) is some]
            label = (
                name
                if shown and (not some or not any(p.family == name and p.source != MEASURED for p in points))
                else None
            )
            axes.plot([getattr(p, field) for p in shown], [p.error for p in shown], fillstyle=fill, label=label, **look)
    axes.set_xscale("log")
    axes.margins(x=0.12, y=0.1)
    if own is not None and own.error == own.error:
        axes.plot(getattr(own, field), own.error, "*", color=BLUE, markeredgecolor=INK, markersize=13, zorder=4)
    elif own is not None:
        axes.axvline(getattr(own, field), color=BLUE, linewidth=1.2)


def label(axes: Sequence["Axes"], fields: Sequence[str], points: Sequence[Point], own: Point | None) -> None:
    """The same names on all axes: the net looked at, those that ship, and published ones that none beats.

    A published one for whose name there is no room on one of them has it on none.
    """
    best = [p for p in points if any(p in named(points, field) for field in fields)]
    shipped_ones = [p for p in points if p.source == MEASURED and (own is None or p.net != own.net)]
    first = [own] if own is not None and own.error == own.error else []
    wanted = [*first, *shipped_ones, *best]
    found = [_places(one, field, points, wanted) for one, field in zip(axes, fields, strict=True)]
    for one, field, spots in zip(axes, fields, found, strict=True):
        for point in wanted:
            if all(point in spots for spots in found):
                x, y, ha, va = spots[point]
                look = {"fontsize": SMALL - 0.5, "color": INK if point.source == MEASURED or point is own else "0.4"}
                axes_point = (getattr(point, field), point.error)
                weight = "bold" if point is own else "normal"
                one.annotate(
                    point.net, axes_point, (x, y), textcoords="offset points", ha=ha, va=va, weight=weight, **look
                )
        if own is not None and own.error != own.error:
            one.annotate(own.net, (getattr(own, field), 1), (3, -3), xycoords=("data", "axes fraction"),
                         textcoords="offset points", va="top", fontsize=SMALL, color=BLUE, weight="bold")  # fmt: skip


def _places(axes: "Axes", field: str, points: Sequence[Point], wanted: Sequence[Point]) -> dict[Point, Spot]:
    """Where beside its point each name stands free of the marks and of the names before it."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    box = axes.get_position()
    wide, high = 72 * 0.9 * box.width * figure.get_figwidth(), 72 * 0.8 * box.height * figure.get_figheight()

    def at(point: Point) -> tuple[float, float]:
        place = axes.transAxes.inverted().transform(axes.transData.transform((getattr(point, field), point.error)))
        return float(place[0]) * wide, float(place[1]) * high

    taken = [(x - 4, y - 4, x + 4, y + 4) for x, y in map(at, {*points, *wanted})]
    found: dict[Point, Spot] = {}
    for point in wanted:
        for spot in SIDES:
            area = _area(at(point), spot, len(point.net))
            if area[0] >= 0 and area[2] <= wide and area[1] >= 0 and not any(_meet(area, other) for other in taken):
                found[point] = spot
                taken.append(area)
                break
    return found


def _area(at: tuple[float, float], spot: Spot, letters: int) -> Rectangle:
    width, height = 0.56 * SMALL * letters, SMALL
    left = at[0] + spot[0] - {"left": 0, "center": width / 2, "right": width}[spot[2]]
    bottom = at[1] + spot[1] - {"bottom": 0, "center": height / 2, "top": height}[spot[3]]
    return left, bottom, left + width, bottom + height


def _meet(one: Rectangle, other: Rectangle) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
