"""Count the paths through a residual model by length, and measure the gradient along some of them.

Veit, Wilber, Belongie: Residual Networks Behave Like Ensembles of Relatively Shallow Networks,
arXiv:1605.06431, sections 3 (the unraveled view), 5 and Fig. 6.
"""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import combinations
from math import comb
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]

from lightning_resnets.analysis.ablation_targets import residual_blocks
from lightning_resnets.analysis.eval_context import (
    eval_mode_with_batch_stats,
    image_size,
    to_model_device,
    with_merges,
)
from lightning_resnets.analysis.path_counts import count_paths as count_paths
from lightning_resnets.analysis.paths_result import PathsResult as PathsResult
from lightning_resnets.analysis.result import (
    LabeledImages,
    ProgressCallback,
    check_labels,
    display_name,
    no_progress,
    track_progress,
)
from lightning_resnets.errors import AnalysisError
from lightning_resnets.graph import trace
from lightning_resnets.graph.data import SkipConnection
from lightning_resnets.interventions.record import bind_operands
from lightning_resnets.merges import Add

MAX_MEASURED_BLOCKS = 64  # up to so many blocks every path length is measured
SAMPLED_LENGTHS = 33  # number of lengths measured in a deeper model; the others are interpolated


def paths(
    model: nn.Module,
    images: LabeledImages,
    *,
    lengths: Sequence[int] | None = None,
    num_draws: int = 8,
    max_images: int = 32,
    seed: int = 0,
    model_name: str = "",
    progress: ProgressCallback = no_progress,
) -> PathsResult:
    """Count the paths from input to output by length, and measure the gradient along some.

    The unraveled view of Veit, Wilber, Belongie (2016): Residual Networks Behave Like Ensembles of
    Relatively Shallow Networks, sections 3 and 5. The length of a path is the number of blocks
    that it passes: branches of residual Adds, and layers whose output is concatenated. A model of
    n residual blocks has C(n, k) paths of length k.

    For the gradient the forward pass is unchanged. The backward pass goes through the branch of k
    randomly drawn blocks and through the shortcut of all others. Norms differ more between paths
    than between images, so each image gets its own path in every draw.

    Args:
        model: a model with skip connections.
        images: images and labels.
        lengths: lengths k to measure; None for all, or in a model of more than 64 blocks for about
            33 from 0 to all.
        num_draws: backward passes per length; all paths, each on all images, if there are no more.
        max_images: number of images to take from the start.
        seed: seed of the random draws.
        model_name: name in tables and figures; the class name if empty.
        progress: called after every backward pass; it may raise AnalysisCancelled.

    Returns:
        Exact path counts, and mean gradient norms by length and draw.

    Raises:
        AnalysisError: the model has no skip connection, or a length exceeds its blocks.
    """
    model = with_merges(model, image_size(images))
    # The graph of the merged model: its Adds can be hooked by name.
    graph = trace(model, image_size(images))
    counts = count_paths(graph)
    skips = list(residual_blocks(graph).values())
    images = to_model_device(images, model, max_images)
    lengths = _default_lengths(len(skips)) if lengths is None else lengths
    _check_lengths(lengths, len(skips))
    norms: dict[int, tuple[float, ...]] = {}
    with eval_mode_with_batch_stats(model):
        rng = random.Random(seed)  # noqa: S311 - no secret depends on it
        sampler = _PathSampler(model, len(skips), len(images), num_draws, rng)
        for k, takes_branch in track_progress(sampler.draw(lengths), progress):
            gradient = path_input_gradients(model, images, skips, takes_branch)
            norm = float(gradient.flatten(1).norm(dim=1).mean())
            norms[k] = (*norms.get(k, ()), norm)
    return PathsResult(counts, norms, len(images), display_name(model, model_name))


class _PathSampler:
    """Draws paths of given lengths: one for each image, or one for all."""

    def __init__(
        self,
        model: nn.Module,
        num_blocks: int,
        num_images: int,
        num_draws: int,
        rng: random.Random,
    ) -> None:
        self.num_blocks = num_blocks
        self.num_images = num_images
        self.num_draws = num_draws
        self.rng = rng
        # With batch statistics a gradient reaches the other images, so all take one path.
        self.is_shared = any(isinstance(m, _BatchNorm) and m.training for m in model.modules())

    def draw(self, lengths: Iterable[int]) -> list[tuple[int, Tensor]]:
        """Draw the paths of all passes.

        Args:
            lengths: lengths of the paths.

        Returns:
            Length and (images, blocks) bool mask of the branches taken, for each pass.
        """
        passes: list[tuple[int, Tensor]] = []
        for k in lengths:
            passes += [(k, mask) for mask in self._draw_length(k)]
        return passes

    def _draw_length(self, k: int) -> list[Tensor]:
        """Draw the masks of one length."""
        if self.is_shared or comb(self.num_blocks, k) <= self.num_draws:
            drawn = sample_distinct(self.num_blocks, k, self.num_draws, self.rng)
            return [self._mask([chosen] * self.num_images) for chosen in drawn]
        # Too many paths to list: every image of every pass draws one of its own.
        blocks = range(self.num_blocks)
        return [
            self._mask([self.rng.sample(blocks, k) for _ in range(self.num_images)])
            for _ in range(self.num_draws)
        ]

    def _mask(self, chosen: Sequence[Sequence[int]]) -> Tensor:
        """Return a (images, blocks) mask from the blocks whose branch each image takes."""
        mask = torch.zeros(self.num_images, self.num_blocks, dtype=torch.bool)
        for row, blocks in zip(mask, chosen, strict=True):
            row[list(blocks)] = True
        return mask


def path_input_gradient(
    model: nn.Module,
    images: LabeledImages,
    skips: Sequence[SkipConnection],
    branches: Sequence[SkipConnection],
) -> Tensor:
    """Compute the gradient of each image's loss at the input along one path.

    Args:
        model: a model in evaluation mode.
        images: images and labels on the model's device.
        skips: all residual skip connections.
        branches: those of whose blocks the path takes the branch.

    Returns:
        Gradients (N, C, H, W).
    """
    takes_branch = torch.tensor([skip in branches for skip in skips], dtype=torch.bool)
    return path_input_gradients(model, images, skips, takes_branch.expand(len(images), -1))


def path_input_gradients(
    model: nn.Module, images: LabeledImages, skips: Sequence[SkipConnection], takes_branch: Tensor
) -> Tensor:
    """Compute the gradient of each image's loss at the input, along a path of its own.

    Args:
        model: a model in evaluation mode.
        images: N images and labels on the model's device.
        skips: all residual skip connections.
        takes_branch: (N, skips) bool, True where the path takes the branch of a block.

    Returns:
        Gradients (N, C, H, W).
    """
    # A copy: the caller's images must not start to require gradients.
    batch = images.images.clone().requires_grad_()
    # The shortcut's operand, or the other one where the path takes the branch.
    columns = takes_branch.long().to(batch.device).T
    operands = {skip.merge: skip.operand ^ row for skip, row in zip(skips, columns, strict=True)}
    with torch.enable_grad(), restrict_to_path(model, operands):
        logits, labels = check_labels(model(batch), images.labels)
        # A sum, not a mean: each image's gradient must not depend on the batch size.
        loss = F.cross_entropy(logits, labels, reduction="sum")
        return torch.autograd.grad(loss, batch)[0]


@contextmanager
def restrict_to_path(model: nn.Module, operands: Mapping[str, Tensor]) -> Iterator[None]:
    """Let gradients pass through one operand of each Add; the forward pass is unchanged.

    Args:
        model: the model.
        operands: by name of the Add the index of the operand for each image, (N,) int64.

    Yields:
        None; the hooks are removed at the end of the block.
    """
    with ExitStack() as stack:
        for name, operand in operands.items():
            module = model.get_submodule(name)
            register: Any = module.register_forward_pre_hook
            handle = register(_detach_others(operand), with_kwargs=True)
            stack.callback(handle.remove)
        yield


def _detach_others(operand: Tensor) -> Callable[..., Any]:
    """Return a forward pre-hook that detaches, for each image, all operands of an Add but one."""

    def hook(
        add: Add, args: tuple[Tensor, ...], kwargs: Mapping[str, Tensor]
    ) -> tuple[Any, dict[str, Any]]:
        """Detach operands; the first one passes by position, as do all others."""
        operands = bind_operands(add, args, kwargs)
        return tuple(_detach_rows(value, operand != i) for i, value in enumerate(operands)), {}

    return hook


def _detach_rows(value: Tensor, is_detached: Tensor) -> Tensor:
    """Detach a value (N, ...) for some images: it enters the sum but stops their gradient."""
    # One truth value per image, broadcast over the rest of the shape.
    mask = is_detached.view(-1, *[1] * (value.dim() - 1))
    return torch.where(mask, value.detach(), value)


def _check_lengths(lengths: Sequence[int], num_blocks: int) -> None:
    """Raise AnalysisError for a length that no path has."""
    invalid = [k for k in lengths if not 0 <= k <= num_blocks]
    if invalid:
        raise AnalysisError(
            f"lengths must be between 0 and the model's {num_blocks} residual blocks, "
            f"got {invalid[0]}."
        )


def _default_lengths(num_blocks: int) -> list[int]:
    """Return all lengths, or about SAMPLED_LENGTHS of a very deep model."""
    if not num_blocks:
        return []
    step = 1
    if num_blocks > MAX_MEASURED_BLOCKS:
        # Rounded up, so that there are at most SAMPLED_LENGTHS lengths.
        step = -(-num_blocks // (SAMPLED_LENGTHS - 1))
    return sorted({*range(0, num_blocks, step), num_blocks})


def sample_distinct(n: int, k: int, num_draws: int, rng: random.Random) -> list[tuple[int, ...]]:
    """Draw distinct subsets of k out of n indices, uniformly.

    Args:
        n: number of indices.
        k: size of a subset.
        num_draws: number of subsets.
        rng: source of randomness.

    Returns:
        Sorted tuples of indices; all subsets if there are no more than `num_draws`.
    """
    # Few subsets: list them all instead of drawing until each has come up.
    if comb(n, k) <= num_draws:
        return list(combinations(range(n), k))
    found: dict[tuple[int, ...], None] = {}  # a dict keeps the order of the draws
    while len(found) < num_draws:
        found[tuple(sorted(rng.sample(range(n), k)))] = None
    return list(found)
