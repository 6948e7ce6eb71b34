"""Models to compare by error and cost: published ones, and the bundled ones as measured."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import nn

from lightning_resnets.checkpoint.bundled import bundled_checkpoints
from lightning_resnets.checkpoint.load import read_card
from lightning_resnets.graph import trace
from lightning_resnets.models.published_results import PUBLISHED_RESULTS, PublishedResult
from lightning_resnets.models.registry import MODELS, create_model
from lightning_resnets.models.single_crop_results import SINGLE_CROP_RESULTS
from lightning_resnets.utils.parameters import count_parameters
from lightning_resnets.utils.skip_init import skip_init

SMALL_IMAGE_SIZE = 64  # below: CIFAR models; from here on: ImageNet models
# Tracing each of these takes seconds: only compared when asked for by name.
SLOW_MODELS = ("resnet1202", "preresnet1001", "densenet_bc_250_24")

PUBLISHED = "published"
MEASURED = "measured"
ANALYZED = "analyzed"
TEST_SET = "test set"
TEN_CROP = "10-crop"


class Family(NamedTuple):
    """A family of models: prefixes of their names, title and color."""

    prefixes: tuple[str, ...]
    title: str
    color: str


# The first prefix that matches counts.
FAMILIES = (
    Family(("alexnet", "vgg", "plain"), "no skip connection", "#4d4d4d"),
    Family(("highway",), "Highway", "#8c564b"),
    Family(("se",), "SE", "#b2182b"),
    Family(("densenet",), "DenseNet", "#c4571a"),
    Family(("resnext",), "ResNeXt", "#1b9e9e"),
    Family(("wrn", "wide"), "wide ResNet", "#6a51a3"),
    Family(("preresnet",), "pre-activation", "#5b8db8"),
    Family(("inception_resnet",), "Inception-ResNet", "#a6761d"),
    Family(("bn_inception", "inception", "googlenet"), "Inception", "#2f7d4f"),
    Family(("resnet",), "ResNet", "#1f5fa8"),
)


class ModelPoint(NamedTuple):
    """A model in the comparison.

    Attributes:
        model: name of the model.
        family: title of its family.
        parameters: number of parameters.
        macs: multiply-adds for one image.
        error: top-1 error in %; NaN if unknown.
        kind: PUBLISHED, MEASURED (a bundled model) or ANALYZED.
        protocol: part of each image that was evaluated.
        source: paper or file that the error is from.
    """

    model: str
    family: str
    parameters: int
    macs: int
    error: float
    kind: str
    protocol: str
    source: str

    @property
    def has_error(self) -> bool:
        """Return True unless the error is NaN (unknown)."""
        # NaN is the only number that differs from itself.
        return self.error == self.error

    @property
    def label(self) -> str:
        """Return the name in figures; a bundled model may be published too."""
        return f"{self.model} (measured)" if self.kind == MEASURED else self.model


def family(name: str) -> str:
    """Return the family of a model.

    Args:
        name: name of a model.

    Returns:
        The title of its family, "others" if unknown.
    """
    for one in FAMILIES:
        if name.startswith(one.prefixes):
            return one.title
    return "others"


def comparable_results(is_small: bool) -> dict[str, PublishedResult]:
    """Return the published errors for CIFAR (small) or ImageNet images.

    Args:
        is_small: True for CIFAR-10.

    Returns:
        Errors by model name. On ImageNet all are of one crop, except for plain models, whose paper
        prints ten crops only.
    """
    if is_small:
        return {
            name: result
            for name, result in PUBLISHED_RESULTS.items()
            if MODELS[name].input_size[1] < SMALL_IMAGE_SIZE
        }
    plain = {name: PUBLISHED_RESULTS[name] for name in ("plain18", "plain34")}
    return {**SINGLE_CROP_RESULTS, **plain}


def published_point(name: str, result: PublishedResult) -> ModelPoint:
    """Return a model with its published error.

    Args:
        name: name in the model registry.
        result: its error.

    Returns:
        Its cost for one image and its error.
    """
    # Costs follow from shapes, so no weights are initialized.
    with skip_init():
        model = create_model(name, MODELS[name].num_classes)
    input_size = MODELS[name].input_size
    protocol = _protocol(input_size, result.source)
    return make_point(name, model, input_size, (result.error, PUBLISHED, protocol, result.source))


def _protocol(input_size: tuple[int, int, int], source: str) -> str:
    """Return the part of each image that a published error is of."""
    side = input_size[1]
    if side < SMALL_IMAGE_SIZE:
        return TEST_SET
    # Sources name ten crops; one crop is the common protocol.
    return TEN_CROP if TEN_CROP in source else f"1-crop, {side}×{side}"


def bundled_points() -> list[ModelPoint]:
    """Return the bundled CIFAR-10 models with their measured errors.

    Returns:
        Models with the error on the whole test set from their model cards.
    """
    points: list[ModelPoint] = []
    for name, path in bundled_checkpoints().items():
        card = read_card(path)
        # Models of other datasets cannot be compared by error.
        if card.dataset != "cifar10" or "test_accuracy" not in card.metrics:
            continue
        with skip_init():
            model = create_model(card.arch, len(card.class_names), **card.model_kwargs)
        error = 100 * (1 - card.metrics["test_accuracy"])
        facts = (error, MEASURED, TEST_SET, name)
        points.append(make_point(card.arch, model, card.input_size, facts))
    return points


def make_point(
    name: str,
    model: nn.Module,
    input_size: tuple[int, int, int],
    facts: tuple[float, str, str, str],
) -> ModelPoint:
    """Count the cost of a model and return its point.

    Args:
        name: name of the model.
        model: the model.
        input_size: shape (C, H, W) of one image.
        facts: error, kind, protocol and source, see `ModelPoint`.

    Returns:
        The point.
    """
    macs = trace(model, input_size).macs
    return ModelPoint(name, family(name), count_parameters(model), macs, *facts)


def pareto_front(points: Sequence[ModelPoint]) -> list[ModelPoint]:
    """Select the published models that no other beats in both error and MACs.

    Args:
        points: models to compare.

    Returns:
        Points on the Pareto front.
    """
    published = [point for point in points if point.kind == PUBLISHED]
    front: list[ModelPoint] = []
    for point in published:
        # Equal cost is not cheaper: both may be on the front.
        cheaper = [one for one in published if one.macs < point.macs]
        if all(one.error > point.error for one in cheaper):
            front.append(point)
    return front
