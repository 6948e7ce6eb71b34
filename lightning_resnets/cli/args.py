"""Parsers that several commands share: CHECKPOINT, OUT, --model, and numbers in a range."""

import argparse
import os
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any, NoReturn

from torch import nn

from lightning_resnets.checkpoint.bundled import resolve_checkpoint
from lightning_resnets.checkpoint.load import LoadedCheckpoint, load_checkpoint
from lightning_resnets.cli.card_options import join_channel_values, read_overrides
from lightning_resnets.errors import CheckpointError
from lightning_resnets.utils.format import join_words
from lightning_resnets.utils.parameters import count_parameters

MAX_IMAGE_SIDE = 4096  # pixels
MAX_PATH_SHOWN = 80  # characters in a message

# Help texts of arguments that several commands have
CHECKPOINT_HELP = "checkpoint file in any supported format, or a bundled model's name"

MODEL_HELP = (
    "architecture (overrides detection): a name from `lightning-resnets models`, with options if "
    "needed (resnet50,stride_in=1x1), torchvision/NAME, timm/NAME, or module:function for your own "
    "(its module is imported and run)"
)

SELECT_HELP = (
    "one of several models in the file: an entry such as ema, or the prefix of its keys, such as "
    "encoder_k"
)


class CommandParser(argparse.ArgumentParser):
    """Parser of one command; a wrong argument raises ValueError instead of ending the process."""

    def __init__(self, name: str, description: str) -> None:
        super().__init__(
            prog=f"lightning-resnets {name}",
            description=description,
            # An abbreviation would change its meaning when an option is added.
            allow_abbrev=False,
            # Descriptions have line breaks of their own.
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    def parse_args(  # type: ignore[override] - two overloads of one form
        self, args: Any = None, namespace: Any = None
    ) -> Any:
        """Parse arguments; numbers of several channels may be separated by spaces or commas.

        Args:
            args: command-line arguments after the command; None for those of the process.
            namespace: object to fill; None for a new one.

        Returns:
            The parsed arguments.

        Raises:
            ValueError: an argument is wrong.
        """
        words = sys.argv[1:] if args is None else args
        return super().parse_args(join_channel_values(words), namespace)

    def parse_intermixed_args(  # type: ignore[override] - as above
        self, args: Any = None, namespace: Any = None
    ) -> Any:
        """Parse arguments whose positional ones may be optional and stand between options.

        Args:
            args: as `parse_args`.
            namespace: as `parse_args`.

        Returns:
            The parsed arguments.

        Raises:
            ValueError: an argument is wrong.
        """
        words = sys.argv[1:] if args is None else args
        return super().parse_intermixed_args(join_channel_values(words), namespace)

    def error(self, message: str) -> NoReturn:
        """Raise the message as one sentence.

        Args:
            message: argparse's text, without a full stop.

        Raises:
            ValueError: always; `main` prints it and exits with status 1.
        """
        # argparse begins with a small letter: "the following arguments are required".
        sentence = f"{message[:1].upper()}{message[1:]}"
        raise ValueError(f"{sentence}. See `{self.prog} --help`.")

    def add_checkpoint(
        self,
        metavar: str = "CHECKPOINT",
        description: str = CHECKPOINT_HELP,
        is_required: bool = True,
    ) -> None:
        """Add the positional argument `checkpoint` and the options `--model` and `--select`.

        Args:
            metavar: name of the argument in the help text.
            description: help text of the argument.
            is_required: False if the command can do without it.
        """
        # "?" makes an argument optional, None takes exactly one.
        nargs = None if is_required else "?"
        self.add_argument("checkpoint", metavar=metavar, help=description, nargs=nargs)
        self.add_argument("--model", metavar="NAME", help=MODEL_HELP)
        self.add_argument("--select", metavar="NAME", help=SELECT_HELP)

    def add_out(self, suffixes: Collection[str]) -> None:
        """Add the positional argument `out` and the option `--overwrite`.

        Args:
            suffixes: file name endings that the command can write.
        """
        formats = join_words(suffixes)
        self.add_argument("out", metavar="OUT", type=Path, help=f"file to write ({formats})")
        self.add_overwrite()

    def add_overwrite(self) -> None:
        """Add the option `--overwrite`."""
        self.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")

    def add_json(self) -> None:
        """Add the option `--json`."""
        self.add_argument("--json", action="store_true", help="print one JSON object")


def check_output_path(
    out: Path,
    suffixes: Collection[str],
    overwrite: bool,
    source: Path | None = None,
    hint: str = "",
) -> None:
    """Check that a file may be written, before any slow work starts.

    Args:
        out: file to write.
        suffixes: endings that the command can write.
        overwrite: whether an existing file may be replaced.
        source: file that the command reads, which is never replaced.
        hint: what to do about an unknown ending, added to the message.

    Raises:
        CheckpointError: the ending is unknown, the folder is missing, or the file exists.
    """
    try:
        # The location first: nothing can be said about a file in a folder that is missing.
        _check_location(out, suffixes, hint)
        _check_replaceable(out, overwrite, source)
    except OSError as error:
        raise _bad_name_error(out, error) from error


def _bad_name_error(out: Path, error: OSError) -> CheckpointError:
    """Describe a name that the file system does not take, such as one that is too long."""
    shown = str(out)[:MAX_PATH_SHOWN]
    return CheckpointError(f"Cannot write '{shown}' ({error.strerror}). Choose another name.")


def _check_location(out: Path, suffixes: Collection[str], hint: str) -> None:
    """Raise CheckpointError if the ending is unknown or there is no such folder."""
    if out.suffix.lower() not in suffixes:
        raise CheckpointError(
            f"Unknown file type '{out.name}': the name must end in {join_words(suffixes)}{hint}."
        )
    if out.is_dir():
        raise CheckpointError(f"'{out}' is a folder. Give a file name.")
    # Of a symbolic link the target is written.
    folder = Path(os.path.realpath(out)).parent
    if not folder.is_dir():
        shown = folder if out.is_symlink() else out.parent
        raise CheckpointError(f"Folder '{shown}' does not exist. Create it first.")


def _check_replaceable(out: Path, overwrite: bool, source: Path | None) -> None:
    """Raise CheckpointError if there is a file that must not be replaced."""
    if not out.exists():
        return
    # A device or a pipe would be replaced by an ordinary file.
    if not out.is_file():
        raise CheckpointError(f"'{out}' is not a regular file. Choose another name.")
    if source is not None and out.samefile(source):
        raise CheckpointError(f"'{out}' is the input file. Choose another name.")
    if not overwrite:
        raise CheckpointError(f"'{out}' already exists. Choose another name or add --overwrite.")


def load_input(options: argparse.Namespace) -> LoadedCheckpoint:
    """Load CHECKPOINT, as the architecture of `--model` if that is set.

    Args:
        options: parsed arguments with `checkpoint`, `model`, `select` and those of
            `add_card_options`.

    Returns:
        The model in evaluation mode with its model card.

    Raises:
        CheckpointError: there is no such file, or it cannot be loaded.
    """
    path = resolve_checkpoint(options.checkpoint)
    # An empty option, as a script may pass it, counts as left out.
    return load_checkpoint(
        path, options.model or None, options.select or None, overrides=read_overrides(options)
    )


def format_output_summary(path: Path, model: nn.Module, arch: str) -> str:
    """Format one line about a written file.

    Args:
        path: the file.
        model: the model in it.
        arch: name of the architecture.

    Returns:
        File name, architecture, number of parameters, and size in MB.
    """
    size = path.stat().st_size / 1e6
    return f"{path}: {arch}, {count_parameters(model):,} parameters, {size:.1f} MB"


def parse_int_in_range(text: str, largest: int | None = None) -> int | None:
    """Parse a whole number from 1 to `largest`.

    Args:
        text: the user's input.
        largest: largest number allowed; None for no limit.

    Returns:
        The number; None for any other text.
    """
    # isdigit alone accepts digits such as "²", which int refuses.
    if not text.isascii() or not text.isdigit():
        return None
    number = int(text)
    if number < 1 or (largest is not None and number > largest):
        return None
    return number


def parse_positive_int(text: str) -> int:
    """Parse a whole number of at least 1.

    Args:
        text: the user's input.

    Returns:
        The number.

    Raises:
        argparse.ArgumentTypeError: the text is not such a number.
    """
    number = parse_int_in_range(text)
    if number is None:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, got '{text}'")
    return number


def parse_image_side(text: str) -> int:
    """Parse the side of a square image.

    Args:
        text: the user's input.

    Returns:
        The side in pixels.

    Raises:
        argparse.ArgumentTypeError: the text is not a number from 1 to 4096.
    """
    number = parse_int_in_range(text, MAX_IMAGE_SIDE)
    if number is None:
        raise argparse.ArgumentTypeError(
            f"must be a number of pixels from 1 to {MAX_IMAGE_SIDE}, got '{text}'"
        )
    return number
