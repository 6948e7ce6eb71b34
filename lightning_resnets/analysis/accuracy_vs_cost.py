"""Compare the error of a model and its cost with those of others.

Canziani, Paszke, Culurciello 2016, arXiv:1605.07678, figure 2.
"""

import math
from collections.abc import Sequence

from torch import nn

from lightning_resnets.analysis.accuracy_vs_cost_result import (
    AccuracyVsCostResult as AccuracyVsCostResult,
)
from lightning_resnets.analysis.comparison_points import (
    ANALYZED,
    SLOW_MODELS,
    SMALL_IMAGE_SIZE,
    ModelPoint,
    bundled_points,
    comparable_results,
    make_point,
    published_point,
)
from lightning_resnets.analysis.result import (
    ProgressCallback,
    display_name,
    no_progress,
    track_progress,
)
from lightning_resnets.errors import AnalysisError


def accuracy_vs_cost(
    model: nn.Module | None = None,
    input_size: tuple[int, int, int] = (3, 32, 32),
    *,
    models: Sequence[str] | None = None,
    test_error: float | None = None,
    model_name: str = "",
    progress: ProgressCallback = no_progress,
) -> AccuracyVsCostResult:
    """Compare the error and the cost of a model with those of others.

    After Canziani, Paszke, Culurciello (2016): An Analysis of Deep Neural Network Models for
    Practical Applications, figure 2. Errors on ImageNet are of a single central crop, except for
    plain models, whose paper prints ten crops only. Bundled models have the error that we measured.

    Args:
        model: the model; None to compare the others only.
        input_size: shape (C, H, W) of one image; its size selects the others.
        models: names of models to compare with, which must have a published error; None for all
            with images of about the same size (CIFAR or ImageNet), except very slow ones.
        test_error: error of the model in %, if known.
        model_name: name in tables and figures; the class name if empty.
        progress: called after every model of the comparison; it may raise AnalysisCancelled.

    Returns:
        Points of error against cost.

    Raises:
        AnalysisError: one of `models` has no published error.
    """
    is_small = input_size[1] < SMALL_IMAGE_SIZE
    # Errors on CIFAR and on ImageNet cannot be compared.
    results = comparable_results(is_small)
    _check_models(models or (), list(results))
    if models is None:
        models = [name for name in results if name not in SLOW_MODELS]
    points: list[ModelPoint] = []
    dataset = "ImageNet"
    if is_small:
        # The bundled models are of CIFAR-10.
        dataset = "CIFAR-10"
        points += bundled_points()
    for name in track_progress(models, progress):
        points.append(published_point(name, results[name]))
    if model is None:
        return AccuracyVsCostResult(tuple(points), dataset)
    name = display_name(model, model_name)
    protocol = points[0].protocol if points else ""
    # NaN: drawn as a line instead of a mark.
    error = math.nan if test_error is None else test_error
    own = make_point(name, model, input_size, (error, ANALYZED, protocol, name))
    return AccuracyVsCostResult(tuple(points), dataset, own)


def _check_models(models: Sequence[str], comparable: list[str]) -> None:
    """Raise AnalysisError for a model without a published error."""
    for name in models:
        if name not in comparable:
            raise AnalysisError(
                f"'{name}' has no published error on images of this size. "
                f"Models with one: {', '.join(comparable)}."
            )
