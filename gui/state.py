"""The user's request, the engine's result and the view state to paint: plain frozen
data, one pure step.

Only numpy and the standard library live here, so views, controller, worker and engine can all speak
of these."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from gui.descriptions import describe_edit
from gui.graph import Edit, Graph, MergeKind, Node

Contrast = Literal["channel", "layer"]


Order = Literal["channel", "weight"]


@dataclass(frozen=True, slots=True, eq=False)
class ImageInput:
    """An image as it was given: a file's path, its bytes, or pixels (H, W, 3) uint8; equal only to
    itself.
    """

    label: str
    path: str | None = None
    encoded: bytes | None = None
    pixels: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """Everything the user has asked for; the whole of it is what undo, worker and screen look at.

    `own` is the `module:function` that he gave himself for a model of his own.
    """

    checkpoint: str | None = None
    custom_model: str | None = None
    image: ImageInput | None = None
    selected: str | None = None
    edits: tuple[Edit, ...] = ()
    contrast: Contrast = "channel"
    gate_order: Order = "channel"


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """An opened checkpoint: `key` is what was asked for, `facts` are (label, value) pairs to
    show.
    """

    key: str
    title: str
    arch: str
    class_names: tuple[str, ...]
    diagram: Graph
    facts: tuple[tuple[str, str], ...] = ()
    warning: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class FeatureMaps:
    """The output of one block, (C, H, W) float32; a vector is (K, 1, 1)."""

    name: str
    values: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class AddDetail:
    """The three tensors of an Add, each (C, H, W): shortcut + branch = total."""

    name: str
    shortcut: np.ndarray
    branch: np.ndarray
    total: np.ndarray


@dataclass(frozen=True, slots=True)
class ConcatPart:
    """Channels start to stop of a concatenation, made by `source`, the `place`th of `places` that
    its block has.
    """

    source: str
    start: int
    stop: int
    index: int
    count: int


@dataclass(frozen=True, slots=True, eq=False)
class ConcatDetail:
    """The output of a Concat, (C, H, W), and who made which channels."""

    name: str
    values: np.ndarray
    parts: tuple[ConcatPart, ...]


@dataclass(frozen=True, slots=True, eq=False)
class GateDetail:
    """A Gate: one weight a channel (C,), the maps before and after it, each (C, H, W)."""

    name: str
    weight: np.ndarray
    before: np.ndarray
    after: np.ndarray


Detail = FeatureMaps | AddDetail | ConcatDetail | GateDetail


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """The engine's answer to one request; `before` are the probabilities without any edit.

    `refused` says in a sentence why the wished image could not be read; then there is the model
    alone. `asks` is the `module:function` that the wished file names and the user has to give
    himself; then there is nothing."""

    model: ModelInfo | None = None
    image: ImageInput | None = None
    input_pixels: np.ndarray | None = None
    probabilities: np.ndarray | None = None
    probabilities_without_edits: np.ndarray | None = None
    edits: tuple[Edit, ...] = ()
    detail: Detail | None = None
    changes: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    image_error: str = ""
    needs_code_permission: str = ""


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """A model of the gallery."""

    key: str
    title: str
    detail: str


@dataclass(frozen=True, slots=True)
class Catalog:
    """Bundled models and sample images that the start page offers."""

    models: tuple[CatalogEntry, ...] = ()
    samples: tuple[ImageInput, ...] = ()
    note: str = ""

    def sample_index(self, image: ImageInput | None) -> int | None:
        """Return the index of a sample image; None where it came from elsewhere."""
        return next((i for i, sample in enumerate(self.samples) if sample is image), None)


@dataclass(frozen=True, slots=True)
class ClassBar:
    """One class of the prediction: its share now, and before the edits where there are any."""

    label: str
    probability: float
    before: float | None


@dataclass(frozen=True, slots=True)
class EditChip:
    """One active edit in words."""

    key: tuple[str, str, int]
    text: str
    kind: MergeKind | Literal["block"]


@dataclass(frozen=True, slots=True, eq=False)
class ViewState:
    """All that is on the screen; the views are given only what differs from the last one."""

    page: Literal["start", "model"] = "start"
    title: str = "Lightning ResNets"
    facts: tuple[tuple[str, str], ...] = ()
    warning: str = ""
    diagram: Graph = field(default_factory=Graph)
    selected: str | None = None
    node: Node | None = None
    edits: tuple[Edit, ...] = ()
    chips: tuple[EditChip, ...] = ()
    changes: dict[str, float] = field(default_factory=dict)
    image_label: str = ""
    input_pixels: np.ndarray | None = None
    bars: tuple[ClassBar, ...] = ()
    detail: Detail | None = None
    contrast: Contrast = "channel"
    order: Order = "channel"
    status: str = ""


def last_good_request(request: Request, good: Request, result: Result) -> Request:
    """The wish to go back to where the model of `wish` could not be opened: the last `good` one, or
    the start page.

    The start page keeps an image that was named with a model: no model was there to try it on.
    """
    untried = result.model is None and request.checkpoint is not None and good.checkpoint is None
    standing = good if result.model else Request(image=request.image if untried else good.image)
    return replace(standing, contrast=request.contrast, gate_order=request.gate_order)


def replace_rejected_image(request: Request, good: Request, catalog: Catalog) -> Request:
    """The wish without its image, which was refused: with the last good one, or else the first
    sample.
    """
    others = (good.image if good.checkpoint else None, *catalog.samples[:1])
    return replace(
        request, image=next((one for one in others if one and one is not request.image), None)
    )


def make_view_state(request: Request, result: Result) -> ViewState:
    """Combine the pending request with the latest result into the view state."""
    model = result.model
    if model is None:
        return ViewState(status="Opening…" if request.checkpoint else "")
    fresh = model.key == request.checkpoint
    return ViewState(
        page="model",
        title=model.title,
        facts=model.facts,
        warning=model.warning,
        diagram=model.diagram,
        selected=request.selected,
        node=model.diagram.node(result.detail.name if result.detail else request.selected),
        edits=request.edits if fresh else (),
        chips=tuple(edit_chip(edit, model.diagram) for edit in request.edits) if fresh else (),
        changes=result.changes,
        image_label=result.image.label if result.image else "",
        input_pixels=result.input_pixels,
        bars=prediction_bars(result, model.class_names),
        detail=result.detail,
        contrast=request.contrast,
        order=request.gate_order,
        status="" if fresh else "Opening…",
    )


def prediction_bars(
    result: Result, class_names: Sequence[str], count: int = 5
) -> tuple[ClassBar, ...]:
    """The `count` likeliest classes, best first; with edits, what each was before, and the former
    best in any case.
    """
    if result.probabilities is None:
        return ()
    best = [int(i) for i in np.argsort(-result.probabilities, kind="stable")[:count]]
    before = result.probabilities_without_edits if result.edits else None
    if before is not None and (former := int(np.argmax(before))) not in best:
        best[-1] = former
    return tuple(
        ClassBar(
            class_names[i],
            float(result.probabilities[i]),
            None if before is None else float(before[i]),
        )
        for i in best
    )


def edit_chip(edit: Edit, diagram: Graph) -> EditChip:
    """An edit in words, with the kind of merge that it changes."""
    node = diagram.node(edit.target)
    kind = node.kind if node and node.kind in ("add", "concat", "gate") else "block"
    return EditChip(edit.key, describe_edit(edit, diagram), kind)
