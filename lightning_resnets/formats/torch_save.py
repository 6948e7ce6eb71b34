"""What torch.save writes, a zip archive or (before version 1.6) pickles in a row, read as data without torch.load."""

import io
from dataclasses import dataclass
from typing import Any

import torch

from lightning_resnets.errors import UnsupportedFileError
from lightning_resnets.formats import zip_archive
from lightning_resnets.formats.pickle_globals import STORAGE_DTYPES, GlobalName, OpaqueObject
from lightning_resnets.formats.source import CORRUPT, TOO_COMPLEX, TRUNCATED, FileReader
from lightning_resnets.formats.tensors import Storage, StorageLocator
from lightning_resnets.formats.unpickler import Unpickler
from lightning_resnets.formats.zip_archive import ZipMember

MAX_PICKLE_BYTES = 64 * 2**20  # bytes of structure; weights lie beside it


MAX_ARRAY_PICKLE_BYTES = 2**30  # bytes of a pickle that holds NumPy arrays


LEGACY_READ_AHEAD = 2 * 2**20  # bytes of an old file that most structures fit in


LEGACY_MAGIC = 0x1950A86A20F9469CFC6C  # how an old file begins


BIG_ENDIAN = "was written on a big-endian machine: save it again on an ordinary one."


@dataclass(frozen=True, slots=True)
class PickledFile:
    """What a pickle holds, where its storages lie, and the names of objects that were left alone."""

    value: Any
    locate: StorageLocator
    opaque_names: tuple[str, ...]
    format: str


class StorageTable:
    """The storages that a pickle names, one record for each key and kind of number."""

    def __init__(self) -> None:
        self.known = dict[tuple[str, torch.dtype], Storage]()

    def __call__(self, what: Any) -> Any:
        match what:
            case ("module", GlobalName() as name, *_):  # a class, with its program's text
                return name
            case ("storage", GlobalName() as name, str() | int() as key, _, int(), *view) if (
                not any(view)
            ):
                if kind := STORAGE_DTYPES.get(name.name):
                    return self.known.setdefault((str(key), kind), Storage(str(key), kind))
        return OpaqueObject(GlobalName("", "storage"), ())


def read_zip(source: FileReader, listed: dict[str, ZipMember]) -> PickledFile:
    """A zip archive of torch.save."""
    zip_archive.check_members(listed, source)
    pickles = [name for name in listed if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(pickles) != 1:
        raise UnsupportedFileError(zip_archive.NOT_TORCH_ZIP)
    root = pickles[0].removesuffix("data.pkl")
    if listed[pickles[0]].size > MAX_PICKLE_BYTES:
        raise UnsupportedFileError(TOO_COMPLEX)
    if (order := listed.get(f"{root}byteorder")) and order.size == 3:
        raise UnsupportedFileError(BIG_ENDIAN)

    def where(storage: Storage) -> tuple[int, int]:
        if (member := listed.get(f"{root}data/{storage.key}")) is None:
            raise UnsupportedFileError(TRUNCATED)
        return zip_archive.member_offset(member, source)

    machine = Unpickler(StorageTable())
    value = machine.load(
        io.BytesIO(source.read(*zip_archive.member_offset(listed[pickles[0]], source)))
    )
    return PickledFile(value, where, tuple(machine.foreign), "PyTorch zip")


def read_pickle(source: FileReader) -> PickledFile:
    """A file that starts with a pickle: torch's old form, or a pickle of NumPy arrays."""
    start = source.read(0, min(LEGACY_READ_AHEAD, source.size))
    if _is_torch(start):
        try:
            return _legacy(source, start)
        except UnsupportedFileError:
            raise
        except Exception:  # most likely the structure goes on behind what was read
            if source.size <= LEGACY_READ_AHEAD:
                raise
        return _legacy(source, source.read(0, min(source.size, MAX_PICKLE_BYTES)))
    if source.size > MAX_ARRAY_PICKLE_BYTES:
        raise UnsupportedFileError(TOO_COMPLEX)
    machine = Unpickler(lambda _: OpaqueObject(GlobalName("", "storage"), ()))
    value = machine.load(io.BytesIO(source.read(0, source.size)))
    return PickledFile(value, _nowhere, tuple(machine.foreign), "pickled arrays")


def _is_torch(start: bytes) -> bool:
    return LEGACY_MAGIC.to_bytes(10, "little") in start[:32]


def _legacy(source: FileReader, start: bytes) -> PickledFile:
    """Magic number, protocol, system, the object, the storages' keys; then each storage: its count and its bytes."""
    storages, stream = StorageTable(), io.BytesIO(start)
    machine = Unpickler(storages)
    magic, _, system = (machine.load(stream) for _ in range(3))
    if magic != LEGACY_MAGIC or not isinstance(system, dict):
        raise UnsupportedFileError(CORRUPT)
    if system.get("little_endian") is False:
        raise UnsupportedFileError(BIG_ENDIAN)
    value, keys = machine.load(stream), machine.load(stream)
    kinds = dict(reversed(storages.known))  # the first that names a storage knows its kind
    places = _places(source, stream.tell(), keys, kinds)

    def where(storage: Storage) -> tuple[int, int]:
        if storage.key not in places:
            raise UnsupportedFileError(TRUNCATED)
        return places[storage.key]

    return PickledFile(value, where, tuple(machine.foreign), "PyTorch before 1.6")


def _places(
    source: FileReader, start: int, keys: Any, kinds: dict[str, torch.dtype]
) -> dict[Any, tuple[int, int]]:
    places = dict[Any, tuple[int, int]]()
    if not isinstance(keys, list) or len(keys) > len(kinds):
        raise UnsupportedFileError(CORRUPT)
    for key in map(str, keys):
        kind = kinds.get(key)
        if kind is None or key in places:
            raise UnsupportedFileError(CORRUPT)
        nbytes = int.from_bytes(source.read(start, 8), "little") * kind.itemsize
        if start + 8 + nbytes > source.size:
            raise UnsupportedFileError(TRUNCATED)
        places[key] = start + 8, nbytes
        start += 8 + nbytes
    return places


def _nowhere(_: Storage) -> tuple[int, int]:
    raise UnsupportedFileError(TRUNCATED)
