"""Tensors of one node, as the inspector shows them: plain frozen data."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Span:
    """Pixels that positions of a map depend on, along one axis.

    Position i depends on pixels i * stride + first to i * stride + last, both included; they may
    lie outside the image, in the padding.
    """

    stride: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class ReceptiveField:
    """Receptive field of every position of a map."""

    height: Span
    width: Span

    def box(self, y: int, x: int, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """Return the pixels that one position depends on.

        Args:
            y: row of the position.
            x: column of the position.
            size: height and width of the image.

        Returns:
            Top, left, bottom and right, the last two not included, clipped to the image.
        """
        top, bottom = _clipped(self.height, y, size[0])
        left, right = _clipped(self.width, x, size[1])
        return top, left, bottom, right


def _clipped(span: Span, position: int, size: int) -> tuple[int, int]:
    start = position * span.stride
    # Padding lies outside the image, so positions near the edge see fewer pixels.
    first = min(max(start + span.first, 0), size)
    return first, min(max(start + span.last + 1, first), size)


@dataclass(frozen=True, slots=True, eq=False)
class FeatureMaps:
    """The output of one node.

    Attributes:
        name: name of the node.
        values: (C, H, W) float32; a vector is (K, 1, 1).
        class_token: values (P, C) of tokens without a position, None for maps without tokens.
    """

    name: str
    values: np.ndarray
    class_token: np.ndarray | None = None


@dataclass(frozen=True, slots=True, eq=False)
class AddDetail:
    """The three tensors of an addition: shortcut + branch = total.

    Attributes:
        name: name of the node.
        shortcut: maps (C, H, W).
        branch: maps of the same shape.
        total: their sum.
        class_tokens: shortcut, branch and sum of tokens without a position, each (P, C).
    """

    name: str
    shortcut: np.ndarray
    branch: np.ndarray
    total: np.ndarray
    class_tokens: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None


@dataclass(frozen=True, slots=True)
class ConcatPart:
    """Channels `start` to `stop` of a concatenation.

    They come from `source`, number `index` of the `count` sources of its dense block.
    """

    source: str
    start: int
    stop: int
    index: int
    count: int


@dataclass(frozen=True, slots=True, eq=False)
class ConcatDetail:
    """The output of a concatenation, (C, H, W), and where its channels come from."""

    name: str
    values: np.ndarray
    parts: tuple[ConcatPart, ...]


@dataclass(frozen=True, slots=True, eq=False)
class GateDetail:
    """A gate with one weight per channel.

    Attributes:
        name: name of the node.
        weight: weights (C,).
        before: maps (C, H, W) that the gate scales.
        after: scaled maps (C, H, W).
        weight_without_edits: weights (C,) before the active edits, None without edits.
    """

    name: str
    weight: np.ndarray
    before: np.ndarray
    after: np.ndarray
    weight_without_edits: np.ndarray | None = None


Detail = FeatureMaps | AddDetail | ConcatDetail | GateDetail
