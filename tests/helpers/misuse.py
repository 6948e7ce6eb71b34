"""Call public functions with wrong arguments, one at a time, and tell how they answer."""

import math
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from lightning_resnets.errors import UserError

MAX_MESSAGE = 1500  # characters

# One wrong value of each kind; which of them are right depends on the argument.
NONE = "None"
TYPE = "wrong type"
ZERO = "0"
NEGATIVE = "negative"
NAN = "NaN"
EMPTY = "empty"
LARGE = "too large"
KINDS = (NONE, TYPE, ZERO, NEGATIVE, NAN, EMPTY, LARGE)


def wrong_value(kind: str, right: Any) -> Any:
    """Return a value of this kind in place of a right one."""
    if kind == NONE:
        return None
    # An object is nothing that any argument takes.
    if kind == TYPE:
        return object()
    if isinstance(right, torch.Tensor):
        return _wrong_tensor(kind, right)
    if isinstance(right, np.ndarray):
        return _wrong_tensor(kind, torch.from_numpy(right)).numpy()
    if isinstance(right, str):
        return {EMPTY: "", LARGE: "x" * 60_000}.get(kind, _wrong_number(kind))
    if isinstance(right, (tuple, list)) and kind in (EMPTY, LARGE):
        return type(right)() if kind == EMPTY else type(right)([10**9] * 3)
    return _wrong_number(kind)


def _wrong_number(kind: str) -> Any:
    """Return a number of this kind, or an empty text."""
    numbers: dict[str, Any] = {ZERO: 0, NEGATIVE: -1, NAN: math.nan, EMPTY: "", LARGE: 10**9}
    return numbers[kind]


def _wrong_tensor(kind: str, right: torch.Tensor) -> torch.Tensor:
    """Return a tensor that cannot stand for images or labels."""
    if kind == ZERO:
        return torch.zeros((), dtype=right.dtype)
    if kind == NEGATIVE:  # another number of dimensions
        return right[0, ..., 0] if right.ndim > 1 else right[None]
    if kind == NAN:
        return torch.full_like(right, math.nan) if right.is_floating_point() else right.double()
    if kind == EMPTY:
        return right[:0]
    # Twice the channels, which are last in an image and second in a batch.
    repeats = [1] * right.ndim
    repeats[-1 if right.ndim == 3 else min(1, right.ndim - 1)] = 2
    return right.repeat(*repeats)


@dataclass(frozen=True, slots=True)
class Misuse:
    """A public callable with right arguments, and the unusual ones that it takes.

    Attributes:
        name: for messages.
        call: the function; it uses what it builds, where that is when it would fail.
        arguments: right arguments by name; each is replaced in turn.
        accepts: kinds of values that are right for an argument, by its name.
        untried: kinds of values that are right but would take long.
    """

    name: str
    call: Callable[..., object]
    arguments: Mapping[str, Any]
    accepts: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    untried: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])

    def calls(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Yield argument, kind and all arguments of each wrong call."""
        for argument, right in self.arguments.items():
            for kind in (kind for kind in KINDS if kind not in self.untried.get(argument, ())):
                changed = {**self.arguments, argument: wrong_value(kind, right)}
                yield argument, kind, changed


def answer(call: Callable[..., object], arguments: Mapping[str, Any]) -> str:
    """Return "" for an error of ours with one clear message, else what happened."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            call(**arguments)
    except UserError as error:
        return describe_bad_message(str(error))
    except Exception as error:  # noqa: BLE001 - what is looked for
        frame = traceback.extract_tb(error.__traceback__)[-1]
        text = str(error).split("\n")[0][:100]
        return (
            f"{type(error).__name__}: {text} ({frame.filename.rsplit('/', 2)[-1]}:{frame.lineno})"
        )
    return "accepted"


def describe_bad_message(text: str) -> str:
    """Return what is wrong with a message, or ""."""
    if not text.rstrip().endswith((".", ")")):
        return f"does not end as a sentence: {text[-80:]!r}"
    if len(text) > MAX_MESSAGE:
        return f"{len(text):,} characters: {text[:80]!r}"
    return "" if text.isprintable() else f"not printable: {text[:80]!r}"


def find_wrong_answers(case: Misuse) -> tuple[list[str], int]:
    """Make all wrong calls of a case; return those with a wrong answer, and the number of all."""
    wrong = list[str]()
    count = 0
    for argument, kind, arguments in case.calls():
        is_right = kind in case.accepts.get(argument, ())
        found = answer(case.call, arguments)
        count += not is_right
        # A right value must be accepted; a wrong one gets an error of ours.
        if is_right and found != "accepted":
            wrong.append(f"{case.name}({argument}={kind}) should work: {found or 'UserError'}")
        elif not is_right and found:
            wrong.append(f"{case.name}({argument}={kind}): {found}")
    return wrong, count
