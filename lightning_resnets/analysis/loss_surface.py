"""Evaluate the loss on a grid of weights around a checkpoint, coarse to fine.

Li, Xu, Taylor, Studer, Goldstein 2018, arXiv:1712.09913, section 4: each filter of a random
direction gets the norm of the model's own. Biases and batch norms, weights and statistics, stay as
they are, as in the authors' code.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_resnets.analysis.eval_context import device_of
from lightning_resnets.analysis.result import (
    LabeledImages,
    ProgressCallback,
    check_labels,
    no_progress,
)
from lightning_resnets.errors import AnalysisError

Grid = NDArray[np.float64]
Weights = list[Tensor]

MIN_POINTS = 3


@dataclass(frozen=True, slots=True, eq=False)
class LossSurface:
    """Mean cross-entropy and error at the points of a grid; the model is in the middle.

    Attributes:
        coordinates: positions (n,) along each direction, in filter norms: at 1 every filter of the
            direction is as long as the model's own.
        loss: mean cross-entropy, (n,) or (n, n) with rows along the first direction; NaN where not
            evaluated yet.
        error: fraction of misclassified images, of the same shape.
    """

    coordinates: Grid
    loss: Grid
    error: Grid

    @property
    def fraction_done(self) -> float:
        """Return the fraction of points that have been evaluated."""
        return float(np.isfinite(self.error).mean())


def refine_surface(
    model: nn.Module,
    images: LabeledImages,
    *,
    num_points: int = 11,
    extent: float = 1.0,
    dimensions: int = 2,
    seed: int = 0,
    batch_size: int = 50,
    progress: ProgressCallback = no_progress,
) -> Iterator[LossSurface]:
    """Evaluate ever more points of a loss surface: corners and middle first, each point once.

    Args:
        model: a trained model; a copy of it is changed, never the model.
        images: images and labels.
        num_points: points per direction, an odd number from 3.
        extent: points lie evenly from -extent to extent.
        dimensions: number of random directions, 1 or 2.
        seed: seed of the first direction; the second has the next seed.
        batch_size: images per forward pass.
        progress: called after every point; it may raise AnalysisCancelled.

    Yields:
        Surfaces with more and more finite values.

    Raises:
        AnalysisError: `num_points` or `dimensions` is invalid, or the model has neither
            convolutions nor linear layers.
    """
    _check_grid(num_points, dimensions)
    moving = _MovingModel(model, dimensions, seed)
    coordinates = np.linspace(-extent, extent, num_points)
    coordinates[num_points // 2] = 0.0  # the model itself, to the bit
    # NaN marks the points that are still to be evaluated.
    loss = np.full((num_points,) * dimensions, np.nan)
    error = loss.copy()
    done = 0
    for grid in refinement_grids(num_points):
        for index in np.ndindex(*(len(grid),) * dimensions):
            at = tuple(grid[i] for i in index)
            # Evaluated in a coarser grid already. The error is finite even where the loss is not.
            if np.isfinite(error[at]):
                continue
            moving.move_to([float(coordinates[i]) for i in at])
            loss[at], error[at] = loss_and_error(moving.model, images, batch_size)
            done += 1
            progress(done, num_points**dimensions)
        # Copies: the caller may keep a surface while this one goes on.
        yield LossSurface(coordinates.copy(), loss.copy(), error.copy())


def _check_grid(num_points: int, dimensions: int) -> None:
    """Raise AnalysisError for an invalid grid."""
    if num_points < MIN_POINTS or num_points % 2 == 0:
        raise AnalysisError(f"num_points must be an odd number from 3, got {num_points}.")
    if dimensions not in (1, 2):
        raise AnalysisError(f"dimensions must be 1 or 2, got {dimensions}.")


class _MovingModel:
    """A copy of a model whose weights can be moved along random directions."""

    def __init__(self, model: nn.Module, dimensions: int, seed: int) -> None:
        # Weights that require gradients cannot be changed in place.
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        # Weights of convolutions and linear layers; biases and norms have one dimension.
        self.weights = [weight for weight in self.model.parameters() if weight.dim() > 1]
        if not self.weights:
            raise AnalysisError(
                "The model has no convolution and no linear layer whose weights could be changed."
            )
        self.origin = [weight.clone() for weight in self.weights]
        self.directions = [random_direction(self.weights, seed + i) for i in range(dimensions)]

    def move_to(self, steps: list[float]) -> None:
        """Set the weights to a point.

        Args:
            steps: number of steps from the origin, one per direction.
        """
        set_weights_along(self.weights, self.origin, self.directions, steps)


def refinement_grids(num_points: int) -> list[list[int]]:
    """Choose the points of each refinement.

    Args:
        num_points: points per direction.

    Returns:
        Indices per refinement: ends and middle, then ever smaller steps from the middle, then all.
    """
    middle = num_points // 2
    last = num_points - 1
    step = middle
    grids: list[list[int]] = []
    while step >= 1:
        chosen = {0, last, *range(middle, num_points, step), *range(middle, -1, -step)}
        grids.append(sorted(chosen))
        step //= 2
    return grids


def random_direction(weights: Sequence[Tensor], seed: int) -> Weights:
    """Draw a random direction, normalized filter by filter.

    Args:
        weights: weights of convolutions and linear layers.
        seed: seed of the direction.

    Returns:
        Tensors shaped like the weights. Each filter, or row of a linear layer, has the norm of the
        model's own.
    """
    generator = torch.Generator().manual_seed(seed)
    direction: Weights = []
    for weight in weights:
        # Drawn on the CPU: the same direction on every device.
        noise = torch.randn(weight.shape, generator=generator).to(weight)
        # All axes but the first: one norm per filter.
        axes = tuple(range(1, weight.dim()))
        own_norm = torch.linalg.vector_norm(weight, dim=axes, keepdim=True)
        noise_norm = torch.linalg.vector_norm(noise, dim=axes, keepdim=True)
        # Noise of norm 0 must not divide by zero.
        direction.append(noise * own_norm / noise_norm.clamp(min=1e-10))
    return direction


def set_weights_along(
    weights: Sequence[Tensor],
    origin: Sequence[Tensor],
    directions: Sequence[Weights],
    steps: Sequence[float],
) -> None:
    """Set weights to a point: the origin plus a number of steps along each direction.

    Args:
        weights: tensors to overwrite.
        origin: weights of the checkpoint.
        directions: random directions.
        steps: number of steps along each direction.
    """
    for i, (weight, start) in enumerate(zip(weights, origin, strict=True)):
        point = start
        for direction, step in zip(directions, steps, strict=True):
            # Adding 0 would turn -0.0 into 0.0, and the middle is the model to the bit.
            if step:
                point = point + step * direction[i]
        weight.copy_(point)


def loss_and_error(model: nn.Module, images: LabeledImages, batch_size: int) -> tuple[float, float]:
    """Compute the mean cross-entropy and the error of a model in evaluation mode.

    Args:
        model: the model.
        images: images and labels.
        batch_size: images per forward pass.

    Returns:
        The loss (infinity if not finite) and the fraction of misclassified images.

    Raises:
        AnalysisError: a label is not one of the model's classes.
    """
    device = device_of(model)
    total_loss = 0.0
    num_wrong = 0
    with torch.no_grad():
        for batch, labels in images.batches(batch_size):
            logits, targets = check_labels(model(batch.to(device)), labels.to(device))
            # float64: far from the checkpoint losses differ by orders of magnitude.
            total_loss += float(F.cross_entropy(logits.double(), targets, reduction="sum"))
            num_wrong += int((logits.argmax(1) != targets).sum())
    # A figure can leave out infinity, but not NaN.
    if not np.isfinite(total_loss):
        total_loss = float("inf")
    return total_loss / len(images), num_wrong / len(images)
