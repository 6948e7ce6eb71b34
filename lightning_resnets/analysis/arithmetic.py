"""What a net costs and what that buys: parameters and multiply-adds layer by layer, and error against both by net.

The bottleneck: He et al. 2015, arXiv:1512.03385, section 4.1 and figure 5. The comparison picture of the field is that
of Canziani, Paszke, Culurciello 2016, arXiv:1605.07678, figure 2.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import nn

from lightning_resnets import catalogue
from lightning_resnets.analysis import field
from lightning_resnets.analysis.field import Point
from lightning_resnets.analysis.names import called
from lightning_resnets.analysis.result import AnalysisError, Cell, Table, Tell, silent, told
from lightning_resnets.analysis.style import BLUE, ORANGE, SMALL, below, finish, legend, title
from lightning_resnets.analysis.ticks import by_depth
from lightning_resnets.facts import PUBLISHED
from lightning_resnets.graph import follow
from lightning_resnets.zoo import NETS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OTHERS = ("vgg16", "inception_v3")  # torchvision's: not imported here for two points of the picture
DEEP = ("resnet1202", "preresnet1001", "densenet_bc_250_24")  # seconds to follow, each: left out unless asked for


class Layer(NamedTuple):
    """A convolution or linear map, counted by formula: weights, biases, and multiply-adds of one picture.

    A weight works at so many `positions`: those of its output, of a transposed convolution those of its input.
    """

    name: str
    block: str
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


@dataclass(frozen=True, slots=True)
class ArithmeticResult:
    """The net's layers, the bottleneck's sums at some width, and points of nets for pictures of about that size.

    `own` is the net's own point; its error is nan where it is not known.
    """

    layers: tuple[Layer, ...]
    bottleneck: Table
    points: tuple[Point, ...]
    data: str
    own: Point

    def tables(self) -> dict[str, Table]:
        """`arithmetic`: a row a layer; `bottleneck`: a row a block; `field`: a row a net."""
        columns = (
            "net",
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
            known = (self.own.net, one.name, one.block, one.op, one.parameters, one.macs, one.positions, one.formula)
            rows.append((*known, f"{one.weights:,}·{one.positions:,} = {one.macs:,}"))
        compared = Table(Point._fields, tuple(tuple(point) for point in self.points))
        return {"arithmetic": Table(columns, tuple(rows)), "bottleneck": self.bottleneck, "field": compared}

    def draw(self, figure: "Figure") -> None:
        """The net block by block, the bottleneck against others, and error against both costs, a mark a family."""
        mosaic: list[Any] = [["blocks", "bottleneck"], ["macs", "parameters"]]
        grid = figure.subplot_mosaic(mosaic, height_ratios=(1, 1.6))
        self._blocks(grid["blocks"])
        self._bottleneck(grid["bottleneck"])
        grid["parameters"].sharey(grid["macs"])
        for name, words in (("macs", "multiply-adds per picture"), ("parameters", "parameters")):
            field.draw(grid[name], self.points, name, self.own)
            grid[name].set_xlabel(words)
        grid["macs"].set_ylabel(f"test error on {self.data} (%)")
        below(figure, grid["macs"], columns=7)
        finish(
            figure,
            title("what it costs (star or line: this net; filled: measured; open: published)", (self.own.net,)),
        )
        field.label([grid["macs"], grid["parameters"]], ["macs", "parameters"], self.points, self.own)

    def _blocks(self, axes: "Axes") -> None:
        blocks = list(dict.fromkeys(one.block for one in self.layers))
        open_bars: dict[str, Any] = {"facecolor": "white", "edgecolor": ORANGE, "hatch": "////"}
        full_bars: dict[str, Any] = {"facecolor": BLUE, "edgecolor": BLUE}
        for shift, kind, words, look in (
            (-0.2, "macs", "multiply-adds", full_bars),
            (0.2, "parameters", "parameters", open_bars),
        ):
            sums = [sum(getattr(one, kind) for one in self.layers if one.block == block) for block in blocks]
            shares = [100 * value / max(1, sum(sums)) for value in sums]
            at = [i + shift for i in range(len(blocks))]
            axes.bar(at, shares, 0.4, label=f"{words} ({catalogue.large(sum(sums))})", **look)
        by_depth(axes, blocks)
        axes.set_ylabel("share of the net (%)")
        legend(axes)

    def _bottleneck(self, axes: "Axes") -> None:
        rows = self.bottleneck.rows
        names, counts = [str(row[0]) for row in rows], [int(row[1] or 0) for row in rows]
        axes.barh(range(len(counts)), counts, color=[BLUE, *["0.7"] * (len(names) - 1)])
        axes.invert_yaxis()
        for place, (name, count) in enumerate(zip(names, counts, strict=True)):
            axes.annotate(
                f"{name}: {count:,}", (count, place), (3, 0), textcoords="offset points", va="center", fontsize=SMALL
            )
        axes.set_xlim(0, 1.9 * max(counts))
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_xlabel("weights of a block")


def arithmetic(
    net: nn.Module, size: tuple[int, int, int] = (3, 32, 32), width: int = 256, nets: Sequence[str] | None = None,
    error: float | None = None, name: str = "", tell: Tell = silent,
) -> ArithmeticResult:  # fmt: skip
    """The layers of a net for pictures of `size` (C, H, W), a bottleneck `width` wide, and `nets` in comparison.

    The bottleneck is that of He, Zhang, Ren, Sun (2015): Deep Residual Learning for Image Recognition, figure 5; the
    comparison after Canziani, Paszke, Culurciello (2016): An Analysis of Deep Neural Network Models for Practical
    Applications, figure 2. `nets` are names with a published error; None for those whose pictures are as large (CIFAR
    below 64 pixels, else ImageNet) and that are not over 200 layers deep. `error` is the net's own in %, where it is
    known, `name` what it is called in tables and figure (its class). `tell(done, total)` hears of every net of the
    comparison; it may raise Cancelled. Returns layers, sums and points; raises AnalysisError for a name without a
    published error.
    """
    small = size[1] < 64
    known = [name for name in PUBLISHED if name not in (*OTHERS, *DEEP) and (NETS[name].size[1] < 64) == small]
    if wrong := [name for name in nets or () if name not in PUBLISHED or name in OTHERS]:
        raise AnalysisError(f"There is no published error of '{wrong[0]}': there are those of {', '.join(known)}.")
    found = layers(net, size)
    points = list(field.measured()) if small else []
    points += [field.published(one) for one in told(list(known if nets is None else nets), tell)]
    count, macs = sum(weight.numel() for weight in net.parameters()), sum(one.macs for one in found)
    known_error = float("nan") if error is None else error
    own = Point(called(net, name), field.family(name), count, macs, known_error, "the net looked at")
    return ArithmeticResult(found, bottleneck(width), tuple(points), "CIFAR-10" if small else "ImageNet", own)


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
            found.append(
                Layer(
                    label,
                    block.cell or name if block else name,
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
