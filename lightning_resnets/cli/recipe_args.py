"""Names of recipes and bundled models in the arguments of a training command become files."""

import re
from collections.abc import Iterator
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path

from lightning_resnets.recipes import list_recipes

HELP_ALL_FLAG = "--help-all"  # jsonargparse's page of more than 500 lines

# One of these options says what to train, or asks for help about it.
CONFIG_FLAGS = {"-c", "--config", "--data", "--data.class_path", "--print_config", HELP_ALL_FLAG}

# -c NAME, -cNAME or -c=NAME
SHORT_CONFIG_RE = re.compile(r"-c(?!-)")


def has_config(args: list[str]) -> bool:
    """Return True if the options say what to train, or ask for help about an option.

    Args:
        args: options of a training command.

    Returns:
        False if a recipe is missing.
    """
    options = [arg.partition("=")[0] for arg in args]
    return any(
        option in CONFIG_FLAGS or option.endswith(".help") or SHORT_CONFIG_RE.match(option)
        for option in options
    )


def resolve_args(args: list[str]) -> list[str]:
    """Replace the names of recipes and of bundled models by their files.

    Args:
        args: command and options of a training command.

    Returns:
        The same with "--config" and "--ckpt_path" separate from their values.

    Raises:
        ValueError: there is no such recipe, model or file.
    """
    # Both spellings, `--config NAME` and `--config=NAME`, become the first one.
    resolved: list[str] = []
    for arg in args:
        resolved.extend(_split_arg(arg))
    for index, (option, value) in enumerate(pairwise(resolved), 1):
        if option == "--config":
            resolved[index] = str(resolve_recipe(value))
        # TrainingCLI looks for `last` and `best` in the run folder.
        elif option == "--ckpt_path" and value not in ("best", "last", "null"):
            resolved[index] = _resolve_checkpoint(value)
    return resolved


def _split_arg(arg: str) -> Iterator[str]:
    """Yield `--config=VALUE` in two parts, `-c` as `--config`, and any other argument unchanged."""
    # -c NAME, -cNAME and -c=NAME, as argparse takes them.
    if SHORT_CONFIG_RE.match(arg):
        name = arg.removeprefix("-c").removeprefix("=")
        yield "--config"
        # The name may be the next argument.
        if name:
            yield name
        return
    option, equals, value = arg.partition("=")
    if not equals:
        yield option
    elif option in ("--config", "--ckpt_path"):
        yield option
        yield value
    # jsonargparse splits the others itself.
    else:
        yield arg


def _resolve_checkpoint(value: str) -> str:
    """Return the file of a bundled model, or the file itself."""
    # Imports torch, which `--help` does not need.
    from lightning_resnets.checkpoint.bundled import resolve_checkpoint

    return str(resolve_checkpoint(value))


def resolve_recipe(name: str) -> Path:
    """Find a recipe.

    Args:
        name: name of a bundled recipe, or a file.

    Returns:
        Its YAML file.

    Raises:
        ValueError: there is neither such a recipe nor such a file.
    """
    recipes = list_recipes()
    # A bundled recipe goes before a file of the same name.
    if name in recipes:
        return recipes[name]
    path = Path(name)
    if path.is_file():
        return path
    similar = _similar_recipe(name, recipes)
    hint = f"Did you mean {similar}? " if similar else ""
    raise ValueError(
        f"There is no recipe or file named '{name}'. {hint}Recipes: {', '.join(recipes)}."
    )


def _similar_recipe(name: str, recipes: dict[str, Path]) -> str:
    """Return the shortest recipe that begins with a name, else the most similar one, else ""."""
    longer = [recipe for recipe in recipes if name and recipe.startswith(name)]
    if longer:
        return min(longer, key=len)
    similar = get_close_matches(name, recipes, 1)
    return similar[0] if similar else ""
