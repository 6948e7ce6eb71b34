"""An option that is not understood, said in one sentence with the nearest one that there is."""

import inspect
import pydoc
import re
from collections.abc import Iterable
from difflib import get_close_matches

UNKNOWN = re.compile(r"unrecognized arguments: (--[^\s=]+)")
NO_KEY = re.compile(r"does not accept option '([\w.]+)'")
CLASS = re.compile(r"Problem with given class_path '([\w.]+)':\s*(.+?)(?:\s+- Expected|$)")
REFUSED = re.compile(r"Option '([\w.]+)' is not accepted")
VALUE = re.compile(r"Parser key ['\"]([\w.]+)['\"]:\s*(.+)")


class OptionError(ValueError):
    """An option or its value that is not understood."""


def sentence(message: str, options: Iterable[str]) -> str:
    """What jsonargparse says, shortened; `options` are all that the command knows, as in "--model.lr"."""
    text = re.sub(r"<class '([\w.]+)'>", r"\1", " ".join(message.split()))
    if match := UNKNOWN.search(text) or NO_KEY.search(text):
        name = f"--{match[1].lstrip('-')}"
        return f"There is no option '{name}'{near(name, options)}."
    if match := CLASS.search(text):
        return refused(*match.groups())
    if match := VALUE.search(text):
        return ended(f"{match[1]}: {match[2].partition(' Subtypes:')[0]}")
    return ended(text)


def refused(path: str, why: str) -> str:
    """Why a class cannot be made, with the nearest of its settings."""
    if match := REFUSED.search(why):
        known = inspect.signature(pydoc.locate(path)).parameters  # type: ignore[arg-type] - the parser found the class
        return f"{path} has no setting '{match[1]}'{near(match[1], known)}."
    return ended(f"{path} cannot be had: {why}")


def near(name: str, known: Iterable[str]) -> str:
    found = get_close_matches(name, known, 1, 0.8)
    return f" (did you mean {found[0]}?)" if found else " (`lightning-resnets fit --help` lists them)"


def ended(text: str) -> str:
    return text if text.endswith(".") else f"{text}."
