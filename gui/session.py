"""Save everything the user has chosen as JSON, and read it again.

A session names files and settings; it holds no code and no pickle, so a file of somebody else is
only as dangerous as the checkpoint that it names.
"""

import json
import math
from dataclasses import dataclass
from typing import Any, get_args

from gui.graph import Edit, EditKind
from gui.measures import MEASURE_BY_NAME
from gui.state import Contrast, ImageInput, Order, Request

VERSION = 1  # of the format; another version is rejected
MAX_EDITS = 10_000  # far more than anybody makes by hand
MAX_TEXT = 4_096  # characters of a name or path


class SessionError(ValueError):
    """A session cannot be read; the message says why."""


@dataclass(frozen=True, slots=True)
class Session:
    """State that is restored at the next start.

    Attributes:
        request: everything the user has chosen.
        sample: label of the sample image, None for a file or no image.
        theme: "light", "dark" or "auto".
        size: width and height of the window, None to leave it.
    """

    request: Request
    sample: str | None = None
    theme: str = "auto"
    size: tuple[int, int] | None = None


def to_json(session: Session) -> str:
    """Write a session.

    Args:
        session: the session. Its image is kept if it is a file or a sample: pixels that were
            pasted are not written.

    Returns:
        A JSON document.
    """
    request = session.request
    values: dict[str, Any] = {
        "version": VERSION,
        "checkpoint": request.checkpoint,
        "architecture": request.architecture,
        "image": request.image.path if request.image else None,
        "sample": session.sample,
        "selected": request.selected,
        "edits": [
            {
                "kind": e.kind,
                "target": e.target,
                "operand": e.operand,
                "value": e.value,
                "channels": e.channels,
            }
            for e in request.edits
        ],
        "contrast": request.contrast,
        "gate_order": request.gate_order,
        "strip_measure": request.strip_measure,
        "color_measure": request.color_measure,
        "theme": session.theme,
        "size": session.size,
    }
    return json.dumps(values, indent=1, ensure_ascii=False) + "\n"


def from_json(text: str) -> Session:
    """Read a session.

    Args:
        text: a JSON document that `to_json` wrote.

    Returns:
        The session. A custom architecture (`module:function`) is left out, because its code must
        not run before the user has agreed to that.

    Raises:
        SessionError: the document is not a session of this version.
    """
    try:
        values = json.loads(text)
    # Deeply nested brackets exhaust the parser's stack.
    except (json.JSONDecodeError, RecursionError) as error:
        raise SessionError("This is not a session file: it is not valid JSON.") from error
    if not isinstance(values, dict) or "version" not in values:
        raise SessionError("This is not a session file: it has no version.")
    if values["version"] != VERSION:
        raise SessionError(
            f"The session has version {str(values['version'])[:20]}, and this app reads version "
            f"{VERSION}. Open it with the app that wrote it."
        )
    image = _read_text(values, "image")
    architecture = _read_text(values, "architecture")
    # "module:function" is code of the file's author, which only the user may run.
    if architecture and ":" in architecture:
        architecture = None
    request = Request(
        checkpoint=_read_text(values, "checkpoint"),
        architecture=architecture,
        image=ImageInput(image.replace("\\", "/").split("/")[-1], path=image) if image else None,
        selected=_read_text(values, "selected"),
        edits=_read_edits(values.get("edits", [])),
        contrast=_read_choice(values, "contrast", get_args(Contrast)),
        gate_order=_read_choice(values, "gate_order", get_args(Order)),
        strip_measure=_read_measure(values, "strip_measure"),
        color_measure=_read_measure(values, "color_measure"),
    )
    theme = _read_choice(values, "theme", ("auto", "light", "dark"))
    return Session(request, _read_text(values, "sample"), theme, _read_size(values.get("size")))


def _read_text(values: dict[str, Any], name: str) -> str | None:
    """Return a text, None where there is none."""
    value = values.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > MAX_TEXT or "\0" in value:
        raise SessionError(f"The session is damaged: '{name}' is not a valid text.")
    return value


def _read_choice(values: dict[str, Any], name: str, choices: tuple[str, ...]) -> Any:
    """Return one of some words, the first where there is none."""
    value = values.get(name, choices[0])
    if value not in choices:
        raise SessionError(f"The session is damaged: '{name}' must be one of {', '.join(choices)}.")
    return value


def _read_measure(values: dict[str, Any], name: str) -> str | None:
    """Return the name of a measure, None for none and for one of another version."""
    value = _read_text(values, name)
    if value in MEASURE_BY_NAME:
        return value
    return None


def _read_size(value: Any) -> tuple[int, int] | None:
    if value is None:
        return None
    is_pair = isinstance(value, list) and len(value) == 2
    if not is_pair or not all(type(side) is int and 0 < side < 100_000 for side in value):
        raise SessionError("The session is damaged: 'size' must be two whole numbers.")
    return value[0], value[1]


def _read_edits(values: Any) -> tuple[Edit, ...]:
    if not isinstance(values, list) or len(values) > MAX_EDITS:
        raise SessionError("The session is damaged: 'edits' must be a list.")
    return tuple(_read_edit(value) for value in values)


def _read_edit(values: Any) -> Edit:
    """Return one edit; whether its target exists is found out with the model."""
    if not isinstance(values, dict) or not _is_edit(values):
        raise SessionError("The session is damaged: an edit needs kind, target, operand and value.")
    channels = tuple(values.get("channels", ()))
    return Edit(
        values["kind"], values["target"], values["operand"], float(values["value"]), channels
    )


def _is_edit(values: dict[str, Any]) -> bool:
    value = values.get("value")
    operand = values.get("operand")
    # `type`, because a bool is an int for `isinstance`.
    return (
        values.get("kind") in get_args(EditKind)
        and isinstance(values.get("target"), str)
        and type(operand) is int
        and operand >= 0
        and type(value) in (int, float)
        and math.isfinite(values["value"])
        and _are_channels(values.get("channels", []), values["kind"])
    )


def _are_channels(channels: Any, kind: str) -> bool:
    """Return True for ascending whole numbers: some for "zero", none for other kinds."""
    if not isinstance(channels, list) or bool(channels) != (kind == "zero"):
        return False
    are_numbers = all(type(channel) is int and channel >= 0 for channel in channels)
    # In one order and without repetitions, so that equal edits compare equal.
    return are_numbers and channels == sorted(set(channels))
