"""Remarks on what is assumed of a model or done to an image, with the reason for each."""

import numpy as np

from gui.state import Badge, ModelChoice
from lightning_resnets.checkpoint.card_overrides import NORMALIZATION
from lightning_resnets.checkpoint.untrained import has_initial_weights
from lightning_resnets.interactive.model import InteractiveModel

MIN_UPSAMPLING = 1.5  # less is not worth a remark

UNTRAINED = Badge(
    "random weights",
    "The weights are those of a model before training, so predictions mean nothing.",
)
ASSUMED_CLASSES = Badge(
    "assumed classes", "The file does not name its classes; these are guessed by their number."
)
ASSUMED_PREPROCESSING = Badge(
    "assumed preprocessing",
    "The file does not say how images were normalized; mean and std are those of similar models.",
)
# What tells an option's models apart, by the name of the option.
OPTION_TEXTS = {
    "stride_in": "the stride is in the {} convolution of each block",
    "stem_pool": "pooling after the stem: {}",
    "output_stride": "output stride {}, with dilated convolutions instead of strides",
    "shortcut_pad": "shortcuts are padded at the {}",
    "shortcut_type": "shortcuts of type {}",
}


def model_badges(interactive: InteractiveModel) -> tuple[Badge, ...]:
    """List what is assumed of a model or unusual.

    Args:
        interactive: the opened model.

    Returns:
        The remarks, the most important first.
    """
    assumed = set(interactive.card.assumed)
    badges = []
    if has_initial_weights(interactive.model):
        badges.append(UNTRAINED)
    if "class_names" in assumed:
        badges.append(ASSUMED_CLASSES)
    if assumed & set(NORMALIZATION):
        badges.append(ASSUMED_PREPROCESSING)
    return tuple(badges)


def image_badges(pixels: np.ndarray, input_size: tuple[int, int, int]) -> tuple[Badge, ...]:
    """List what the model's input does to an image.

    Args:
        pixels: the image as it is in its file, (H, W, 3).
        input_size: (C, H, W) of the model's input.

    Returns:
        A remark if the image is enlarged much.
    """
    height, width = pixels.shape[:2]
    factor = min(input_size[1] / height, input_size[2] / width)
    if factor < MIN_UPSAMPLING:
        return ()
    reason = (
        f"The image has {width} × {height} pixels and the model's input "
        f"{input_size[2]} × {input_size[1]}: it looks blurred to the model."
    )
    return (Badge(f"upsampled {factor:.2g}×", reason),)


def model_choices(interactive: InteractiveModel) -> tuple[ModelChoice, ...]:
    """List the models that a file fits, if there are several.

    Args:
        interactive: the opened model.

    Returns:
        The opened model and its alternatives; nothing if it is the only one.
    """
    if not interactive.alternatives:
        return ()
    # First, because the dialog preselects its first entry.
    present = ModelChoice(interactive.card.arch, "opened now")
    others = [ModelChoice(name, describe_alternative(name)) for name in interactive.alternatives]
    return (present, *others)


def describe_alternative(name: str) -> str:
    """Say what tells an alternative from the model that was opened.

    Args:
        name: its name with options, "resnet50,stride_in=1x1".

    Returns:
        Its options in words.
    """
    arch, *options = name.split(",")
    texts = []
    for option in options:
        key, _, value = option.partition("=")
        texts.append(OPTION_TEXTS.get(key, f"{key}: {{}}").format(value))
    if texts:
        return ", ".join(texts)
    if arch.startswith("plain"):
        return "the same layers without skip connections"
    # "library/name" is another library's variant of an architecture.
    library, slash, _ = arch.partition("/")
    if slash:
        return f"{library}'s variant of it"
    return "another architecture"
