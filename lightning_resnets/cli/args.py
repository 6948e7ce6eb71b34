"""What the commands on a file have in common: FILE, --model, and one sentence for a mistake."""

import argparse
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NoReturn

from torch import nn

from lightning_resnets.checkpoint.bundled import resolve_checkpoint
from lightning_resnets.checkpoint.load import LoadedCheckpoint, load_checkpoint
from lightning_resnets.errors import CheckpointError


class ModelArgumentParser(argparse.ArgumentParser):
    """The arguments of `lightning-resnets NAME [before] FILE ...`; a mistake raises ValueError with one sentence."""

    def __init__(self, name: str, description: str, before: Sequence[str] = ()) -> None:
        super().__init__(
            prog=f"lightning-resnets {name}",
            description=description,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        for word in before:
            self.add_argument(word, metavar=word.upper())
        self.add_argument(
            "file",
            metavar="FILE",
            help="a checkpoint of any kind, or the name of a model that ships",
        )
        self.add_argument(
            "--model",
            metavar="NAME",
            help="which model it is, where you know better: a name of `lightning-resnets models`, torchvision/NAME, "
            "timm/NAME, or module:function of your own (its module is then imported and run)",
        )

    def error(self, message: str) -> NoReturn:
        raise ValueError(
            f"{message[:1].upper()}{message[1:]}: `{self.prog} --help` lists what there is."
        )


class OutputArgumentParser(ModelArgumentParser):
    """FILE, OUT, --model and --overwrite."""

    def __init__(self, name: str, description: str, endings: Collection[str]) -> None:
        super().__init__(name, description)
        self.add_argument("out", metavar="OUT", help=f"the file to write: {join_words(endings)}")
        self.add_argument("--overwrite", action="store_true", help="replace OUT where it is there")


def check_output_path(
    options: argparse.Namespace, endings: Collection[str], hint: str = ""
) -> Path:
    """OUT as a path that may be written, its ending one of `endings`; raises CheckpointError.

    Asked before FILE is opened, so that a mistake costs no time. `hint` is a sentence more for an unknown ending.
    """
    out, source = Path(options.out), resolve_checkpoint(options.file)
    if out.suffix.lower() not in endings:
        raise CheckpointError(
            f"'{out.name}' says by its ending what to write: take {join_words(endings)}{hint}."
        )
    if out.is_dir():
        raise CheckpointError(f"'{out}' is a folder: name a file in it.")
    if not out.parent.is_dir():
        raise CheckpointError(
            f"There is no folder '{out.parent}': make it first, or choose another."
        )
    if out.exists() and not out.is_file():  # a device or a pipe
        raise CheckpointError(f"'{out}' is no ordinary file: choose another name.")
    if out.exists() and out.samefile(source):
        raise CheckpointError(f"'{out}' is the file to be read: choose another name.")
    if out.exists() and not options.overwrite:
        raise CheckpointError(f"'{out}' is there already: choose another name, or add --overwrite.")
    return out


def load_input(options: argparse.Namespace) -> LoadedCheckpoint:
    """The model in FILE, as --model where that is given."""
    named = {"model": options.model} if options.model else {}
    return load_checkpoint(resolve_checkpoint(options.file), **named)


def join_words(words: Collection[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last


def output_summary(path: Path, model: nn.Module, arch: str) -> str:
    """What was written, in one line: file, model, parameters, size."""
    count = sum(weight.numel() for weight in model.parameters())
    return f"{path}: {arch}, {count:,} parameters, {path.stat().st_size / 1e6:.1f} MB"
