"""A recipe is a program: it names classes that are imported and run.

Classes of Lightning and of this package are always allowed. Everything else must be named on the
command line, or the user must pass `--trust_recipe`. jsonargparse checks each name before it
imports it, also in files that a recipe includes.
"""

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise

from jsonargparse import set_parsing_settings
from jsonargparse._common import parsing_settings

from lightning_resnets.errors import OptionError

TRUST_FLAG = "--trust_recipe"

TRUSTED_PACKAGES = ("lightning", "lightning_resnets")

# A class or function, such as "torch.optim.Adam"
IMPORT_PATH_RE = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")

# What jsonargparse says about a name that it must not import.
DENIED_RE = re.compile(r"Importing '([\w.]+)' is not allowed")

# Options whose values may name a class, and endings of those that name a file or folder.
CODE_OPTIONS = ("--model", "--data", "--trainer")

PATH_ENDINGS = ("dir", "path")

BOOLEANS = {"true": True, "false": False}


def split_trust(args: Sequence[str]) -> tuple[list[str], bool]:
    """Take `--trust_recipe` out of the arguments, so that no recipe can set it.

    Args:
        args: command and options.

    Returns:
        The other arguments, and True if the user trusts the recipe.

    Raises:
        OptionError: the value is neither true nor false.
    """
    others: list[str] = []
    is_trusted = follows_flag = False
    for arg in args:
        option, equals, value = arg.partition("=")
        # The value may be an argument of its own, or be left out.
        if follows_flag and arg.lower() in BOOLEANS:
            is_trusted = BOOLEANS[arg.lower()]
        elif option != TRUST_FLAG:
            others.append(arg)
        else:
            is_trusted = not equals or _parse_boolean(value)
        follows_flag = arg == TRUST_FLAG
    return others, is_trusted


def _parse_boolean(value: str) -> bool:
    """Parse the value of `--trust_recipe`; raise OptionError for anything but true and false."""
    if value.lower() not in BOOLEANS:
        raise OptionError(f"{TRUST_FLAG} must be true or false, got '{value}'.")
    return BOOLEANS[value.lower()]


@contextmanager
def restrict_imports(args: Sequence[str], is_trusted: bool) -> Iterator[None]:
    """Let jsonargparse import only trusted names while the block runs.

    Args:
        args: command and options; what they name is trusted.
        is_trusted: True to trust every name.
    """
    if is_trusted:
        yield
        return
    # There is no public way to remove an entry again.
    saved = dict(parsing_settings)
    allowed = [*TRUSTED_PACKAGES, *named_code(args)]
    set_parsing_settings(import_path_denylist=["*"], import_path_allowlist=allowed)
    try:
        yield
    finally:
        parsing_settings.update(saved)


def named_code(args: Sequence[str]) -> list[str]:
    """List the names that the command line lets jsonargparse import.

    Args:
        args: command and options.

    Returns:
        Names of the standard library as they are. Of others the package, because a class may be
        defined in another of its modules.
    """
    names: dict[str, None] = {}
    for value in _code_values(args):
        for name in _names_in_value(value):
            package = name.partition(".")[0]
            # Trust in one module of the standard library is not trust in `os` and `subprocess`.
            is_standard = package in sys.stdlib_module_names
            names[name if is_standard else package] = None
    # jsonargparse never allows itself: a recipe could change these settings.
    names.pop("jsonargparse", None)
    return list(names)


def _names_in_value(value: str) -> list[str]:
    """Return the names in a value of JSON, or the value if it is the name of a class."""
    if value.startswith(("{", "[")):
        return IMPORT_PATH_RE.findall(value)
    # A path or text with a name in it is no name.
    if IMPORT_PATH_RE.fullmatch(value):
        return [value]
    return []


def _code_values(args: Sequence[str]) -> Iterator[str]:
    """Yield the values of all options that may name a class."""
    for arg, following in pairwise([*args, ""]):
        option, equals, value = arg.partition("=")
        if option.startswith(CODE_OPTIONS) and not option.rstrip("+").endswith(PATH_ENDINGS):
            # `--model=NAME`, or `--model NAME`
            yield value if equals else following


def check_arch(arch: object, args: Sequence[str], is_trusted: bool) -> None:
    """Check that a custom model, `module:function`, is named on the command line.

    Args:
        arch: `model.arch` of the parsed configuration.
        args: command and options.
        is_trusted: True if the user trusts the recipe.

    Raises:
        OptionError: only the recipe names it.
    """
    if is_trusted or not isinstance(arch, str) or ":" not in arch:
        return
    if arch not in _code_values(args):
        raise untrusted_error(arch)


def denied_names(message: str) -> Iterable[str]:
    """Find the names that jsonargparse refused to import.

    Args:
        message: text of its error.

    Returns:
        The names.
    """
    return DENIED_RE.findall(message)


def untrusted_error(name: str) -> OptionError:
    """Build the error about code that only the recipe names.

    Args:
        name: class, function or `module:function`.

    Returns:
        The error.
    """
    return OptionError(
        f"The recipe names code outside of lightning and lightning_resnets: '{name}'. It was not "
        f"imported. Pass {TRUST_FLAG} to run it, or name it on the command line."
    )
