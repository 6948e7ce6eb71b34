"""The command `lightning-resnets fit|validate|test|predict`, with recipes found by name."""

import sys
from importlib.resources import files
from pathlib import Path

from lightning_resnets.checkpoint.card import CheckpointError


def recipes() -> dict[str, Path]:
    """The recipes that ship, by name."""
    folder = Path(str(files("lightning_resnets"))) / "recipes"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def resolved(args: list[str]) -> list[str]:
    """The arguments with recipe names turned into files and names of shipped nets into theirs."""
    from lightning_resnets.checkpoint.shipped import find

    found, known = list(args), recipes()
    for place, arg in enumerate(found):
        option, equals, value = arg.partition("=")
        after = place + 1
        if not equals and after < len(found):
            value = found[after]
        if option == "--config" and value in known:
            new = str(known[value])
        elif option == "--ckpt_path" and value not in ("last", "best", "hpc", "registry", "null", ""):
            new = str(find(value))
        else:
            continue
        if equals:
            found[place] = f"{option}={new}"
        else:
            found[after] = new
    return found


def recipe_name(args: list[str]) -> str:
    """The name of the (last) recipe in the arguments, empty without one."""
    named = [Path(value).stem for option, value in zip(args, args[1:], strict=False) if option == "--config"]
    named += [Path(arg.partition("=")[2]).stem for arg in args if arg.startswith("--config=")]
    return named[-1] if named else ""


def main(args: list[str] | None = None) -> None:
    """Entry point: a user's mistake ends in a sentence and exit status 2."""
    given = sys.argv[1:] if args is None else args
    try:
        ready = resolved(given)
        from lightning_resnets.training.command import Command

        Command(ready, recipe_name(ready))
    except (CheckpointError, ValueError) as error:
        sys.exit(f"lightning-resnets: {error}")
