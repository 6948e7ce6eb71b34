"""Read a folder of torch.distributed.checkpoint: tensors in pieces, from several processes.

`.metadata` is a pickle of the tensors' names, shapes and pieces. Each piece is a file of torch.save
inside one of the `.distcp` files. Nothing is executed here either.
"""

import io
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lightning_resnets.errors import UnsupportedFileError
from lightning_resnets.formats import torch_save, zip_archive
from lightning_resnets.formats.budget import PAGE_BYTES, Budget
from lightning_resnets.formats.contents import CheckpointContents, contents_of_pickle
from lightning_resnets.formats.distributed_metadata import (
    BROKEN_METADATA,
    METADATA_FILE,
    Piece,
    StoredTensors,
    add_at_path,
    parse_metadata,
)
from lightning_resnets.formats.source import (
    MAX_FILE_BYTES,
    TRUNCATED,
    FileReader,
    open_file,
    too_large_error,
)
from lightning_resnets.formats.tensors import TensorView
from lightning_resnets.utils.format import printable_key

PIECE_SUFFIX = ".distcp"
# Lightning saves everything but the tensors here.
LIGHTNING_META_FILE = "meta.pt"
LIGHTNING_META_KEYS = ("card", "epoch", "global_step", "hyper_parameters")
DEEPSPEED_SCRIPT = "zero_to_fp32.py"

MAX_VALUE_BYTES = 2**16  # of a value that is not a tensor, such as the epoch
MAX_VALUES = 200

DEEPSPEED = (
    "is a DeepSpeed checkpoint. Convert it with the script that lies in it: "
    f"python {DEEPSPEED_SCRIPT} FOLDER OUTPUT."
)
NO_METADATA = (
    f"is a part of a distributed checkpoint, but the file '{METADATA_FILE}' is missing beside it. "
    "Copy the whole folder."
)


def find_distributed(path: Path) -> Path | None:
    """Find the folder of the distributed checkpoint that a path belongs to.

    Args:
        path: a folder, its `.metadata`, one of its `.distcp` files, or any other file.

    Returns:
        The folder, or None if there is none.

    Raises:
        UnsupportedFileError: the folder has no metadata, or DeepSpeed wrote it.
    """
    if path.is_dir():
        if (path / DEEPSPEED_SCRIPT).is_file():
            raise UnsupportedFileError(DEEPSPEED)
        return path if (path / METADATA_FILE).is_file() else None
    if path.name == METADATA_FILE:
        return path.parent
    if path.suffix != PIECE_SUFFIX or not path.is_file():
        return None
    if not path.with_name(METADATA_FILE).is_file():
        raise UnsupportedFileError(NO_METADATA)
    return path.parent


def read_distributed(folder: Path) -> CheckpointContents:
    """Read a distributed checkpoint.

    Args:
        folder: the folder.

    Returns:
        Its contents, with every tensor whole.

    Raises:
        UnsupportedFileError: the checkpoint is damaged, incomplete or hostile.
    """
    files = [item for item in folder.iterdir() if item.suffix == PIECE_SUFFIX and item.is_file()]
    nbytes = sum(file.stat().st_size for file in files)
    if nbytes > MAX_FILE_BYTES:
        raise too_large_error()
    with ExitStack() as stack:
        metadata = stack.enter_context(open_file(folder / METADATA_FILE))
        budget = Budget.for_file(nbytes + metadata.size)
        pickled = torch_save.read_pickle(metadata, budget)
        stored = parse_metadata(pickled.value, budget)
        needed = {piece.file for piece in stored.all_pieces()}
        sources = {name: _open_piece(folder, name, stack) for name in sorted(needed)}
        _add_values(stored, sources, budget)
        file = torch_save.PickledFile(
            _read_lightning_meta(folder, budget) | stored.value,
            partial(_load, stored, sources, budget),
            # Only classes of torch, which describe the pieces.
            (),
            "PyTorch distributed",
        )
        return contents_of_pickle(file, nbytes, budget)


def _open_piece(folder: Path, name: str, stack: ExitStack) -> FileReader:
    """Open a file of pieces; raise if it is missing."""
    path = folder / name
    if not path.is_file():
        raise UnsupportedFileError(
            f"is incomplete: '{printable_key(name)}' is missing. Copy the whole folder."
        )
    return stack.enter_context(open_file(path))


def _read_lightning_meta(folder: Path, budget: Budget) -> dict[str, Any]:
    """Return the plain entries that Lightning saves beside the tensors."""
    path = folder / LIGHTNING_META_FILE
    if not path.is_file():
        return {}
    with open_file(path) as source:
        value = torch_save.read_zip(source, zip_archive.list_members(source), budget).value
    if not isinstance(value, dict):
        return {}
    # Other entries, such as states of loops, may look like weights.
    return {name: value[name] for name in LIGHTNING_META_KEYS if name in value}


def _add_values(stored: StoredTensors, sources: Mapping[str, FileReader], budget: Budget) -> None:
    """Add the first short values that are not tensors, such as the epoch."""
    small = [piece for piece in stored.values if piece.nbytes <= MAX_VALUE_BYTES]
    for piece in small[:MAX_VALUES]:
        add_at_path(stored.value, piece.path, _read_piece(piece, sources, budget).value)


def _read_piece(
    piece: Piece, sources: Mapping[str, FileReader], budget: Budget
) -> torch_save.PickledFile:
    """Read one piece, a file of torch.save inside another file."""
    # Pieces may overlap, so bytes are charged each time they are read.
    budget.visit(piece.nbytes // PAGE_BYTES)
    data = sources[piece.file].read(piece.start, piece.nbytes)
    source = FileReader(io.BytesIO(data))
    return torch_save.read_zip(source, zip_archive.list_members(source), budget)


def _load(
    stored: StoredTensors,
    sources: Mapping[str, FileReader],
    budget: Budget,
    views: Mapping[str, TensorView],
) -> dict[str, Tensor]:
    """Read the tensors of views, piece by piece."""
    tensors = dict[str, Tensor]()
    for name, view in views.items():
        pieces = stored.pieces.get(view.storage)
        # A tensor in Lightning's own file has no pieces.
        if pieces is None:
            raise UnsupportedFileError(TRUNCATED)
        tensors[name] = _assemble(name, view, pieces, sources, budget)
    return tensors


def _assemble(
    name: str,
    view: TensorView,
    pieces: list[Piece],
    sources: Mapping[str, FileReader],
    budget: Budget,
) -> Tensor:
    """Return a tensor whole; raise unless its pieces cover it exactly once."""
    # Most tensors have one piece, which needs no second copy.
    if len(pieces) == 1:
        return _load_piece(name, pieces[0], view, view.size, sources, budget)
    # The tensor, and one byte per element of `is_filled`.
    budget.allocate(view.numel * view.dtype.itemsize + view.numel)
    tensor = torch.zeros(view.size, dtype=view.dtype, device="cpu")
    is_filled = torch.zeros(view.size, dtype=torch.bool, device="cpu")
    for piece in pieces:
        where = piece.slices(view.size)
        if is_filled[where].any():
            raise UnsupportedFileError(BROKEN_METADATA)
        tensor[where] = _load_piece(name, piece, view, piece.size, sources, budget)
        is_filled[where] = True
    if not is_filled.all():
        raise UnsupportedFileError(BROKEN_METADATA)
    return tensor


def _load_piece(
    name: str,
    piece: Piece,
    view: TensorView,
    size: tuple[int, ...],
    sources: Mapping[str, FileReader],
    budget: Budget,
) -> Tensor:
    """Return the tensor of one piece; raise unless it has this size and the view's dtype."""
    file = _read_piece(piece, sources, budget)
    if not isinstance(file.value, TensorView):
        raise UnsupportedFileError(BROKEN_METADATA)
    if file.value.size != size or file.value.dtype != view.dtype:
        raise UnsupportedFileError(BROKEN_METADATA)
    return file.load({name: file.value})[name]
