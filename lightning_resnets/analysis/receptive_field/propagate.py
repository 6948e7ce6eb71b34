"""Propagate receptive fields through a model, along all paths at once.

The arithmetic of windows and strides is that of Dumoulin & Visin 2016, arXiv:1603.07285, section 4.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, fx, nn

from lightning_resnets.analysis.receptive_field import rules
from lightning_resnets.analysis.receptive_field.windows import (
    Axes,
    UnknownWindowError,
    Window,
    WindowSpec,
)
from lightning_resnets.graph import TracedModel
from lightning_resnets.graph.trace import propagate_shapes


@dataclass(frozen=True, slots=True)
class PixelSpan:
    """Receptive field along one axis.

    The output at index i depends on pixels i * stride + first to i * stride + last. They may lie
    outside the image, in the padding.
    """

    stride: int
    first: int
    last: int

    @property
    def size(self) -> int:
        """Return the number of pixels."""
        # Both ends are included.
        return self.last - self.first + 1

    @property
    def offset(self) -> float:
        """Return the center of the first output's field, in pixels from the first one's center."""
        return (self.first + self.last) / 2

    def apply_window(
        self, window: int, stride: int, padding: int, dilation: int = 1
    ) -> "PixelSpan":
        """Return the span after one more sliding window.

        Args:
            window: kernel size.
            stride: stride of the window.
            padding: padding before the first position.
            dilation: dilation of the kernel.

        Returns:
            The span of the window's output.
        """
        first = self.first - self.stride * padding
        # A step of the window is a step of `stride` pixels in the image.
        last = self.last + self.stride * (dilation * (window - 1) - padding)
        return PixelSpan(self.stride * stride, first, last)


ReceptiveBox = tuple[PixelSpan, PixelSpan]  # height, width


@dataclass(frozen=True, slots=True)
class ReceptiveField:
    """Receptive field of a value along the shortest and the longest path.

    `includes_global` is True if statistics of all positions (a gate, a norm) enter as well.
    """

    shortest: ReceptiveBox
    longest: ReceptiveBox
    includes_global: bool = False


@dataclass(frozen=True, slots=True)
class ReceptiveFields:
    """Receptive fields by graph node; for nodes without a known field the reason."""

    known: dict[fx.Node, ReceptiveField] = field(default_factory=dict[fx.Node, ReceptiveField])
    unknown: dict[fx.Node, str] = field(default_factory=dict[fx.Node, str])


def receptive_fields(
    model: nn.Module, traced: TracedModel, input_size: tuple[int, int, int]
) -> ReceptiveFields:
    """Compute the receptive field of every node that depends on the image.

    Args:
        model: the model.
        traced: its traced graph.
        input_size: shape (C, H, W) of one image.

    Returns:
        Receptive fields. A node is unknown if its own window is, or that of a node before it.
    """
    values = propagate_shapes(model, traced.fx_graph, input_size)
    propagation = _Propagation(dict(model.named_modules(remove_duplicate=False)), values)
    for node in traced.fx_graph.nodes:
        propagation.visit(node)
    return propagation.fields


class _Propagation:
    """Receptive fields of the nodes visited so far."""

    def __init__(self, modules: Mapping[str, nn.Module], values: Mapping[fx.Node, Any]) -> None:
        self.modules = modules
        self.values = values
        self.fields = ReceptiveFields()
        self.axes: dict[fx.Node, Axes | None] = {}

    def visit(self, node: fx.Node) -> None:
        """Compute the receptive field of one node from those of its inputs.

        Args:
            node: the next node in order of execution.
        """
        if node.op == "placeholder" and not self.axes:  # the image, the model's first argument
            pixel = (PixelSpan(1, 0, 0), PixelSpan(1, 0, 0))
            self.fields.known[node] = ReceptiveField(pixel, pixel)
            self.axes[node] = (2, 3)
            return
        if not _has_tensors(self.values.get(node)):
            return
        # A node after an unknown one is unknown for the same reason.
        unknown = [one for one in node.all_input_nodes if one in self.fields.unknown]
        if unknown:
            self.fields.unknown[node] = self.fields.unknown[unknown[0]]
        elif node.op != "output" and any(one in self.axes for one in node.all_input_nodes):
            self._apply(node)

    def _apply(self, node: fx.Node) -> None:
        """Apply a node's window; record the reason if it is unknown."""
        try:
            window = rules.window_of_node(node, self.modules, self.values, self.axes)
            self.fields.known[node] = self._field_after(node, window)
            self.axes[node] = window.axes
        except UnknownWindowError as error:
            target = node.target
            name = target if isinstance(target, str) else getattr(target, "__name__", target)
            self.fields.unknown[node] = f"The receptive field of '{name}' is unknown: {error}."

    def _field_after(self, node: fx.Node, window: WindowSpec) -> ReceptiveField:
        """Return the receptive field of a node: the union over its inputs, then its window."""
        inputs = [one for one in node.all_input_nodes if one in self.axes]
        spatial = [one for one in inputs if len(inputs) == 1 or self._is_map(one, window)]
        spatial = [one for one in spatial if self.axes[one]]
        sources = spatial or inputs
        fields = [self.fields.known[one] for one in sources]
        if spatial and len({_strides(one) for one in fields}) > 1:
            raise UnknownWindowError("its inputs differ in stride")
        # Paths join first; then the node's own window is applied.
        merged = union(fields)
        if window.is_global and spatial:
            # All positions of the map: the first one's first pixel to the last one's last.
            where = self.axes[spatial[0]] or ()
            sides = [self.values[spatial[0]].shape[axis] for axis in where]
            everywhere = expand_to_global(merged.longest, sides)
            return ReceptiveField(everywhere, everywhere, includes_global=True)
        includes_global = (
            window.includes_global
            or len(sources) < len(inputs)  # an input without positions, such as a gate's weight
            or any(self.fields.known[one].includes_global for one in inputs)
        )
        shortest = _apply_windows(merged.shortest, window.windows)
        longest = _apply_windows(merged.longest, window.windows)
        return ReceptiveField(shortest, longest, includes_global)

    def _is_map(self, node: fx.Node, window: WindowSpec) -> bool:
        """Return True for a merge's input that is a map, not one value for all positions."""
        axes = self.axes[node]
        if axes is None:
            return False
        return window.axes is None or any(self.values[node].shape[axis] > 1 for axis in axes)


def _has_tensors(value: Any) -> bool:
    """Return True for a tensor, and for a list or tuple with one."""
    if isinstance(value, (tuple, list)):
        return any(isinstance(part, Tensor) for part in value)
    return isinstance(value, Tensor)


def _strides(one: ReceptiveField) -> tuple[int, int]:
    """Return the strides along height and width."""
    height, width = one.longest
    return height.stride, width.stride


def _apply_windows(box: ReceptiveBox, windows: tuple[Window, Window]) -> ReceptiveBox:
    """Apply a window along height and width."""
    height, width = box
    return height.apply_window(*windows[0]), width.apply_window(*windows[1])


def union(fields: Sequence[ReceptiveField]) -> ReceptiveField:
    """Combine the receptive fields of paths that merge.

    Args:
        fields: receptive fields of one stride.

    Returns:
        The smallest of the shortest spans along each axis, and the box around all longest ones.
    """
    return ReceptiveField(
        (
            _smallest([one.shortest[0] for one in fields]),
            _smallest([one.shortest[1] for one in fields]),
        ),
        (
            _enclosing([one.longest[0] for one in fields]),
            _enclosing([one.longest[1] for one in fields]),
        ),
    )


def _smallest(spans: list[PixelSpan]) -> PixelSpan:
    """Return the smallest span."""
    return min(spans, key=lambda span: span.size)


def _enclosing(spans: list[PixelSpan]) -> PixelSpan:
    """Return the span around all spans."""
    first = min(span.first for span in spans)
    last = max(span.last for span in spans)
    return PixelSpan(spans[0].stride, first, last)


def expand_to_global(box: ReceptiveBox, sides: Sequence[int]) -> ReceptiveBox:
    """Return the receptive field of a mean over all positions.

    Args:
        box: receptive field of the map.
        sides: height and width of the map.

    Returns:
        Spans from the first position's first pixel to the last position's last pixel.
    """
    height, width = (
        span.apply_window(side, side, 0) for span, side in zip(box, sides, strict=True)
    )
    return height, width
