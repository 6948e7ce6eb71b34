"""Find the logits in the output of a model that returns a dict, a dataclass or a tuple.

Models of Hugging Face return a dataclass with `logits`, many others a dict or several tensors. All
that follows takes one tensor (N, classes), so such a model gets a `forward` that returns it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lightning_resnets.errors import ModelError
from lightning_resnets.utils.format import format_shape, join_first

Key = str | int  # of a dict or a dataclass, or of a tuple
Path = tuple[Key, ...]

LOGIT_NAMES = ("logits", "logit", "output", "out", "pred", "prediction", "predictions", "scores")

# Of the trial; 1 could be confused with other sizes.
NUM_IMAGES = 2
# Containers within containers.
MAX_DEPTH = 3
# Outputs in a message.
MAX_LISTED = 4


def return_logits(
    model: nn.Module, input_size: tuple[int, int, int], num_classes: int | None = None
) -> str:
    """Make a model return its logits only, if it returns anything else beside them.

    It is run once on zeros. Its new class has the old one's name, and all weights keep theirs.

    Args:
        model: the model in evaluation mode; changed in place.
        input_size: (C, H, W) of its input.
        num_classes: number of classes; None if unknown.

    Returns:
        A note that says which output is used; "" for a model that returns one tensor.

    Raises:
        ModelError: no output is a tensor (N, classes), or several could be the logits.
    """
    with torch.inference_mode():
        output = model(torch.zeros(NUM_IMAGES, *input_size))
    # A tensor of any shape is the model's own affair.
    if isinstance(output, Tensor):
        return ""
    path = find_logits(output, num_classes)
    _select_output(model, path)
    return f"{type(model).__name__} returns several outputs; its logits are {format_path(path)}."


def find_logits(output: Any, num_classes: int | None = None) -> Path:
    """Find the logits among a model's outputs for a batch of `NUM_IMAGES`.

    Args:
        output: a dict, a dataclass, a tuple or a list, and such inside of it.
        num_classes: number of classes; None if unknown.

    Returns:
        Keys that lead to the logits.

    Raises:
        ModelError: there are none, or several could be.
    """
    tensors = dict(_walk(output, (), MAX_DEPTH))
    matrices = [path for path, tensor in tensors.items() if _may_be_logits(tensor, num_classes)]
    named = [path for path in matrices if str(path[-1]).lower() in LOGIT_NAMES]
    if named:
        return min(named, key=_name_rank)
    # A tuple's first tensor is its main output by custom; the entries of a dict have no order.
    is_tuple = all(isinstance(path[0], int) for path in matrices)
    if len(matrices) == 1 or (matrices and is_tuple):
        return matrices[0]
    raise ModelError(_describe_outputs(output, tensors, num_classes))


def _may_be_logits(tensor: Tensor, num_classes: int | None) -> bool:
    """Return whether a tensor has the shape (N, classes)."""
    if tensor.ndim != 2 or len(tensor) != NUM_IMAGES:
        return False
    return not num_classes or tensor.shape[1] == num_classes


def _name_rank(path: Path) -> int:
    """Return the position of a name in `LOGIT_NAMES`."""
    return LOGIT_NAMES.index(str(path[-1]).lower())


def _walk(output: Any, path: Path, depth: int) -> Iterator[tuple[Path, Tensor]]:
    """Yield every tensor of a nested output with its path."""
    if isinstance(output, Tensor):
        yield path, output
    elif depth > 0:
        for key, value in _items(output):
            yield from _walk(value, (*path, key), depth - 1)


def _items(output: Any) -> list[tuple[Key, Any]]:
    """Return the keys and values of a container; nothing for any other object."""
    if isinstance(output, Mapping):
        return [(key, value) for key, value in output.items() if isinstance(key, str)]
    if is_dataclass(output):
        return [(item.name, getattr(output, item.name)) for item in fields(output)]
    if isinstance(output, tuple) and hasattr(output, "_fields"):
        names: tuple[str, ...] = getattr(output, "_fields")  # noqa: B009 - of a named tuple
        return list(zip(names, output, strict=True))
    if isinstance(output, (tuple, list)):
        return list(enumerate(output))
    return []


def _select_output(model: nn.Module, path: Path) -> None:
    """Replace the model's class by one whose `forward` returns the output at `path`."""
    base = type(model)

    # One argument with a name: torch.fx traces the signature.
    def forward(self: nn.Module, x: Tensor) -> Any:
        """Return the logits."""
        return follow(base.forward(self, x), path)

    members = {"forward": forward, "__module__": base.__module__, "__doc__": base.__doc__}
    model.__class__ = type(base.__name__, (base,), members)


def follow(output: Any, path: Path) -> Any:
    """Return the part of a nested output that a path leads to.

    Args:
        output: a model's output.
        path: keys, as `find_logits` returns them.

    Returns:
        The tensor.
    """
    for key in path:
        is_attribute = isinstance(key, str) and not isinstance(output, Mapping)
        output = getattr(output, str(key)) if is_attribute else output[key]
    return output


def format_path(path: Path) -> str:
    """Format a path as it would be written in Python, after the output.

    Args:
        path: keys.

    Returns:
        Such as `['logits']` or `[0]`.
    """
    return "".join(f"[{key!r}]" for key in path)


def _describe_outputs(output: Any, tensors: Mapping[Path, Tensor], num_classes: int | None) -> str:
    """Say what a model returns instead of logits."""
    shapes = [f"{format_path(path)} {format_shape(x.shape)}" for path, x in tensors.items()]
    found = join_first(shapes, MAX_LISTED) if shapes else "no tensor"
    wanted = f"(N, {num_classes})" if num_classes else "(N, classes)"
    return (
        f"The model returns {type(output).__name__} with {found}, of which none is clearly the "
        f"logits {wanted}. Return the logits alone, or name them 'logits'."
    )
