"""Run a trained model interactively: NumPy images in, NumPy feature maps out.

This is all that the app needs of the library. Nothing here imports lightning, torchmetrics or
torchvision.
"""

import contextlib
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lightning_resnets.analysis.receptive_field.propagate import (
    PixelSpan,
    ReceptiveFields,
    receptive_fields,
)
from lightning_resnets.checkpoint.bundled import resolve_checkpoint
from lightning_resnets.checkpoint.card_overrides import CardOverrides
from lightning_resnets.checkpoint.load import load_checkpoint
from lightning_resnets.checkpoint.model_card import ModelCard
from lightning_resnets.checkpoint.open_checkpoint import NO_OVERRIDES
from lightning_resnets.errors import InvalidArgumentError, TraceError
from lightning_resnets.graph import trace_nodes
from lightning_resnets.graph.insert_merges import insert_merges
from lightning_resnets.graph.model_graph import ModelGraph
from lightning_resnets.interactive.early_exit import EarlyExit
from lightning_resnets.interactive.gradients import GradientRunner
from lightning_resnets.interactive.results import Array
from lightning_resnets.interactive.results import GradientResult as GradientResult
from lightning_resnets.interactive.results import InferenceResult as InferenceResult
from lightning_resnets.interventions import Intervention
from lightning_resnets.interventions.incremental import IncrementalRunner
from lightning_resnets.interventions.record import Recording
from lightning_resnets.preprocessing import denormalize, preprocess
from lightning_resnets.utils.arguments import check_int, check_names


class InteractiveModel:
    """A trained model with its card and graph, to be run on images under interventions.

    It keeps the values of the last pass: after an edit only downstream layers are recomputed. Use
    it from one thread at a time.

    Args:
        model: the model; its merges are named if it is not one of ours.
        card: its model card.
        path: file that it was loaded from.
        notes: remarks on the file for the user.
        alternatives: names of other models that the weights fit as well, see `Identification`.

    Attributes:
        graph: the unfolded graph.
        folded_graph: the graph folded to blocks.
    """

    def __init__(
        self,
        model: nn.Module,
        card: ModelCard,
        path: Path | None = None,
        notes: tuple[str, ...] = (),
        alternatives: tuple[str, ...] = (),
    ) -> None:
        # A model of others uses operators such as +, which have no names to edit.
        if not is_builtin(card.arch):
            # A model that cannot be traced fails below, with its reason.
            with contextlib.suppress(TraceError):
                model = insert_merges(model, card.input_size)
        # Batch norm and dropout would depend on the batch otherwise.
        self.model = model.eval()
        self.card = card
        self.path = path
        self.notes = notes
        self.alternatives = alternatives
        traced = trace_nodes(model, card.input_size)
        self.graph: ModelGraph = traced.graph
        self.folded_graph: ModelGraph = traced.graph.fold()
        self._runner = IncrementalRunner(model, traced)
        self._fields: ReceptiveFields | None = None

    @classmethod
    def open(
        cls,
        name: str | Path,
        model: str | None = None,
        select: str | None = None,
        overrides: CardOverrides = NO_OVERRIDES,
    ) -> "InteractiveModel":
        """Load a checkpoint.

        Args:
            name: path of a checkpoint, or name of a bundled model.
            model: architecture, which overrides detection; required for a custom model.
            select: name of one of several models in the file.
            overrides: entries of the model card that the user gives, such as mean and std.

        Returns:
            The model.

        Raises:
            CheckpointError: the checkpoint cannot be loaded.
        """
        path = resolve_checkpoint(name)
        loaded = load_checkpoint(path, model, select, overrides)
        alternatives: tuple[str, ...] = ()
        # A file with a model card of its own was not identified by its weights.
        if loaded.identification:
            alternatives = loaded.identification.alternatives
        return cls(loaded.model, loaded.card, path, loaded.notes, alternatives)

    @torch.inference_mode()
    def run(
        self,
        image: NDArray[np.uint8],
        hook_points: Sequence[str] = (),
        interventions: Sequence[Intervention] = (),
    ) -> InferenceResult:
        """Run the model on an image.

        Args:
            image: uint8 (H, W, 3) of any size.
            hook_points: modules of the model (`Node.hook_point`) or nodes of `graph` to record.
            interventions: interventions in force.

        Returns:
            Logits, probabilities and recorded activations.

        Raises:
            HookPointError: there is no such hook point.
            InterventionError: an intervention does not fit the model.
            ImageError: `image` is not an array of RGB bytes.
        """
        values = self._preprocess(image)
        start = time.perf_counter()
        logits, recording = self._runner.run_image(values, hook_points, interventions)
        return self._make_result(values, logits, recording, time.perf_counter() - start)

    def gradients(
        self,
        image: NDArray[np.uint8],
        hook_points: Sequence[str],
        interventions: Sequence[Intervention] = (),
        class_index: int | None = None,
    ) -> GradientResult:
        """Compute the gradient of a class's logit at hook points.

        Args:
            image: uint8 (H, W, 3) of any size.
            hook_points: modules of the model or nodes of `graph`.
            interventions: interventions in force.
            class_index: the class; None for the predicted one.

        Returns:
            Outputs and gradients. Outputs that do not depend on the image are left out.

        Raises:
            HookPointError: there is no such hook point.
            InterventionError: an intervention does not fit the model.
            ImageError: `image` is not an array of RGB bytes.
        """
        if class_index is not None:
            # A negative index would silently take a class from the end.
            check_int("class_index", class_index, 0, len(self.card.class_names) - 1)
        values = self._preprocess(image)
        names = check_names("hook_points", hook_points)
        if not names:
            raise InvalidArgumentError("hook_points is empty: name at least one module.")
        nodes = {name: self._runner.node_for_point(name) for name in names}
        # A runner of its own: its values carry a graph and must not stay.
        runner = GradientRunner(self.model, self._runner.traced)
        index, found = runner.run_image(values, set(nodes.values()), interventions, class_index)
        known = {name: found[node] for name, node in nodes.items() if node in found}
        return GradientResult(
            index,
            {name: _to_array(value) for name, (value, _) in known.items()},
            {name: _to_array(gradient) for name, (_, gradient) in known.items()},
        )

    def early_predictions(
        self,
        image: NDArray[np.uint8],
        hook_points: Sequence[str],
        interventions: Sequence[Intervention] = (),
    ) -> dict[str, Array]:
        """Apply the head after each hook point as if later blocks added nothing.

        Args:
            image: uint8 (H, W, 3) of any size.
            hook_points: modules of the model or nodes of `graph`.
            interventions: interventions in force up to the hook point; later ones have no effect.

        Returns:
            Probabilities (K,) by hook point, for those after which the rest can be skipped.

        Raises:
            HookPointError: there is no such hook point.
            InterventionError: an intervention does not fit the model.
            ImageError: `image` is not an array of RGB bytes.
        """
        names = check_names("hook_points", hook_points)
        # Leaves the values of all nodes in the runner.
        self.run(image, (), interventions)
        exits = EarlyExit(self.model, self._runner.traced)
        found: dict[str, Array] = {}
        for name in names:
            logits = exits.logits_after(self._runner.node_for_point(name), self._runner.env)
            if logits is not None:
                found[name] = _to_array(logits.softmax(1))
        return found

    def receptive_spans(self, hook_point: str) -> tuple[PixelSpan, PixelSpan] | None:
        """Return which pixels of the input each position of a feature map depends on.

        Args:
            hook_point: module of the model or node of `graph`.

        Returns:
            Spans along height and width, on the longest path; None where they are unknown, and
            where every position depends on all pixels.

        Raises:
            HookPointError: there is no such hook point.
        """
        if self._fields is None:
            # 0.1 to 1 s, so only for a user who looks at positions.
            self._fields = receptive_fields(self.model, self._runner.traced, self.card.input_size)
        field = self._fields.known.get(self._runner.node_for_point(hook_point))
        if field is None:
            return None
        return field.longest

    def _preprocess(self, image: NDArray[np.uint8]) -> Tensor:
        """Turn an image into the model's input (1, C, H, W)."""
        card = self.card
        return preprocess(
            image,
            card.input_size,
            card.mean,
            card.std,
            card.channel_order,
            card.crop_pct,
            card.interpolation,
        )

    def _make_result(
        self, values: Tensor, logits: Tensor, recording: Recording, seconds: float
    ) -> InferenceResult:
        """Convert tensors to arrays."""
        card = self.card
        outputs = {name: _to_array(value) for name, value in recording.outputs.items()}
        operands = {
            name: tuple(_to_array(value) for value in parts)
            for name, parts in recording.operands.items()
        }
        # A feature extractor has no classes, so its output has no probabilities.
        probabilities = logits[:, :0]
        if card.class_names:
            probabilities = logits.softmax(1)
        return InferenceResult(
            denormalize(values, card.mean, card.std, card.channel_order),
            _to_array(logits),
            _to_array(probabilities),
            outputs,
            operands,
            seconds,
            card.class_names,
        )


def is_builtin(arch: str) -> bool:
    """Return whether a model is one of ours, which are written with named merges.

    Args:
        arch: name for `create_model`.

    Returns:
        False for models of torchvision and timm and for custom models.
    """
    return ":" not in arch and "/" not in arch


def _to_array(values: Tensor) -> Array:
    """Return the first image's values as a read-only view of the tensor's memory."""
    # Later passes make new tensors, so the view stays valid.
    array = values[0].to(torch.float32).numpy()
    array.flags.writeable = False
    return array
