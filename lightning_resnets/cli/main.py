"""Entry point of the command `lightning-resnets`: select the command and report errors."""

import importlib
import logging
import os
import sys
import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path
from typing import TextIO

from lightning_resnets.cli.recipe_args import HELP_ALL_FLAG, has_config, resolve_args
from lightning_resnets.errors import (
    CheckpointError,
    CheckpointWarning,
    DataWarning,
    ImageWarning,
    OptionError,
)
from lightning_resnets.recipes import list_recipes
from lightning_resnets.utils.out_of_memory import describe_out_of_memory, is_out_of_memory
from lightning_resnets.utils.package_version import package_version

# These need Lightning, which takes seconds to import.
TRAINING_COMMANDS = ("fit", "validate", "test", "predict")


# Each is the `main` function of the module of its name.
OTHER_COMMANDS = ("models", "graph", "inspect", "evaluate", "convert", "export", "analyze")


COMMANDS = (*TRAINING_COMMANDS, *OTHER_COMMANDS)


NOTE_CATEGORIES = (CheckpointWarning, DataWarning, ImageWarning)


HELP_FLAGS = {"-h", "--help"}


HELP_WIDTH = 90  # characters, of the list of recipes


HELP = """usage: lightning-resnets COMMAND [options]

Train a model:
  fit       --config RECIPE      train, test, and write runs/RECIPE/RECIPE.ckpt
  test      --config RECIPE      measure the accuracy of --ckpt_path on the test images
  validate  --config RECIPE      the same on --data.num_val_images held-out images
  predict   --config RECIPE      write the predictions for the test images as CSV

Look at models:
  models    [PATTERN]            list built-in models: parameters, MACs, published error
  graph     MODEL_OR_CHECKPOINT  print or draw nodes, shapes, costs and skip connections
  analyze   NAME [MODEL_OR_CHECKPOINT]
                                 run an analysis of skip connections and gates

Work with checkpoints:
  inspect   CHECKPOINT           report the architecture, its confidence, and missing keys
  evaluate  CHECKPOINT           measure top-1 and top-5 accuracy on --dataset NAME
  convert   CHECKPOINT OUT       write .safetensors, .ckpt or .pth
  export    CHECKPOINT OUT       write ONNX or torch.export and check the logits

RECIPE is a YAML file or the name of a bundled recipe:
{recipes}

Common options: --data.data_dir DIR, --trainer.max_epochs N, --ckpt_path CHECKPOINT
(a file, a bundled model's name, `last` to resume, or `best`).
Options of a command: lightning-resnets COMMAND --help (all of Lightning's too: --help-all)"""


def main(args: list[str] | None = None) -> None:
    """Run the command line. A user error is one sentence on standard error.

    Args:
        args: command and options; None for those of the process.

    Raises:
        SystemExit: status 1 after a user error, 2 for an unknown or invalid training option.
    """
    try:
        with _warnings_as_notes():
            dispatch(sys.argv[1:] if args is None else args)
    except BrokenPipeError:
        # As in `lightning-resnets models | head`: nobody reads the rest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OptionError as error:
        # Status 2 is what argparse uses for a wrong option.
        print(f"lightning-resnets: {error}", file=sys.stderr)
        sys.exit(2)
    except Exception as error:
        message = _describe_error(error)
        if message is None:
            raise
        sys.exit(f"lightning-resnets: {message}")


def _describe_error(error: Exception) -> str | None:
    """Return the sentence for the user; None for a fault of ours, which needs its traceback."""
    if isinstance(error, (CheckpointError, ValueError, OSError)):
        return str(error)
    if is_out_of_memory(error):
        return describe_out_of_memory(error)
    # Lightning raises this for settings that exclude each other. Importing it takes seconds.
    if type(error).__name__ == "MisconfigurationException":
        return str(error)
    return None


@contextmanager
def _warnings_as_notes() -> Iterator[None]:
    """Print our own warnings as one line each, without the line of code that issued them."""
    with warnings.catch_warnings():
        for category in NOTE_CATEGORIES:
            warnings.simplefilter("always", category)
        show_other = warnings.showwarning

        def _show(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            """Print a warning."""
            if issubclass(category, NOTE_CATEGORIES):
                print(f"note: {message}", file=sys.stderr)
            else:
                show_other(message, category, filename, lineno, file, line)

        # catch_warnings restores the function afterwards.
        warnings.showwarning = _show
        yield


def dispatch(args: list[str]) -> None:
    """Run one command.

    Args:
        args: command and options.

    Raises:
        ValueError: the command or an argument is wrong.
    """
    if not args or args[0] in (*HELP_FLAGS, "help"):
        print(format_help())
    elif args[0] == "--version":
        print(f"lightning-resnets {package_version('lightning-resnets')}")
    elif args[0] in TRAINING_COMMANDS:
        _train(args)
    elif args[0] in OTHER_COMMANDS:
        # Imported here, because the other commands do not need this one's packages.
        module = importlib.import_module(f"lightning_resnets.cli.{args[0]}")
        module.main(args[1:])
    else:
        raise ValueError(f"Unknown command '{args[0]}' ({_suggest_command(args[0])}).")


def format_help() -> str:
    """Format the help page of all commands, with the names of the recipes."""
    recipes = textwrap.fill(
        ", ".join(list_recipes()),
        width=HELP_WIDTH,
        initial_indent="  ",
        subsequent_indent="  ",
        break_on_hyphens=False,
    )
    return HELP.format(recipes=recipes)


def _suggest_command(name: str) -> str:
    """Return the most similar command, or all commands."""
    similar = get_close_matches(name, COMMANDS, 1)
    if similar:
        return f"did you mean {similar[0]}?"
    return f"commands: {', '.join(COMMANDS)}"


def _train(args: list[str]) -> None:
    """Run `fit`, `validate`, `test` or `predict`, or print its help page."""
    if HELP_FLAGS & set(args):
        from lightning_resnets.cli.train_help import format_help

        print(format_help(args[0]))
        return
    if not has_config(args[1:]):
        recipes = ", ".join(list_recipes())
        raise ValueError(f"Missing --config: give a recipe ({recipes}) or a YAML file.")
    resolved = resolve_args(["--help" if arg == HELP_ALL_FLAG else arg for arg in args])
    silence_library_warnings()
    # Lightning takes seconds to import.
    from lightning_resnets.cli.recipe_trust import split_trust
    from lightning_resnets.cli.train import TrainingCLI

    options, is_trusted = split_trust(resolved)
    # The run folder is named after the last recipe.
    config = dict(pairwise(options)).get("--config", "")
    TrainingCLI(options, Path(config).stem, is_trusted)


def silence_library_warnings() -> None:
    """Silence warnings about the libraries themselves, which a user cannot act on."""
    # Warnings of torch's C++ code
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    warnings.filterwarnings("ignore", "LightningCLI's args parameter is intended")
    warnings.filterwarnings("ignore", ".*isinstance.treespec, LeafSpec.*")
    warnings.filterwarnings("ignore", "Checkpoint directory .* exists and is not empty")
    # A resumed run goes on with its log: ExactResume writes the earlier rows again.
    warnings.filterwarnings("ignore", "Experiment logs directory .* exists and is not empty")
    # An advertisement for a logger
    for name in ("lightning.pytorch.utilities.rank_zero", "lightning.fabric.utilities.rank_zero"):
        logging.getLogger(name).addFilter(lambda record: "litlogger" not in record.getMessage())
