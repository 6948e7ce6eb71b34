"""Everything that an analysis may use: models, images and names."""

from dataclasses import dataclass

from torch import nn

from lightning_resnets.analysis.result import NO_IMAGES, LabeledImages
from lightning_resnets.errors import AnalysisError
from lightning_resnets.utils.format import evenly_spaced

NO_MODEL = "The analysis needs a model. Give a model's name or a checkpoint file."


@dataclass(frozen=True, slots=True, eq=False)
class AnalysisInputs:
    """Everything that an analysis may use.

    Attributes:
        model: a trained model in evaluation mode; None for the analyses that need none.
        input_size: shape (C, H, W) of one image.
        class_names: names of the labels of `images`.
        images: images and labels; None if there are none, which some analyses allow.
        baseline: a trained model to compare with, usually the plain one without skips.
        untrained: `model` at initialization.
        untrained_baseline: `baseline` at initialization.
        seed: seed of everything that is drawn at random.
        model_name: name of `model` in tables and figures.
        baseline_name: name of `baseline`.
        untrained_baseline_name: name of `untrained_baseline`.
        test_error: error of `model` on its whole test set in %, if known.
    """

    model: nn.Module | None
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

    def require_model(self) -> nn.Module:
        """Return the model.

        Returns:
            The model.

        Raises:
            AnalysisError: there is no model.
        """
        if self.model is None:
            raise AnalysisError(NO_MODEL)
        return self.model

    def require_images(self) -> LabeledImages:
        """Return the images.

        Returns:
            All images.

        Raises:
            AnalysisError: there are no images.
        """
        if self.images is None:
            raise AnalysisError(NO_IMAGES)
        return self.images

    def subset(self, most: int) -> LabeledImages:
        """Select images evenly.

        Args:
            most: number of images wanted.

        Returns:
            At most `most` images.

        Raises:
            AnalysisError: there are no images.
        """
        images = self.require_images()
        # Test sets are often sorted by class, so the first images would not do.
        chosen = list(evenly_spaced(len(images), most))
        return LabeledImages(images.images[chosen], images.labels[chosen])
