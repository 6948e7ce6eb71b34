"""The worker's side: a wish in, what was seen out; all it knows of torch is
`lightning_resnets.interactive.model`. No Qt.
"""

import time
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Generic, TypeVar

import cachetools
import numpy as np

from gui.graph import Edge, Edit, Graph, MergeKind, Node, NodeKind, SkipConnection, short_name
from gui.state import (
    AddDetail,
    Catalog,
    CatalogEntry,
    ConcatDetail,
    ConcatPart,
    Detail,
    FeatureMaps,
    GateDetail,
    ImageInput,
    ModelInfo,
    Request,
    Result,
)
from lightning_resnets.checkpoint import ModelCard, bundled_checkpoints
from lightning_resnets.checkpoint.load import read_card
from lightning_resnets.data import cifar10_sample
from lightning_resnets.errors import CustomModelError, ImageError
from lightning_resnets.graph.data import Node as ModelNode
from lightning_resnets.graph.model_graph import ModelGraph
from lightning_resnets.interactive.model import InferenceResult, InteractiveModel
from lightning_resnets.interventions import Intervention, RemoveBlock, ScaleInput, SetInput
from lightning_resnets.preprocessing import read_image

K = TypeVar("K", bound=Hashable)


V = TypeVar("V")

SAMPLES_PER_CLASS = 4


class Engine:
    """Answer "catalog" with a Catalog and "run" with a Result; a ValueError has the message for
    the user.
    """

    def __init__(self) -> None:
        self._models = LRUCache[tuple[str, str | None], tuple[InteractiveModel, ModelInfo]](3)
        self._images = LRUCache[ImageInput, np.ndarray](8)
        self._views = LRUCache[Hashable, InferenceResult](12)

    def handle(self, kind: str, request: object) -> object:
        """One request of the window; `kind` is "catalog" or "run"."""
        if kind == "catalog":
            return load_catalog()
        assert isinstance(request, Request), f"no such request: {kind}"
        return self.run(request)

    def run(self, request: Request) -> Result:
        """Open, look, and describe the selected block; whatever was looked at before comes from
        memory.

        A model that cannot be opened raises; an image that cannot be read leaves the model, and
        `refused` says why."""
        began = time.perf_counter()
        if request.checkpoint is None:
            return Result()
        key = request.checkpoint
        try:
            interactive, model = self._models.get(
                (key, request.custom_model), lambda: open_model(key, request.custom_model)
            )
        except CustomModelError as error:
            return Result(needs_code_permission=error.model)
        if request.image is None:
            return Result(model=model)
        image = request.image
        try:
            pixels = self._images.get(image, lambda: load_pixels(image))
            before = self._look(interactive, image, pixels, model.diagram, ())
        except ImageError as error:
            return Result(model=model, image_error=str(error))
        edits = tuple(edit for edit in request.edits if model.diagram.node(edit.target))
        now = self._look(interactive, image, pixels, model.diagram, edits) if edits else before
        return Result(
            model=model,
            image=image,
            input_pixels=now.input,
            probabilities=now.probabilities,
            probabilities_without_edits=before.probabilities,
            edits=edits,
            detail=detail(model.diagram, request.selected, now),
            changes=relative_changes(model.diagram, before, now) if edits else {},
            seconds=time.perf_counter() - began,
        )

    def _look(
        self,
        interactive: InteractiveModel,
        image: ImageInput,
        pixels: np.ndarray,
        diagram: Graph,
        edits: tuple[Edit, ...],
    ) -> InferenceResult:
        points = tuple(node.hook_point for node in diagram.nodes if node.hook_point)
        ops = tuple(to_intervention(edit) for edit in edits)
        return self._views.get(
            (interactive, image, edits), lambda: interactive.run(pixels, points, ops)
        )


class LRUCache(Generic[K, V]):
    """A bounded cache that forgets the least recently used value first."""

    def __init__(self, size: int) -> None:
        self._values: cachetools.LRUCache[K, V] = cachetools.LRUCache(size)

    def get(self, key: K, make: Callable[[], V]) -> V:
        """Return the value of a key, made by `make` if it is not in the cache."""
        if key not in self._values:
            self._values[key] = make()
        return self._values[key]


def load_catalog() -> Catalog:
    """The models that ship and some images of each class of the sample."""
    models = tuple(catalog_entry(name, path) for name, path in bundled_checkpoints().items())
    images, labels = cifar10_sample.load_sample("test")
    order = [
        np.flatnonzero(labels == k)[:SAMPLES_PER_CLASS] for k in range(len(cifar10_sample.CLASSES))
    ]
    chosen = np.stack(order, 1).ravel()
    return Catalog(
        models=models,
        samples=tuple(
            ImageInput(cifar10_sample.CLASSES[labels[i]], pixels=images[i]) for i in chosen
        ),
        note=""
        if models
        else "No trained models are in the folder checkpoints/ yet: train one with ./run demo.",
    )


def catalog_entry(name: str, path: Path) -> CatalogEntry:
    """Read the card of a bundled model for the start page; show the error where that fails."""
    try:
        card = read_card(path)
    except ValueError as error:
        return CatalogEntry(str(path), name, str(error))
    return CatalogEntry(
        str(path),
        card.arch,
        " · ".join(part for part in (card.dataset_title, format_accuracy(card)) if part),
    )


def format_accuracy(card: ModelCard) -> str:
    """Format the accuracy of the card; empty where it has none."""
    return card.title.split(" · ")[-1] if "accuracy" in card.title else ""


def open_model(key: str, own: str | None = None) -> tuple[InteractiveModel, ModelInfo]:
    """Open a checkpoint by its path or a bundled model by its name; `own` names a custom model."""
    interactive = InteractiveModel.open(key, own)
    return interactive, describe_model(key, interactive)


def describe_model(key: str, interactive: InteractiveModel) -> ModelInfo:
    """Describe a model for the screen: its folded graph and the facts of its card."""
    graph, card = interactive.graph, interactive.card
    folded = graph.fold()
    facts = [
        ("parameters", f"{graph.parameters:,}"),
        ("MACs", f"{graph.macs / 1e6:,.1f} M"),
    ]
    if card.dataset_title:
        facts.insert(0, ("data", card.dataset_title))
    if known := format_accuracy(card):
        facts.insert(1, ("accuracy", known.replace(" test accuracy", " on the test set")))
    if card.dialect:  # a file without a card, recognized
        facts.append(("names", f"{card.dialect}'s names"))
    warning = "" if known or card.dialect else "accuracy unknown"
    if interactive.notes:
        warning = interactive.notes[0]
    return ModelInfo(
        key, card.arch, card.arch, card.class_names, to_gui_graph(folded), tuple(facts), warning
    )


def to_gui_graph(graph: ModelGraph) -> Graph:
    """A folded graph as the screen's plain data."""
    kinds: dict[str, MergeKind] = {"add": "add", "concat": "concat", "gate": "gate"}
    return Graph(
        nodes=tuple(
            Node(
                block.name,
                short_name(block.name),
                node_kind(block),
                block.op,
                block.shape,
                block.parameters,
                block.macs,
                block.hook_point,
            )
            for block in graph.nodes
        ),
        edges=tuple(Edge(*flow) for flow in graph.edges),
        skips=tuple(
            SkipConnection(kinds[skip.kind], skip.source, skip.merge, skip.operand, skip.projection)
            for skip in graph.skips
        ),
    )


def node_kind(block: ModelNode) -> NodeKind:
    merges: dict[str, NodeKind] = {"add": "add", "concat": "concat", "gate": "gate"}
    if block.kind:
        return merges[block.kind]
    if block.op in ("input", "output"):
        return "input" if block.op == "input" else "output"
    return "head" if block.op == "linear" else "block"


def to_intervention(edit: Edit) -> Intervention:
    """Convert an edit of the screen to an intervention."""
    match edit.kind:
        case "drop":
            return RemoveBlock(edit.target)
        case "hold":
            return SetInput(edit.target, edit.operand, edit.value)
        case "scale":
            return ScaleInput(edit.target, edit.operand, edit.value)


def load_pixels(image: ImageInput) -> np.ndarray:
    """Pixels (H, W, 3) uint8 of an image, wherever it came from."""
    if image.pixels is not None:
        return image.pixels
    source = image.path if image.encoded is None else image.encoded
    assert source is not None, "an image needs a path, bytes or pixels"
    return np.array(read_image(source))  # a copy that torch may read without a warning


def as_maps(values: np.ndarray) -> np.ndarray:
    """Any output as maps (C, H, W): a vector becomes maps of one element, groups (R, C, H, W) stand
    in a row.
    """
    return (
        values.reshape(len(values), 1, -1)
        if values.ndim < 3
        else values.reshape(-1, *values.shape[-2:])
    )


def detail(shown: Graph, name: str | None, view: InferenceResult) -> Detail | None:
    """Return what the inspector shows of the selected node."""
    node = shown.node(name)
    if node is None:
        return None
    operands = view.operands.get(node.hook_point, ())
    if node.kind == "add" and len(operands) == 2:
        return AddDetail(node.name, *operands, view.outputs[node.hook_point])
    if node.kind == "gate" and len(operands) == 2 and operands[1].shape[1:][-2:] in ((), (1, 1)):
        return GateDetail(
            node.name,
            operands[1].reshape(-1),
            as_maps(operands[0]),
            as_maps(view.outputs[node.hook_point]),
        )
    if node.kind == "concat" and operands:
        return ConcatDetail(
            node.name,
            view.outputs[node.hook_point],
            concat_parts(shown, node.name, [len(part) for part in operands]),
        )
    if node.kind == "input":
        return FeatureMaps(node.name, view.input.transpose(2, 0, 1).astype(np.float32))
    if node.kind == "output":
        return FeatureMaps(node.name, as_maps(view.logits))
    return (
        FeatureMaps(node.name, as_maps(view.outputs[node.hook_point]))
        if node.hook_point in view.outputs
        else None
    )


def concat_parts(shown: Graph, merge: str, widths: list[int]) -> tuple[ConcatPart, ...]:
    """Return the source of each channel of a concatenation: its operands in order, each as wide as
    it is.
    """
    into: dict[str, dict[int, str]] = {}
    for link in shown.edges:
        into.setdefault(link.target, {})[link.operand] = link.source
    own = into.get(merge, {})
    merges = [
        node.name
        for node in shown.nodes
        if node.kind == "concat" and into[node.name].get(0) == own.get(0)
    ]
    block = list(
        dict.fromkeys(source for name in merges for _, source in sorted(into[name].items()))
    )
    ends = np.cumsum(widths)
    return tuple(
        ConcatPart(own[i], int(end - width), int(end), block.index(own[i]), len(block))
        for i, (end, width) in enumerate(zip(ends, widths, strict=True))
    )


def relative_changes(
    shown: Graph, before: InferenceResult, now: InferenceResult
) -> dict[str, float]:
    """Return the relative change of each block's output, |now - before| / |before|, by the node's
    name.
    """
    moved: dict[str, float] = {}
    for node in shown.nodes:
        old, new = before.outputs.get(node.hook_point), now.outputs.get(node.hook_point)
        if old is not None and new is not None and old.shape == new.shape:
            norm = float(np.linalg.norm(old))
            moved[node.name] = float(np.linalg.norm(new - old)) / norm if norm else 0.0
    return moved
