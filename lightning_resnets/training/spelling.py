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

UNKNOWN = re.compile(r"unrecognized arguments: --([^\s=]+)")
NO_KEY = re.compile(r"does not accept option '([\w.]+)'")
LINKED = re.compile(r"Linked ['\"]([\w.]+)['\"] must be given via ['\"]([\w.]+)['\"]")
CLASS = re.compile(r"Problem with given class_path '([\w.]+)':\s*(.+?)(?:\s+- Expected|$)")
REFUSED = re.compile(r"Option '([\w.]+)' is not accepted")
KEY = re.compile(r"^(.*)Parser key ['\"]([\w.]+)['\"]:", re.MULTILINE)
GIVEN = re.compile(r"(?:Got|Given) value: (.+)")
EXPECTED = re.compile(r"Expected an? (.+?)(?:\. Got value: .*)?$", re.MULTILINE)
DOTTED = re.compile(r"dot import path string: (.+)")
LITERAL = re.compile(r"(?:typing\.)?Literal(\[.+\])")
NAMED = re.compile(r"<class '(?:[\w.]+\.)?(\w+)'>")
WORDS = {
    "bool": ("true", "false"),
    "dict": ("a mapping as in '{name: value}'",),
    "float": ("a number",),
    "int": ("a whole number",),
    "list": ("a list",),
    "Iterable": ("a list",),
    "NoneType": ("null",),
    "str": ("text",),
}
DATA = (
    "lightning_resnets.data.cifar.CIFAR10",
    "lightning_resnets.data.cifar.CIFAR10Sample",
    "lightning_resnets.data.imagenet.ImageNet",
)


class OptionError(ValueError):
    """An option or its value that is not understood."""


def sentence(message: str, options: Iterable[str]) -> str:
    """What jsonargparse says, shortened; `options` are all that the command knows, as in "--model.lr"."""
    text = re.sub(r"<class '([\w.]+)'>", r"\1", " ".join(message.split()))
    keys, rest = place(message)
    if match := UNKNOWN.search(text) or NO_KEY.search(text):
        name = "--" + ".".join([*keys, match[1]])
        return f"There is no option '{name}'{near(name, options)}."
    if match := LINKED.search(text):
        return f"--{match[1]} cannot be given: it is {match[2]}."
    if len(keys) < 2 and (match := CLASS.search(text)):
        return refused(*match.groups())
    if keys and (found := value(f"--{'.'.join(keys)}", rest)):
        return found
    return ended(text.partition(" Subtypes:")[0])


def place(message: str) -> tuple[list[str], str]:
    """The key that is at fault, from the outermost in, and what is said of it: a deeper key is indented further."""
    keys: list[str] = []
    deep, rest = -1, message
    for match in KEY.finditer(message):
        if len(match[1]) > deep:
            deep, rest = len(match[1]), message[match.end() :]
            keys.append(match[2])
    return keys, rest


def value(option: str, said: str) -> str | None:
    """What the option takes and what it was given; None where that cannot be made out."""
    given = GIVEN.search(said)
    if not given:
        return None
    wrong = given[1].strip()
    if dotted := DOTTED.search(said[: given.start()]):
        wrong = dotted[1].strip()
    kinds = EXPECTED.findall(said[: given.end()])
    takes = list(dict.fromkeys(word for kind in kinds for word in words(kind)))
    hint = ""
    if option == "--data":  # null is not refused by the parser, but nothing can be done with it
        takes, hint = [word for word in takes if word != "null"], shipped(wrong)
    return f"{option} takes {either(takes)}, not '{wrong}'{hint}." if takes else None


def words(kind: str) -> tuple[str, ...]:
    """A type, as jsonargparse writes it, in words; none for what no user would write."""
    if match := LITERAL.search(kind):
        return tuple(map(str, ast.literal_eval(match[1])))
    if DOTTED.match(kind):
        return ("a class by its dotted path",)
    if match := NAMED.match(kind):
        return WORDS.get(match[1], ())
    return ()


def shipped(wrong: str) -> str:
    """The datamodule that ships and was meant, or all of them."""
    names = {path.rpartition(".")[2]: path for path in DATA}
    found = get_close_matches(wrong.rpartition(".")[2], names, 1)
    return f" (did you mean {names[found[0]]}?)" if found else f" (there are {', '.join(DATA)})"


def either(takes: list[str]) -> str:
    *first, last = takes
    return f"{', '.join(first)} or {last}" if first else last


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
