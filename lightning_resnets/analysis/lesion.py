"""Measure the error of a trained model when blocks are dropped or swapped.

Veit, Wilber, Belongie: Residual Networks Behave Like Ensembles of Relatively Shallow Networks,
arXiv:1605.06431, sections 4.1 to 4.3, Fig. 3 and 5.
"""

import itertools
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

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
from lightning_resnets.analysis.lesion_result import LesionErrors as LesionErrors
from lightning_resnets.analysis.lesion_result import LesionResult as LesionResult
from lightning_resnets.analysis.result import (
    LabeledImages,
    ProgressCallback,
    check_labels,
    display_names,
    no_progress,
)
from lightning_resnets.errors import AnalysisError
from lightning_resnets.graph import trace_nodes
from lightning_resnets.interventions.edits import Intervention
from lightning_resnets.interventions.sweep import SweepRunner

Change = Intervention | tuple[Intervention, ...]

NUM_DROP_COUNTS = 6  # how many values of k are tried in "without k blocks"


def lesion(
    model: nn.Module,
    images: LabeledImages,
    baseline: nn.Module | None = None,
    *,
    num_draws: int = 3,
    drop_counts: Sequence[int] | None = None,
    seed: int = 0,
    batch_size: int = 50,
    model_name: str = "",
    baseline_name: str = "",
    progress: ProgressCallback = no_progress,
) -> LesionResult:
    """Measure the error after dropping each block, several at random, and swapping neighbors.

    The experiment of Veit, Wilber, Belongie (2016): Residual Networks Behave Like Ensembles of
    Relatively Shallow Networks. A residual block is dropped by cutting its branch, so the shortcut
    remains (section 4.1). In a model with dense layers, a layer's output counts as zero wherever
    it is read. In a plain model a block is bypassed if its output has the shape of its input.
    Only layers downstream of a change are recomputed (`sweep`).

    Args:
        model: a trained model.
        images: images and labels.
        baseline: a model to measure in the same way, such as `create_model("plain20")`.
        num_draws: random draws for each number of dropped blocks.
        drop_counts: numbers of blocks to drop at once; None for six values from 2 to all.
        seed: seed of the random draws.
        batch_size: images per forward pass.
        model_name: name in tables and figures; the class name if empty.
        baseline_name: name of the baseline; its class name if empty.
        progress: called after every batch of every change; it may raise AnalysisCancelled.

    Returns:
        Errors as fractions of the images, and a reason for each block that was not dropped.

    Raises:
        AnalysisError: a model has nothing to drop, or a drop count exceeds its blocks.
    """
    models = [model] if baseline is None else [model, baseline]
    merged = [with_merges(one, image_size(images)) for one in models]
    # Both models with the same seed, so that equal models get equal draws.
    plans = [_LesionPlan(one, images, num_draws, drop_counts, seed, batch_size) for one in merged]
    total = sum(plan.num_steps for plan in plans)
    # One counter for both models.
    done = itertools.count(1)
    progress(0, total)
    errors = [plan.run(lambda: progress(next(done), total)) for plan in plans]
    names = display_names(model, baseline, model_name, baseline_name)
    return LesionResult(errors[0], None if baseline is None else errors[1], len(images), *names)


class _LesionPlan:
    """All changes of one model, and the sweep that applies them."""

    def __init__(
        self,
        model: nn.Module,
        images: LabeledImages,
        num_draws: int,
        drop_counts: Sequence[int] | None,
        seed: int,
        batch_size: int,
    ) -> None:
        input_size = image_size(images)
        traced = trace_nodes(model, input_size)
        self.model = model
        self.images = to_model_device(images, model)
        self.batch_size = batch_size
        targets = ablation_targets(model, traced, input_size)
        self.drops, self.skipped = supported_targets(model, traced, targets)
        drops = list(self.drops.values())
        counts = _drop_counts(len(drops), drop_counts)
        self.random_drops = _draw_drops(drops, counts, num_draws, seed)
        self.swaps = swappable_neighbors(model, traced, self.drops, input_size)
        # Two draws may agree, and every change is measured once.
        self.changes: list[Change] = list(dict.fromkeys((*drops, *self.random_drops, *self.swaps)))
        # The empty change is the intact model.
        self.sweep = SweepRunner[Change](model, traced, [*self.changes, ()])
        self.num_steps = len(self.changes) * -(-len(images) // batch_size)

    def run(self, on_step: Callable[[], None]) -> LesionErrors:
        """Measure the error of every change.

        Args:
            on_step: called after each batch of each change.

        Returns:
            Errors as fractions of the images.
        """
        num_wrong = Counter[Change]()
        num_classes = 0
        with eval_mode(self.model), torch.inference_mode():
            for batch, labels in self.images.batches(self.batch_size):
                for change, logits in self.sweep.run(batch):
                    check_labels(logits, labels)
                    num_wrong[change] += int((logits.argmax(1) != labels).sum())
                    # Only the logits tell the number of classes.
                    num_classes = logits.shape[1]
                    # The intact model is not counted as a step.
                    if change:
                        on_step()
        errors = {change: count / len(self.images) for change, count in num_wrong.items()}
        return self._by_name(num_classes, errors)

    def _by_name(self, num_classes: int, errors: Mapping[Change, float]) -> LesionErrors:
        """Sort errors by blocks, number of dropped blocks and swapped pairs."""
        without_k: dict[int, tuple[float, ...]] = {}
        for drops in self.random_drops:
            without_k[len(drops)] = (*without_k.get(len(drops), ()), errors[drops])
        return LesionErrors(
            num_classes,
            errors[()],
            {name: errors[drop] for name, drop in self.drops.items()},
            without_k,
            {(swap.first, swap.second): errors[swap] for swap in self.swaps},
            self.skipped,
        )


def _draw_drops(
    drops: list[Intervention], counts: Sequence[int], num_draws: int, seed: int
) -> list[tuple[Intervention, ...]]:
    """Draw `num_draws` sets of k drops for each count k."""
    rng = random.Random(seed)  # noqa: S311 - no secret depends on it
    drawn: list[tuple[Intervention, ...]] = []
    for k in counts:
        # Without replacement: k different blocks.
        drawn += [tuple(rng.sample(drops, k)) for _ in range(num_draws)]
    return drawn


def _drop_counts(num_blocks: int, requested: Sequence[int] | None) -> list[int]:
    """Return the numbers of blocks to drop at once: the requested ones, or a few from 2 to all."""
    if requested is None:
        # A single block is dropped alone already.
        if num_blocks < 2:
            return []
        steps = NUM_DROP_COUNTS - 1
        # Evenly from 2 to all blocks; a set, because a small model has equal values.
        return sorted({round(2 + i * (num_blocks - 2) / steps) for i in range(NUM_DROP_COUNTS)})
    invalid = [k for k in requested if not 1 <= k <= num_blocks]
    if invalid:
        raise AnalysisError(
            f"drop_counts must be between 1 and the model's {num_blocks} blocks, got {invalid[0]}."
        )
    return list(requested)
