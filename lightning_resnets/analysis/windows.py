"""What every step of a net sees of the picture: windows and strides behind one another, along all paths at once.

The arithmetic is that of Dumoulin & Visin 2016, arXiv:1603.07285, section 4.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, fx, nn

from lightning_resnets.analysis import sights
from lightning_resnets.analysis.kernels import Axes, Sight, UnknownError
from lightning_resnets.graph import Followed
from lightning_resnets.graph.tracing import values_of


@dataclass(frozen=True, slots=True)
class Span:
    """Along one axis the output at index i sees the pixels i * stride + first to i * stride + last, border included."""

    stride: int
    first: int
    last: int

    @property
    def size(self) -> int:
        return self.last - self.first + 1

    @property
    def offset(self) -> float:
        """Where the middle of what the first output sees lies, in pixels from the first pixel's middle."""
        return (self.first + self.last) / 2

    def through(self, window: int, stride: int, padding: int, dilation: int = 1) -> "Span":
        """What is seen through one more window."""
        first = self.first - self.stride * padding
        last = self.last + self.stride * (dilation * (window - 1) - padding)
        return Span(self.stride * stride, first, last)


Box = tuple[Span, Span]  # height, width


@dataclass(frozen=True, slots=True)
class Reach:
    """A value's boxes along the shortest and the longest path; `whole` where a mean of all positions joins in."""

    shortest: Box
    longest: Box
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Reaches:
    """The reach of every step whose positions are known, and one sentence for each of which that cannot be said."""

    known: dict[fx.Node, Reach]
    unknown: dict[fx.Node, str]


def reaches(net: nn.Module, followed: Followed, size: tuple[int, int, int]) -> Reaches:
    """What every step that depends on a picture of `size` (C, H, W) sees of it.

    A step is unknown where its own window is, or that of a step before it.
    """
    values = values_of(net, followed.steps, size)
    modules = dict(net.named_modules(remove_duplicate=False))
    found, axes = Reaches({}, {}), dict[fx.Node, Axes | None]()
    for node in followed.steps.nodes:
        given = [one for one in node.all_input_nodes if one in axes]
        if node.op == "placeholder" and not axes:
            pixel = (Span(1, 0, 0), Span(1, 0, 0))
            found.known[node], axes[node] = Reach(pixel, pixel), (2, 3)
        elif before := next((one for one in node.all_input_nodes if one in found.unknown), None):
            if _holds_tensors(values.get(node)):
                found.unknown[node] = found.unknown[before]
        elif given and node.op != "output" and _holds_tensors(values.get(node)):
            try:
                sight = sights.sight(node, modules, values, axes)
                found.known[node] = _seen(sight, given, axes, values, found.known)
                axes[node] = sight.axes
            except UnknownError as error:
                name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", node.target)
                found.unknown[node] = f"The window of '{name}' is not known: {error}."
    return found


def _holds_tensors(value: Any) -> bool:
    return isinstance(value, Tensor) or (
        isinstance(value, (tuple, list)) and any(isinstance(part, Tensor) for part in value)
    )


def _seen(
    sight: Sight, given: Sequence[fx.Node], axes: dict[fx.Node, Axes | None], values: dict[fx.Node, Any],
    known: dict[fx.Node, Reach],
) -> Reach:  # fmt: skip
    """The reach of a step: of the paths that meet in it the joint one, then through its window."""
    paths = [one for one in given if axes[one] and (len(given) == 1 or _with_positions(values[one], axes[one], sight))]
    strides = {tuple(span.stride for span in known[one].longest) for one in paths}
    if len(strides) > 1:
        raise UnknownError("maps of several strides meet in it")
    reach = met([known[one] for one in paths or given], False)
    whole = sight.whole or len(paths or given) < len(given) or any(known[one].whole for one in given)
    if sight.everything and paths:
        sides = [values[paths[0]].shape[axis] for axis in axes[paths[0]] or ()]
        everywhere = spread_out(reach.longest, sides)
        return Reach(everywhere, everywhere, whole=True)
    windows = sight.windows
    boxes = [(box[0].through(*windows[0]), box[1].through(*windows[1])) for box in (reach.shortest, reach.longest)]
    return Reach(boxes[0], boxes[1], whole)


def _with_positions(value: Any, axes: Axes | None, sight: Sight) -> bool:
    """True for an operand that is a map: one value for all positions is no path of them."""
    return axes is not None and (sight.axes is None or any(value.shape[axis] > 1 for axis in axes))


def met(paths: Sequence[Reach], whole: bool) -> Reach:
    """Where paths meet: the shorter of them along each axis, and the box around all."""
    shortest = [min((reach.shortest[axis] for reach in paths), key=lambda span: span.size) for axis in (0, 1)]
    longest: list[Span] = []
    for axis in (0, 1):
        spans = [reach.longest[axis] for reach in paths]
        first, last = min(span.first for span in spans), max(span.last for span in spans)
        longest.append(Span(spans[0].stride, first, last))
    return Reach((shortest[0], shortest[1]), (longest[0], longest[1]), whole)


def spread_out(box: Box, sides: Sequence[int]) -> Box:
    """What a mean over all positions sees: from the first one's first pixel to the last one's last."""
    spans = [span.through(side, side, 0) for span, side in zip(box, sides, strict=True)]
    return spans[0], spans[1]
