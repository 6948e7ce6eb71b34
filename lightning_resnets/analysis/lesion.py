"""What breaks when blocks of a trained net are dropped or change places.

Veit, Wilber, Belongie: Residual Networks Behave Like Ensembles of Relatively Shallow Networks, arXiv:1605.06431,
sections 4.1 to 4.3, Fig. 3 and 5.
"""

import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from lightning_resnets.analysis.names import both, scored
from lightning_resnets.analysis.result import AnalysisError, Pictures, Table, Tell, silent
from lightning_resnets.analysis.style import FIRST, LINE, SECOND, below, finish, points, title
from lightning_resnets.analysis.targets import droppable, neighbours, targets
from lightning_resnets.analysis.ticks import by_depth, numbered
from lightning_resnets.analysis.walk import evaluating, placed, revealed, size_of
from lightning_resnets.graph import follow
from lightning_resnets.surgery.edits import Op
from lightning_resnets.sweep import Sweep

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COUNTS = 6  # how many numbers of blocks are tried


@dataclass(frozen=True, slots=True)
class Wounds:
    """Errors (shares of the pictures) of one net: whole, without each block, without several, with two swapped.

    `left_out` says in a sentence why a block of the net was not dropped.
    """

    classes: int
    intact: float
    dropped: dict[str, float]
    several: dict[int, tuple[float, ...]]  # by how many, one for each draw
    swapped: dict[tuple[str, str], float]
    left_out: dict[str, str] = field(default_factory=dict[str, str])

    def rows(self, name: str) -> Iterator[tuple[str, str, int, float | None, str]]:
        yield name, "intact", 0, self.intact, ""
        for block, error in self.dropped.items():
            yield name, f"without {block}", 1, error, ""
        for block, why in self.left_out.items():
            yield name, f"without {block}", 1, None, why
        for k, errors in self.several.items():
            yield from ((name, f"without {k} at random", k, error, "") for error in errors)
        for (one, other), error in self.swapped.items():
            yield name, f"{one} and {other} swapped", 2, error, ""


@dataclass(frozen=True, slots=True)
class LesionResult:
    """What `lesion` found of a net and of its twin, over so many pictures."""

    net: Wounds
    twin: Wounds | None
    pictures: int
    name: str = "net"
    twin_name: str = "twin"

    def tables(self) -> dict[str, Table]:
        """`lesion`: a row for each change of each net; one without an error says in `note` why it was not made."""
        rows = (row for name, _, one in self._nets() for row in one.rows(name))
        return {"lesion": Table(("net", "change", "blocks", "error", "note"), tuple(rows))}

    def draw(self, figure: "Figure") -> None:
        """Error without each block; by how many are missing; with neighbours swapped, where there are such."""
        swapped = any(one.swapped for _, _, one in self._nets())
        mosaic: list[Any] = [["each", "each"], ["several", "swapped" if swapped else "several"]]
        grid = figure.subplot_mosaic(mosaic, height_ratios=(1.2, 1))
        self._each(grid["each"])
        self._several(grid["several"])
        if swapped:
            self._swapped(grid["swapped"])
        below(figure, grid["each"], columns=3)
        names = [name for name, _, _ in self._nets()]
        finish(figure, title("error when blocks are dropped or swapped", names, self.pictures))

    def _nets(self) -> list[tuple[str, dict[str, Any], Wounds]]:
        nets = [(self.name, FIRST, self.net)]
        return [*nets, (self.twin_name, SECOND, self.twin)] if self.twin else nets

    def _each(self, axes: "Axes") -> None:
        names = list(dict.fromkeys(name for _, _, one in self._nets() for name in one.dropped))
        for label, look, one in self._nets():
            known = [(i, 100 * one.dropped[name]) for i, name in enumerate(names) if name in one.dropped]
            axes.plot(*zip(*known, strict=True), label=f"{label}, changed", **points(look))
        self._lines(axes)
        by_depth(axes, names)
        axes.set_xlabel("the one block that is dropped" + self._left_out())

    def _left_out(self) -> str:
        count = sum(len(one.left_out) for _, _, one in self._nets())
        return f" ({count} cannot be: see the table)" if count else ""

    def _several(self, axes: "Axes") -> None:
        for _, look, one in self._nets():
            known = {0: (one.intact,), 1: tuple(one.dropped.values()), **one.several}
            counts, middle = list(known), [100 * mean(errors) for errors in known.values()]
            spread = [[m - 100 * min(e) for m, e in zip(middle, known.values(), strict=True)],
                      [100 * max(e) - m for m, e in zip(middle, known.values(), strict=True)]]  # fmt: skip
            axes.errorbar(counts, middle, spread, capsize=2, **look)
        self._lines(axes)
        numbered(axes, max(max(one.several, default=1) for _, _, one in self._nets()))
        axes.set_xlabel("number of blocks dropped at random (bars: least, most)")

    def _swapped(self, axes: "Axes") -> None:
        names = list(dict.fromkeys(_pair(a, b) for _, _, one in self._nets() for a, b in one.swapped))
        for _, look, one in self._nets():
            known = [(names.index(_pair(a, b)), 100 * e) for (a, b), e in one.swapped.items()]
            if known:
                axes.plot(*zip(*known, strict=True), **points(look))
        self._lines(axes)
        by_depth(axes, names)
        axes.set_xlabel("the two neighbours swapped")

    def _lines(self, axes: "Axes") -> None:
        """The whole nets and chance, to compare with."""
        for name, look, one in self._nets():
            line = {**LINE, "color": look["color"], "linestyle": look["linestyle"]}
            axes.axhline(100 * one.intact, label=f"{name}, intact ({100 * one.intact:.1f} %)", **line)
        chance = 100 * (1 - 1 / self.net.classes)
        axes.axhline(chance, label=f"chance ({chance:.4g} %)", **{**LINE, "linestyle": ":"})
        axes.set_ylim(-4, 104)
        axes.set_ylabel("error (%)")


def _pair(one: str, other: str) -> str:
    return f"{one}, {other.rpartition('.')[2]}"


def lesion(
    net: nn.Module, pictures: Pictures, twin: nn.Module | None = None, *, draws: int = 3,
    counts: Sequence[int] | None = None, seed: int = 0, batch: int = 50, name: str = "", twin_name: str = "",
    tell: Tell = silent,
) -> LesionResult:  # fmt: skip
    """The error after dropping each block, several at random, and after swapping neighbours of equal shape.

    The experiment of Veit, Wilber, Belongie (2016): Residual Networks Behave Like Ensembles of Relatively Shallow
    Networks. A residual block is dropped by cutting its branch: the shortcut, projected or not, carries on (section
    4.1). In a net that concatenates, what a layer made counts as zero wherever it is read. In a plain net a block is
    skipped where its input has its output's shape. `twin` is such a net (`build("plain20")`), measured in the same
    way. `counts` are the numbers of blocks to drop at once, each in so many `draws`; of themselves six from 2 to all.
    Only what lies behind a change is computed (`sweep`). `name` and `twin_name` are what the nets are called in tables
    and figure (their classes). `tell(done, total)` hears of every batch of every change; it may raise Cancelled, and
    the net is left as it was. Returns errors as shares of the pictures, with a sentence for each block that could not
    be dropped; raises AnalysisError where there is nothing to drop.
    """
    nets = [revealed(one, size_of(pictures)) for one in ([net] if twin is None else [net, twin])]
    plans = [_Plan(one, pictures, draws, counts, random.Random(seed), batch) for one in nets]  # noqa: S311
    done, total = itertools.count(1), sum(plan.steps for plan in plans)
    tell(0, total)
    found = [plan.run(lambda: tell(next(done), total)) for plan in plans]
    names = both(net, twin, name, twin_name)
    return LesionResult(found[0], found[1] if twin is not None else None, len(pictures), *names)


class _Plan:
    """All changes of one net, and the sweep that makes them."""

    def __init__(
        self, net: nn.Module, pictures: Pictures, draws: int, counts: Sequence[int] | None, dice: random.Random,
        batch: int,
    ) -> None:  # fmt: skip
        size = size_of(pictures)
        self.net, self.pictures, self.batch = net, placed(pictures, net), batch
        followed = follow(net, size)
        self.drops, self.left_out = droppable(net, followed, targets(net, followed, size))
        drops = list(self.drops.values())
        self.several = [tuple(dice.sample(drops, k)) for k in _counts(len(drops), counts) for _ in range(draws)]
        self.swaps = neighbours(net, followed, self.drops, size)
        self.changes: list[Op | tuple[Op, ...]] = list(dict.fromkeys((*drops, *self.several, *self.swaps)))
        self.sweep = Sweep[Op | tuple[Op, ...]](net, followed, [*self.changes, ()])
        self.steps = len(self.changes) * -(-len(pictures) // batch)

    def run(self, step: Callable[[], None]) -> Wounds:
        wrong, classes = Counter[Op | tuple[Op, ...]](), 0
        with evaluating(self.net), torch.inference_mode():
            for images, labels in self.pictures.batches(self.batch):
                for change, logits in self.sweep.run(images):
                    logits, labels = scored(logits, labels)
                    wrong[change] += int((logits.argmax(1) != labels).sum())
                    classes = logits.shape[1]
                    if change:
                        step()
        return self.named(classes, {change: count / len(self.pictures) for change, count in wrong.items()})

    def named(self, classes: int, errors: Mapping[Op | tuple[Op, ...], float]) -> Wounds:
        several: dict[int, tuple[float, ...]] = {}
        for drops in self.several:
            several[len(drops)] = (*several.get(len(drops), ()), errors[drops])
        dropped = {name: errors[drop] for name, drop in self.drops.items()}
        swapped = {(swap.one, swap.other): errors[swap] for swap in self.swaps}
        return Wounds(classes, errors[()], dropped, several, swapped, self.left_out)


def _counts(blocks: int, asked: Sequence[int] | None) -> list[int]:
    """How many blocks are dropped at once: those asked for, or a few from 2 to all."""
    if asked is None:
        return sorted({round(2 + i * (blocks - 2) / (COUNTS - 1)) for i in range(COUNTS)}) if blocks > 1 else []
    if wrong := [k for k in asked if not 1 <= k <= blocks]:
        raise AnalysisError(f"{wrong[0]} blocks cannot be dropped: this net has {blocks}.")
    return list(asked)
