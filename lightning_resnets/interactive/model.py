"""Looking through a trained model: numpy images in, numpy maps out. All that the app knows of the library.

Nothing here imports lightning, torchmetrics or torchvision.
"""

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lightning_resnets.checkpoint.bundled import resolve_checkpoint
from lightning_resnets.checkpoint.load import load_checkpoint
from lightning_resnets.checkpoint.model_card import ModelCard
from lightning_resnets.graph import TraceError, trace_nodes
from lightning_resnets.graph.insert_merges import insert_merges
from lightning_resnets.graph.model_graph import ModelGraph
from lightning_resnets.interventions import Intervention
from lightning_resnets.interventions.incremental import IncrementalRunner
from lightning_resnets.preprocessing import denormalize, preprocess

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class InferenceResult:
    """One look: the image as the model saw it, what it answers, and what passed the points asked for.

    `input` is uint8 (H, W, 3); `logits` and `probabilities` are (K,). `outputs` has (C, H, W) or (K,) for each point,
    `operands` one array for each operand of each merge among the points, after the operations. All float32, not to be
    written to. `seconds` is what the model took.
    """

    input: NDArray[np.uint8]
    logits: Array
    probabilities: Array
    outputs: dict[str, Array]
    operands: dict[str, tuple[Array, ...]]
    seconds: float
    classes: tuple[str, ...]

    def topk(self, k: int = 5) -> list[tuple[str, float]]:
        """The k likeliest classes with their probabilities, likeliest first."""
        order = np.argsort(-self.probabilities, kind="stable")[:k]
        return [(self.classes[i], float(self.probabilities[i])) for i in order]


class InteractiveModel:
    """A model opened for looking: its card, its unfolded graph, and `look`. One thread at a time.

    It keeps what the last look computed: the same image with other operations re-runs only what lies behind them.
    """

    def __init__(
        self,
        model: nn.Module,
        card: ModelCard,
        path: Path | None = None,
        notes: tuple[str, ...] = (),
    ) -> None:
        if not is_builtin(card.arch):  # its joins are somebody else's code: name them
            with contextlib.suppress(TraceError):
                model = insert_merges(model, card.input_size)
        self.model, self.card, self.path, self.notes = model.eval(), card, path, notes
        followed = trace_nodes(model, card.input_size)
        self.graph: ModelGraph = followed.graph
        self._replay = IncrementalRunner(model, followed)

    @classmethod
    def open(cls, name: str | Path, model: str | None = None) -> "InteractiveModel":
        """Open a checkpoint by its path or a shipped model by its name; raises CheckpointError, one plain sentence.

        `model` is which model it is, where you know better than the file, or where it is your own (`read.load`).
        """
        path = resolve_checkpoint(name)
        opened = load_checkpoint(path, model)
        return cls(opened.model, opened.card, path, opened.notes)

    def run(
        self,
        image: NDArray[np.uint8],
        hook_points: Sequence[str] = (),
        interventions: Sequence[Intervention] = (),
    ) -> InferenceResult:
        """Show the model an image, uint8 (H, W, 3) of any size, with the operations in force.

        A point is a module of the model (a block's `output`) or a block of `graph`. Raises PointError, SurgeryError and
        PictureError, each one plain sentence.
        """
        card = self.card
        with torch.inference_mode():
            values = preprocess(
                image,
                card.input_size,
                card.mean,
                card.std,
                card.channel_order,
                card.crop_pct,
                card.interpolation,
            )
            start = time.perf_counter()
            logits, seen = self._replay.run_image(values, hook_points, interventions)
            seconds = time.perf_counter() - start
            return InferenceResult(
                denormalize(values, card.mean, card.std, card.channel_order),
                _array(logits),
                _array(logits.softmax(1)),
                {point: _array(value) for point, value in seen.outputs.items()},
                {
                    point: tuple(_array(value) for value in given)
                    for point, given in seen.operands.items()
                },
                seconds,
                card.class_names,
            )


def is_builtin(arch: str) -> bool:
    """Whether a model is written with named merges, as ours are; not torchvision's, timm's and the user's own."""
    return ":" not in arch and "/" not in arch


def _array(values: Tensor) -> Array:
    """The first image's share as numpy, sharing memory with the tensor and closed to writing."""
    array = values[0].to(torch.float32).numpy()
    array.flags.writeable = False
    return array
