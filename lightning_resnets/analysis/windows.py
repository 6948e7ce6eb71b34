"""What every step of a net sees of the picture: windows and strides behind one another, along all paths at once.

The arithmetic is that of Dumoulin & Visin 2016, arXiv:1603.07285, section 4.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, fx, nn
from torch.nn import functional as F

from lightning_resnets.analysis.result import AnalysisError
from lightning_resnets.graph import Followed
from lightning_resnets.graph.tracing import values_of

Window = tuple[int, int, int, int]  # size, stride, padding in front, dilation


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


def reaches(net: nn.Module, followed: Followed, size: tuple[int, int, int]) -> dict[fx.Node, Reach]:
    """The reach of every step that gives a map (N, C, H, W), for a picture of `size` (C, H, W).

    Raises AnalysisError where a step's window is not known.
    """
    values = values_of(net, followed.steps, size)
    modules = dict(net.named_modules(remove_duplicate=False))
    found: dict[fx.Node, Reach] = {}
    for node in followed.steps.nodes:
        value, given = values.get(node), [one for one in node.all_input_nodes if one in found]
        if not isinstance(value, Tensor) or value.dim() != 4 or node.op == "output":
            continue
        if node.op == "placeholder":
            found[node] = Reach((Span(1, 0, 0), Span(1, 0, 0)), (Span(1, 0, 0), Span(1, 0, 0)))
        elif given:
            found[node] = _reach(node, modules, values, {one: found[one] for one in given})
    return found


def _reach(
    node: fx.Node, modules: dict[str, nn.Module], values: dict[fx.Node, Any], given: dict[fx.Node, Reach]
) -> Reach:
    made = tuple(values[node].shape[2:])
    if len(given) > 1:  # paths meet: a gate's weight, one for the whole map, is no path of positions
        paths = {one: reach for one, reach in given.items() if tuple(values[one].shape[2:]) == made} or given
        whole = len(paths) < len(given) or any(reach.whole for reach in given.values())
        return met(list(paths.values()), whole)
    ((one, reach),) = given.items()
    had = tuple(values[one].shape[2:])
    windows = _windows(node, modules.get(str(node.target)) if node.op == "call_module" else None, had, made)
    if windows is None:
        if had != made and made != (1, 1):
            name = node.target if node.op == "call_module" else getattr(node.target, "__name__", node.target)
            raise AnalysisError(f"The window of '{name}' is not known: receptive fields need convolutions and pools.")
        everywhere = spread_out(reach.longest, had)
        return reach if had == made else Reach(everywhere, everywhere, whole=True)
    boxes = [(box[0].through(*windows[0]), box[1].through(*windows[1])) for box in (reach.shortest, reach.longest)]
    return Reach(boxes[0], boxes[1], reach.whole)


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


def _windows(
    node: fx.Node, module: nn.Module | None, had: tuple[int, ...], made: tuple[int, ...]
) -> list[Window] | None:
    """The windows along height and width; None for what has none: it works by position, or takes all of them."""
    if isinstance(module, (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)):
        return _sliding(vars(module), had, made)
    if isinstance(module, (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)) or _called(node, "adaptive"):
        return _adaptive(had, made)
    if isinstance(module, (nn.ZeroPad2d, nn.ReflectionPad2d, nn.ReplicationPad2d, nn.ConstantPad2d)):
        return _padded(module.padding)
    if module is not None and isinstance(step := getattr(module, "stride", None), int):
        return [(1, step, 0, 1)] * 2  # shortcut A: every `step`-th position
    if node.target is F.pad or _called(node, "pad"):
        return _padded(node.kwargs.get("pad", node.args[1] if len(node.args) > 1 else ()))
    if _called(node, "max_pool2d") or _called(node, "avg_pool2d"):
        names = ("input", "kernel_size", "stride", "padding", "dilation" if _called(node, "max") else "ceil_mode")
        return _sliding({**dict(zip(names, node.args, strict=False)), **node.kwargs}, had, made)
    if _called(node, "getitem") and isinstance(node.args[1], tuple):
        return _sliced(node.args[1])
    return None


def _called(node: fx.Node, word: str) -> bool:
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    return node.op in ("call_function", "call_method") and word in name


def _sliding(options: dict[str, Any], had: tuple[int, ...], made: tuple[int, ...]) -> list[Window]:
    found: list[Window] = []
    for axis, (before, after) in enumerate(zip(had, made, strict=True)):
        size, dilation = _side(options["kernel_size"], axis), _side(options.get("dilation", 1), axis)
        stride, padding = _side(options.get("stride") or size, axis), options.get("padding", 0)
        span = dilation * (size - 1)
        padding = 0 if isinstance(padding, str) else _side(padding, axis)
        if (before + 2 * padding - span - 1) // stride + 1 < after and padding == 0 and after == -(-before // stride):
            padding = max((after - 1) * stride + span + 1 - before, 0) // 2  # "same", told or done by the layer itself
        found.append((size, stride, padding, dilation))
    return found


def _adaptive(had: tuple[int, ...], made: tuple[int, ...]) -> list[Window] | None:
    if had == made or made == (1, 1):
        return None
    if any(before % after for before, after in zip(had, made, strict=True)):
        raise AnalysisError(f"A pool from {had} to {made} positions has windows of several sizes: choose another size.")
    steps = [before // after for before, after in zip(had, made, strict=True)]
    return [(step, step, 0, 1) for step in steps]


def _padded(pads: Any) -> list[Window]:
    sides = (pads,) * 4 if isinstance(pads, int) else (*pads, 0, 0, 0, 0)[:4]  # left, right, top, bottom
    return [(1, 1, sides[2], 1), (1, 1, sides[0], 1)]


def _sliced(index: tuple[Any, ...]) -> list[Window]:
    found: list[Window] = []
    for axis in (2, 3):
        part = index[axis] if axis < len(index) and isinstance(index[axis], slice) else slice(None)
        found.append((1, part.step or 1, -(part.start or 0), 1))
    return found


def _side(value: Any, axis: int) -> int:
    return int(value[axis] if isinstance(value, (tuple, list)) and len(value) > 1 else _one(value))


def _one(value: Any) -> Any:
    return value[0] if isinstance(value, (tuple, list)) else value
