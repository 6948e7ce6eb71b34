"""What a net costs and what that buys: parameters and multiply-adds layer by layer, and error against both by net.

The bottleneck: He et al. 2015, arXiv:1512.03385, section 4.1 and figure 5. The comparison picture of the field is that
of Canziani, Paszke, Culurciello 2016, arXiv:1605.07678, figure 2.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from torch import nn

from lightning_resnets import catalogue
from lightning_resnets.analysis.result import AnalysisError, Cell, Table, Tell, silent, told
from lightning_resnets.blank import Blank
from lightning_resnets.checkpoint.read import read
from lightning_resnets.checkpoint.shipped import shipped
from lightning_resnets.facts import PUBLISHED
from lightning_resnets.graph import follow, trace
from lightning_resnets.zoo import NETS, build

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FAMILIES = (  # how a name begins or what it holds, the family, its mark
    ("plain", "plain", "x"), ("highway", "Highway", "+"), ("se", "SE", "D"), ("densenet", "DenseNet", "s"),
    ("resnext", "ResNeXt", "v"), ("wrn", "wide ResNet", "^"), ("preresnet", "pre-activation", "<"),
    ("inception_resnet", "Inception-ResNet", "P"), ("bn_inception", "Inception", "p"), ("resnet", "ResNet", "o"),
)  # fmt: skip
OTHERS = ("vgg16", "inception_v3")  # torchvision's: not imported here for two points of the picture
DEEP = ("resnet1202", "preresnet1001", "densenet_bc_250_24")  # seconds to follow, each: left out unless asked for


class Layer(NamedTuple):
    """A convolution or linear map, counted by formula: weights, biases, and multiply-adds of one picture.

    A weight works at so many `positions`: those of its output, of a transposed convolution those of its input.
    """

    name: str
    op: str
    window: tuple[int, ...]
    inputs: int  # channels of one group
    outputs: int
    bias: bool
    positions: int

    @property
    def weights(self) -> int:
        count = self.inputs * self.outputs
        for side in self.window:
            count *= side
        return count

    @property
    def parameters(self) -> int:
        return self.weights + self.bias * self.outputs

    @property
    def macs(self) -> int:
        return self.weights * self.positions

    @property
    def formula(self) -> str:
        """`3·3·64·128 = 73,728`, with the bias where there is one."""
        factors = "·".join(str(factor) for factor in (*self.window, self.inputs, self.outputs))
        return f"{factors}{f' + {self.outputs}' if self.bias else ''} = {self.parameters:,}"


class Point(NamedTuple):
    """A net in the comparison: error in %, whose figure that is, and what the net costs."""

    net: str
    family: str
    parameters: int
    macs: int
    error: float
    source: str


@dataclass(frozen=True, slots=True)
class ArithmeticResult:
    """The net's layers, the bottleneck's sums at some width, and points of nets for pictures of about that size."""

    layers: tuple[Layer, ...]
    bottleneck: Table
    points: tuple[Point, ...]
    data: str

    def tables(self) -> dict[str, Table]:
        columns = ("layer", "op", "parameters", "macs", "positions", "formula_parameters", "formula_macs")
        rows: list[tuple[Cell, ...]] = []
        for one in self.layers:
            product = f"{one.weights:,}·{one.positions:,} = {one.macs:,}"
            rows.append((one.name, one.op, one.parameters, one.macs, one.positions, one.formula, product))
        field = Table(Point._fields, tuple(tuple(point) for point in self.points))
        layers = Table(columns, tuple(rows))
        return {"arithmetic": layers, "bottleneck": self.bottleneck, "field": field}

    def draw(self, figure: "Figure") -> None:
        """Error against multiply-adds and against parameters, both on a logarithmic axis, a mark a family."""
        left, right = figure.subplots(1, 2, sharey=True)
        for axis, field, label in ((left, "macs", "multiply-adds a picture"), (right, "parameters", "parameters")):
            for family, mark in {name: sign for _, name, sign in FAMILIES}.items():
                some = [point for point in self.points if point.family == family]
                published = [point for point in some if point.source != "measured"]
                own = [point for point in some if point.source == "measured"]
                (line,) = axis.plot(
                    [getattr(point, field) for point in published], [point.error for point in published], mark,
                    label=family if some else None, markersize=6, fillstyle="none",
                )  # fmt: skip
                axis.plot(
                    [getattr(point, field) for point in own], [point.error for point in own], mark,
                    color=line.get_color(), markersize=8,
                )  # fmt: skip
            for point in named(self.points, field):
                axis.annotate(
                    point.net,
                    (getattr(point, field), point.error),
                    fontsize=6,
                    xytext=(-4, -3),
                    textcoords="offset points",
                    ha="right",
                    va="top",
                )  # below and to the left of those that none beats there is nobody
            axis.set_xscale("log")
            axis.set_xlabel(label)
            axis.margins(x=0.15)
        left.set_ylabel(f"test error on {self.data}, %")
        right.legend(fontsize=7)
        figure.suptitle("What error costs (open: as published; filled: nets that ship, measured)", fontsize=10)


def arithmetic(
    net: nn.Module, size: tuple[int, int, int] = (3, 32, 32), width: int = 256, nets: Sequence[str] | None = None,
    tell: Tell = silent,
) -> ArithmeticResult:  # fmt: skip
    """The layers of a net for pictures of `size` (C, H, W), a bottleneck `width` wide, and `nets` in comparison.

    `nets` are names with a published error; None for those whose pictures are as large (CIFAR below 64 pixels, else
    ImageNet) and that are not over 200 layers deep. Raises AnalysisError for a name without one.
    """
    small = size[1] < 64
    known = [name for name in PUBLISHED if name not in (*OTHERS, *DEEP) and (NETS[name].size[1] < 64) == small]
    if wrong := [name for name in nets or () if name not in PUBLISHED or name in OTHERS]:
        raise AnalysisError(f"There is no published error of '{wrong[0]}': there are those of {', '.join(known)}.")
    found = layers(net, size)
    points = list(measured()) if small else []
    for name in told(list(known if nets is None else nets), tell):
        row, published = catalogue.row(name), PUBLISHED[name]
        points.append(Point(name, family(name), row.parameters, row.macs, published.error, published.source))
    return ArithmeticResult(found, bottleneck(width), tuple(points), "CIFAR-10" if small else "ImageNet")


def layers(net: nn.Module, size: tuple[int, int, int]) -> tuple[Layer, ...]:
    """Every convolution (transposed ones and functions too) and linear map in order of execution.

    One that is used twice counts in both places. Attention and recurrent layers have a row for each of their matrices.
    """
    followed = follow(net, size)
    blocks = {followed.named[block.name]: block for block in followed.blocks.blocks}
    found: list[Layer] = []
    for step, products in followed.products.items():
        block = blocks.get(step)  # none for what depends on no picture: a position code's convolution
        name, op = (block.name, block.op) if block else (str(step.target), "without the picture")
        for one in products:
            label = f"{name}.{one.name}" if one.name else name
            outputs, inputs, *window = one.shape
            found.append(Layer(label, op, tuple(window), inputs, outputs, one.bias, one.positions))
    return tuple(found)


def bottleneck(width: int = 256, side: int = 56) -> Table:
    """A bottleneck against 3x3 convolutions at its width, no batch norm: weights, and multiply-adds at side x side.

    At 256: 69,632 weights against 589,824 of one 3x3 ("70K against 600K") and 1,179,648 of the two 3x3 of a basic block
    of that width; two 3x3 at a quarter of it, 73,728, cost as much as the bottleneck (He et al., figure 5).
    """
    inner = width // 4
    ways = {
        f"bottleneck {width}→{inner}→{inner}→{width}": ((1, width, inner), (3, inner, inner), (1, inner, width)),
        f"one 3x3 at {width}": ((3, width, width),),
        f"two 3x3 at {width}": ((3, width, width),) * 2,
        f"two 3x3 at {inner}": ((3, inner, inner),) * 2,
    }
    least = sum(k * k * given * made for k, given, made in next(iter(ways.values())))
    rows: list[tuple[Cell, ...]] = []
    for name, convolutions in ways.items():
        weights = sum(k * k * given * made for k, given, made in convolutions)
        formula = " + ".join(f"{k}·{k}·{given}·{made}" for k, given, made in convolutions)
        rows.append((name, weights, weights * side * side, f"{side}×{side}", weights / least, formula))
    return Table(("block", "parameters", "macs", "positions", "times_bottleneck", "formula"), tuple(rows))


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
        found.append(Point(card.arch, family(card.arch), count, trace(net, card.size).macs, error, "measured"))
    return found


def family(name: str) -> str:
    """The family of a net by its name."""
    return next((family for start, family, _ in FAMILIES if name.startswith(start)), "others")


def named(points: Sequence[Point], field: str) -> list[Point]:
    """The points that no other beats in both error and cost: those that a picture names."""
    published = [point for point in points if point.source != "measured"]
    cheaper = {p: [q for q in published if getattr(q, field) < getattr(p, field)] for p in published}
    return [point for point in published if all(other.error > point.error for other in cheaper[point])]
