"""Read a checkpoint that is split into shards, as Hugging Face's libraries save large models.

`model-00001-of-00003.safetensors` and so on lie in one folder, with `model.safetensors.index.json`
that says which shard has which tensor. The folder, the index or any shard stands for all of them.
"""

import json
import re
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from lightning_resnets.errors import CheckpointError, UnsupportedFileError
from lightning_resnets.formats.budget import Budget
from lightning_resnets.formats.contents import CheckpointContents, read_contents
from lightning_resnets.formats.source import (
    MAX_FILE_BYTES,
    TOO_COMPLEX,
    FileReader,
    open_file,
    too_large_error,
)
from lightning_resnets.utils.format import join_first, printable_key

MAX_INDEX_BYTES = 4 * 2**20
MAX_SHARDS = 500  # of one checkpoint; every shard stays open while it is read
MAX_LISTED = 3  # names in a message

SHARD_RE = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<suffix>\.\w+)")
INDEX_SUFFIX = ".index.json"
CHECKPOINT_SUFFIXES = (".safetensors", ".ckpt", ".pth", ".pt", ".bin", ".npz")

INVALID_INDEX = "is not a valid index of shards. Copy or download it again."


@dataclass(frozen=True, slots=True)
class Shards:
    """The files of one checkpoint.

    Attributes:
        folder: folder that contains them.
        files: their names.
        weight_map: the file of each tensor; empty if there is no index.
    """

    folder: Path
    files: tuple[str, ...]
    weight_map: dict[str, str]


def find_shards(path: Path) -> Shards | None:
    """Find all shards of the checkpoint that a path belongs to.

    Args:
        path: a folder, an index, a shard, or any other file.

    Returns:
        The shards, or None if the path stands for a single file.

    Raises:
        UnsupportedFileError: the index is damaged or hostile, or shards are missing.
    """
    if path.is_dir():
        return _shards_in_folder(path)
    if path.name.endswith(INDEX_SUFFIX):
        return _from_index(path)
    shard = SHARD_RE.fullmatch(path.name)
    if shard is None or not path.is_file():
        return None
    index = path.with_name(f"{shard['stem']}{shard['suffix']}{INDEX_SUFFIX}")
    if index.is_file():
        return _from_index(index)
    return _from_names(path.parent, shard)


def _shards_in_folder(folder: Path) -> Shards | None:
    """Return the shards in a folder; those of safetensors if there are others too."""
    names = sorted(item.name for item in folder.iterdir())
    # "model.safetensors" comes after "pytorch_model.bin" for the alphabet, but has no pickles.
    names.sort(key=lambda name: ".safetensors" not in name)
    for name in names:
        if name.endswith(INDEX_SUFFIX):
            return _from_index(folder / name)
    for name in names:
        if shard := SHARD_RE.fullmatch(name):
            return _from_names(folder, shard)
    return None


def _from_index(path: Path) -> Shards:
    """Read an index and check that its shards exist."""
    with open_file(path) as source:
        if source.size > MAX_INDEX_BYTES:
            raise UnsupportedFileError(TOO_COMPLEX)
        text = source.read(0, source.size)
    try:
        weight_map = json.loads(text)["weight_map"]
    # Deeply nested JSON exceeds the recursion limit; JSON need not be an object.
    except (ValueError, RecursionError, LookupError, TypeError):
        raise UnsupportedFileError(INVALID_INDEX) from None
    if not isinstance(weight_map, dict) or not weight_map:
        raise UnsupportedFileError(INVALID_INDEX)
    # Many tensors share a shard; a dict keeps the order of the index.
    files = tuple(dict.fromkeys(map(check_file_name, weight_map.values())))
    if len(files) > MAX_SHARDS:
        raise UnsupportedFileError(TOO_COMPLEX)
    _check_exist(path.parent, files)
    return Shards(path.parent, files, weight_map)


def check_file_name(name: object) -> str:
    """Check the name of a file that an index gives.

    Args:
        name: any value.

    Returns:
        The name.

    Raises:
        UnsupportedFileError: it is not the plain name of a file in the same folder.
    """
    if not isinstance(name, str):
        raise UnsupportedFileError(INVALID_INDEX)
    # A backslash separates folders on Windows, and a colon drives.
    if name in ("", ".", "..") or any(char in name for char in "/\\:\0"):
        raise UnsupportedFileError(
            f"names a file outside its folder ('{printable_key(name)}') and was not loaded. "
            "Get it from its author again."
        )
    return name


def _from_names(folder: Path, shard: re.Match[str]) -> Shards:
    """Return the shards that belong to one of them, by their numbers."""
    count = int(shard["count"])
    if not 0 < count <= MAX_SHARDS:
        raise UnsupportedFileError(TOO_COMPLEX)
    stem, suffix = shard["stem"], shard["suffix"]
    # Hugging Face numbers shards from 1.
    files = tuple(f"{stem}-{number + 1:05}-of-{count:05}{suffix}" for number in range(count))
    _check_exist(folder, files)
    return Shards(folder, files, {})


def _check_exist(folder: Path, files: Iterable[str]) -> None:
    """Raise if shards are missing."""
    missing = [printable_key(name) for name in files if not (folder / name).is_file()]
    if missing:
        raise UnsupportedFileError(
            f"is incomplete: shards are missing ({join_first(missing, MAX_LISTED)}). "
            "Copy or download them into the same folder."
        )


def read_shards(shards: Shards) -> CheckpointContents:
    """Read all shards into one state dict.

    Args:
        shards: the shards.

    Returns:
        The contents; the first shard that has a card or wrapper gives it.

    Raises:
        UnsupportedFileError: a shard is damaged, or lacks a tensor of the index.
    """
    with ExitStack() as stack:
        sources = [stack.enter_context(open_file(shards.folder / name)) for name in shards.files]
        nbytes = sum(source.size for source in sources)
        if nbytes > MAX_FILE_BYTES:
            raise too_large_error()
        # One budget for all shards, so that many small ones cannot exceed it together.
        budget = Budget.for_file(nbytes)
        named = zip(shards.files, sources, strict=True)
        parts = {name: _read_shard(name, source, budget) for name, source in named}
    return _combine(shards, parts, nbytes)


def _combine(
    shards: Shards, parts: dict[str, CheckpointContents], nbytes: int
) -> CheckpointContents:
    """Return the contents of all shards as those of one file."""
    notes: dict[str, None] = {}
    for part in parts.values():
        # Most notes are the same for every shard.
        notes |= dict.fromkeys(part.notes)
    first = next(iter(parts.values()))
    return replace(
        first,
        format=f"{first.format}, {len(parts)} shards",
        state_dict=_collect(shards, parts),
        card=next((part.card for part in parts.values() if part.card is not None), None),
        notes=tuple(notes),
        nbytes=nbytes,
    )


def _read_shard(name: str, source: FileReader, budget: Budget) -> CheckpointContents:
    """Read one shard; errors name it."""
    try:
        return read_contents(source, Path(name).suffix.lower(), budget)
    except UnsupportedFileError as error:
        # An UnsupportedFileError continues a sentence that begins with the name.
        raise CheckpointError(f"The shard '{name}' {error}") from None


def _collect(shards: Shards, parts: dict[str, CheckpointContents]) -> dict[str, Tensor]:
    """Return the tensors that the index names, in its order; all of them without an index."""
    if not shards.weight_map:
        return _collect_all(parts)
    state = dict[str, Tensor]()
    for key, name in shards.weight_map.items():
        if key not in parts[name].state_dict:
            raise UnsupportedFileError(
                f"does not match its index: '{printable_key(key)}' is not in the shard "
                f"'{printable_key(name)}'. Download the index and all shards again."
            )
        state[key] = parts[name].state_dict[key]
    return state


def _collect_all(parts: dict[str, CheckpointContents]) -> dict[str, Tensor]:
    """Return the tensors of all shards; raise if two have one name."""
    state = dict[str, Tensor]()
    for name, part in parts.items():
        twice = state.keys() & part.state_dict.keys()
        if twice:
            raise UnsupportedFileError(
                f"has '{printable_key(min(twice))}' in more than one shard "
                f"('{printable_key(name)}'). Download all shards again."
            )
        state |= part.state_dict
    return state


def single_file(path: Path) -> Path:
    """Return the file that a path stands for: itself, or the only checkpoint in a folder.

    Args:
        path: a file or folder.

    Returns:
        The file.

    Raises:
        CheckpointError: the folder has none or several.
    """
    if not path.is_dir():
        return path
    files = sorted(item for item in path.iterdir() if item.suffix in CHECKPOINT_SUFFIXES)
    if len(files) == 1:
        return files[0]
    if not files:
        raise CheckpointError(
            f"'{path}' is a folder without a checkpoint. Choose a file inside it."
        )
    names = join_first([printable_key(file.name) for file in files], MAX_LISTED)
    raise CheckpointError(f"'{path}' is a folder with several checkpoints. Choose one: {names}.")
