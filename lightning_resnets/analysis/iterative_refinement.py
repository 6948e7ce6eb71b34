"""Apply the head of a model to the output of each block of its last stage.

Greff, Srivastava, Schmidhuber 2017, arXiv:1612.07771 (blocks of a stage refine one estimate);
Jastrzebski et al. 2018, arXiv:1710.04773, section 4 (the head after every block).
"""

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_resnets.analysis.block_outputs import BlockOutput, ModelTail, block_outputs
from lightning_resnets.analysis.eval_context import device_of, eval_mode, image_size
from lightning_resnets.analysis.refinement_result import (
    IterativeRefinementResult as IterativeRefinementResult,
)
from lightning_resnets.analysis.result import (
    LabeledImages,
    ProgressCallback,
    check_labels,
    display_name,
    no_progress,
    track_progress,
)
from lightning_resnets.errors import AnalysisError
from lightning_resnets.graph import TracedModel, trace_nodes
from lightning_resnets.interventions.record import record_activations
from lightning_resnets.utils.format import format_shape, join_first

BATCH_SIZE = 50


@dataclass(slots=True)
class RefinementAccumulator:
    """Sums over images for one block; the fields are those of IterativeRefinementResult."""

    correct: float = 0.0
    probability: float = 0.0
    logit: float = 0.0
    agreement: float = 0.0
    step: float = 0.0
    cosine: float = 0.0

    def add_predictions(self, logits: Tensor, labels: Tensor, final: Tensor) -> None:
        """Add the predictions of one batch.

        Args:
            logits: the head's output (N, K).
            labels: labels (N,).
            final: classes that the whole model predicts (N,).
        """
        predictions = logits.argmax(1)
        # (N, 1), to gather one value per image.
        true_class = labels[:, None]
        self.correct += float((predictions == labels).sum())
        self.agreement += float((predictions == final).sum())
        self.probability += float(logits.softmax(1).gather(1, true_class).sum())
        self.logit += float(logits.gather(1, true_class).sum())

    def add_step(self, before: Tensor, after: Tensor, descent: Tensor) -> None:
        """Add the change from one map to the next, and its cosine with the descent direction.

        Args:
            before: map of the previous block (N, C, H, W).
            after: map of this block.
            descent: negative gradient of the loss at `before`.
        """
        # Norms per image, over all of (C, H, W).
        change = (after - before).flatten(1)
        # A map of zeros must not divide by zero.
        size = before.flatten(1).norm(dim=1).clamp(min=1e-12)
        self.step += float((change.norm(dim=1) / size).sum())
        self.cosine += float(F.cosine_similarity(change, descent.flatten(1)).sum())


def iterative_refinement(
    model: nn.Module,
    images: LabeledImages,
    *,
    batch_size: int = BATCH_SIZE,
    model_name: str = "",
    progress: ProgressCallback = no_progress,
) -> IterativeRefinementResult:
    """Apply the model's own head after every block of the last stage.

    After Greff, Srivastava, Schmidhuber (2017): Highway and Residual Networks Learn Unrolled
    Iterative Estimation, and Jastrzebski, Arpit, Ballas, Verma, Che, Bengio (2018): Residual
    Connections Encourage Iterative Inference. Nothing is trained: if blocks refine one estimate,
    the head can read it after each of them.

    Args:
        model: a trained model.
        images: images and labels.
        batch_size: images per forward pass.
        model_name: name in tables and figures; the class name if empty.
        progress: called after every batch; it may raise AnalysisCancelled.

    Returns:
        Means over images by block.

    Raises:
        AnalysisError: the last stage has fewer than two blocks of one output shape, or the head
            reads more than the last block.
    """
    traced = trace_nodes(model, image_size(images))
    blocks = last_stage(model, traced)
    # The same head for every block: all outputs have the last one's shape.
    tail = ModelTail(model, traced, blocks[-1])
    sums = [RefinementAccumulator() for _ in blocks]
    device = device_of(model)
    with eval_mode(model):
        for batch, labels in track_progress(list(images.batches(batch_size)), progress):
            _accumulate(model, tail, blocks, batch.to(device), labels.to(device), sums)
    count = len(images)
    return IterativeRefinementResult(
        tuple(block.block for block in blocks),
        tuple(one.correct / count for one in sums),
        tuple(one.probability / count for one in sums),
        tuple(one.logit / count for one in sums),
        tuple(one.agreement / count for one in sums),
        # The first block has no map of the same shape before it.
        (None, *(one.step / count for one in sums[1:])),
        (None, *(one.cosine / count for one in sums[1:])),
        count,
        display_name(model, model_name),
    )


def last_stage(model: nn.Module, traced: TracedModel) -> list[BlockOutput]:
    """Find the blocks of the last stage whose outputs have one shape.

    A layer of that shape behind the stage, as in a highway network, belongs to the head.

    Args:
        model: the model.
        traced: its traced graph.

    Returns:
        Two or more blocks in order.

    Raises:
        AnalysisError: there are fewer than two.
    """
    # Layers outside blocks, such as the last convolution of the stem, refine nothing.
    outputs = block_outputs(model, traced)
    composite = [output for output in outputs if output.is_composite]
    runs = [list(run) for _, run in itertools.groupby(composite, _stage_and_shape)]
    for run in reversed(runs):
        if run[0].shape != composite[-1].shape:
            break
        if len(run) > 1:
            return run
    raise AnalysisError(_last_stage_message(composite or list(outputs)))


def _stage_and_shape(output: BlockOutput) -> tuple[str, tuple[int, ...]]:
    """Return what the blocks of a stage have in common."""
    return output.stage, output.shape


def _last_stage_message(outputs: list[BlockOutput]) -> str:
    """Return the error message for a last stage of fewer than two blocks of one shape."""
    shapes = join_first(f"{output.block} {format_shape(output.shape)}" for output in outputs[-4:])
    return (
        "The last stage must have at least two blocks of one output shape, so that the head can be "
        f"applied after each. Last blocks of this model: {shapes or 'none'}."
    )


def _accumulate(
    model: nn.Module,
    tail: ModelTail,
    blocks: list[BlockOutput],
    images: Tensor,
    labels: Tensor,
    sums: list[RefinementAccumulator],
) -> None:
    """Add one batch to the sums of every block."""
    with torch.no_grad(), record_activations(model, [b.hook_point for b in blocks]) as recording:
        # The whole model's prediction, to measure agreement.
        final = model(images).argmax(1)
    before: Tensor | None = None
    descent: Tensor | None = None  # negative gradient of the loss at `before`
    for block, one in zip(blocks, sums, strict=True):
        value = recording.outputs[block.hook_point].detach()
        logits, gradient = _apply_head(tail, value, labels)
        one.add_predictions(logits, labels, final)
        if before is not None and descent is not None:
            one.add_step(before, value, descent)
        before = value
        descent = -gradient


def _apply_head(tail: ModelTail, value: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the head's output (N, K) for a map, and the gradient of the loss at the map."""
    # A new leaf: the gradient stops at this block's output.
    value = value.detach().requires_grad_()
    with torch.enable_grad():
        logits, labels = check_labels(tail(value), labels)
        loss = F.cross_entropy(logits, labels, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, value)
    return logits.detach(), gradient
