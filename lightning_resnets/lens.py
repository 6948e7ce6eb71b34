"""Looking through a trained net: numpy pictures in, numpy maps out. All that the app knows of the library.

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

from lightning_resnets.blocks import BlockGraph
from lightning_resnets.checkpoint.card import Card
from lightning_resnets.checkpoint.read import open_checkpoint
from lightning_resnets.checkpoint.shipped import find
from lightning_resnets.graph import TraceError, follow
from lightning_resnets.graph.reveal import reveal
from lightning_resnets.image import prepare, restored
from lightning_resnets.replay import Replay
from lightning_resnets.surgery import Op

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """One look: the picture as the net saw it, what it answers, and what passed the points asked for.

    `input` is uint8 (H, W, 3); `logits` and `probabilities` are (K,). `outputs` has (C, H, W) or (K,) for each point,
    `operands` one array for each operand of each merge among the points, after the operations. All float32, not to be
    written to. `seconds` is what the net took.
    """

    input: NDArray[np.uint8]
    logits: Array
    probabilities: Array
    outputs: dict[str, Array]
    operands: dict[str, tuple[Array, ...]]
    seconds: float
    classes: tuple[str, ...]

    def top(self, k: int = 5) -> list[tuple[str, float]]:
        """The k likeliest classes with their probabilities, likeliest first."""
        order = np.argsort(-self.probabilities, kind="stable")[:k]
        return [(self.classes[i], float(self.probabilities[i])) for i in order]


class Lens:
    """A net opened for looking: its card, its unfolded graph, and `look`. One thread at a time.

    It keeps what the last look computed: the same picture with other operations re-runs only what lies behind them.
    """

    def __init__(self, net: nn.Module, card: Card, path: Path | None = None, notes: tuple[str, ...] = ()) -> None:
        if not zoo_net(card.arch):  # its joins are somebody else's code: name them
            with contextlib.suppress(TraceError):
                net = reveal(net, card.size)
        self.net, self.card, self.path, self.notes = net.eval(), card, path, notes
        followed = follow(net, card.size)
        self.graph: BlockGraph = followed.blocks
        self._replay = Replay(net, followed)

    @classmethod
    def open(cls, name: str | Path, net: str | None = None) -> "Lens":
        """Open a checkpoint by its path or a shipped net by its name; raises CheckpointError, one plain sentence.

        `net` is which net it is, where you know better than the file, or where it is your own (`read.load`).
        """
        path = find(name)
        opened = open_checkpoint(path, net)
        return cls(opened.net, opened.card, path, opened.notes)

    def look(self, picture: NDArray[np.uint8], points: Sequence[str] = (), ops: Sequence[Op] = ()) -> View:
        """Show the net a picture, uint8 (H, W, 3) of any size, with the operations in force.

        A point is a module of the net (a block's `output`) or a block of `graph`. Raises PointError, SurgeryError and
        PictureError, each one plain sentence.
        """
        card = self.card
        with torch.inference_mode():
            values = prepare(picture, card.size, card.mean, card.std, card.channels, card.crop, card.resample)
            start = time.perf_counter()
            logits, seen = self._replay.look(values, points, ops)
            seconds = time.perf_counter() - start
            return View(
                restored(values, card.mean, card.std, card.channels),
                _array(logits),
                _array(logits.softmax(1)),
                {point: _array(value) for point, value in seen.outputs.items()},
                {point: tuple(_array(value) for value in given) for point, given in seen.operands.items()},
                seconds,
                card.classes,
            )


def zoo_net(arch: str) -> bool:
    """Whether a net is written with named merges, as ours are; not torchvision's, timm's and the user's own."""
    return ":" not in arch and "/" not in arch


def _array(values: Tensor) -> Array:
    """The first picture's share as numpy, sharing memory with the tensor and closed to writing."""
    array = values[0].to(torch.float32).numpy()
    array.flags.writeable = False
    return array
