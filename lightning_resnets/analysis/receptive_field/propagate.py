"""What every step of a model sees of the image: windows and strides behind one another, along all paths at once.

The arithmetic is that of Dumoulin & Visin 2016, arXiv:1603.07285, section 4.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, fx, nn

from lightning_resnets.analysis.receptive_field import rules
from lightning_resnets.analysis.receptive_field.windows import Axes, UnknownWindowError, WindowSpec
from lightning_resnets.graph import TracedModel
from lightning_resnets.graph.trace import propagate_shapes


@dataclass(frozen=True, slots=True)
class PixelSpan:
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

    def apply_window(
        self, window: int, stride: int, padding: int, dilation: int = 1
    ) -> "PixelSpan":
        """What is seen through one more window."""
        first = self.first - self.stride * padding
        last = self.last + self.stride * (dilation * (window - 1) - padding)
        return PixelSpan(self.stride * stride, first, last)


ReceptiveBox = tuple[PixelSpan, PixelSpan]  # height, width


@dataclass(frozen=True, slots=True)
class ReceptiveField:
    """A value's boxes along the shortest and the longest path; `whole` where a mean of all positions joins in."""

    shortest: ReceptiveBox
    longest: ReceptiveBox
    includes_global: bool = False


@dataclass(frozen=True, slots=True)
class ReceptiveFields:
    """The reach of every step whose positions are known, and one sentence for each of which that cannot be said."""

    known: dict[fx.Node, ReceptiveField]
    unknown: dict[fx.Node, str]


def receptive_fields(
    model: nn.Module, followed: TracedModel, size: tuple[int, int, int]
) -> ReceptiveFields:
    """What every step that depends on an image of `size` (C, H, W) sees of it.

    A step is unknown where its own window is, or that of a step before it.
    """
    values = propagate_shapes(model, followed.fx_graph, size)
    modules = dict(model.named_modules(remove_duplicate=False))
    found, axes = ReceptiveFields({}, {}), dict[fx.Node, Axes | None]()
    for node in followed.fx_graph.nodes:
        given = [one for one in node.all_input_nodes if one in axes]
        if node.op == "placeholder" and not axes:
            pixel = (PixelSpan(1, 0, 0), PixelSpan(1, 0, 0))
            found.known[node], axes[node] = ReceptiveField(pixel, pixel), (2, 3)
        elif before := next((one for one in node.all_input_nodes if one in found.unknown), None):
            if _holds_tensors(values.get(node)):
                found.unknown[node] = found.unknown[before]
        elif given and node.op != "output" and _holds_tensors(values.get(node)):
            try:
                window = rules.window_of_node(node, modules, values, axes)
                found.known[node] = _seen(window, given, axes, values, found.known)
                axes[node] = window.axes
            except UnknownWindowError as error:
                name = (
                    node.target
                    if isinstance(node.target, str)
                    else getattr(node.target, "__name__", node.target)
                )
                found.unknown[node] = f"The window of '{name}' is not known: {error}."
    return found


def _holds_tensors(value: Any) -> bool:
    return isinstance(value, Tensor) or (
        isinstance(value, (tuple, list)) and any(isinstance(part, Tensor) for part in value)
    )


def _seen(
    window: WindowSpec,
    given: Sequence[fx.Node],
    axes: dict[fx.Node, Axes | None],
    values: dict[fx.Node, Any],
    known: dict[fx.Node, ReceptiveField],
) -> ReceptiveField:
    """The reach of a step: of the paths that meet in it the joint one, then through its window."""
    paths = [
        one
        for one in given
        if axes[one] and (len(given) == 1 or _with_positions(values[one], axes[one], window))
    ]
    strides = {tuple(span.stride for span in known[one].longest) for one in paths}
    if len(strides) > 1:
        raise UnknownWindowError("maps of several strides meet in it")
    reach = union([known[one] for one in paths or given], False)
    whole = (
        window.includes_global
        or len(paths or given) < len(given)
        or any(known[one].includes_global for one in given)
    )
    if window.is_global and paths:
        sides = [values[paths[0]].shape[axis] for axis in axes[paths[0]] or ()]
        everywhere = expand_to_global(reach.longest, sides)
        return ReceptiveField(everywhere, everywhere, includes_global=True)
    windows = window.windows
    boxes = [
        (box[0].apply_window(*windows[0]), box[1].apply_window(*windows[1]))
        for box in (reach.shortest, reach.longest)
    ]
    return ReceptiveField(boxes[0], boxes[1], whole)


def _with_positions(value: Any, axes: Axes | None, window: WindowSpec) -> bool:
    """True for an operand that is a map: one value for all positions is no path of them."""
    return axes is not None and (window.axes is None or any(value.shape[axis] > 1 for axis in axes))


def union(paths: Sequence[ReceptiveField], whole: bool) -> ReceptiveField:
    """Where paths meet: the shorter of them along each axis, and the box around all."""
    shortest = [
        min((reach.shortest[axis] for reach in paths), key=lambda span: span.size)
        for axis in (0, 1)
    ]
    longest: list[PixelSpan] = []
    for axis in (0, 1):
        spans = [reach.longest[axis] for reach in paths]
        first, last = min(span.first for span in spans), max(span.last for span in spans)
        longest.append(PixelSpan(spans[0].stride, first, last))
    return ReceptiveField((shortest[0], shortest[1]), (longest[0], longest[1]), whole)


def expand_to_global(box: ReceptiveBox, sides: Sequence[int]) -> ReceptiveBox:
    """What a mean over all positions sees: from the first one's first pixel to the last one's last."""
    spans = [span.apply_window(side, side, 0) for span, side in zip(box, sides, strict=True)]
    return spans[0], spans[1]
