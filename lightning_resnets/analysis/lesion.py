"""What breaks when blocks of a trained net are dropped or change places.

Veit, Wilber, Belongie: Residual Networks Behave Like Ensembles of Relatively Shallow Networks, arXiv:1605.06431,
sections 4.1 to 4.3, Fig. 3 and 5.
"""

import itertools
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from lightning_resnets.analysis.result import AnalysisError, Pictures, Table, Tell, silent
from lightning_resnets.analysis.targets import neighbours, targets
from lightning_resnets.analysis.ticks import FIRST, SECOND, by_depth, counted, plain
from lightning_resnets.analysis.walk import evaluating, placed, size_of
from lightning_resnets.graph import follow
from lightning_resnets.surgery.edits import Op
from lightning_resnets.sweep import Sweep

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COUNTS = 6  # how many numbers of blocks are tried


@dataclass(frozen=True, slots=True)
class Wounds:
    """Errors (shares of the pictures) of one net: whole, without each block, without several, with two swapped."""

    classes: int
    intact: float
    dropped: dict[str, float]
    several: dict[int, tuple[float, ...]]  # by how many, one for each draw
    swapped: dict[tuple[str, str], float]


@dataclass(frozen=True, slots=True)
class LesionResult:
    """What `lesion` found of a net and of its plain twin."""

    net: Wounds
    twin: Wounds | None
    pictures: int

    def tables(self) -> dict[str, Table]:
        """`lesion`: a row for each change of each net."""
        rows: list[tuple[str, str, int, float]] = []
        for name, one in (("net", self.net), ("twin", self.twin)):
            if one is None:
                continue
            rows.append((name, "intact", 0, one.intact))
            rows += [(name, f"without {block}", 1, error) for block, error in one.dropped.items()]
            rows += [(name, f"without {k} at random", k, e) for k, errors in one.several.items() for e in errors]
            rows += [(name, f"{a} and {b} swapped", 2, error) for (a, b), error in one.swapped.items()]
        return {"lesion": Table(("net", "change", "blocks", "error"), tuple(rows))}

    def draw(self, figure: "Figure") -> None:
        """Error without each block; by how many are missing; with neighbours swapped."""
        grid = figure.subplot_mosaic([["each", "each"], ["several", "swapped"]], height_ratios=(1.3, 1))
        self._each(grid["each"])
        self._several(grid["several"])
        self._swapped(grid["swapped"])
        figure.set_layout_engine("constrained")

    def _nets(self) -> list[tuple[str, dict[str, Any], Wounds]]:
        nets = [("this net", FIRST, self.net)]
        return [*nets, ("plain twin", SECOND, self.twin)] if self.twin else nets

    def _each(self, axes: "Axes") -> None:
        names = list(self.net.dropped) + [
            n for n in (self.twin.dropped if self.twin else {}) if n not in self.net.dropped
        ]
        for label, style, one in self._nets():
            known = [(i, 100 * one.dropped[name]) for i, name in enumerate(names) if name in one.dropped]
            axes.plot(*zip(*known, strict=True), label=label, **{**style, "linestyle": ""})
            axes.axhline(100 * one.intact, lw=0.8, color=style["color"], ls=style.get("linestyle", "-"))
        self._chance(axes, "error (%)")
        by_depth(axes, names)
        axes.set_xlabel("the one block that is dropped (lines: the whole net; dotted: chance)")
        if self.twin:
            axes.legend(frameon=False, loc="center right")

    def _several(self, axes: "Axes") -> None:
        for _, style, one in self._nets():
            known = {0: (one.intact,), 1: tuple(one.dropped.values()), **one.several}
            counts, middle = list(known), [100 * mean(errors) for errors in known.values()]
            spread = [[m - 100 * min(e) for m, e in zip(middle, known.values(), strict=True)],
                      [100 * max(e) - m for m, e in zip(middle, known.values(), strict=True)]]  # fmt: skip
            axes.errorbar(counts, middle, spread, capsize=2, **style)
        self._chance(axes, "error (%)")
        counted(axes)
        axes.set_xlabel("blocks dropped at random (bars: least, most)")

    def _swapped(self, axes: "Axes") -> None:
        names = list(dict.fromkeys(_pair(a, b) for _, _, one in self._nets() for a, b in one.swapped))
        for _, style, one in self._nets():
            known = [(names.index(_pair(a, b)), 100 * e) for (a, b), e in one.swapped.items()]
            if known:
                axes.plot(*zip(*known, strict=True), **{**style, "linestyle": ""})
            axes.axhline(100 * one.intact, lw=0.8, color=style["color"], ls=style.get("linestyle", "-"))
        self._chance(axes, "error (%)")
        if names:
            by_depth(axes, names, most=9)
        else:
            axes.set_xticks([])
        axes.set_xlabel("neighbours swapped" if names else "no neighbours of equal shape to swap")

    def _chance(self, axes: "Axes", label: str) -> None:
        axes.axhline(100 * (1 - 1 / self.net.classes), lw=0.8, color="0.5", ls=":")
        axes.set_ylim(-4, 104)
        axes.set_ylabel(label)
        plain(axes)


def _pair(one: str, other: str) -> str:
    return f"{one}, {other.rpartition('.')[2]}"


def lesion(
    net: nn.Module, pictures: Pictures, twin: nn.Module | None = None, *, draws: int = 3,
    counts: Sequence[int] | None = None, seed: int = 0, batch: int = 50, tell: Tell = silent,
) -> LesionResult:  # fmt: skip
    """The error after dropping each block, several at random, and after swapping neighbours of equal shape.

    A residual block is dropped by cutting its branch: the shortcut, projected or not, carries on (arXiv:1605.06431,
    section 4.1). In a net that concatenates, what a layer made counts as zero wherever it is read. In a plain net a
    block is skipped where its input has its output's shape. `twin` is such a net (`build("plain20")`), measured in the
    same way. `counts` are the numbers of blocks to drop at once, each in so many `draws`; of themselves six from 2 to
    all. Only what lies behind a change is computed (`sweep`). Raises AnalysisError where there is nothing to drop.
    """
    nets = [net] if twin is None else [net, twin]
    plans = [_Plan(one, pictures, draws, counts, random.Random(seed), batch) for one in nets]  # noqa: S311
    done, total = itertools.count(1), sum(plan.steps for plan in plans)
    tell(0, total)
    found = [plan.run(lambda: tell(next(done), total)) for plan in plans]
    return LesionResult(found[0], found[1] if twin is not None else None, len(pictures))


class _Plan:
    """All changes of one net, and the sweep that makes them."""

    def __init__(
        self, net: nn.Module, pictures: Pictures, draws: int, counts: Sequence[int] | None, dice: random.Random,
        batch: int,
    ) -> None:  # fmt: skip
        size = size_of(pictures)
        self.net, self.pictures, self.batch = net, placed(pictures, net), batch
        followed = follow(net, size)
        self.drops = targets(net, followed, size)
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
        return Wounds(classes, errors[()], dropped, several, {(s.one, s.other): errors[s] for s in self.swaps})


def _counts(blocks: int, asked: Sequence[int] | None) -> list[int]:
    """How many blocks are dropped at once: those asked for, or a few from 2 to all."""
    if asked is None:
        step = max(1, -(-(blocks - 1) // COUNTS))
        return list(range(2, blocks + 1, step))
    if wrong := [k for k in asked if not 1 <= k <= blocks]:
        raise AnalysisError(f"{wrong[0]} blocks cannot be dropped: this net has {blocks}.")
    return list(asked)
