"""How an answer grows: the head of a model applied to what each block of its last stage gives, not the last one alone.

Greff, Srivastava, Schmidhuber 2017, arXiv:1612.07771 (blocks of a stage refine one estimate); Jastrzebski et al. 2018,
arXiv:1710.04773, section 4 (the head behind every block).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from lightning_resnets.analysis.block_outputs import (
    BlockOutput,
    ModelTail,
    block_outputs,
    device_of,
)
from lightning_resnets.analysis.plotting import (
    REFERENCE_LINE,
    SERIES_1,
    SERIES_2,
    SERIES_3,
    add_legend,
    figure_title,
    finish_figure,
    set_block_ticks,
)
from lightning_resnets.analysis.result import (
    Cell,
    LabeledImages,
    ProgressCallback,
    Table,
    check_labels,
    display_name,
    no_progress,
    track_progress,
)
from lightning_resnets.errors import AnalysisError
from lightning_resnets.graph import TracedModel, trace_nodes
from lightning_resnets.interventions.hook_points import join_first
from lightning_resnets.interventions.record import record_activations

if TYPE_CHECKING:
    from matplotlib.figure import Figure


BATCH_SIZE = 50


@dataclass(frozen=True, slots=True, eq=False)
class IterativeRefinementResult:
    """By block of the last stage, in order.

    `accuracy` is the share of images that the head gets right behind the block, `probability` and `logit` the mean
    probability and the mean score that it gives the true class, `agreement` the share of images where it predicts
    what the whole model does. `step` is how far the block moves its map, |out - in| / |in|, `cosine` that between what it
    adds and the direction in which the loss falls fastest; None for the first.
    """

    blocks: tuple[str, ...]
    accuracy: tuple[float, ...]
    probability: tuple[float, ...]
    mean_logit: tuple[float, ...]
    agreement: tuple[float, ...]
    step: tuple[float | None, ...]
    cosine: tuple[float | None, ...]
    num_images: int
    name: str = "model"

    def tables(self) -> dict[str, Table]:
        columns = (
            "model",
            "block",
            "accuracy",
            "probability",
            "logit",
            "agreement",
            "step",
            "cosine",
            "images",
        )
        values = (
            self.blocks,
            self.accuracy,
            self.probability,
            self.mean_logit,
            self.agreement,
            self.step,
            self.cosine,
        )
        rows: list[tuple[Cell, ...]] = [
            (self.name, *row, self.num_images) for row in zip(*values, strict=True)
        ]
        return {"refinement": Table(columns, tuple(rows))}

    def draw(self, figure: "Figure") -> None:
        """Left what the head answers behind each block, right how far each block goes and whether downhill."""
        left, right = figure.subplots(1, 2)
        for label, look, values in (
            ("agreement with the final prediction", SERIES_3, self.agreement),
            ("accuracy", SERIES_1, self.accuracy),
            ("probability of the true class", SERIES_2, self.probability),
        ):
            left.plot([100 * value for value in values], label=label, **look)
        left.set_ylim(0, 104)
        left.set_ylabel("mean over the images (%)")
        left.set_title("the head behind every block")
        for label, look, values in (
            ("relative step |out − in| / |in|", SERIES_1, self.step),
            ("cosine of step and −gradient", SERIES_2, self.cosine),
        ):
            known = [(i, value) for i, value in enumerate(values) if value is not None]
            right.plot(*zip(*known, strict=True), label=label, **look)
        right.axhline(0, **REFERENCE_LINE)
        right.set_title("what each block does to the map")
        right.set_ylabel("mean over the images")
        for axes in (left, right):
            set_block_ticks(axes, self.blocks)
            axes.set_xlabel("block of the last stage")
            add_legend(axes)
        finish_figure(
            figure, figure_title("refinement in the last stage", (self.name,), self.num_images)
        )


@dataclass(slots=True)
class RefinementAccumulator:
    """What is added up over images for one block."""

    correct: float = 0.0
    probability: float = 0.0
    logit: float = 0.0
    agreement: float = 0.0
    step: float = 0.0
    cosine: float = 0.0


def iterative_refinement(
    model: nn.Module,
    images: LabeledImages,
    batch: int = BATCH_SIZE,
    name: str = "",
    progress: ProgressCallback = no_progress,
) -> IterativeRefinementResult:
    """The model's own head behind every block of the last stage whose map has the shape of the last one.

    After Greff, Srivastava, Schmidhuber (2017): Highway and Residual Networks Learn Unrolled Iterative Estimation, and
    Jastrzebski, Arpit, Ballas, Verma, Che, Bengio (2018): Residual Connections Encourage Iterative Inference. Nothing
    is trained: where blocks refine one estimate, the head can read it behind each. `name` is what the model is called in
    tables and figure (its class). `tell(done, total)` hears of every batch; it may raise Cancelled, and the model is left
    as it was. Returns means over the images by block; raises AnalysisError for a model whose last stage holds fewer
    than two blocks of one shape, or whose head sees more than the last block.
    """
    size = tuple(images.images.shape[1:])
    followed = trace_nodes(model, size)  # pyright: ignore[reportArgumentType]
    found = last_stage(model, followed)
    tail = ModelTail(model, followed, found[-1])
    modes = {module: module.training for module in model.modules()}
    sums = [RefinementAccumulator() for _ in found]
    try:
        model.eval()
        for pixels, labels in track_progress(list(images.batches(batch)), progress):
            _count(
                model, tail, found, pixels.to(device_of(model)), labels.to(device_of(model)), sums
            )
    finally:
        for module, mode in modes.items():
            module.training = mode
    total = len(images)

    def mean(field: str) -> tuple[float, ...]:
        return tuple(getattr(one, field) / total for one in sums)

    return IterativeRefinementResult(
        tuple(place.block for place in found),
        mean("right"),
        mean("share"),
        mean("logit"),
        mean("same"),
        (None, *mean("step")[1:]),
        (None, *mean("cosine")[1:]),
        total,
        display_name(model, name),
    )


def last_stage(model: nn.Module, followed: TracedModel) -> list[BlockOutput]:
    """The blocks at the end of the last stage that give maps of one shape, in order."""
    known = block_outputs(model, followed)
    whole = [place for place in known if place.is_composite]
    found: list[BlockOutput] = []
    for place in reversed(whole):
        if place.shape != whole[-1].shape or place.stage != whole[-1].stage:
            break
        found.insert(0, place)
    if len(found) < 2:
        shapes = join_first(
            f"{place.block} {'×'.join(map(str, place.shape))}" for place in (whole or known)[-4:]
        )
        raise AnalysisError(
            "Refinement needs a last stage of two or more blocks that give maps of one shape, for the head to stand "
            f"behind each: this model ends with {shapes or 'no block that gives a map'}."
        )
    return found


def _count(
    model: nn.Module,
    tail: ModelTail,
    found: list[BlockOutput],
    images: Tensor,
    labels: Tensor,
    sums: list[RefinementAccumulator],
) -> None:
    with torch.no_grad(), record_activations(model, [place.hook_point for place in found]) as seen:
        answers = model(images).argmax(1)
    before: tuple[Tensor, Tensor] | None = None  # a map, and where the loss falls fastest from it
    for place, one in zip(found, sums, strict=True):
        value = seen.outputs[place.hook_point].detach().requires_grad_()
        with torch.enable_grad():
            logits, labels = check_labels(tail(value), labels)
            loss = nn.functional.cross_entropy(logits, labels, reduction="sum")
            (gradient,) = torch.autograd.grad(loss, value)
        own = labels[:, None]
        one.correct += float((logits.argmax(1) == labels).sum())
        one.agreement += float((logits.argmax(1) == answers).sum())
        one.probability += float(logits.detach().softmax(1).gather(1, own).sum())
        one.logit += float(logits.detach().gather(1, own).sum())
        if before is not None:
            moved = (value.detach() - before[0]).flatten(1)
            one.step += float(
                (moved.norm(dim=1) / before[0].flatten(1).norm(dim=1).clamp(min=1e-12)).sum()
            )
            one.cosine += float(nn.functional.cosine_similarity(moved, before[1].flatten(1)).sum())
        before = value.detach(), -gradient
