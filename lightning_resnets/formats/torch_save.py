"""Read files of torch.save as data, without torch.load.

They are zip archives or, before PyTorch 1.6, pickles one after another.
"""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from lightning_resnets.errors import UnsupportedFileError
from lightning_resnets.formats import zip_archive
from lightning_resnets.formats.budget import Budget
from lightning_resnets.formats.pickle_globals import STORAGE_DTYPES
from lightning_resnets.formats.pickled_objects import GlobalName, OpaqueObject
from lightning_resnets.formats.source import (
    CORRUPT,
    TOO_COMPLEX,
    TRUNCATED,
    Extent,
    FileReader,
)
from lightning_resnets.formats.tensors import Storage, TensorView, load_tensors
from lightning_resnets.formats.unpickler import Unpickler
from lightning_resnets.formats.zip_archive import ZipMember

MAX_PICKLE_BYTES = 64 * 2**20  # of structure; weights lie beside it
MAX_ARRAY_PICKLE_BYTES = 2**30  # of a pickle that contains NumPy arrays
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C  # first pickle of an old file
BIG_ENDIAN = "was written on a big-endian machine. Save it again on a little-endian one."


# Reads the tensors of views by name.
TensorReader = Callable[[Mapping[str, TensorView]], dict[str, Tensor]]


@dataclass(frozen=True, slots=True)
class PickledFile:
    """A pickle's value, and how to read the tensors that it describes.

    Attributes:
        value: everything in the file, as plain data.
        load: reads the tensors of views by name.
        opaque_names: names of unknown objects.
        format: name of the format.
    """

    value: Any
    load: TensorReader
    opaque_names: tuple[str, ...]
    format: str


class StorageTable:
    """Storages that a pickle names, one record for each key and dtype."""

    def __init__(self) -> None:
        self.known = dict[tuple[str, torch.dtype], Storage]()

    def __call__(self, persistent_id: Any) -> Any:
        """Return the object that a persistent id of torch.save stands for.

        Args:
            persistent_id: value from the pickle, such as ("storage", class, key, device, numel).

        Returns:
            A storage, the name of a class, or an opaque object.
        """
        match persistent_id:
            case ("module", GlobalName() as name, *_):  # a class with its source text
                return name
            # A view of a storage has a fifth argument; torch stopped writing it in 0.4.
            case ("storage", GlobalName() as name, str() | int() as key, _, int(), *view) if (
                not any(view)
            ):
                if dtype := STORAGE_DTYPES.get(name.name):
                    new = Storage(str(key), dtype)
                    return self.known.setdefault((str(key), dtype), new)
        return _opaque_storage(persistent_id)


def _opaque_storage(_: Any) -> OpaqueObject:
    """Return a storage that no tensor can be built from."""
    return OpaqueObject(GlobalName("", "storage"), ())


def read_zip(source: FileReader, members: dict[str, ZipMember], budget: Budget) -> PickledFile:
    """Read the structure of a zip archive of torch.save.

    Args:
        source: the archive.
        members: its members by name.
        budget: charged for everything that is read.

    Returns:
        The pickle's value; weights are read later.

    Raises:
        UnsupportedFileError: the archive is damaged, too complex or big-endian.
    """
    zip_archive.check_members(members, source)
    root = _find_root(members)
    order = members.get(f"{root}byteorder")
    if order is not None and order.size == len("big"):  # else "little"
        raise UnsupportedFileError(BIG_ENDIAN)
    data = zip_archive.read_member(members[f"{root}data.pkl"], source, "data.pkl")
    unpickler = Unpickler(StorageTable(), budget)
    value = unpickler.load(io.BytesIO(data))
    locate = partial(_locate_member, members, root, source)
    load = partial(load_tensors, locate=locate, source=source, budget=budget)
    return PickledFile(value, load, tuple(unpickler.opaque_names), "PyTorch zip")


def _locate_member(
    members: Mapping[str, ZipMember], root: str, source: FileReader, storage: Storage
) -> Extent:
    """Return the position of the member that is named after the storage's key."""
    member = members.get(f"{root}data/{storage.key}")
    if member is None:
        raise UnsupportedFileError(TRUNCATED)
    return zip_archive.member_extent(member, source)


def _find_root(members: Mapping[str, ZipMember]) -> str:
    """Return the archive's folder, with a slash; raise if it has no pickle or a huge one."""
    pickles = [name for name in members if name.endswith("/data.pkl") and name.count("/") == 1]
    # The archive's root folder has any name, most often the file's.
    if len(pickles) != 1:
        raise UnsupportedFileError(zip_archive.NOT_TORCH_ZIP)
    if members[pickles[0]].size > MAX_PICKLE_BYTES:
        raise UnsupportedFileError(TOO_COMPLEX)
    return pickles[0].removesuffix("data.pkl")


def read_pickle(source: FileReader, budget: Budget) -> PickledFile:
    """Read a file that starts with a pickle: torch's old format, or a pickle of NumPy arrays.

    Args:
        source: the file.
        budget: charged for everything that is read.

    Returns:
        The pickle's value; weights of torch's old format are read later.

    Raises:
        UnsupportedFileError: the file is damaged or too complex.
    """
    if LEGACY_MAGIC.to_bytes(10, "little") in source.read(0, min(32, source.size)):
        return _read_legacy(source, budget)
    if source.size > MAX_ARRAY_PICKLE_BYTES:
        raise UnsupportedFileError(TOO_COMPLEX)
    unpickler = Unpickler(_opaque_storage, budget)
    with source.stream(source.size) as stream:
        value = unpickler.load(stream)
    load = partial(load_tensors, locate=_locate_nothing, source=source, budget=budget)
    return PickledFile(value, load, tuple(unpickler.opaque_names), "pickled arrays")


def _read_legacy(source: FileReader, budget: Budget) -> PickledFile:
    """Read torch's old format: five pickles, then the storages.

    The pickles are: magic number, protocol, system, the object, the storages' keys. Then each
    storage follows: its number of elements and its bytes.
    """
    storages = StorageTable()
    unpickler = Unpickler(storages, budget)
    with source.stream(min(source.size, MAX_PICKLE_BYTES)) as stream:
        # Only the object is of interest; the others are checked.
        magic, _, system = (unpickler.load(stream) for _ in range(3))
        if magic != LEGACY_MAGIC or not isinstance(system, dict):
            raise UnsupportedFileError(CORRUPT)
        if system.get("little_endian") is False:
            raise UnsupportedFileError(BIG_ENDIAN)
        value = unpickler.load(stream)
        keys = unpickler.load(stream)
        start = stream.tell()
    # The first tensor that names a storage gives its dtype.
    dtypes = dict(reversed(storages.known))
    offsets = _read_offsets(source, start, keys, dtypes)
    locate = partial(_locate_offset, offsets)
    load = partial(load_tensors, locate=locate, source=source, budget=budget)
    return PickledFile(value, load, tuple(unpickler.opaque_names), "PyTorch before 1.6")


def _read_offsets(
    source: FileReader, start: int, keys: Any, dtypes: Mapping[str, torch.dtype]
) -> dict[Any, Extent]:
    """Return each storage's position; they lie one after another."""
    offsets = dict[Any, Extent]()
    # Without a tensor that names it, a storage's dtype and length are unknown.
    if not isinstance(keys, list) or len(keys) > len(dtypes):
        raise UnsupportedFileError(CORRUPT)
    for key in map(str, keys):
        dtype = dtypes.get(key)
        if dtype is None or key in offsets:
            raise UnsupportedFileError(CORRUPT)
        numel = int.from_bytes(source.read(start, 8), "little")
        nbytes = numel * dtype.itemsize
        start += 8
        if start + nbytes > source.size:
            raise UnsupportedFileError(TRUNCATED)
        offsets[key] = Extent(start, nbytes)
        start += nbytes
    return offsets


def _locate_offset(offsets: Mapping[Any, Extent], storage: Storage) -> Extent:
    """Return the position that follows from the storages before."""
    if storage.key not in offsets:
        raise UnsupportedFileError(TRUNCATED)
    return offsets[storage.key]


def _locate_nothing(_: Storage) -> Extent:
    """Raise: a pickle of arrays has no storages beside it."""
    raise UnsupportedFileError(TRUNCATED)
