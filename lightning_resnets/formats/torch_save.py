"""Read files of torch.save as data, without torch.load.

They are zip archives or, before PyTorch 1.6, pickles one after another.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from lightning_resnets.errors import UnsupportedFileError
from lightning_resnets.formats import zip_archive
from lightning_resnets.formats.pickle_globals import STORAGE_DTYPES
from lightning_resnets.formats.pickled_objects import GlobalName, OpaqueObject
from lightning_resnets.formats.source import CORRUPT, TOO_COMPLEX, TRUNCATED, FileReader
from lightning_resnets.formats.tensors import Storage, StorageLocator
from lightning_resnets.formats.unpickler import Unpickler
from lightning_resnets.formats.zip_archive import ZipMember

MAX_PICKLE_BYTES = 64 * 2**20  # of structure; weights lie beside it
MAX_ARRAY_PICKLE_BYTES = 2**30  # of a pickle that contains NumPy arrays
LEGACY_READ_AHEAD = 2 * 2**20  # bytes of an old file that contain most structures
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C  # first pickle of an old file
BIG_ENDIAN = "was written on a big-endian machine. Save it again on a little-endian one."


@dataclass(frozen=True, slots=True)
class PickledFile:
    """A pickle's value, where its storages lie, and the names of unknown objects."""

    value: Any
    locate: StorageLocator
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


def read_zip(source: FileReader, members: dict[str, ZipMember]) -> PickledFile:
    """Read the structure of a zip archive of torch.save.

    Args:
        source: the archive.
        members: its members by name.

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

    def locate(storage: Storage) -> tuple[int, int]:
        """Return the position of the member that is named after the storage's key."""
        member = members.get(f"{root}data/{storage.key}")
        if member is None:
            raise UnsupportedFileError(TRUNCATED)
        return zip_archive.member_offset(member, source)

    data = source.read(*zip_archive.member_offset(members[f"{root}data.pkl"], source))
    unpickler = Unpickler(StorageTable())
    value = unpickler.load(io.BytesIO(data))
    return PickledFile(value, locate, tuple(unpickler.opaque_names), "PyTorch zip")


def _find_root(members: Mapping[str, ZipMember]) -> str:
    """Return the archive's folder, with a slash; raise if it has no pickle or a huge one."""
    pickles = [name for name in members if name.endswith("/data.pkl") and name.count("/") == 1]
    # The archive's root folder has any name, most often the file's.
    if len(pickles) != 1:
        raise UnsupportedFileError(zip_archive.NOT_TORCH_ZIP)
    if members[pickles[0]].size > MAX_PICKLE_BYTES:
        raise UnsupportedFileError(TOO_COMPLEX)
    return pickles[0].removesuffix("data.pkl")


def read_pickle(source: FileReader) -> PickledFile:
    """Read a file that starts with a pickle: torch's old format, or a pickle of NumPy arrays.

    Args:
        source: the file.

    Returns:
        The pickle's value; weights of torch's old format are read later.

    Raises:
        UnsupportedFileError: the file is damaged or too complex.
    """
    start = source.read(0, min(LEGACY_READ_AHEAD, source.size))
    if _is_legacy(start):
        return _read_legacy(source, start)
    if source.size > MAX_ARRAY_PICKLE_BYTES:
        raise UnsupportedFileError(TOO_COMPLEX)
    unpickler = Unpickler(_opaque_storage)
    value = unpickler.load(io.BytesIO(source.read(0, source.size)))
    return PickledFile(value, _locate_nothing, tuple(unpickler.opaque_names), "pickled arrays")


def _is_legacy(start: bytes) -> bool:
    """Return True for the first bytes of PyTorch's old format."""
    return LEGACY_MAGIC.to_bytes(10, "little") in start[:32]


def _read_legacy(source: FileReader, start: bytes) -> PickledFile:
    """Read torch's old format from its first bytes, or from more if its structure is longer."""
    try:
        return _parse_legacy(source, start)
    except UnsupportedFileError:
        raise
    except Exception:  # most likely the structure continues behind these bytes
        if source.size <= LEGACY_READ_AHEAD:
            raise
    return _parse_legacy(source, source.read(0, min(source.size, MAX_PICKLE_BYTES)))


def _parse_legacy(source: FileReader, start: bytes) -> PickledFile:
    """Read five pickles, then the storages' positions.

    The pickles are: magic number, protocol, system, the object, the storages' keys. Then each
    storage follows: its number of elements and its bytes.
    """
    storages = StorageTable()
    stream = io.BytesIO(start)
    unpickler = Unpickler(storages)
    # Only the object is of interest; the others are checked.
    magic, _, system = (unpickler.load(stream) for _ in range(3))
    if magic != LEGACY_MAGIC or not isinstance(system, dict):
        raise UnsupportedFileError(CORRUPT)
    if system.get("little_endian") is False:
        raise UnsupportedFileError(BIG_ENDIAN)
    value = unpickler.load(stream)
    keys = unpickler.load(stream)
    # The first tensor that names a storage gives its dtype.
    dtypes = dict(reversed(storages.known))
    offsets = _read_offsets(source, stream.tell(), keys, dtypes)

    def locate(storage: Storage) -> tuple[int, int]:
        """Return the position that follows from the storages before."""
        if storage.key not in offsets:
            raise UnsupportedFileError(TRUNCATED)
        return offsets[storage.key]

    return PickledFile(value, locate, tuple(unpickler.opaque_names), "PyTorch before 1.6")


def _read_offsets(
    source: FileReader, start: int, keys: Any, dtypes: Mapping[str, torch.dtype]
) -> dict[Any, tuple[int, int]]:
    """Return each storage's start and length in bytes; they lie one after another."""
    offsets = dict[Any, tuple[int, int]]()
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
        offsets[key] = (start, nbytes)
        start += nbytes
    return offsets


def _locate_nothing(_: Storage) -> tuple[int, int]:
    """Raise: a pickle of arrays has no storages beside it."""
    raise UnsupportedFileError(TRUNCATED)
