"""A file made of another, for `convert` and `export`: where it may go, and that it is whole or not there at all."""

import argparse
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from torch import nn

from lightning_resnets.checkpoint.card import CheckpointError
from lightning_resnets.checkpoint.command import Arguments
from lightning_resnets.checkpoint.read import Opened, open_checkpoint
from lightning_resnets.checkpoint.shipped import find


class OutArguments(Arguments):
    """FILE, OUT, --net and --overwrite."""

    def __init__(self, name: str, description: str, endings: Collection[str]) -> None:
        super().__init__(name, description)
        self.add_argument("out", metavar="OUT", help=f"the file to write: {listed(endings)}")
        self.add_argument("--overwrite", action="store_true", help="replace OUT where it is there")


def ready(options: argparse.Namespace, endings: Collection[str], hint: str = "") -> Path:
    """OUT as a path that may be written, its ending one of `endings`; raises CheckpointError.

    Asked before FILE is opened, so that a mistake costs no time. `hint` is a sentence more for an unknown ending.
    """
    out, source = Path(options.out), find(options.file)
    if out.suffix.lower() not in endings:
        raise CheckpointError(f"'{out.name}' says by its ending what to write: take {listed(endings)}{hint}.")
    if out.is_dir():
        raise CheckpointError(f"'{out}' is a folder: name a file in it.")
    if not out.parent.is_dir():
        raise CheckpointError(f"There is no folder '{out.parent}': make it first, or choose another.")
    if out.exists() and not out.is_file():  # a device or a pipe
        raise CheckpointError(f"'{out}' is no ordinary file: choose another name.")
    if out.exists() and out.samefile(source):
        raise CheckpointError(f"'{out}' is the file to be read: choose another name.")
    if out.exists() and not options.overwrite:
        raise CheckpointError(f"'{out}' is there already: choose another name, or add --overwrite.")
    return out


def opened(options: argparse.Namespace) -> Opened:
    """The net in FILE, as --net where that is given."""
    named = {"net": options.net} if options.net else {}
    return open_checkpoint(find(options.file), **named)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file beside `path` to write and check; it takes the name `path` only where nothing was raised.

    What was at `path` stays until then. Raises CheckpointError where the disk is full or the folder is closed.
    """
    part = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield part
        part.replace(path)
    except OSError as error:
        raise CheckpointError(
            f"'{path}' cannot be written ({error.strerror or error}): see to the disk's space and the folder's "
            "permissions, or choose another folder."
        ) from error
    finally:
        with suppress(OSError):
            part.unlink()


def listed(words: Collection[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last


def summary(path: Path, net: nn.Module, arch: str) -> str:
    """What was written, in one line: file, net, parameters, size."""
    count = sum(weight.numel() for weight in net.parameters())
    return f"{path}: {arch}, {count:,} parameters, {path.stat().st_size / 1e6:.1f} MB"
