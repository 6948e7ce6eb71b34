"""The worker's side: a request in, NumPy arrays out. No Qt.

Of torch it knows only `lightning_resnets.interactive.model`.
"""

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

import cachetools
import numpy as np

from gui.details import ReceptiveField
from gui.engine.badges import image_badges
from gui.engine.catalog import load_catalog
from gui.engine.conversion import to_intervention
from gui.engine.measure_values import measure_nodes
from gui.engine.model_info import describe_model
from gui.engine.tensor_details import find_receptive_field, make_detail, relative_changes
from gui.graph import Edit, Graph
from gui.measures import MeasureValues, default_measure
from gui.state import ImageInput, ModelInfo, Request, Result
from lightning_resnets.errors import CustomModelError, ImageError
from lightning_resnets.interactive.model import InferenceResult, InteractiveModel
from lightning_resnets.utils.image_files import read_image

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

OpenedModel = tuple[InteractiveModel, ModelInfo]


class LRUCache(Generic[K, V]):
    """A bounded cache that forgets the least recently used value first.

    Args:
        size: number of values.
    """

    def __init__(self, size: int) -> None:
        self._values: cachetools.LRUCache[K, V] = cachetools.LRUCache(size)

    def get(self, key: K, make: Callable[[], V]) -> V:
        """Return the value of a key.

        Args:
            key: the key.
            make: creates the value if it is not in the cache.

        Returns:
            The value.
        """
        # Not `setdefault`, which would compute the value in any case.
        if key not in self._values:
            self._values[key] = make()
        return self._values[key]


@dataclass(frozen=True, slots=True, eq=False)
class ShownPass:
    """The forward pass that the window shows.

    Attributes:
        interactive: the model.
        image: its input image.
        diagram: its folded graph.
        edits: the active edits.
        result: the forward pass under them.
        changes: relative change of each node's output by them.
    """

    interactive: InteractiveModel
    image: ImageInput
    diagram: Graph
    edits: tuple[Edit, ...]
    result: InferenceResult
    changes: dict[str, float]


class Engine:
    """Answers "catalog" with a Catalog and "run" with a Result."""

    def __init__(self) -> None:
        # Models hold their weights and passes all outputs, so the caches are small.
        self._models = LRUCache[tuple[str, str | None], OpenedModel](3)
        self._images = LRUCache[ImageInput, np.ndarray](8)
        self._passes = LRUCache[Hashable, InferenceResult](12)
        self._measures = LRUCache[Hashable, MeasureValues](24)

    def handle(self, kind: str, request: object) -> object:
        """Answer a request of the window.

        Args:
            kind: "catalog" or "run".
            request: a Request for "run".

        Returns:
            A Catalog or a Result.

        Raises:
            ValueError: the user has to know; the message says what to do.
        """
        if kind == "catalog":
            return load_catalog()
        assert isinstance(request, Request), f"unknown request: {kind}"
        return self.run(request)

    def run(self, request: Request) -> Result:
        """Open the model, run it on the image, and describe the selected node.

        Args:
            request: everything the user has chosen.

        Returns:
            The result, computed only as far as it is not in a cache. Without an image, or with
            one that cannot be read, it is the model alone.

        Raises:
            CheckpointError: the model cannot be opened.
        """
        start = time.perf_counter()
        if request.checkpoint is None:
            return Result()
        try:
            interactive, model = self._open(request.checkpoint, request.architecture)
        # Code of a file runs only with the user's consent: a question, not an error.
        except CustomModelError as error:
            return Result(needs_code_permission=error.model)
        if request.image is None:
            return Result(model=model)
        # Edits of a model that was open before have no node here.
        edits = tuple(edit for edit in request.edits if model.diagram.node(edit.target))
        try:
            # First without edits: changes and bars compare with it, and it is cached.
            before = self._run_model(interactive, request.image, model.diagram, ())
        except ImageError as error:
            return Result(model=model, image_error=str(error))
        now = before
        changes: dict[str, float] = {}
        if edits:
            now = self._run_model(interactive, request.image, model.diagram, edits)
            changes = relative_changes(model.diagram, before, now)
        shown = ShownPass(interactive, request.image, model.diagram, edits, now, changes)
        # It takes a second for a deep model, so only once the user looks at positions.
        field: ReceptiveField | None = None
        if request.wants_receptive_field:
            field = find_receptive_field(interactive, model.diagram, request.selected)
        return Result(
            model=model,
            image=request.image,
            input_pixels=now.input,
            probabilities=now.probabilities,
            probabilities_without_edits=before.probabilities,
            edits=edits,
            detail=make_detail(model.diagram, request.selected, now, before if edits else None),
            changes=changes,
            receptive_field=field,
            strip=self._measure(request.strip_measure or default_measure(model.diagram), shown),
            colors=self._measure(request.color_measure, shown),
            seconds=time.perf_counter() - start,
            image_badges=image_badges(self._load_pixels(request.image), model.input_size),
        )

    def _open(self, key: str, architecture: str | None) -> OpenedModel:
        def load() -> OpenedModel:
            """Open the model and describe it."""
            interactive = InteractiveModel.open(key, architecture)
            return interactive, describe_model(key, interactive)

        return self._models.get((key, architecture), load)

    def _measure(self, name: str | None, shown: "ShownPass") -> MeasureValues | None:
        """Compute a measure of all nodes, or take it from the cache."""
        if name is None:
            return None
        return self._measures.get(
            (name, shown.interactive, shown.image, shown.edits),
            lambda: measure_nodes(
                name,
                shown.interactive,
                shown.diagram,
                self._load_pixels(shown.image),
                tuple(to_intervention(edit, shown.diagram) for edit in shown.edits),
                shown.result,
                shown.changes,
            ),
        )

    def _load_pixels(self, image: ImageInput) -> np.ndarray:
        return self._images.get(image, lambda: load_pixels(image))

    def _run_model(
        self,
        interactive: InteractiveModel,
        image: ImageInput,
        diagram: Graph,
        edits: tuple[Edit, ...],
    ) -> InferenceResult:
        """Run the model under some edits, or take the result from the cache."""
        pixels = self._load_pixels(image)
        # All nodes at once: selecting another one then costs no forward pass.
        hook_points = tuple(node.hook_point for node in diagram.nodes if node.hook_point)
        interventions = tuple(to_intervention(edit, diagram) for edit in edits)
        # An image equals only itself, so no pixels are compared.
        key = (interactive, image, edits)
        return self._passes.get(key, lambda: interactive.run(pixels, hook_points, interventions))


def load_pixels(image: ImageInput) -> np.ndarray:
    """Read an image, wherever it came from.

    Args:
        image: the image.

    Returns:
        Pixels (H, W, 3) uint8.

    Raises:
        ImageError: it cannot be read.
    """
    if image.pixels is not None:
        return image.pixels
    source = image.path if image.encoded is None else image.encoded
    assert source is not None, "an image needs a path, bytes or pixels"
    # A copy, because torch warns of memory that must not be written to.
    return np.array(read_image(source))
