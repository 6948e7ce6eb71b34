"""The command `lightning-resnets`: training by recipes, and what is done with a file; names are found."""

import importlib
import logging
import os
import sys
import warnings
from difflib import get_close_matches
from importlib.metadata import version
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

from lightning_resnets.errors import CheckpointError, OptionError

TRAINING_COMMANDS = ("fit", "validate", "test", "predict")


OTHER_COMMANDS = {  # commands that need no Lightning, and the modules whose `main` they are
    "models": "lightning_resnets.cli.models",
    "graph": "lightning_resnets.cli.graph",
    "inspect": "lightning_resnets.cli.inspect",
    "evaluate": "lightning_resnets.cli.evaluate",
    "convert": "lightning_resnets.cli.convert",
    "export": "lightning_resnets.cli.export",
    "analyze": "lightning_resnets.cli.analyze",
}


COMMANDS = (*TRAINING_COMMANDS, *OTHER_COMMANDS)


HELP_ALL_FLAG = "--help-all"  # jsonargparse's page, of more than 500 lines


CONFIG_FLAGS = {"-c", "--config", "--data", "--data.class_path", "--print_config", HELP_ALL_FLAG}


HELP = """usage: lightning-resnets COMMAND --config RECIPE [options]
       lightning-resnets models [PATTERN]
       lightning-resnets graph NET|FILE [options]
       lightning-resnets inspect|evaluate|convert|export FILE [options]
       lightning-resnets analyze NAME FILE [options]

  fit        train, test at the end, write runs/RECIPE/RECIPE.ckpt
  test       accuracy on the test set of --ckpt_path
  validate   the same on the images held out by --data.num_val_images N
  predict    runs/RECIPE/predictions.csv for the test set
  models     all models, or those whose name fits PATTERN, with parameters, multiply-adds and published error
  graph      blocks, shapes, costs and skips of any model or FILE; --out as JSON, GraphML, DOT or an image (SVG)

  inspect    which model any FILE holds, how sure that is, and what does not fit
  evaluate   top-1 and top-5 of any FILE on --data cifar10|imagenet|folder|sample --root DIR
  convert    FILE OUT: as safetensors or .ckpt, in torchvision's (timm's) names, with a card
  export     FILE OUT: as ONNX or torch.export, its answers compared with the model's

  analyze    NAME FILE: an experiment on what its skips and gates do, as tables and a figure (NAME: lesion, all ...)

RECIPE is a file or one of: {recipes}.
Often used: --data.data_dir DIR, --trainer.max_epochs N, --ckpt_path FILE (or a shipped model's name, or `last` to resume).
Options with their defaults: lightning-resnets COMMAND --help; Lightning's too: lightning-resnets COMMAND --help-all"""


def recipes() -> dict[str, Path]:
    """The recipes that ship, by name."""
    folder = Path(str(files("lightning_resnets"))) / "recipes"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def resolve_args(args: list[str]) -> list[str]:
    """The arguments as `--option value` pairs, names of recipes and of shipped models turned into their files."""
    from lightning_resnets.checkpoint.bundled import resolve_checkpoint

    found: list[str] = []
    for arg in args:
        option, equals, value = arg.partition("=")
        option = {"-c": "--config"}.get(option, option)
        found += (
            [option, value]
            if equals and option in ("--config", "--ckpt_path")
            else [option if not equals else arg]
        )
    for place, (option, value) in enumerate(pairwise(found), 1):
        if option == "--config":
            found[place] = str(resolve_recipe(value))
        elif option == "--ckpt_path" and value not in ("last", "null"):
            found[place] = str(resolve_checkpoint(value))
    return found


def resolve_recipe(value: str) -> Path:
    """The recipe of that name, else the file of that path; raises ValueError where there is neither."""
    known = recipes()
    if value in known:
        return known[value]
    if not Path(value).is_file():
        begun = sorted((name for name in known if value and name.startswith(value)), key=len)
        found = begun or get_close_matches(value, known, 1)
        hint = f"did you mean {found[0]}? R" if found else "r"
        raise ValueError(
            f"There is no recipe and no file called '{value}' ({hint}ecipes: {', '.join(known)})."
        )
    return Path(value)


def has_config(args: list[str]) -> bool:
    """Whether the arguments say what is to be trained, or only ask how one may."""
    options = [arg.partition("=")[0] for arg in args]
    return any(option in CONFIG_FLAGS or option.endswith(".help") for option in options)


def silence_library_warnings() -> None:
    """Silence what libraries say of themselves and no user can act on."""
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    warnings.filterwarnings("ignore", "LightningCLI's args parameter is intended")
    warnings.filterwarnings("ignore", ".*isinstance.treespec, LeafSpec.*")
    warnings.filterwarnings("ignore", "Checkpoint directory .* exists and is not empty")
    for name in ("lightning.pytorch.utilities.rank_zero", "lightning.fabric.utilities.rank_zero"):
        logging.getLogger(name).addFilter(lambda record: "litlogger" not in record.getMessage())


def main(args: list[str] | None = None) -> None:
    """Entry point; a user's mistake ends in one sentence on stderr and exit status 1 (2 for an option's spelling)."""
    try:
        dispatch(sys.argv[1:] if args is None else args)
    except BrokenPipeError:  # `lightning-resnets models | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OptionError as error:
        print(f"lightning-resnets: {error}", file=sys.stderr)
        sys.exit(2)
    except (CheckpointError, ValueError, OSError) as error:
        sys.exit(f"lightning-resnets: {error}")
    except Exception as error:
        if (
            type(error).__name__ != "MisconfigurationException"
        ):  # Lightning's word for a setting that does not fit
            raise
        sys.exit(f"lightning-resnets: {error}")


def dispatch(given: list[str]) -> None:
    """Do what the arguments say; raises what a mistake raises."""
    if not given or given[0] in ("-h", "--help", "help"):
        print(HELP.format(recipes=", ".join(recipes())))
        return
    if given[0] == "--version":
        print(f"lightning-resnets {version('lightning-resnets')}")
        return
    if given[0] not in COMMANDS:
        near = get_close_matches(given[0], COMMANDS, 1)
        hint = f"did you mean {near[0]}?" if near else f"commands: {', '.join(COMMANDS)}"
        raise ValueError(f"There is no command '{given[0]}' ({hint}).")
    if given[0] in TRAINING_COMMANDS and {"-h", "--help"} & set(given):
        from lightning_resnets.cli.train_help import format_help

        print(format_help(given[0]))
        return
    if given[0] in TRAINING_COMMANDS and not has_config(given[1:]):
        raise ValueError(f"Say which recipe: --config RECIPE (recipes: {', '.join(recipes())}).")
    if given[0] in OTHER_COMMANDS:
        importlib.import_module(OTHER_COMMANDS[given[0]]).main(given[1:])
        return
    ready = resolve_args(["--help" if arg == HELP_ALL_FLAG else arg for arg in given])
    silence_library_warnings()
    from lightning_resnets.cli.train import TrainingCLI

    config = dict(pairwise(ready)).get("--config", "")
    TrainingCLI(ready, Path(config).stem)
