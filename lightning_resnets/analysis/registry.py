"""All analyses by name, with a common signature for the command line and the app."""

from collections.abc import Callable
from dataclasses import dataclass

from lightning_resnets.analysis.cost import cost
from lightning_resnets.analysis.feature_reuse import feature_reuse
from lightning_resnets.analysis.gate_weights import gate_weights
from lightning_resnets.analysis.gradient_flow import gradient_flow
from lightning_resnets.analysis.inputs import AnalysisInputs as AnalysisInputs
from lightning_resnets.analysis.iterative_refinement import iterative_refinement
from lightning_resnets.analysis.layer_responses import layer_responses
from lightning_resnets.analysis.lesion import lesion
from lightning_resnets.analysis.loss_landscape import loss_landscape
from lightning_resnets.analysis.paths import paths
from lightning_resnets.analysis.receptive_field import receptive_field
from lightning_resnets.analysis.result import (
    ProgressCallback,
    Result,
    no_progress,
)
from lightning_resnets.analysis.saliency import saliency
from lightning_resnets.analysis.shattered_gradients import shattered_gradients
from lightning_resnets.errors import AnalysisError
from lightning_resnets.graph import trace_nodes
from lightning_resnets.utils.format import join_words

# The landscape evaluates the loss at 121 points. Fewer images per point for a larger model:
# 12.2 GMACs are 300 images of resnet20 or 168 of densenet_bc_40_12.
LANDSCAPE_IMAGES = (50, 300)  # lower and upper limit
LANDSCAPE_MAX_MACS = 12_200_000_000

SALIENCY_IMAGES = 4


@dataclass(frozen=True, slots=True)
class Analysis:
    """An analysis: a short description, a function that runs it, and whether it needs images."""

    description: str
    run: Callable[[AnalysisInputs, ProgressCallback], Result]
    needs_images: bool = True


def _lesion(inputs: AnalysisInputs, progress: ProgressCallback) -> Result:
    """Run `lesion`."""
    return lesion(
        inputs.model,
        inputs.require_images(),
        inputs.baseline,
        seed=inputs.seed,
        model_name=inputs.model_name,
        baseline_name=inputs.baseline_name,
        progress=progress,
    )


def _paths(inputs: AnalysisInputs, progress: ProgressCallback) -> Result:
    """Run `paths`."""
    return paths(
        inputs.model,
        inputs.require_images(),
        seed=inputs.seed,
        model_name=inputs.model_name,
        progress=progress,
    )


def _gradient_flow(inputs: AnalysisInputs, progress: ProgressCallback) -> Result:
    """Run `gradient_flow`."""
    return gradient_flow(
        inputs.model,
        inputs.require_images(),
        inputs.untrained,
        model_name=inputs.model_name,
        progress=progress,
    )


def _shattered_gradients(inputs: AnalysisInputs, progress: ProgressCallback) -> Result:
    """Run `shattered_gradients` on the models at initialization, as in the paper."""
    model_name = ""
    baseline_name = ""
    if inputs.untrained is not None and inputs.model_name:
        # Tell these curves from those of the trained model.
        model_name = f"{inputs.model_name}, untrained"
        baseline_name = f"{inputs.untrained_baseline_name}, untrained"
    return shattered_gradients(
        inputs.untrained or inputs.model,
        # The line leads from one image to another.
        inputs.subset(2),
        inputs.untrained_baseline,
        seed=inputs.seed,
        model_name=model_name,
        baseline_name=baseline_name,
        progress=progress,
    )


def _layer_responses(inputs: AnalysisInputs, progress: ProgressCallback) -> Result:
    """Run `layer_responses`."""
    return layer_responses(
        inputs.model,
        inputs.require_images(),
        inputs.baseline,
        model_name=inputs.model_name,
        baseline_name=inputs.baseline_name,
        progress=progress,
    )


def _gate_weights(inputs: AnalysisInputs, progress: ProgressCallback) -> Result:
    """Run `gate_weights`."""
    return gate_weights(
        inputs.model,
        inputs.require_images(),
        inputs.class_names,
        model_name=inputs.model_name,
        progress=progress,
    )


def _feature_reuse(inputs: AnalysisInputs, progress: ProgressCallback) -> Result:
    """Run `feature_reuse`, which reads weights only."""
    return feature_reuse(
        inputs.model, inputs.input_size, model_name=inputs.model_name, progress=progress
    )


def _saliency(inputs: AnalysisInputs, progress: ProgressCallback) -> Result:
    """Run `saliency` on as many images as fit into a figure."""
    return saliency(
        inputs.model,
        inputs.subset(SALIENCY_IMAGES),
        class_names=inputs.class_names,
        model_name=inputs.model_name,
        progress=progress,
    )


def _receptive_field(inputs: AnalysisInputs, progress: ProgressCallback) -> Result:
    """Run `receptive_field` on noise images."""
    return receptive_field(
        inputs.model,
        inputs.input_size,
        seed=inputs.seed,
        model_name=inputs.model_name,
        progress=progress,
    )


def _loss_landscape(inputs: AnalysisInputs, progress: ProgressCallback) -> Result:
    """Run `loss_landscape` on as many images as the model's cost allows."""
    return loss_landscape(
        inputs.model,
        inputs.subset(landscape_image_count(inputs)),
        inputs.baseline,
        seed=inputs.seed,
        model_name=inputs.model_name,
        baseline_name=inputs.baseline_name,
        progress=progress,
    )


def _iterative_refinement(inputs: AnalysisInputs, progress: ProgressCallback) -> Result:
    """Run `iterative_refinement`."""
    return iterative_refinement(
        inputs.model, inputs.require_images(), model_name=inputs.model_name, progress=progress
    )


def _cost(inputs: AnalysisInputs, progress: ProgressCallback) -> Result:
    """Run `cost`, which needs no images."""
    return cost(
        inputs.model,
        inputs.input_size,
        test_error=inputs.test_error,
        model_name=inputs.model_name,
        progress=progress,
    )


# `analyze all` runs them in this order.
ANALYSES = {
    "lesion": Analysis(
        "error without each block, without several, with neighbors swapped", _lesion
    ),
    "paths": Analysis("number of paths by length, and the gradient that they carry", _paths),
    "gradient_flow": Analysis(
        "gradient through each shortcut and branch, trained and at initialization", _gradient_flow
    ),
    "shattered_gradients": Analysis(
        "autocorrelation of the input gradient at initialization, by depth", _shattered_gradients
    ),
    "layer_responses": Analysis(
        "standard deviation of each layer's output, and branch relative to shortcut",
        _layer_responses,
    ),
    "gate_weights": Analysis("weights of each gate by channel, depth and class", _gate_weights),
    "feature_reuse": Analysis(
        "earlier layers read by each layer of a dense block", _feature_reuse, needs_images=False
    ),
    "saliency": Analysis(
        "evidence for the prediction: CAM, Grad-CAM and Layer-CAM at every block", _saliency
    ),
    "receptive_field": Analysis(
        "theoretical and effective receptive field of each block, with and without skips",
        _receptive_field,
        needs_images=False,
    ),
    "loss_landscape": Analysis("loss around the checkpoint", _loss_landscape),
    "iterative_refinement": Analysis(
        "prediction of the head after every block of the last stage", _iterative_refinement
    ),
    "cost": Analysis(
        "parameters and MACs layer by layer, and error against cost", _cost, needs_images=False
    ),
}


def landscape_image_count(inputs: AnalysisInputs) -> int:
    """Return the number of images for the loss landscape: fewer for a model that costs more.

    Args:
        inputs: the model and its input size.

    Returns:
        A number within LANDSCAPE_IMAGES.
    """
    lowest, highest = LANDSCAPE_IMAGES
    # A model of linear layers only may have no MACs at all.
    macs = max(1, trace_nodes(inputs.model, inputs.input_size).graph.macs)
    return max(lowest, min(highest, LANDSCAPE_MAX_MACS // macs))


def run_analysis(
    name: str, inputs: AnalysisInputs, progress: ProgressCallback = no_progress
) -> Result:
    """Run an analysis by name.

    Args:
        name: a key of ANALYSES.
        inputs: model, images and settings.
        progress: called as `progress(done, total)`; it may raise AnalysisCancelled.

    Returns:
        Tables and a figure.

    Raises:
        AnalysisError: there is no analysis of that name, or the model or images do not allow it.
    """
    if name not in ANALYSES:
        available = join_words(list(ANALYSES))
        raise AnalysisError(f"There is no analysis named '{name}'. Use {available}.")
    return ANALYSES[name].run(inputs, progress)
