"""What breaks when blocks of a trained model are dropped or change places.

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

from lightning_resnets.analysis.ablation_targets import (
    ablation_targets,
    supported_targets,
    swappable_neighbors,
)
from lightning_resnets.analysis.eval_context import (
    eval_mode,
    image_size,
    to_model_device,
    with_merges,
)
from lightning_resnets.analysis.plotting import (
    REFERENCE_LINE,
    SERIES_1,
    SERIES_2,
    add_legend_below,
    figure_title,
    finish_figure,
    markers_only,
    set_block_ticks,
    set_integer_ticks,
)
from lightning_resnets.analysis.result import (
    LabeledImages,
    ProgressCallback,
    Table,
    check_labels,
    display_names,
    no_progress,
)
from lightning_resnets.errors import AnalysisError
from lightning_resnets.graph import trace_nodes
from lightning_resnets.interventions.edits import Intervention
from lightning_resnets.interventions.sweep import SweepRunner

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


NUM_DROP_COUNTS = 6  # how many numbers of blocks are tried


@dataclass(frozen=True, slots=True)
class LesionErrors:
    """Errors (shares of the images) of one model: whole, without each block, without several, with two swapped.

    `left_out` says in a sentence why a block of the model was not dropped.
    """

    num_classes: int
    baseline_error: float
    error_without_block: dict[str, float]
    error_without_k_blocks: dict[int, tuple[float, ...]]  # by how many, one for each draw
    error_with_swap: dict[tuple[str, str], float]
    skipped_blocks: dict[str, str] = field(default_factory=dict[str, str])

    def rows(self, name: str) -> Iterator[tuple[str, str, int, float | None, str]]:
        yield name, "intact", 0, self.baseline_error, ""
        for block, error in self.error_without_block.items():
            yield name, f"without {block}", 1, error, ""
        for block, why in self.skipped_blocks.items():
            yield name, f"without {block}", 1, None, why
        for k, errors in self.error_without_k_blocks.items():
            yield from ((name, f"without {k} at random", k, error, "") for error in errors)
        for (one, other), error in self.error_with_swap.items():
            yield name, f"{one} and {other} swapped", 2, error, ""


@dataclass(frozen=True, slots=True)
class LesionResult:
    """What `lesion` found of a model and of its twin, over so many images."""

    errors: LesionErrors
    baseline_errors: LesionErrors | None
    num_images: int
    model_name: str = "model"
    baseline_name: str = "twin"

    def tables(self) -> dict[str, Table]:
        """`lesion`: a row for each change of each model; one without an error says in `note` why it was not made."""
        rows = (row for name, _, one in self._models() for row in one.rows(name))
        return {"lesion": Table(("model", "change", "blocks", "error", "note"), tuple(rows))}

    def draw(self, figure: "Figure") -> None:
        """Error without each block; by how many are missing; with neighbors swapped, where there are such."""
        swapped = any(one.error_with_swap for _, _, one in self._models())
        mosaic: list[Any] = [["each", "each"], ["several", "swapped" if swapped else "several"]]
        grid = figure.subplot_mosaic(mosaic, height_ratios=(1.2, 1))
        self._each(grid["each"])
        self._several(grid["several"])
        if swapped:
            self._swapped(grid["swapped"])
        add_legend_below(figure, grid["each"], columns=3)
        names = [name for name, _, _ in self._models()]
        finish_figure(
            figure, figure_title("error when blocks are dropped or swapped", names, self.num_images)
        )

    def _models(self) -> list[tuple[str, dict[str, Any], LesionErrors]]:
        models = [(self.model_name, SERIES_1, self.errors)]
        return (
            [*models, (self.baseline_name, SERIES_2, self.baseline_errors)]
            if self.baseline_errors
            else models
        )

    def _each(self, axes: "Axes") -> None:
        names = list(
            dict.fromkeys(name for _, _, one in self._models() for name in one.error_without_block)
        )
        for label, look, one in self._models():
            known = [
                (i, 100 * one.error_without_block[name])
                for i, name in enumerate(names)
                if name in one.error_without_block
            ]
            axes.plot(*zip(*known, strict=True), label=f"{label}, changed", **markers_only(look))
        self._lines(axes)
        set_block_ticks(axes, names)
        axes.set_xlabel("the one block that is dropped" + self._left_out())

    def _left_out(self) -> str:
        count = sum(len(one.skipped_blocks) for _, _, one in self._models())
        return f" ({count} cannot be: see the table)" if count else ""

    def _several(self, axes: "Axes") -> None:
        for _, look, one in self._models():
            known = {
                0: (one.baseline_error,),
                1: tuple(one.error_without_block.values()),
                **one.error_without_k_blocks,
            }
            counts, middle = list(known), [100 * mean(errors) for errors in known.values()]
            spread = [
                [m - 100 * min(e) for m, e in zip(middle, known.values(), strict=True)],
                [100 * max(e) - m for m, e in zip(middle, known.values(), strict=True)],
            ]
            axes.errorbar(counts, middle, spread, capsize=2, **look)
        self._lines(axes)
        set_integer_ticks(
            axes, max(max(one.error_without_k_blocks, default=1) for _, _, one in self._models())
        )
        axes.set_xlabel("number of blocks dropped at random (bars: least, most)")

    def _swapped(self, axes: "Axes") -> None:
        names = list(
            dict.fromkeys(
                _pair(a, b) for _, _, one in self._models() for a, b in one.error_with_swap
            )
        )
        for _, look, one in self._models():
            known = [
                (names.index(_pair(a, b)), 100 * e) for (a, b), e in one.error_with_swap.items()
            ]
            if known:
                axes.plot(*zip(*known, strict=True), **markers_only(look))
        self._lines(axes)
        set_block_ticks(axes, names)
        axes.set_xlabel("the two neighbors swapped")

    def _lines(self, axes: "Axes") -> None:
        """The whole models and chance, to compare with."""
        for name, look, one in self._models():
            line = {**REFERENCE_LINE, "color": look["color"], "linestyle": look["linestyle"]}
            axes.axhline(
                100 * one.baseline_error,
                label=f"{name}, intact ({100 * one.baseline_error:.1f} %)",
                **line,
            )
        chance = 100 * (1 - 1 / self.errors.num_classes)
        axes.axhline(
            chance, label=f"chance ({chance:.4g} %)", **{**REFERENCE_LINE, "linestyle": ":"}
        )
        axes.set_ylim(-4, 104)
        axes.set_ylabel("error (%)")


def _pair(one: str, other: str) -> str:
    return f"{one}, {other.rpartition('.')[2]}"


def lesion(
    model: nn.Module,
    images: LabeledImages,
    baseline: nn.Module | None = None,
    *,
    draws: int = 3,
    counts: Sequence[int] | None = None,
    seed: int = 0,
    batch: int = 50,
    name: str = "",
    baseline_name: str = "",
    progress: ProgressCallback = no_progress,
) -> LesionResult:
    """The error after dropping each block, several at random, and after swapping neighbors of equal shape.

    The experiment of Veit, Wilber, Belongie (2016): Residual Networks Behave Like Ensembles of Relatively Shallow
    Networks. A residual block is dropped by cutting its branch: the shortcut, projected or not, carries on (section
    4.1). In a model that concatenates, what a layer made counts as zero wherever it is read. In a plain model a block is
    skipped where its input has its output's shape. `twin` is such a model (`build("plain20")`), measured in the same
    way. `counts` are the numbers of blocks to drop at once, each in so many `draws`; of themselves six from 2 to all.
    Only what lies behind a change is computed (`sweep`). `name` and `twin_name` are what the models are called in tables
    and figure (their classes). `tell(done, total)` hears of every batch of every change; it may raise Cancelled, and
    the model is left as it was. Returns errors as shares of the images, with a sentence for each block that could not
    be dropped; raises AnalysisError where there is nothing to drop.
    """
    models = [
        with_merges(one, image_size(images))
        for one in ([model] if baseline is None else [model, baseline])
    ]
    plans = [_Plan(one, images, draws, counts, random.Random(seed), batch) for one in models]  # noqa: S311
    done, total = itertools.count(1), sum(plan.steps for plan in plans)
    progress(0, total)
    found = [plan.run(lambda: progress(next(done), total)) for plan in plans]
    names = display_names(model, baseline, name, baseline_name)
    return LesionResult(found[0], found[1] if baseline is not None else None, len(images), *names)


class _Plan:
    """All changes of one model, and the sweep that makes them."""

    def __init__(
        self,
        model: nn.Module,
        images: LabeledImages,
        draws: int,
        counts: Sequence[int] | None,
        dice: random.Random,
        batch: int,
    ) -> None:
        size = image_size(images)
        self.model, self.images, self.batch = model, to_model_device(images, model), batch
        followed = trace_nodes(model, size)
        self.drops, self.left_out = supported_targets(
            model, followed, ablation_targets(model, followed, size)
        )
        drops = list(self.drops.values())
        self.several = [
            tuple(dice.sample(drops, k)) for k in _counts(len(drops), counts) for _ in range(draws)
        ]
        self.swaps = swappable_neighbors(model, followed, self.drops, size)
        self.changes: list[Intervention | tuple[Intervention, ...]] = list(
            dict.fromkeys((*drops, *self.several, *self.swaps))
        )
        self.sweep = SweepRunner[Intervention | tuple[Intervention, ...]](
            model, followed, [*self.changes, ()]
        )
        self.steps = len(self.changes) * -(-len(images) // batch)

    def run(self, step: Callable[[], None]) -> LesionErrors:
        wrong, classes = Counter[Intervention | tuple[Intervention, ...]](), 0
        with eval_mode(self.model), torch.inference_mode():
            for pixels, labels in self.images.batches(self.batch):
                for change, logits in self.sweep.run(pixels):
                    logits, labels = check_labels(logits, labels)
                    wrong[change] += int((logits.argmax(1) != labels).sum())
                    classes = logits.shape[1]
                    if change:
                        step()
        return self.named(
            classes, {change: count / len(self.images) for change, count in wrong.items()}
        )

    def named(
        self, num_classes: int, errors: Mapping[Intervention | tuple[Intervention, ...], float]
    ) -> LesionErrors:
        several: dict[int, tuple[float, ...]] = {}
        for drops in self.several:
            several[len(drops)] = (*several.get(len(drops), ()), errors[drops])
        dropped = {name: errors[drop] for name, drop in self.drops.items()}
        swapped = {(swap.first, swap.second): errors[swap] for swap in self.swaps}
        return LesionErrors(num_classes, errors[()], dropped, several, swapped, self.left_out)


def _counts(blocks: int, asked: Sequence[int] | None) -> list[int]:
    """How many blocks are dropped at once: those asked for, or a few from 2 to all."""
    if asked is None:
        return (
            sorted(
                {
                    round(2 + i * (blocks - 2) / (NUM_DROP_COUNTS - 1))
                    for i in range(NUM_DROP_COUNTS)
                }
            )
            if blocks > 1
            else []
        )
    if wrong := [k for k in asked if not 1 <= k <= blocks]:
        raise AnalysisError(f"{wrong[0]} blocks cannot be dropped: this model has {blocks}.")
    return list(asked)
