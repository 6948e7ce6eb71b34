"""Shorten jsonargparse's errors to one sentence: the option, the value, and what it accepts.

jsonargparse prints a tree of everything that a value might have been. Only a few of its phrases
are recognized here; any other message is printed as it is, on one line.
"""

import ast
import inspect
import pydoc
import re
from collections.abc import Iterable
from difflib import get_close_matches

from lightning_resnets.utils.format import join_words

# unrecognized arguments: --trainer.max_epoch 3
UNRECOGNIZED_RE = re.compile(r"unrecognized arguments: --([^\s=]+)")

# Subcommand 'fit' does not accept option 'model.widht'
UNKNOWN_KEY_RE = re.compile(r"does not accept option '([\w.]+)'")

# Linked "model.num_classes" must be given via "data.num_classes"
LINKED_RE = re.compile(r"Linked ['\"]([\w.]+)['\"] must be given via ['\"]([\w.]+)['\"]")

# Problem with given class_path 'nosuch.Data': No module named 'nosuch'
CLASS_PATH_RE = re.compile(r"Problem with given class_path '([\w.]+)':\s*(.+?)(?:\s+- Expected|$)")

# The same over several lines, until the next type of a list of types or the value
BUILD_RE = re.compile(
    r"Problem with given class_path '([\w.]+)':\s*(.+?)(?=\n\s*- |\nGiven value|\Z)", re.DOTALL
)

# Option 'batch_sice' is not accepted
REFUSED_RE = re.compile(r"Option '([\w.]+)' is not accepted")

# Parser key "data.auto_augment":, indented by the depth of the key
PARSER_KEY_RE = re.compile(r"^(.*)Parser key ['\"]([\w.]+)['\"]:", re.MULTILINE)

# Got value: 8
GIVEN_VALUE_RE = re.compile(r"(?:Got|Given) value: (.+)")

# Expected a <class 'int'>. Got value: many
EXPECTED_RE = re.compile(r"Expected an? (.+?)(?:\. Got value: .*)?$", re.MULTILINE)

# dot import path string: CIFAR10X
IMPORT_PATH_RE = re.compile(r"dot import path string: (.+)")

# typing.Literal['sgd', 'adamw', 'lamb']
LITERAL_RE = re.compile(r"(?:typing\.)?Literal(\[.+\])")

# <class 'collections.abc.Iterable'>, of which the last part is kept
CLASS_NAME_RE = re.compile(r"<class '(?:[\w.]+\.)?(\w+)'>")

# The same, of which the whole path is kept
FULL_CLASS_NAME_RE = re.compile(r"<class '([\w.]+)'>")

# What a user types for a value of a Python type, in the words of YAML
TYPE_DESCRIPTIONS = {
    "bool": ("true", "false"),
    "dict": ("a mapping such as '{name: value}'",),
    "float": ("a number",),
    "int": ("an integer",),
    "list": ("a list",),
    "Iterable": ("a list",),
    "NoneType": ("null",),
    "str": ("text",),
}

DATAMODULES = (
    "lightning_resnets.data.CIFAR10",
    "lightning_resnets.data.CIFAR10Sample",
    "lightning_resnets.data.ImageNet",
)

MIN_SIMILARITY = 0.8  # of a suggested option, 0 to 1


def format_option_error(message: str, options: Iterable[str]) -> str:
    """Shorten an error of jsonargparse.

    Args:
        message: the text of the error.
        options: all options of the command, such as "--model.lr".

    Returns:
        One sentence on one line.
    """
    text = FULL_CLASS_NAME_RE.sub(r"\1", " ".join(message.split()))
    keys, rest = failing_key(message)
    # The order matters: a message about a class path has the parser keys above it too.
    if match := UNRECOGNIZED_RE.search(text) or UNKNOWN_KEY_RE.search(text):
        name = "--" + ".".join([*keys, match[1]])
        return f"Unknown option '{name}'{suggest_option(name, options)}."
    if match := LINKED_RE.search(text):
        return f"--{match[1]} cannot be set: it is taken from {match[2]}."
    if len(keys) < 2 and (match := CLASS_PATH_RE.search(text)):
        return format_class_error(*match.groups())
    if keys and (sentence := format_value_error(f"--{'.'.join(keys)}", rest)):
        return sentence
    # jsonargparse appends every subclass that it knows.
    return end_sentence(text.partition(" Subtypes:")[0])


def failing_key(message: str) -> tuple[list[str], str]:
    """Find the key that is wrong. A nested key is indented further than the one around it.

    Args:
        message: the text of the error.

    Returns:
        The parts of the key from the outermost in, and the text that follows the last one.
    """
    keys: list[str] = []
    indent = -1
    rest = message
    for match in PARSER_KEY_RE.finditer(message):
        if len(match[1]) > indent:
            indent = len(match[1])
            rest = message[match.end() :]
            keys.append(match[2])
    return keys, rest


def format_value_error(option: str, text: str) -> str | None:
    """Say what an option accepts and what it got.

    Args:
        option: the option, with its dashes.
        text: what jsonargparse says about its value.

    Returns:
        One sentence; None if the text does not say what was expected.
    """
    given = GIVEN_VALUE_RE.search(text)
    if given is None:
        return None
    value = given[1].strip()
    # For a class, the value is shown as a namespace; the path stands further up.
    if import_path := IMPORT_PATH_RE.search(text[: given.start()]):
        value = import_path[1].strip()
    accepted = _accepted_values(text[: given.end()])
    if option == "--data":
        # The parser accepts null too, but a run needs a dataset.
        accepted = [word for word in accepted if word != "null"]
    if not accepted:
        return None
    hint = suggest_datamodule(value) if option == "--data" else ""
    return f"{option} must be {join_words(accepted)}, got '{value}'{hint}."


def _accepted_values(text: str) -> list[str]:
    """Describe every type that a value might have had, each once."""
    accepted: dict[str, None] = {}
    for kind in EXPECTED_RE.findall(text):
        accepted |= dict.fromkeys(describe_type(kind))
    return list(accepted)


def describe_type(kind: str) -> tuple[str, ...]:
    """Describe a type in words.

    Args:
        kind: the type as jsonargparse writes it.

    Returns:
        Descriptions or literal values; empty for a type that no user would write.
    """
    if match := LITERAL_RE.search(kind):
        return tuple(map(str, ast.literal_eval(match[1])))
    if IMPORT_PATH_RE.match(kind):
        return ("a class path",)
    if match := CLASS_NAME_RE.match(kind):
        return TYPE_DESCRIPTIONS.get(match[1], ())
    return ()


def suggest_datamodule(value: str) -> str:
    """Suggest a bundled datamodule.

    Args:
        value: the user's class path.

    Returns:
        The most similar class path, or all of them, in parentheses.
    """
    paths = {path.rpartition(".")[2]: path for path in DATAMODULES}
    similar = get_close_matches(value.rpartition(".")[2], paths, 1)
    if similar:
        return f" (did you mean {paths[similar[0]]}?)"
    return f" (choose one of {', '.join(DATAMODULES)})"


def format_class_error(path: str, reason: str) -> str:
    """Say why a class cannot be built.

    Args:
        path: the class path.
        reason: what jsonargparse says about it.

    Returns:
        One sentence, with the most similar parameter for an unknown one.
    """
    if match := REFUSED_RE.search(reason):
        # The parser has imported the class already, so locate finds it.
        parameters = inspect.signature(pydoc.locate(path)).parameters  # type: ignore[arg-type]
        return f"{path} has no option '{match[1]}'{suggest_option(match[1], parameters)}."
    return end_sentence(f"Cannot use {path}: {reason}")


def format_build_error(message: str) -> str | None:
    """Say why a class of the configuration cannot be built.

    Args:
        message: text of jsonargparse's error, with the reason of each type that it has tried.

    Returns:
        One sentence, such as which package is missing; None if the text does not name a class.
    """
    match = BUILD_RE.search(message)
    if match is None:
        return None
    reason = " ".join(match[2].split())
    return end_sentence(f"Cannot use {match[1]}: {reason}")


def suggest_option(name: str, options: Iterable[str]) -> str:
    """Suggest an option.

    Args:
        name: the user's option.
        options: all options.

    Returns:
        The most similar one, or where they are listed, in parentheses.
    """
    similar = get_close_matches(name, options, 1, MIN_SIMILARITY)
    if similar:
        return f" (did you mean {similar[0]}?)"
    return " (see `lightning-resnets fit --help`)"


def end_sentence(text: str) -> str:
    """Add a full stop unless there is one.

    Args:
        text: a sentence.

    Returns:
        The sentence with a full stop.
    """
    return text if text.endswith(".") else f"{text}."
