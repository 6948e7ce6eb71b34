"""Put together what is known of a file's model and what is assumed."""

from dataclasses import replace

from lightning_resnets.checkpoint.identify import architecture
from lightning_resnets.checkpoint.identify.architecture import InferredArchitecture
from lightning_resnets.checkpoint.identify.choose import Choice
from lightning_resnets.checkpoint.identify.dialects import UNKNOWN, Dialect
from lightning_resnets.checkpoint.identify.identification import Identification
from lightning_resnets.checkpoint.identify.known_and_assumed import (
    Assessment,
    Evidence,
    describe_assumptions,
)
from lightning_resnets.checkpoint.identify.known_preprocessing import (
    CIFAR10,
    IMAGENET,
    IMAGENET_SIZE,
    MEAN_STD_HALF,
    TORCH_PREPROCESSING,
)
from lightning_resnets.checkpoint.identify.matching import Match
from lightning_resnets.models import registry
from lightning_resnets.preprocessing import Preprocessing

DATASET_BY_NUM_CLASSES = {1000: "imagenet", 10: "cifar10", 100: "cifar100"}

# torchvision's weights of these convert ImageNet's mean and std to 0.5 before the first layer.
INPUT_TRANSFORMING_MODELS = ("googlenet", "inception_v3")


def summarize(
    choice: Choice, assessment: Assessment, evidence: Evidence, bn_eps: float | None = None
) -> Identification:
    """Put together the identification of a match.

    Args:
        choice: the chosen model and the others of the file.
        assessment: how sure the match is.
        evidence: what tells the model besides its weights.
        bn_eps: batch norm's epsilon from the settings of a pickled module, or None.

    Returns:
        The identification.
    """
    match = choice.match
    weights = match.weights
    preprocessing, dataset = _choose_preprocessing(match)
    return Identification(
        arch=match.name,
        num_classes=match.num_classes,
        model_kwargs=match.model_kwargs,
        dialect=_dialect_name(match),
        state_dict=match.state_dict,
        missing_keys=match.missing_keys,
        unexpected_keys=match.unexpected_keys,
        mismatched_keys=match.mismatched_keys,
        ignored_keys=weights.ignored_keys,
        conversions=weights.conversions,
        confidence=assessment.confidence,
        reason=assessment.reason,
        alternatives=assessment.alternatives,
        assumptions=describe_assumptions(match, evidence) if match.fits else (),
        prefix=weights.part.prefix,
        other_models=choice.others,
        preprocessing=_with_channels(preprocessing, match),
        bn_eps=weights.dialect.bn_eps if bn_eps is None else bn_eps,
        dataset=dataset,
    )


def _dialect_name(match: Match) -> str:
    """Return the name of the naming scheme: a package's for an external model."""
    if ":" in match.name:
        return UNKNOWN.name
    package, slash, _ = match.name.partition("/")
    if slash:
        return package
    return match.weights.dialect.name


def _choose_preprocessing(match: Match) -> tuple[Preprocessing, str]:
    """Return the model's preprocessing, and the dataset whose number of classes it has."""
    if match.name in registry.MODELS or match.weights.architecture:
        return _preprocessing_of(match, match.weights.dialect, match.weights.architecture)
    if match.preprocessing is not None:
        return match.preprocessing, _dataset_if("imagenet", match.num_classes)
    return _guess_preprocessing(match), ""


def _preprocessing_of(
    match: Match, dialect: Dialect, inferred: InferredArchitecture | None
) -> tuple[Preprocessing, str]:
    """Return the preprocessing of a model of ours, and its dataset."""
    count = match.num_classes
    registered = registry.MODELS.get(match.name)
    size = IMAGENET_SIZE
    if registered is not None:
        size = registered.input_size
    # Without inferred stem the model's own input size decides.
    is_large = size[1] > 32
    if inferred is not None:
        is_large = not inferred.has("cifar")
    if is_large:
        key = "imagenet"
    elif count == 100:
        key = "cifar100"
    else:
        key = "cifar10"
    preprocessing = dialect.preprocessing.get(key, TORCH_PREPROCESSING[key])
    if match.name in INPUT_TRANSFORMING_MODELS and count == 1000:
        preprocessing = MEAN_STD_HALF
    if is_large and size[1] > 32:
        preprocessing = replace(preprocessing, input_size=size)
    return preprocessing, _dataset_if(key, count)


def _dataset_if(dataset: str, num_classes: int) -> str:
    """Return the dataset if it has this number of classes, else ""."""
    if DATASET_BY_NUM_CLASSES.get(num_classes) == dataset:
        return dataset
    return ""


def _guess_preprocessing(match: Match) -> Preprocessing:
    """Guess the input of a custom model: CIFAR's for a small first convolution, else ImageNet's."""
    shapes = match.weights.shapes
    inferred = architecture.infer_architecture(shapes)
    if inferred:
        is_small = inferred.has("cifar")
    else:
        first = next((shape for shape in shapes.values() if len(shape) == 4), (0, 3, 7, 7))
        is_small = first[-1] <= 3
    if is_small:
        return CIFAR10
    return IMAGENET


def _with_channels(preprocessing: Preprocessing, match: Match) -> Preprocessing:
    """Return the preprocessing for the channels that the first convolution takes.

    Gray images are the mean of red, green and blue, so their mean is the mean of three.
    """
    channels = match.model_kwargs.get("in_channels", 3)
    if channels == 3:
        return preprocessing
    _, *size = preprocessing.input_size
    mean = sum(preprocessing.mean) / len(preprocessing.mean)
    std = sum(preprocessing.std) / len(preprocessing.std)
    return replace(
        preprocessing,
        input_size=(channels, *size),
        mean=(mean,) * channels,
        std=(std,) * channels,
        channel_order="RGB",
    )
