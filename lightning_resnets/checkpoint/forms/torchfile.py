"""What torch.save writes, a zip archive or (before version 1.6) pickles in a row, read as data without torch.load."""

import io
from dataclasses import dataclass
from typing import Any

import torch

from lightning_resnets.checkpoint.forms import archive
from lightning_resnets.checkpoint.forms.archive import Member
from lightning_resnets.checkpoint.forms.files import BROKEN, CUT, TANGLED, Refused, Source
from lightning_resnets.checkpoint.forms.meaning import STORAGES, Named, Opaque
from lightning_resnets.checkpoint.forms.pickles import Machine
from lightning_resnets.checkpoint.forms.storages import Storage, Where

LARGEST_PICKLE = 64 * 2**20  # bytes of structure; weights lie beside it
LARGEST_ARRAYS = 2**30  # bytes of a pickle that holds NumPy arrays
FIRST = 2 * 2**20  # bytes of an old file that most structures fit in
MAGIC = 0x1950A86A20F9469CFC6C  # how an old file begins
BIG_ENDIAN = "was written on a big-endian machine: save it again on an ordinary one."


@dataclass(frozen=True, slots=True)
class Pickled:
    """What a pickle holds, where its storages lie, and the names of objects that were left alone."""

    value: Any
    where: Where
    foreign: tuple[str, ...]
    form: str


class Storages:
    """The storages that a pickle names, one record for each key and kind of number."""

    def __init__(self) -> None:
        self.known = dict[tuple[str, torch.dtype], Storage]()

    def __call__(self, what: Any) -> Any:
        match what:
            case ("module", Named() as name, *_):  # a class, with its program's text
                return name
            case ("storage", Named() as name, str() | int() as key, _, int(), *view) if not any(view):
                if kind := STORAGES.get(name.name):
                    return self.known.setdefault((str(key), kind), Storage(str(key), kind))
        return Opaque(Named("", "storage"), ())


def from_zip(source: Source, listed: dict[str, Member]) -> Pickled:
    """A zip archive of torch.save."""
    archive.check(listed, source)
    pickles = [name for name in listed if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(pickles) != 1:
        raise Refused(archive.OTHER)
    root = pickles[0].removesuffix("data.pkl")
    if listed[pickles[0]].size > LARGEST_PICKLE:
        raise Refused(TANGLED)
    if (order := listed.get(f"{root}byteorder")) and order.size == 3:
        raise Refused(BIG_ENDIAN)

    def where(storage: Storage) -> tuple[int, int]:
        if (member := listed.get(f"{root}data/{storage.key}")) is None:
            raise Refused(CUT)
        return archive.place(member, source)

    machine = Machine(Storages())
    value = machine.load(io.BytesIO(source.read(*archive.place(listed[pickles[0]], source))))
    return Pickled(value, where, tuple(machine.foreign), "PyTorch zip")


def from_pickle(source: Source) -> Pickled:
    """A file that starts with a pickle: torch's old form, or a pickle of NumPy arrays."""
    start = source.read(0, min(FIRST, source.size))
    if _is_torch(start):
        try:
            return _legacy(source, start)
        except Refused:
            raise
        except Exception:  # most likely the structure goes on behind what was read
            if source.size <= FIRST:
                raise
        return _legacy(source, source.read(0, min(source.size, LARGEST_PICKLE)))
    if source.size > LARGEST_ARRAYS:
        raise Refused(TANGLED)
    machine = Machine(lambda _: Opaque(Named("", "storage"), ()))
    value = machine.load(io.BytesIO(source.read(0, source.size)))
    return Pickled(value, _nowhere, tuple(machine.foreign), "pickled arrays")


def _is_torch(start: bytes) -> bool:
    return MAGIC.to_bytes(10, "little") in start[:32]


def _legacy(source: Source, start: bytes) -> Pickled:
    """Magic number, protocol, system, the object, the storages' keys; then each storage: its count and its bytes."""
    storages, stream = Storages(), io.BytesIO(start)
    machine = Machine(storages)
    magic, _, system = (machine.load(stream) for _ in range(3))
    if magic != MAGIC or not isinstance(system, dict):
        raise Refused(BROKEN)
    if system.get("little_endian") is False:
        raise Refused(BIG_ENDIAN)
    value, keys = machine.load(stream), machine.load(stream)
    kinds = dict(reversed(storages.known))  # the first that names a storage knows its kind
    places = _places(source, stream.tell(), keys, kinds)

    def where(storage: Storage) -> tuple[int, int]:
        if storage.key not in places:
            raise Refused(CUT)
        return places[storage.key]

    return Pickled(value, where, tuple(machine.foreign), "PyTorch before 1.6")


def _places(source: Source, start: int, keys: Any, kinds: dict[str, torch.dtype]) -> dict[Any, tuple[int, int]]:
    places = dict[Any, tuple[int, int]]()
    if not isinstance(keys, list) or len(keys) > len(kinds):
        raise Refused(BROKEN)
    for key in map(str, keys):
        kind = kinds.get(key)
        if kind is None or key in places:
            raise Refused(BROKEN)
        nbytes = int.from_bytes(source.read(start, 8), "little") * kind.itemsize
        if start + 8 + nbytes > source.size:
            raise Refused(CUT)
        places[key] = start + 8, nbytes
        start += 8 + nbytes
    return places


def _nowhere(_: Storage) -> tuple[int, int]:
    raise Refused(CUT)
