"""What part of the picture a block sees: the theoretical box, exact from the graph, and the effective one by gradients.

The box: arithmetic of windows and strides, as in Dumoulin & Visin 2016, arXiv:1603.07285, along the shortest and the
longest path. The effective field: Luo et al. 2016, arXiv:1701.04128, section 2: the gradient of the centre.
"""

import dataclasses
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lightning_resnets.analysis.names import called
from lightning_resnets.analysis.places import Place, chosen, device_of, places, spread
from lightning_resnets.analysis.result import AnalysisError, Cell, Pictures, Table, Tell, silent, told
from lightning_resnets.analysis.style import FIRST, INK, LINE, SECOND, counted, finish, legend, title
from lightning_resnets.analysis.ticks import by_depth, short
from lightning_resnets.analysis.walk import revealed
from lightning_resnets.analysis.windows import Reach, reaches
from lightning_resnets.graph import follow
from lightning_resnets.merge import Kind
from lightning_resnets.probe import probe
from lightning_resnets.surgery import Op, Scale, operate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INSIDE = 1 - math.erf(math.sqrt(2))  # 1 - 95.45 %: Luo et al. count what is above this share of the largest
SHOWN = 5


@dataclass(frozen=True, slots=True, eq=False)
class ReceptiveResult:
    """By block: its `Reach`, and the effective field (H, W), a mean of absolute gradients whose sum is 1.

    `unknown` is by block the sentence that says why it has no `Reach`.

    `cut` is the same with every skip set to zero, empty for a net without skips or where it was not asked for.
    """

    size: tuple[int, int, int]
    reach: dict[str, Reach]
    effective: dict[str, NDArray[np.float32]]
    cut: dict[str, NDArray[np.float32]]
    count: int | None = None  # pictures that the fields are means of
    noise: bool = True
    name: str = "net"
    unknown: dict[str, str] = dataclasses.field(default_factory=dict)

    def tables(self) -> dict[str, Table]:
        """A row a block: the boxes in pixels, and the side of a square as large as the effective field."""
        columns = (
            "net", "block", "stride", "offset", "shortest_height", "shortest_width", "longest_height", "longest_width",
            "whole_picture", "effective_side", "effective_spread", "side_without_skips", "spread_without_skips",
            "note",
        )  # fmt: skip
        return {"receptive": Table(columns, tuple(self._row(block) for block in (*self.reach, *self.unknown)))}

    def _row(self, block: str) -> tuple[Cell, ...]:
        seen = [measure(fields[block]) if block in fields else (None, None) for fields in (self.effective, self.cut)]
        if block in self.unknown:
            return (self.name, block, *[None] * 7, *seen[0], *seen[1], self.unknown[block])
        reach = self.reach[block]
        sides = [span.size for box in (reach.shortest, reach.longest) for span in box]
        span = reach.longest[0]
        return (self.name, block, span.stride, span.offset, *sides, reach.whole, *seen[0], *seen[1], "")

    def draw(self, figure: "Figure") -> None:
        """Above the sides by block, below the effective fields of some blocks on the picture's grid."""
        blocks = spread(list(self.effective), SHOWN)
        rows = [("with skips", self.effective)] + ([("skips cut", self.cut)] if self.cut else [])
        grid = figure.add_gridspec(1 + len(rows), max(len(blocks), 1), height_ratios=(1.7, *[1 for _ in rows]))
        self._sides(figure.add_subplot(grid[0, :]))
        names = dict(zip(self.reach, short(list(self.reach)), strict=True))
        for row, (label, fields) in enumerate(rows, 1):
            for column, block in enumerate(blocks):
                axes = figure.add_subplot(grid[row, column])
                if block in fields:
                    axes.imshow(fields[block] ** 0.5, cmap="magma")
                axes.set_title(names.get(block, block) if row == 1 else "")
                axes.set_ylabel(label if not column else "")
                axes.set_xticks([])
                axes.set_yticks([])
        seen = counted(self.count or 0) + (" of noise" if self.noise else "") if self.effective else ""
        words = "receptive field by block" + (f", effective: √ of the share, {seen}" if seen else "")
        finish(figure, title(words, (self.name,)))

    def _sides(self, axes: "Axes") -> None:
        names = list(self.reach)
        for label, line, field in (("theoretical, longest path", "-", "longest"), ("shortest path", ":", "shortest")):
            sides = [getattr(self.reach[name], field)[0].size for name in names]
            axes.plot(sides, color=INK, linestyle=line, linewidth=1.2, label=label)
        for label, look, fields in (("effective", FIRST, self.effective), ("effective, skips cut", SECOND, self.cut)):
            known = [(i, measure(fields[name])[0]) for i, name in enumerate(names) if name in fields]
            if known:
                axes.plot(*zip(*known, strict=True), label=label, **look)
        axes.axhline(self.size[1], label=f"picture ({self.size[1]})", **{**LINE, "linestyle": "-."})
        by_depth(axes, names)
        axes.set_ylabel("side (pixels)")
        axes.set_ylim(bottom=0)
        legend(axes)


def receptive(
    net: nn.Module, size: tuple[int, int, int] = (3, 32, 32), blocks: Iterable[str] | None = None,
    pictures: Pictures | int = 10, cut: bool = True, seed: int = 0, name: str = "", tell: Tell = silent,
) -> ReceptiveResult:  # fmt: skip
    """The boxes and the effective fields of the blocks (all, or those named) for pictures of `size` (C, H, W).

    The boxes by the arithmetic of Dumoulin, Visin (2016): A guide to convolution arithmetic for deep learning; the
    effective fields after Luo, Li, Urtasun, Zemel (2016): Understanding the Effective Receptive Field in Deep
    Convolutional Neural Networks. The effective field is averaged over `pictures`: of noise as in the paper where it is
    their number, 0 for none. `cut` looks once more with every skip of the net set to zero: an identity or projection at
    an Add, all but the last part at a Concat. `name` is what the net is called in tables and figure (its class).
    `tell(done, total)` hears of every field; it may raise Cancelled, and the net is left as it was. Returns boxes and
    fields by block; raises AnalysisError for a block that the net does not have, and where the box of no block is
    known.
    """
    if isinstance(pictures, Pictures):
        size = cast(tuple[int, int, int], tuple(pictures.images.shape[1:]))
    net = revealed(net, size)
    followed = follow(net, size)
    found = chosen(places(net, followed), blocks)
    known = reaches(net, followed, size)
    reach = {place.block: known.known[place.step] for place in found if place.step in known.known}
    unknown = {place.block: known.unknown[place.step] for place in found if place.step in known.unknown}
    if unknown and not reach:
        raise AnalysisError(next(iter(unknown.values())))
    images = noise(pictures, size, seed) if isinstance(pictures, int) else pictures.images
    skips = [skip for skip in followed.blocks.skips if skip.kind is not Kind.GATE]
    named = dict(net.named_modules(remove_duplicate=False))
    cuts = [Scale(skip.merge, skip.operand, 0.0) for skip in skips if skip.merge in named]
    ways: list[list[Scale]] = [[], cuts] if cut and cuts else [[]]
    fields: list[dict[str, NDArray[np.float32]]] = [{}, {}]
    if len(images):
        images = images.to(device_of(net))
        made = (pair for ops in ways for pair in effective(net, images, found, ops))
        for way in told([way for way in range(len(ways)) for _ in found], tell):
            block, field = next(made)
            fields[way][block] = field
    noisy, words = isinstance(pictures, int), called(net, name)
    return ReceptiveResult(size, reach, fields[0], fields[1], len(images), noisy, words, unknown)


def noise(count: int, size: tuple[int, int, int], seed: int) -> Tensor:
    return torch.randn(count, *size, generator=torch.Generator().manual_seed(seed))


def effective(
    net: nn.Module, images: Tensor, found: Sequence[Place], ops: Sequence[Op] = ()
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """|gradient of the centre of a map, summed over its channels, by the picture|: mean of all, (H, W), sum 1."""
    modes = {module: module.training for module in net.modules()}
    try:
        net.eval()
        with torch.enable_grad(), operate(net, *ops), probe(net, [place.point for place in found]) as seen:
            net(images := images.detach().requires_grad_())
    finally:
        for module, mode in modes.items():
            module.training = mode
    for place in found:
        values = seen.outputs[place.point]
        centre = values[:, :, values.shape[2] // 2, values.shape[3] // 2].sum()
        (gradient,) = torch.autograd.grad(centre, images, retain_graph=True)
        field = gradient.abs().mean((0, 1)).double()  # (H, W)
        yield place.block, (field / field.sum().clamp(min=1e-300)).float().cpu().numpy()


def measure(field: NDArray[np.float32]) -> tuple[float, float]:
    """The side of a square as large as what is above Luo's share of the largest, and the standard deviation; pixels."""
    if not field.sum():
        return 0.0, 0.0
    rows, columns = np.mgrid[: field.shape[0], : field.shape[1]]
    middle = ((field * rows).sum(), (field * columns).sum())
    variance = (field * ((rows - middle[0]) ** 2 + (columns - middle[1]) ** 2)).sum() / 2
    return float(np.sqrt((field > INSIDE * field.max()).sum())), float(np.sqrt(variance))
