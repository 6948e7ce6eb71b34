"""All analyses by name, with a common signature for the command line and the app."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from lightning_resnets.analysis.accuracy_vs_cost import accuracy_vs_cost
from lightning_resnets.analysis.cost import cost
from lightning_resnets.analysis.depth_by_year import depth_by_year
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
    """An analysis and the inputs that it uses.

    Attributes:
        description: one line for the list of analyses.
        function: the analysis; it takes the model, keyword arguments, `model_name` and `progress`.
        uses: fields of `AnalysisInputs` that are passed to the keyword arguments of the same name.
        prepare: changes the inputs first, for example to fewer images.
        needs_model: False if it compares published models, with a model of the user's or without.
    """

    description: str
    function: Callable[..., Result]
    uses: tuple[str, ...]
    prepare: Callable[[AnalysisInputs], AnalysisInputs] | None = None
    needs_model: bool = True

    @property
    def needs_images(self) -> bool:
        """Return True if the analysis runs the model on images."""
        return "images" in self.uses

    def run(self, inputs: AnalysisInputs, progress: ProgressCallback) -> Result:
        """Run the analysis.

        Args:
            inputs: model, images and settings.
            progress: called as `progress(done, total)`; it may raise AnalysisCancelled.

        Returns:
            Tables and a figure.

        Raises:
            AnalysisError: there are no images or no model, or it does not allow the analysis.
        """
        if self.needs_model:
            inputs.require_model()
        if self.needs_images:
            inputs.require_images()
        if self.prepare is not None:
            inputs = self.prepare(inputs)
        # By name, so that an analysis lists just what it reads.
        kwargs = {name: getattr(inputs, name) for name in self.uses}
        return self.function(
            inputs.model, **kwargs, model_name=inputs.model_name, progress=progress
        )


def _select_saliency_images(inputs: AnalysisInputs) -> AnalysisInputs:
    """Keep as many images as fit into a figure."""
    return replace(inputs, images=inputs.subset(SALIENCY_IMAGES))


def _select_landscape_images(inputs: AnalysisInputs) -> AnalysisInputs:
    """Keep as many images as the model's cost allows."""
    return replace(inputs, images=inputs.subset(landscape_image_count(inputs)))


def _use_untrained_models(inputs: AnalysisInputs) -> AnalysisInputs:
    """Analyze the models at initialization, as in the paper, on a line between two images."""
    model_name = ""
    baseline_name = ""
    if inputs.untrained is not None and inputs.model_name:
        # Tell these curves from those of the trained model.
        model_name = f"{inputs.model_name}, untrained"
        baseline_name = f"{inputs.untrained_baseline_name}, untrained"
    return replace(
        inputs,
        model=inputs.untrained or inputs.model,
        baseline=inputs.untrained_baseline,
        images=inputs.subset(2),
        model_name=model_name,
        baseline_name=baseline_name,
    )


# `analyze all` runs them in this order.
ANALYSES = {
    "lesion": Analysis(
        "error without each block, without several, with neighbors swapped",
        lesion,
        ("images", "baseline", "seed", "baseline_name"),
    ),
    "paths": Analysis(
        "number of paths by length, and the gradient that they carry", paths, ("images", "seed")
    ),
    "gradient_flow": Analysis(
        "gradient through each shortcut and branch, trained and at initialization",
        gradient_flow,
        ("images", "untrained"),
    ),
    "shattered_gradients": Analysis(
        "autocorrelation of the input gradient at initialization, by depth",
        shattered_gradients,
        ("images", "baseline", "seed", "baseline_name"),
        _use_untrained_models,
    ),
    "layer_responses": Analysis(
        "standard deviation of each layer's output, and branch relative to shortcut",
        layer_responses,
        ("images", "baseline", "baseline_name"),
    ),
    "gate_weights": Analysis(
        "weights of each gate by channel, depth and class", gate_weights, ("images", "class_names")
    ),
    "feature_reuse": Analysis(
        "earlier layers read by each layer of a dense block", feature_reuse, ("input_size",)
    ),
    "saliency": Analysis(
        "evidence for the prediction: CAM, Grad-CAM and Layer-CAM at every block",
        saliency,
        ("images", "class_names"),
        _select_saliency_images,
    ),
    "receptive_field": Analysis(
        "theoretical and effective receptive field of each block, with and without skips",
        receptive_field,
        ("input_size", "seed"),
    ),
    "loss_landscape": Analysis(
        "loss around the checkpoint",
        loss_landscape,
        ("images", "baseline", "seed", "baseline_name"),
        _select_landscape_images,
    ),
    "iterative_refinement": Analysis(
        "prediction of the head after every block of the last stage",
        iterative_refinement,
        ("images",),
    ),
    "cost": Analysis("parameters and MACs layer by layer", cost, ("input_size",)),
    "accuracy_vs_cost": Analysis(
        "error against MACs and parameters, compared with published models",
        accuracy_vs_cost,
        ("input_size", "test_error"),
        needs_model=False,
    ),
    "depth_by_year": Analysis(
        "layers and error of the winners of ILSVRC ('revolution of depth'), and of the model",
        depth_by_year,
        ("input_size",),
        needs_model=False,
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
    macs = max(1, trace_nodes(inputs.require_model(), inputs.input_size).graph.macs)
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
