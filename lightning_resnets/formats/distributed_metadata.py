"""Parse the `.metadata` of torch.distributed.checkpoint: which tensor lies where, in which pieces.

The pickle is of `torch.distributed.checkpoint.metadata.Metadata`, which is read as plain data.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from lightning_resnets.errors import UnsupportedFileError
from lightning_resnets.formats.budget import Budget
from lightning_resnets.formats.pickle_globals import DTYPES
from lightning_resnets.formats.pickled_objects import GlobalName, OpaqueObject
from lightning_resnets.formats.sharded import check_file_name
from lightning_resnets.formats.tensors import (
    Storage,
    TensorView,
    contiguous_strides,
    is_valid_shape,
    make_view,
)

METADATA_FILE = ".metadata"
MAX_PATH = 20  # names that lead to a value

BROKEN_METADATA = (
    "has metadata that does not describe its files. Copy the whole folder again, or convert it "
    "with torch.distributed.checkpoint.format_utils.dcp_to_torch_save."
)


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a tensor, or a value, inside a file.

    Attributes:
        path: names that lead to the tensor or value.
        file: name of the file.
        start: first byte.
        nbytes: number of bytes.
        offset: index of its first element in the whole tensor.
        size: shape.
    """

    path: tuple[str, ...]
    file: str
    start: int
    nbytes: int
    offset: tuple[int, ...] = ()
    size: tuple[int, ...] = ()

    def slices(self, whole: tuple[int, ...]) -> tuple[slice, ...]:
        """Return the piece's place in the whole tensor.

        Args:
            whole: shape of the whole tensor.

        Returns:
            One slice for each dimension.

        Raises:
            UnsupportedFileError: the piece does not lie inside.
        """
        _require(len(self.offset) == len(self.size) == len(whole))
        slices = list[slice]()
        for start, side, end in zip(self.offset, self.size, whole, strict=True):
            _require(start + side <= end)
            slices.append(slice(start, start + side))
        return tuple(slices)


@dataclass(frozen=True, slots=True)
class StoredTensors:
    """Tensors and values of a distributed checkpoint, and where each lies.

    Attributes:
        value: views of the tensors in nested dictionaries, as they were saved.
        pieces: pieces of each tensor, by the view's storage.
        values: places of values that are not tensors.
    """

    value: dict[str, Any] = field(default_factory=dict[str, Any])
    pieces: dict[Storage, list[Piece]] = field(default_factory=dict[Storage, list[Piece]])
    values: list[Piece] = field(default_factory=list[Piece])

    def all_pieces(self) -> Iterator[Piece]:
        """Yield every piece of a tensor and every value."""
        for pieces in self.pieces.values():
            yield from pieces
        yield from self.values


def parse_metadata(metadata: Any, budget: Budget) -> StoredTensors:
    """Parse the value of `.metadata`.

    Args:
        metadata: the pickle's value.
        budget: charged for every entry.

    Returns:
        The tensors and their pieces.

    Raises:
        UnsupportedFileError: the value is not valid metadata, or names a file outside the folder.
    """
    state = _state(metadata)
    paths = state.get("planner_data")
    # Without planner data all names are flat.
    parser = _Parser(paths if isinstance(paths, dict) else {}, budget)
    for name, entry in budget.iterate(_table(state.get("state_dict_metadata")).items()):
        parser.add_tensor(name, entry)
    # The places come second, because they refer to the tensors by name.
    for index, info in budget.iterate(_table(state.get("storage_data")).items()):
        parser.add_place(_state(index), _state(info))
    return parser.stored


class _Parser:
    """Collects tensors, and then the places of their pieces."""

    def __init__(self, paths: dict[Any, Any], budget: Budget) -> None:
        self.stored = StoredTensors()
        self._paths = paths
        self._budget = budget
        self._storages = dict[str, Storage]()
        self._sizes = dict[str, dict[Any, Any]]()

    def add_tensor(self, name: Any, entry: Any) -> None:
        """Add the view of a tensor; values that are not tensors have only a place.

        Args:
            name: name of the tensor or value.
            entry: its pickled description.
        """
        _require(isinstance(name, str))
        # Other values are described by BytesStorageMetadata.
        if not isinstance(entry, OpaqueObject) or entry.name.name != "TensorStorageMetadata":
            return
        view = _parse_view(name, entry)
        self._storages[name] = view.storage
        self._sizes[name] = _piece_sizes(_state(entry), self._budget)
        self.stored.pieces[view.storage] = []
        add_at_path(self.stored.value, _parse_path(name, self._paths), view)

    def add_place(self, index: dict[Any, Any], info: dict[Any, Any]) -> None:
        """Add the place of a piece or value.

        Args:
            index: name, and offset in the whole tensor.
            info: file, first byte and length.
        """
        name: Any = index.get("fqn")
        _require(isinstance(name, str))
        piece = _parse_piece(_parse_path(name, self._paths), index, info)
        if name not in self._storages:
            self.stored.values.append(piece)
            return
        size = _parse_size(self._sizes[name].get(piece.offset))
        self.stored.pieces[self._storages[name]].append(replace(piece, size=size))


def _parse_view(name: str, entry: OpaqueObject) -> TensorView:
    """Return a view of a whole tensor."""
    state = _state(entry)
    properties = state.get("properties")
    # Its state is a tuple that begins with the dtype.
    fields: Any = properties.state if isinstance(properties, OpaqueObject) else None
    _require(isinstance(fields, tuple) and bool(fields))
    name_of_dtype = fields[0]
    _require(isinstance(name_of_dtype, GlobalName) and name_of_dtype.module == "torch")
    size = _parse_size(state.get("size"))
    dtype = DTYPES.get(name_of_dtype.name)
    try:
        return make_view(Storage(name), dtype, 0, size, contiguous_strides(size))
    except ValueError:
        # Such as a dtype that torch does not have.
        raise UnsupportedFileError(BROKEN_METADATA) from None


def _parse_piece(path: tuple[str, ...], index: dict[Any, Any], info: dict[Any, Any]) -> Piece:
    """Return the place of a piece, without its shape."""
    start: Any = info.get("offset")
    nbytes: Any = info.get("length")
    # isinstance would accept True as a position.
    _require(type(start) is int and type(nbytes) is int and start >= 0 and nbytes >= 0)
    offset = index.get("offset")
    if offset is not None:
        offset = _parse_size(offset)
    file = check_file_name(info.get("relative_path"))
    return Piece(path, file, start, nbytes, offset or ())


def _piece_sizes(tensor: dict[Any, Any], budget: Budget) -> dict[Any, Any]:
    """Return the shapes of a tensor's pieces by their offsets."""
    chunks: Any = tensor.get("chunks")
    _require(isinstance(chunks, list))
    states = [_state(chunk) for chunk in budget.iterate(chunks)]
    # Shapes are checked later, when a piece is found at the offset.
    return {_parse_size(state.get("offsets")): state.get("sizes") for state in states}


def _parse_path(name: str, paths: dict[Any, Any]) -> tuple[str, ...]:
    """Return the names that lead to a tensor or value."""
    path = paths.get(name, (name,))
    _require(isinstance(path, (tuple, list)) and 0 < len(path) <= MAX_PATH)
    # List indices become names.
    _require(all(isinstance(part, (str, int)) for part in path))
    return tuple(map(str, path))


def add_at_path(value: dict[str, Any], path: tuple[str, ...], item: Any) -> None:
    """Put an item into nested dictionaries.

    Args:
        value: outermost dictionary, changed in place.
        path: names that lead to the item.
        item: the item.

    Raises:
        UnsupportedFileError: something else is already there.
    """
    *parents, last = path
    for part in parents:
        value = value.setdefault(part, {})
        _require(isinstance(value, dict))
    # A second tensor under one path would hide the first.
    _require(last not in value)
    value[last] = item


def _state(item: Any) -> dict[Any, Any]:
    """Return the attributes of a pickled object."""
    state = item.state if isinstance(item, OpaqueObject) else None
    return _table(state)


def _table(item: Any) -> dict[Any, Any]:
    """Return a dictionary; raise if it is not one."""
    _require(isinstance(item, dict))
    return item


def _parse_size(size: Any) -> tuple[int, ...]:
    """Return a shape; raise if it is not one."""
    _require(isinstance(size, (tuple, list)) and is_valid_shape(tuple(size)))
    return tuple(size)


def _require(is_valid: bool) -> None:
    """Raise unless the metadata is valid."""
    if not is_valid:
        raise UnsupportedFileError(BROKEN_METADATA)
