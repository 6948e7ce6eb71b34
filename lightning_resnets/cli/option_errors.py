"""An option that is not understood, said in one sentence: the nearest one that there is, or what it takes.

jsonargparse says it in a tree, whose branches are what a value might have been. Only three of its words are relied on
(`Parser key`, `Expected a`, `value:`); where they are not found, its own text is passed on, on one line.
"""

import ast
import inspect
import pydoc
import re
from collections.abc import Iterable
from difflib import get_close_matches

UNRECOGNIZED_RE = re.compile(r"unrecognized arguments: --([^\s=]+)")


UNKNOWN_KEY_RE = re.compile(r"does not accept option '([\w.]+)'")


LINKED_RE = re.compile(r"Linked ['\"]([\w.]+)['\"] must be given via ['\"]([\w.]+)['\"]")


CLASS_PATH_RE = re.compile(r"Problem with given class_path '([\w.]+)':\s*(.+?)(?:\s+- Expected|$)")


REFUSED_RE = re.compile(r"Option '([\w.]+)' is not accepted")


PARSER_KEY_RE = re.compile(r"^(.*)Parser key ['\"]([\w.]+)['\"]:", re.MULTILINE)


GIVEN_VALUE_RE = re.compile(r"(?:Got|Given) value: (.+)")


EXPECTED_RE = re.compile(r"Expected an? (.+?)(?:\. Got value: .*)?$", re.MULTILINE)


IMPORT_PATH_RE = re.compile(r"dot import path string: (.+)")


LITERAL_RE = re.compile(r"(?:typing\.)?Literal(\[.+\])")


CLASS_NAME_RE = re.compile(r"<class '(?:[\w.]+\.)?(\w+)'>")


TYPE_DESCRIPTIONS = {
    "bool": ("true", "false"),
    "dict": ("a mapping as in '{name: value}'",),
    "float": ("a number",),
    "int": ("a whole number",),
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


def format_option_error(message: str, options: Iterable[str]) -> str:
    """What jsonargparse says, shortened; `options` are all that the command knows, as in "--model.lr"."""
    text = re.sub(r"<class '([\w.]+)'>", r"\1", " ".join(message.split()))
    keys, rest = failing_key(message)
    if match := UNRECOGNIZED_RE.search(text) or UNKNOWN_KEY_RE.search(text):
        name = "--" + ".".join([*keys, match[1]])
        return f"There is no option '{name}'{suggest_option(name, options)}."
    if match := LINKED_RE.search(text):
        return f"--{match[1]} cannot be given: it is {match[2]}."
    if len(keys) < 2 and (match := CLASS_PATH_RE.search(text)):
        return format_class_error(*match.groups())
    if keys and (found := format_value_error(f"--{'.'.join(keys)}", rest)):
        return found
    return end_sentence(text.partition(" Subtypes:")[0])


def failing_key(message: str) -> tuple[list[str], str]:
    """The key that is at fault, from the outermost in, and what is said of it: a deeper key is indented further."""
    keys: list[str] = []
    deep, rest = -1, message
    for match in PARSER_KEY_RE.finditer(message):
        if len(match[1]) > deep:
            deep, rest = len(match[1]), message[match.end() :]
            keys.append(match[2])
    return keys, rest


def format_value_error(option: str, said: str) -> str | None:
    """What the option takes and what it was given; None where that cannot be made out."""
    given = GIVEN_VALUE_RE.search(said)
    if not given:
        return None
    wrong = given[1].strip()
    if dotted := IMPORT_PATH_RE.search(said[: given.start()]):
        wrong = dotted[1].strip()
    kinds = EXPECTED_RE.findall(said[: given.end()])
    takes = list(dict.fromkeys(word for kind in kinds for word in describe_type(kind)))
    hint = ""
    if option == "--data":  # null is not refused by the parser, but nothing can be done with it
        takes, hint = [word for word in takes if word != "null"], suggest_datamodule(wrong)
    return f"{option} takes {join_or(takes)}, not '{wrong}'{hint}." if takes else None


def describe_type(kind: str) -> tuple[str, ...]:
    """A type, as jsonargparse writes it, in words; none for what no user would write."""
    if match := LITERAL_RE.search(kind):
        return tuple(map(str, ast.literal_eval(match[1])))
    if IMPORT_PATH_RE.match(kind):
        return ("a class by its dotted path",)
    if match := CLASS_NAME_RE.match(kind):
        return TYPE_DESCRIPTIONS.get(match[1], ())
    return ()


def suggest_datamodule(wrong: str) -> str:
    """The datamodule that ships and was meant, or all of them."""
    names = {path.rpartition(".")[2]: path for path in DATAMODULES}
    found = get_close_matches(wrong.rpartition(".")[2], names, 1)
    return (
        f" (did you mean {names[found[0]]}?)" if found else f" (there are {', '.join(DATAMODULES)})"
    )


def join_or(takes: list[str]) -> str:
    *first, last = takes
    return f"{', '.join(first)} or {last}" if first else last


def format_class_error(path: str, why: str) -> str:
    """Why a class cannot be made, with the nearest of its settings."""
    if match := REFUSED_RE.search(why):
        known = inspect.signature(pydoc.locate(path)).parameters  # type: ignore[arg-type] - the parser found the class
        return f"{path} has no setting '{match[1]}'{suggest_option(match[1], known)}."
    return end_sentence(f"{path} cannot be had: {why}")


def suggest_option(name: str, known: Iterable[str]) -> str:
    found = get_close_matches(name, known, 1, 0.8)
    return (
        f" (did you mean {found[0]}?)" if found else " (`lightning-resnets fit --help` lists them)"
    )


def end_sentence(text: str) -> str:
    return text if text.endswith(".") else f"{text}."
