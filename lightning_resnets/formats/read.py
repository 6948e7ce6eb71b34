"""Read a checkpoint of any format, whether it is one file or a folder of shards."""

from pathlib import Path

from lightning_resnets.errors import CheckpointError, UnsupportedFileError
from lightning_resnets.formats.budget import Budget
from lightning_resnets.formats.contents import CheckpointContents, read_contents
from lightning_resnets.formats.distributed import find_distributed, read_distributed
from lightning_resnets.formats.sharded import find_shards, read_shards, single_file
from lightning_resnets.formats.source import CORRUPT, open_file

__all__ = ["CheckpointContents", "read_checkpoint"]


def read_checkpoint(path: Path, select: str = "") -> CheckpointContents:
    """Read a checkpoint of any supported format.

    Args:
        path: a file, a folder of shards, the index of shards (`*.index.json`) or one shard.
        select: name of the entry that holds the weights, if the user gives one.

    Returns:
        Its contents.

    Raises:
        CheckpointError: the file is missing, damaged, hostile or of another format.
    """
    try:
        return _read(path, select)
    except UnsupportedFileError as error:
        raise CheckpointError(f"'{path.name}' {error}") from None
    except CheckpointError:
        raise
    except Exception:  # noqa: BLE001 - whatever a hostile file provokes
        raise CheckpointError(f"'{path.name}' {CORRUPT}") from None


def _read(path: Path, select: str) -> CheckpointContents:
    """Find out what a path stands for and read it."""
    if folder := find_distributed(path):
        return read_distributed(folder)
    if shards := find_shards(path):
        return read_shards(shards)
    file = single_file(path)
    with open_file(file) as source:
        budget = Budget.for_file(source.size)
        return read_contents(source, file.suffix.lower(), budget, select)
