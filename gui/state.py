"""The user's request and the engine's result: plain frozen data.

Only numpy and the standard library live here, so that views, controller, worker and engine can all
use these.
"""

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from gui.details import Detail, ReceptiveField
from gui.graph import Edit, Graph
from gui.measures import MeasureValues

Contrast = Literal["channel", "layer"]
Order = Literal["channel", "weight"]

MIN_PHOTOGRAPH_SIDE = 96  # pixels of a model's input from which on photographs fit it


@dataclass(frozen=True, slots=True, eq=False)
class ImageInput:
    """An image as it came in; equal only to itself.

    Attributes:
        label: its name on the screen.
        path: its file.
        encoded: the bytes of a file.
        pixels: (H, W, 3) uint8. One of the three is set.
    """

    label: str
    path: str | None = None
    encoded: bytes | None = None
    pixels: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """Everything the user has chosen.

    Attributes:
        checkpoint: path or name of the model, None on the start page.
        architecture: architecture or custom model (`module:function`) that the user named.
        image: the input image.
        selected: name of the node to inspect.
        edits: the active edits.
        contrast: color scale of feature maps, per channel or per layer.
        gate_order: order of a gate's weights.
        strip_measure: figure in the depth strip, None for the one that fits the model.
        color_measure: figure that the graph is colored by, None for plain colors.
        wants_receptive_field: True once the pointer was over a map of this model.
    """

    checkpoint: str | None = None
    architecture: str | None = None
    image: ImageInput | None = None
    selected: str | None = None
    edits: tuple[Edit, ...] = ()
    contrast: Contrast = "channel"
    gate_order: Order = "channel"
    strip_measure: str | None = None
    color_measure: str | None = None
    wants_receptive_field: bool = False


@dataclass(frozen=True, slots=True)
class Badge:
    """A short remark on a model or an image, with the reason for it."""

    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """One of several models that a file fits.

    Attributes:
        architecture: name to open the file with.
        difference: what tells it from the others.
    """

    architecture: str
    difference: str


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """An opened checkpoint.

    Attributes:
        key: the request's `checkpoint`.
        title: its name on the screen.
        arch: name of the architecture.
        class_names: names of the classes, in the order of the outputs.
        diagram: the folded graph.
        facts: (label, value) pairs, the most important first.
        warning: what the user has to know about the file, "" for nothing.
        badges: what is assumed or unusual.
        input_size: (C, H, W) of its input.
        choices: all models that the file fits, the opened one first; nothing if it is the only one.
    """

    key: str
    title: str
    arch: str
    class_names: tuple[str, ...]
    diagram: Graph
    facts: tuple[tuple[str, str], ...] = ()
    warning: str = ""
    badges: tuple[Badge, ...] = ()
    input_size: tuple[int, int, int] = (3, 32, 32)
    choices: tuple[ModelChoice, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """The engine's answer to one request.

    Attributes:
        model: the opened model, None if it could not be opened.
        image: the image that the model received.
        input_pixels: it as the model received it, (H, W, 3) uint8.
        probabilities: (K,).
        probabilities_without_edits: (K,).
        edits: the edits that were active.
        detail: tensors of the selected node.
        changes: relative change of each node's output by the edits, by name.
        receptive_field: of the selected node's map, None where it is unknown.
        strip: values of the depth strip, None without an image.
        colors: values that the graph is colored by, None for plain colors.
        seconds: duration of the whole answer.
        image_badges: what the model's input does to the image.
        image_error: why the image cannot be read, "" if it can.
        needs_code_permission: the `module:function` whose code the file needs, "" for none.
    """

    model: ModelInfo | None = None
    image: ImageInput | None = None
    input_pixels: np.ndarray | None = None
    probabilities: np.ndarray | None = None
    probabilities_without_edits: np.ndarray | None = None
    edits: tuple[Edit, ...] = ()
    detail: Detail | None = None
    changes: dict[str, float] = field(default_factory=dict)
    receptive_field: ReceptiveField | None = None
    strip: MeasureValues | None = None
    colors: MeasureValues | None = None
    seconds: float = 0.0
    image_badges: tuple[Badge, ...] = ()
    image_error: str = ""
    needs_code_permission: str = ""


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """A model of the start page."""

    key: str
    title: str
    detail: str


@dataclass(frozen=True, slots=True)
class Catalog:
    """Bundled models and sample images.

    Attributes:
        models: models of the start page.
        samples: images of the sample strip, those of CIFAR-10 at first.
        note: what to say where there are no models.
        photographs: images for models with a large input.
    """

    models: tuple[CatalogEntry, ...] = ()
    samples: tuple[ImageInput, ...] = ()
    note: str = ""
    photographs: tuple[ImageInput, ...] = ()

    def samples_for(self, model: ModelInfo) -> tuple[ImageInput, ...]:
        """Choose the images that fit a model.

        Args:
            model: the model.

        Returns:
            Photographs for a model with a large input, else the samples.
        """
        is_large = min(model.input_size[1:]) >= MIN_PHOTOGRAPH_SIDE
        if is_large and self.photographs:
            return self.photographs
        return self.samples

    def sample_index(self, image: ImageInput | None) -> int | None:
        """Return the index of a sample image.

        Args:
            image: any image.

        Returns:
            Its index, None if it is not a sample.
        """
        for i, sample in enumerate(self.samples):
            if sample is image:
                return i
        return None


def last_good_request(request: Request, good: Request, result: Result) -> Request:
    """Return the request to go back to if a model cannot be opened.

    Args:
        request: the request that failed.
        good: the last request that was answered.
        result: its result.

    Returns:
        The last good request, or one for the start page; color scale and order stay.
    """
    # The start page keeps an image that came with a model: it has not been tried on any yet.
    is_image_untried = result.model is None and request.checkpoint and good.checkpoint is None
    start = Request(image=request.image if is_image_untried else good.image)
    target = good if result.model else start
    return keep_view_choices(target, request)


def keep_view_choices(target: Request, request: Request) -> Request:
    """Take over how things are shown.

    Args:
        target: says what to show.
        request: says how to show it.

    Returns:
        The target with the color scale, order and measures of the request.
    """
    return replace(
        target,
        contrast=request.contrast,
        gate_order=request.gate_order,
        strip_measure=request.strip_measure,
        color_measure=request.color_measure,
    )


def replace_rejected_image(request: Request, good: Request, catalog: Catalog) -> Request:
    """Replace an image that cannot be read.

    Args:
        request: the request with the image.
        good: the last request that was answered.
        catalog: the sample images.

    Returns:
        The request with the last good image, or else the first sample, or else none.
    """
    # An image that has never run may be as unreadable as the new one.
    candidates = [good.image] if good.checkpoint else []
    candidates += catalog.samples[:1]
    images = [image for image in candidates if image and image is not request.image]
    return replace(request, image=images[0] if images else None)
