"""Check the arguments of public functions: one sentence says what was given and what is right."""

import math
import os
from collections.abc import Collection, Iterable
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from lightning_resnets.errors import InvalidArgumentError, UserError
from lightning_resnets.utils.format import format_value, join_words

MAX_PATH_CHARACTERS = 4096

# A seed is passed to NumPy, which takes none below 0, and to torch, which takes 64 bits.
MAX_SEED = 2**63 - 1

ErrorType = type[UserError]


def check_int(
    name: str,
    value: object,
    least: int = 0,
    most: int | None = None,
    error: ErrorType = InvalidArgumentError,
) -> int:
    """Check that an argument is an integer in a range.

    Args:
        name: name of the argument, for the message.
        value: value given by the user; a bool is not an integer.
        least: smallest value allowed.
        most: largest value allowed, or None.
        error: type of the error.

    Returns:
        The value.

    Raises:
        UserError: it is not, of the type `error`.
    """
    limit = f"at least {least:,}"
    # Integral includes NumPy's integers; True would be a silent 1.
    if isinstance(value, Integral) and not isinstance(value, bool):
        number = int(value)
        if number >= least and (most is None or number <= most):
            return number
        if number >= least:
            limit = f"at most {most:,}"
    raise error(f"{name} must be an integer of {limit}, got {format_value(value)}.")


def check_number(
    name: str,
    value: object,
    least: float = -math.inf,
    most: float = math.inf,
    error: ErrorType = InvalidArgumentError,
) -> float:
    """Check that an argument is a finite number in a range.

    Args:
        name: name of the argument, for the message.
        value: value given by the user.
        least: smallest value allowed.
        most: largest value allowed.
        error: type of the error.

    Returns:
        The value.

    Raises:
        UserError: it is not, of the type `error`.
    """
    # Real includes NumPy's numbers, but no tensor.
    if isinstance(value, Real) and not isinstance(value, bool):
        number = float(value)
        if math.isfinite(number) and least <= number <= most:
            return number
    limits = _describe_limits(least, most)
    raise error(f"{name} must be a finite number{limits}, got {format_value(value)}.")


def _describe_limits(least: float, most: float) -> str:
    """Return the end of a phrase on the numbers allowed, empty if all are."""
    if math.isfinite(least) and math.isfinite(most):
        return f" from {least:g} to {most:g}"
    if math.isfinite(least):
        return f" of at least {least:g}"
    return f" of at most {most:g}" if math.isfinite(most) else ""


def check_bool(name: str, value: object, error: ErrorType = InvalidArgumentError) -> bool:
    """Check that an argument is True or False.

    Args:
        name: name of the argument, for the message.
        value: value given by the user.
        error: type of the error.

    Returns:
        The value.

    Raises:
        UserError: it is not, of the type `error`.
    """
    if not isinstance(value, bool):
        raise error(f"{name} must be True or False, got {format_value(value)}.")
    return value


def check_choice(
    name: str,
    value: object,
    choices: Collection[object],
    error: ErrorType = InvalidArgumentError,
) -> Any:
    """Check that an argument is one of a few values.

    Args:
        name: name of the argument, for the message.
        value: value given by the user.
        choices: values allowed: texts, numbers, bools or None.
        error: type of the error.

    Returns:
        The value.

    Raises:
        UserError: it is not, of the type `error`.
    """
    # 1 equals True, and a tensor equals nothing at once.
    if any(type(value) is type(choice) and value == choice for choice in choices):
        return value
    listed = join_words([repr(choice) for choice in choices])
    raise error(f"{name} must be {listed}, got {format_value(value)}.")


def check_type(
    name: str,
    value: Any,
    types: type | tuple[type, ...],
    description: str,
    error: ErrorType = InvalidArgumentError,
) -> None:
    """Check the type of an argument.

    Args:
        name: name of the argument, for the message.
        value: value given by the user.
        types: types allowed.
        description: what is right, such as "a torch.nn.Module".
        error: type of the error.

    Raises:
        UserError: it has another type; of the type `error`.
    """
    if not isinstance(value, types):
        raise error(f"{name} must be {description}, got {format_value(value)}.")


def check_names(
    name: str, value: str | Iterable[str], error: ErrorType = InvalidArgumentError
) -> tuple[str, ...]:
    """Check that an argument is a name or several.

    Args:
        name: name of the argument, for the message.
        value: value given by the user.
        error: type of the error.

    Returns:
        The names.

    Raises:
        UserError: it is not, of the type `error`.
    """
    # A text is iterable too, and must not be taken apart into letters.
    names = [value] if isinstance(value, str) else value
    if isinstance(names, Iterable):
        listed = tuple(names)
        if all(isinstance(one, str) for one in listed):
            return listed
    raise error(f"{name} must be a name or a list of names, got {format_value(value)}.")


def check_path(name: str, value: object, error: ErrorType = InvalidArgumentError) -> Path:
    """Check that an argument is a path, whether it exists or not.

    Args:
        name: name of the argument, for the message.
        value: value given by the user.
        error: type of the error.

    Returns:
        The path.

    Raises:
        UserError: it is not a path, empty or too long; of the type `error`.
    """
    if isinstance(value, (str, os.PathLike)):
        path = os.fspath(value)
        # A PathLike may stand for bytes, which Path does not take.
        if isinstance(path, str) and 0 < len(path) <= MAX_PATH_CHARACTERS:
            return Path(path)
    raise error(f"{name} must be the path of a file or folder, got {format_value(value)}.")
