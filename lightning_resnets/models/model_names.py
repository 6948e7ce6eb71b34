"""Names of models with options: `resnet50,stride_in=1x1`.

Such a name is one word on a command line, so that each model that a checkpoint may contain has a
name that can be typed.
"""

from collections.abc import Mapping
from typing import Any

from lightning_resnets.errors import ModelError

# Options whose value is a sequence, also if it has one number.
SEQUENCES = ("depths", "head_widths")


def split_options(name: str) -> tuple[str, dict[str, Any]]:
    """Split a name from its options.

    Args:
        name: such as `resnet50,stride_in=1x1,depths=3-4-6-3`; hyphens join a tuple's numbers.

    Returns:
        The name alone, and its options: numbers, `true` and `false` parsed.

    Raises:
        ModelError: an option has no value.
    """
    # A custom model's name belongs to Python.
    if ":" in name:
        return name, {}
    base, *options = name.split(",")
    parsed = dict[str, Any]()
    for option in options:
        key, _, text = option.partition("=")
        # Without the sign the text is empty, too.
        if not key or not text:
            raise ModelError(_describe_missing_value(option, name, base))
        parsed[key.strip()] = _parse_value(key.strip(), text.strip())
    return base.strip(), parsed


def _describe_missing_value(option: str, name: str, base: str) -> str:
    """Describe an option without a value."""
    return (
        f"The option {option!r} in the model's name {name!r} has no value: "
        f"write {base},option=value."
    )


def join_options(name: str, options: Mapping[str, Any]) -> str:
    """Join a name and options, so that `split_options` splits them.

    Args:
        name: a model's name.
        options: model kwargs.

    Returns:
        `resnet50,stride_in=1x1`.
    """
    return ",".join((name, *(f"{key}={_format_value(value)}" for key, value in options.items())))


def _parse_value(key: str, text: str) -> Any:
    """Return a number, a truth value, a tuple of numbers, or the text itself."""
    if text in ("true", "false"):
        return text == "true"
    parts = text.split("-")
    if all(part.isascii() and part.isdigit() for part in parts):
        is_sequence = len(parts) > 1 or key in SEQUENCES
        return tuple(int(part) for part in parts) if is_sequence else int(text)
    try:
        return float(text)
    except ValueError:
        return text


def _format_value(value: Any) -> str:
    """Return a value as `_parse_value` reads it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return "-".join(map(str, value))  # type: ignore[arg-type] - of numbers
    return str(value)
