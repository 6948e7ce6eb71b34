"""Files of arrays alone: .safetensors, and .npz of plain kinds of numbers; NumPy's pickled objects are never read."""

import io
import json
import math
import re
import warnings
import zipfile
from collections.abc import Mapping
from typing import Any

import torch
from numpy.lib import format as numpy_format

from lightning_resnets.errors import UnsupportedFileError
from lightning_resnets.formats import zip_archive
from lightning_resnets.formats.pickle_globals import NUMPY_DTYPES
from lightning_resnets.formats.source import TOO_COMPLEX, TRUNCATED, FileReader
from lightning_resnets.formats.tensors import (
    MAX_DIMS,
    NOT_A_TENSOR,
    Storage,
    TensorView,
    contiguous_strides,
    make_view,
    printable_key,
)
from lightning_resnets.formats.zip_archive import ZipMember

MAX_HEADER = 2 * 2**20  # bytes of names and shapes; timm's largest model needs 0.3 million


MAX_NPY_HEADER = 1000  # bytes before an array's numbers; NumPy writes 128


MAX_MEMBERS = 20_000  # arrays of an .npz, each with a head to be parsed


DTYPE_FIELD_RE = re.compile(
    rb"""["']descr["']\s*:\s*["'][^"',]{1,8}["']"""
)  # one kind of number, not a table of kinds


INVALID = "is damaged or no safetensors file: copy or download it again."


SAFETENSORS_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
    "C64": torch.complex64,
}


def storage_offset(storage: Storage) -> tuple[int, int]:
    """Where a storage of these forms lies: its key says it."""
    return storage.key


def read_safetensors(source: FileReader) -> tuple[dict[str, TensorView], dict[str, Any] | None]:
    """The tensors and the card in the metadata; raises Refused where the header does not fit the file."""
    length = int.from_bytes(source.read(0, min(8, source.size)), "little")
    if source.size < 10 or length > source.size - 8:
        raise UnsupportedFileError(INVALID)
    if length > MAX_HEADER:
        raise UnsupportedFileError(TOO_COMPLEX)
    header = _parsed(source.read(8, length))
    metadata = header.pop("__metadata__", None)
    if not isinstance(metadata, (dict, type(None))):
        raise UnsupportedFileError(INVALID)
    views = {name: _entry(name, entry, 8 + length) for name, entry in header.items()}
    _gapless(
        sorted(storage_offset(item.storage) for item in views.values()), 8 + length, source.size
    )
    text = (metadata or {}).get("card")
    card = _parsed(text.encode()) if isinstance(text, str) else None
    return views, card


def _parsed(text: bytes) -> dict[str, Any]:
    try:
        table = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise UnsupportedFileError(INVALID) from None
    if not isinstance(table, dict):
        raise UnsupportedFileError(INVALID)
    return table


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        raise ValueError
    return table


def _entry(name: str, entry: Any, base: int) -> TensorView:
    if not isinstance(entry, dict) or not isinstance(entry.get("shape"), list):
        raise UnsupportedFileError(INVALID)
    if (kind := SAFETENSORS_DTYPES.get(str(entry.get("dtype")))) is None:
        raise UnsupportedFileError(
            f"holds '{printable_key(name)}' as {printable_key(entry.get('dtype'))}, {NOT_A_TENSOR}"
        )
    match entry.get("data_offsets"):
        case [int(start), int(end)] if 0 <= start <= end:
            return _view(Storage((base + start, end - start)), kind, tuple(entry["shape"]))
    raise UnsupportedFileError(INVALID)


def _view(
    storage: Storage, kind: torch.dtype, size: tuple[Any, ...], fortran: bool = False
) -> TensorView:
    """An array without gaps that fills its storage to the byte."""
    if len(size) > MAX_DIMS or not all(type(side) is int and 0 <= side < 2**40 for side in size):
        raise UnsupportedFileError(TRUNCATED)
    nbytes = len(storage.data) if storage.data is not None else storage_offset(storage)[1]
    if math.prod(size) * kind.itemsize != nbytes:
        raise UnsupportedFileError(TRUNCATED)
    return make_view(
        storage, kind, 0, size, contiguous_strides(size, fortran) if nbytes else (0,) * len(size)
    )


def _gapless(places: list[tuple[int, int]], start: int, end: int) -> None:
    for begin, nbytes in places:
        if begin != start:
            raise UnsupportedFileError(INVALID)
        start += nbytes
    if start != end:
        raise UnsupportedFileError(TRUNCATED)


def read_npz(
    source: FileReader, listed: Mapping[str, ZipMember]
) -> tuple[dict[str, TensorView], tuple[str, ...]]:
    """The arrays of plain numbers under their names, and the names of those that are none."""
    zip_archive.check_members(listed, source, packed=True)
    if len(listed) > MAX_MEMBERS:
        raise UnsupportedFileError(TOO_COMPLEX)
    views, others = dict[str, TensorView](), list[str]()
    unpacked = (
        None if all(member.stored for member in listed.values()) else zipfile.ZipFile(source.file)
    )
    for file, member in listed.items():
        name = file.removesuffix(".npy")
        found = _stored(source, member) if unpacked is None else _unpacked(unpacked, file)
        if found is None:
            others.append(name)
        else:
            views[name] = found
    return views, tuple(others)


def _stored(source: FileReader, member: ZipMember) -> TensorView | None:
    start, size = zip_archive.member_offset(member, source)
    head = source.read(start, min(size, MAX_NPY_HEADER))
    kind, shape, fortran, length = _head(head)
    return (
        None
        if kind is None
        else _view(Storage((start + length, size - length)), kind, shape, fortran)
    )


def _unpacked(archive: zipfile.ZipFile, file: str) -> TensorView | None:
    try:
        data = archive.read(file)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError, EOFError):
        raise UnsupportedFileError(TRUNCATED) from None
    kind, shape, fortran, length = _head(data[:MAX_NPY_HEADER])
    return None if kind is None else _view(Storage(data=data[length:]), kind, shape, fortran)


def _head(head: bytes) -> tuple[torch.dtype | None, tuple[int, ...], bool, int]:
    """An array's kind of number (None where it is none), shape, order, and how long its head is."""
    stream = io.BytesIO(head)
    try:
        version = numpy_format.read_magic(stream)
        if version > (2, 0) or not DTYPE_FIELD_RE.search(head):  # a table of kinds may take long
            return None, (), False, 0
        read = (
            numpy_format.read_array_header_1_0
            if version == (1, 0)
            else numpy_format.read_array_header_2_0
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Python 2's way to write whole numbers
            shape, fortran, kind = read(stream)
    except Exception:  # noqa: BLE001 - whatever a broken head provokes
        raise UnsupportedFileError(TRUNCATED) from None
    plain = kind.isnative and not kind.hasobject and kind.names is None
    return NUMPY_DTYPES.get(kind.str[1:]) if plain else None, shape, fortran, stream.tell()
