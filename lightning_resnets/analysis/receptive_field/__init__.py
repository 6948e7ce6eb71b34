"""Compute the receptive field of each block: theoretical from the graph, effective by gradients.

Theoretical: arithmetic of windows and strides, as in Dumoulin & Visin 2016, arXiv:1603.07285, along
the shortest and the longest path. Effective: Luo et al. 2016, arXiv:1701.04128, section 2: the
gradient of the center of a map.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lightning_resnets.analysis.block_outputs import BlockOutput, block_outputs, select_blocks
from lightning_resnets.analysis.eval_context import device_of, eval_mode, with_merges
from lightning_resnets.analysis.receptive_field.field_result import (
    ReceptiveFieldResult as ReceptiveFieldResult,
)
from lightning_resnets.analysis.receptive_field.field_result import (
    field_width_and_spread as field_width_and_spread,
)
from lightning_resnets.analysis.receptive_field.propagate import receptive_fields
from lightning_resnets.analysis.result import (
    LabeledImages,
    ProgressCallback,
    display_name,
    no_progress,
    track_progress,
)
from lightning_resnets.errors import AnalysisError
from lightning_resnets.graph import TracedModel, trace_nodes
from lightning_resnets.interventions import Intervention, ScaleInput, intervene
from lightning_resnets.interventions.record import record_activations
from lightning_resnets.merges import MergeKind

Field = NDArray[np.float32]


def receptive_field(
    model: nn.Module,
    input_size: tuple[int, int, int] = (3, 32, 32),
    *,
    blocks: Iterable[str] | None = None,
    images: LabeledImages | int = 10,
    without_skips: bool = True,
    seed: int = 0,
    model_name: str = "",
    progress: ProgressCallback = no_progress,
) -> ReceptiveFieldResult:
    """Compute the theoretical and effective receptive field of each block.

    Theoretical fields follow Dumoulin, Visin (2016): A guide to convolution arithmetic for deep
    learning. Effective fields follow Luo, Li, Urtasun, Zemel (2016): Understanding the Effective
    Receptive Field in Deep Convolutional Neural Networks, averaged over images.

    Args:
        model: the model.
        input_size: shape (C, H, W) of one image; ignored if `images` are given.
        blocks: names of blocks; None for all.
        images: images for the effective field, or a number of noise images as in the paper; 0
            leaves the effective field out.
        without_skips: compute effective fields again with every skip connection set to zero (the
            shortcut of an Add, all operands of a Concat but the last).
        seed: seed of the noise.
        model_name: name in tables and figures; the class name if empty.
        progress: called after every field; it may raise AnalysisCancelled.

    Returns:
        Receptive fields by block.

    Raises:
        AnalysisError: the model has no such block, or no block has a known theoretical field.
    """
    if isinstance(images, LabeledImages):
        input_size = cast(tuple[int, int, int], tuple(images.images.shape[1:]))
        batch = images.images
    else:
        batch = noise_images(images, input_size, seed)
    model = with_merges(model, input_size)
    traced = trace_nodes(model, input_size)
    outputs = select_blocks(block_outputs(model, traced), blocks)
    fields = receptive_fields(model, traced, input_size)
    known = {one.block: fields.known[one.node] for one in outputs if one.node in fields.known}
    # A block may be unknown while those before it are known.
    unknown = {one.block: fields.unknown[one.node] for one in outputs if one.node in fields.unknown}
    if unknown and not known:
        raise AnalysisError(next(iter(unknown.values())))
    variants: list[Sequence[Intervention]] = [()]
    cuts = _skip_cuts(model, traced)
    if without_skips and cuts:
        variants.append(cuts)
    effective = _effective_fields(model, batch, outputs, variants, progress)
    return ReceptiveFieldResult(
        input_size,
        known,
        effective[0],
        effective[1] if len(variants) > 1 else {},
        len(batch),
        isinstance(images, int),
        display_name(model, model_name),
        unknown,
    )


def _skip_cuts(model: nn.Module, traced: TracedModel) -> list[ScaleInput]:
    """Return interventions that set every skip connection to zero."""
    # Functional merges of a model that cannot be converted have no module to cut.
    modules = dict(model.named_modules(remove_duplicate=False))
    # A gate multiplies: cutting one operand would cut the branch too.
    skips = [skip for skip in traced.graph.skips if skip.kind is not MergeKind.GATE]
    return [ScaleInput(skip.merge, skip.operand, 0.0) for skip in skips if skip.merge in modules]


def noise_images(count: int, input_size: tuple[int, int, int], seed: int) -> Tensor:
    """Draw images of Gaussian noise.

    Args:
        count: number of images N.
        input_size: shape (C, H, W) of one image.
        seed: seed of the noise.

    Returns:
        Images (N, C, H, W), mean 0 and variance 1.
    """
    return torch.randn(count, *input_size, generator=torch.Generator().manual_seed(seed))


def _effective_fields(
    model: nn.Module,
    images: Tensor,
    outputs: Sequence[BlockOutput],
    variants: list[Sequence[Intervention]],
    progress: ProgressCallback,
) -> list[dict[str, Field]]:
    """Compute the effective fields by block, for each variant of the model."""
    found: list[dict[str, Field]] = [{} for _ in variants]
    # Without images only the theoretical fields are wanted.
    if not len(images):
        return found
    images = images.to(device_of(model))
    steps: list[tuple[dict[str, Field], Iterator[tuple[str, Field]]]] = []
    for fields, interventions in zip(found, variants, strict=True):
        by_block = effective_receptive_field(model, images, outputs, interventions)
        # One step per block; each generator runs its forward pass when it is first used.
        steps += [(fields, by_block)] * len(outputs)
    for fields, by_block in track_progress(steps, progress):
        block, field = next(by_block)
        fields[block] = field
    return found


def effective_receptive_field(
    model: nn.Module,
    images: Tensor,
    outputs: Sequence[BlockOutput],
    interventions: Sequence[Intervention] = (),
) -> Iterator[tuple[str, Field]]:
    """Compute the effective receptive field of blocks.

    The absolute gradient of a map's center, summed over its channels, with respect to the image
    (Luo et al. 2016, section 2).

    Args:
        model: the model.
        images: images (N, C, H, W) on the model's device.
        outputs: outputs of the blocks.
        interventions: changes of the model.

    Yields:
        By block, the mean over images and channels (H, W), with sum 1.
    """
    # A leaf, whatever graph the caller's images belong to.
    images = images.detach().requires_grad_()
    hook_points = [output.hook_point for output in outputs]
    with (
        eval_mode(model),
        torch.enable_grad(),
        intervene(model, *interventions),
        record_activations(model, hook_points) as recording,
    ):
        model(images)
    for output in outputs:
        values = recording.outputs[output.hook_point]
        # All channels of the central position.
        center = values[:, :, values.shape[2] // 2, values.shape[3] // 2].sum()
        (gradient,) = torch.autograd.grad(center, images, retain_graph=True)
        field = gradient.abs().mean((0, 1)).double()
        # A center that depends on no pixel gives a field of zeros, not NaN.
        yield output.block, (field / field.sum().clamp(min=1e-300)).float().cpu().numpy()
