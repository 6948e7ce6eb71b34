"""Every analysis by its name, with what it is given of a model, of images and of the models beside it."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from lightning_resnets.analysis.cost import cost
from lightning_resnets.analysis.feature_reuse import feature_reuse
from lightning_resnets.analysis.gate_weights import gate_weights
from lightning_resnets.analysis.gradient_flow import gradient_flow
from lightning_resnets.analysis.iterative_refinement import iterative_refinement
from lightning_resnets.analysis.layer_responses import layer_responses
from lightning_resnets.analysis.lesion import lesion
from lightning_resnets.analysis.loss_landscape import loss_landscape
from lightning_resnets.analysis.paths import paths
from lightning_resnets.analysis.receptive_field import receptive_field
from lightning_resnets.analysis.result import LabeledImages, ProgressCallback, Result, no_progress
from lightning_resnets.analysis.saliency import saliency
from lightning_resnets.analysis.shattered_gradients import shattered_gradients
from lightning_resnets.errors import AnalysisError
from lightning_resnets.graph import trace_nodes

LANDSCAPE_IMAGES = (
    50,
    300,
)  # images that the loss is taken over at each of the landscape's points: least, most


LANDSCAPE_MAX_MACS = 12_200_000_000  # multiply-adds at each of them: 300 images of resnet20, 168 of densenet_bc_40_12


SALIENCY_IMAGES = 4  # images that saliency looks at


@dataclass(frozen=True, slots=True, eq=False)
class AnalysisInputs:
    """A trained model in evaluation and what is seen beside it, where there is such a thing.

    `size` is that of an image (C, H, W), `classes` names the labels of `images`, which three analyzes do without.
    `twin` is a plain model trained as well, `fresh` and `fresh_twin` are both at initialization. `name`, `twin_name` and
    `fresh_twin_name` are what they are called, `error` is the model's on its whole test set in %.
    """

    model: nn.Module
    input_size: tuple[int, int, int]
    class_names: tuple[str, ...]
    images: LabeledImages | None
    baseline: nn.Module | None = None
    untrained: nn.Module | None = None
    untrained_baseline: nn.Module | None = None
    seed: int = 0
    model_name: str = ""
    baseline_name: str = ""
    untrained_baseline_name: str = ""
    test_error: float | None = None

    @property
    def require_images(self) -> LabeledImages:
        """The images; raises AnalysisError where there are none."""
        if self.images is None:
            raise AnalysisError("There is no image to look at: give one or more.")
        return self.images

    def subset(self, most: int) -> LabeledImages:
        """At most so many of the images, evenly from all."""
        images, labels = self.require_images.images, self.require_images.labels
        count = len(labels)
        chosen = (
            [place * count // most for place in range(most)] if most < count else list(range(count))
        )
        return LabeledImages(images[chosen], labels[chosen])


@dataclass(frozen=True, slots=True)
class Analysis:
    """What an analysis tells, in a few words, its call, and whether that needs more of an image than its size."""

    description: str
    run: Callable[[AnalysisInputs, ProgressCallback], Result]
    needs_images: bool = True


def _shattering(subject: AnalysisInputs, progress: ProgressCallback) -> Result:
    known = subject.untrained is not None and bool(subject.model_name)
    one, other = (
        (f"{name}, untrained" if known else "")
        for name in (subject.model_name, subject.untrained_baseline_name)
    )
    model, baseline = subject.untrained or subject.model, subject.untrained_baseline
    return shattered_gradients(
        model,
        subject.subset(2),
        baseline,
        seed=subject.seed,
        name=one,
        baseline_name=other,
        progress=progress,
    )


ANALYSES = {
    "lesion": Analysis(
        "the error without each block, without several, with neighbors swapped",
        lambda s, progress: lesion(
            s.model,
            s.require_images,
            s.baseline,
            seed=s.seed,
            name=s.model_name,
            baseline_name=s.baseline_name,
            progress=progress,
        ),
    ),
    "paths": Analysis(
        "how many paths there are of each length, and which carry gradient",
        lambda s, progress: paths(
            s.model, s.require_images, seed=s.seed, name=s.model_name, progress=progress
        ),
    ),
    "gradients": Analysis(
        "how much gradient comes back through each shortcut and branch, trained and at initialization",
        lambda s, progress: gradient_flow(
            s.model, s.require_images, s.untrained, name=s.model_name, progress=progress
        ),
    ),
    "shattering": Analysis(
        "whether the input gradient at initialization is noise, by depth",
        _shattering,
    ),
    "responses": Analysis(
        "how strongly layers answer, and what each branch adds to its shortcut",
        lambda s, progress: layer_responses(
            s.model,
            s.require_images,
            s.baseline,
            name=s.model_name,
            baseline_name=s.baseline_name,
            progress=progress,
        ),
    ),
    "gates": Analysis(
        "what each gate lets through, by channel, depth and class",
        lambda s, progress: gate_weights(
            s.model, s.require_images, s.class_names, name=s.model_name, progress=progress
        ),
    ),
    "reuse": Analysis(
        "which earlier layers each layer of a dense block reads",
        lambda s, progress: feature_reuse(
            s.model, s.input_size, name=s.model_name, progress=progress
        ),
        needs_images=False,
    ),
    "saliency": Analysis(
        "what speaks for the prediction, by CAM, Grad-CAM and Layer-CAM at every block",
        lambda s, progress: saliency(
            s.model,
            s.subset(SALIENCY_IMAGES),
            class_names=s.class_names,
            name=s.model_name,
            progress=progress,
        ),
    ),
    "receptive": Analysis(
        "what each block can see of the image and what it does see, with and without skips",
        lambda s, progress: receptive_field(
            s.model, s.input_size, seed=s.seed, name=s.model_name, progress=progress
        ),
        needs_images=False,
    ),
    "landscape": Analysis(
        "the loss around the checkpoint",
        lambda s, progress: loss_landscape(
            s.model,
            s.subset(landscape_image_count(s)),
            baseline=s.baseline,
            seed=s.seed,
            name=s.model_name,
            baseline_name=s.baseline_name,
            progress=progress,
        ),
    ),
    "refinement": Analysis(
        "what the head predicts behind every block of the last stage",
        lambda s, progress: iterative_refinement(
            s.model, s.require_images, name=s.model_name, progress=progress
        ),
    ),
    "arithmetic": Analysis(
        "parameters and multiply-adds layer by layer, and what they buy",
        lambda s, progress: cost(
            s.model, s.input_size, error=s.test_error, name=s.model_name, progress=progress
        ),
        needs_images=False,
    ),
}


def landscape_image_count(subject: AnalysisInputs) -> int:
    """How many images the loss is taken over at each of the landscape's points: fewer for a model that costs more."""
    macs = max(1, trace_nodes(subject.model, subject.input_size).graph.macs)
    return max(LANDSCAPE_IMAGES[0], min(LANDSCAPE_IMAGES[1], LANDSCAPE_MAX_MACS // macs))


def run_analysis(
    name: str, subject: AnalysisInputs, progress: ProgressCallback = no_progress
) -> Result:
    """One of ANALYSES by its name; raises AnalysisError for another name, and what the analysis itself raises."""
    if name not in ANALYSES:
        raise AnalysisError(
            f"There is no analysis called '{name}': there are {', '.join(ANALYSES)}."
        )
    return ANALYSES[name].run(subject, progress)
