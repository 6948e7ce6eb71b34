"""Read files of arrays: .safetensors, and .npz of plain numbers; pickled objects are never read."""

import io
import json
import math
import re
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.lib import format as numpy_format

from lightning_resnets.errors import UnsupportedFileError
from lightning_resnets.formats import zip_archive
from lightning_resnets.formats.budget import Budget
from lightning_resnets.formats.pickled_objects import NUMPY_DTYPES
from lightning_resnets.formats.source import TOO_COMPLEX, TRUNCATED, Extent, FileReader
from lightning_resnets.formats.tensors import (
    NOT_A_TENSOR,
    Storage,
    TensorView,
    contiguous_strides,
    is_valid_shape,
    make_view,
)
from lightning_resnets.formats.zip_archive import ZipMember
from lightning_resnets.utils.format import printable_key

MAX_HEADER_BYTES = 2 * 2**20  # names and shapes; timm's largest model needs 0.3 million
MAX_NPY_HEADER_BYTES = 1000  # before an array's numbers; NumPy writes 128
MAX_MEMBERS = 20_000  # arrays of an .npz, each with a header to be parsed

# One plain dtype, not a structured one, which may take long to parse.
DTYPE_FIELD_RE = re.compile(rb"""["']descr["']\s*:\s*["'][^"',]{1,8}["']""")

SWELLS = "many times its own size, and was not loaded. Save its arrays with numpy.savez."
INVALID = "is damaged or not a safetensors file. Copy or download it again."

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

TensorViews = dict[str, TensorView]


def storage_extent(storage: Storage) -> Extent:
    """Return a storage's position in the file.

    Args:
        storage: a storage of this module, whose key is its position.

    Returns:
        The position, with a checksum if the file has one.
    """
    return Extent(0, len(storage.data)) if storage.data is not None else storage.key


def read_safetensors(source: FileReader) -> tuple[TensorViews, dict[str, Any] | None]:
    """Read the header of a safetensors file.

    Args:
        source: the file.

    Returns:
        Views of the tensors, and the model card in the metadata or None.

    Raises:
        UnsupportedFileError: the header is invalid or does not match the file's length.
    """
    header, base = _read_header(source)
    metadata = header.pop("__metadata__", None)
    if not isinstance(metadata, (dict, type(None))):
        raise UnsupportedFileError(INVALID)
    # Offsets in the header count from its end.
    views = {name: _parse_entry(name, entry, base) for name, entry in header.items()}
    _check_no_gaps(views, base, source.size)
    # The model card is text inside the metadata.
    text = (metadata or {}).get("card")
    card = _parse_json_object(text.encode()) if isinstance(text, str) else None
    return views, card


def _read_header(source: FileReader) -> tuple[dict[str, Any], int]:
    """Return the header of a safetensors file and the position behind it."""
    # A header of JSON follows its own length.
    length = int.from_bytes(source.read(0, min(8, source.size)), "little")
    # The shortest header is `{}`, after 8 bytes of length.
    if source.size < 10 or length > source.size - 8:
        raise UnsupportedFileError(INVALID)
    if length > MAX_HEADER_BYTES:
        raise UnsupportedFileError(TOO_COMPLEX)
    return _parse_json_object(source.read(8, length)), 8 + length


def _parse_json_object(text: bytes) -> dict[str, Any]:
    """Parse a JSON object without doubled names."""
    try:
        table = json.loads(text, object_pairs_hook=_reject_duplicates)
    except (ValueError, RecursionError):
        raise UnsupportedFileError(INVALID) from None
    if not isinstance(table, dict):
        raise UnsupportedFileError(INVALID)
    return table


def _reject_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the pairs as a table; raise ValueError if a name occurs twice."""
    table = dict(pairs)
    if len(table) < len(pairs):
        raise ValueError
    return table


def _parse_entry(name: str, entry: Any, base: int) -> TensorView:
    """Parse one tensor's entry in a safetensors header; data starts at byte `base`."""
    if not isinstance(entry, dict) or not isinstance(entry.get("shape"), list):
        raise UnsupportedFileError(INVALID)
    # float8 and sub-byte types have no place in the models that we know.
    dtype = SAFETENSORS_DTYPES.get(str(entry.get("dtype")))
    if dtype is None:
        shown = printable_key(entry.get("dtype"))
        raise UnsupportedFileError(f"contains '{printable_key(name)}' as {shown}, {NOT_A_TENSOR}")
    match entry.get("data_offsets"):
        case [int(start), int(end)] if 0 <= start <= end:
            storage = Storage(Extent(base + start, end - start))
            return _whole_view(storage, dtype, tuple(entry["shape"]))
    raise UnsupportedFileError(INVALID)


def _whole_view(
    storage: Storage, dtype: torch.dtype, size: tuple[Any, ...], fortran: bool = False
) -> TensorView:
    """Return a view of an array without gaps that fills its storage exactly."""
    if not is_valid_shape(size):
        raise UnsupportedFileError(TRUNCATED)
    nbytes = storage_extent(storage).nbytes
    if math.prod(size) * dtype.itemsize != nbytes:
        raise UnsupportedFileError(TRUNCATED)
    # An empty array may have sides whose product overflows a stride.
    stride = contiguous_strides(size, fortran) if nbytes else (0,) * len(size)
    return make_view(storage, dtype, 0, size, stride)


def _check_no_gaps(views: TensorViews, start: int, end: int) -> None:
    """Raise unless the tensors lie one after another and fill the file."""
    extents = [storage_extent(view.storage) for view in views.values()]
    # An empty tensor lies in front of the one that starts at the same byte.
    for extent in sorted(extents, key=lambda extent: (extent.start, extent.nbytes)):
        if extent.start != start:
            raise UnsupportedFileError(INVALID)
        start += extent.nbytes
    if start != end:
        raise UnsupportedFileError(TRUNCATED)


def read_npz(
    source: FileReader, members: Mapping[str, ZipMember], budget: Budget
) -> tuple[TensorViews, tuple[str, ...]]:
    """Read the headers of an .npz file.

    Args:
        source: the file.
        members: its members by name, as `zip_archive.list_members` returns them.
        budget: charged for arrays that are unpacked.

    Returns:
        Views of the arrays of plain numbers, and the names of all other members.

    Raises:
        UnsupportedFileError: the archive is damaged or too large.
    """
    zip_archive.check_members(members, source, allow_compressed=True)
    packed = _check_sizes(members, budget)
    views = TensorViews()
    others = list[str]()
    # The archive stays open, as the file does, until all members are unpacked.
    archive = zipfile.ZipFile(source.file) if packed else None
    for file, member in members.items():
        name = file.removesuffix(".npy")
        if archive is None or member.is_stored:
            view = _view_stored(source, member)
        else:
            view = _view_packed(archive, file, member, budget)
        if view is not None:
            views[name] = view
        else:  # objects or a structured dtype
            others.append(name)
    return views, tuple(others)


def _check_sizes(members: Mapping[str, ZipMember], budget: Budget) -> int:
    """Return the unpacked size of all compressed arrays; raise if it is too much."""
    # Each array has a header to be parsed.
    if len(members) > MAX_MEMBERS:
        raise UnsupportedFileError(TOO_COMPLEX)
    packed = sum(member.size for member in members.values() if not member.is_stored)
    if packed > budget.memory:
        raise UnsupportedFileError(f"unpacks to {packed / 1e6:,.0f} MB, {SWELLS}")
    return packed


def _view_stored(source: FileReader, member: ZipMember) -> TensorView | None:
    """Return a view into the file of an array that is not compressed."""
    extent = zip_archive.member_extent(member, source)
    head = source.read(extent.start, min(extent.nbytes, MAX_NPY_HEADER_BYTES))
    header = _parse_npy_header(head)
    if header is None:
        return None
    # The archive's checksum covers the header too.
    rest = Extent(
        extent.start + header.length,
        extent.nbytes - header.length,
        extent.crc,
        zlib.crc32(head[: header.length]),
    )
    return _whole_view(Storage(rest), header.dtype, header.shape, header.fortran)


def _view_packed(
    archive: zipfile.ZipFile, file: str, member: ZipMember, budget: Budget
) -> TensorView | None:
    """Return a view into memory of a compressed array."""
    budget.allocate(member.size)
    data = zip_archive.unpack_member(archive, file, member.size)
    header = _parse_npy_header(bytes(data[:MAX_NPY_HEADER_BYTES]))
    if header is None:
        return None
    # In place: the numbers move to the front, no copy is made.
    del data[: header.length]
    return _whole_view(Storage(data=data), header.dtype, header.shape, header.fortran)


@dataclass(frozen=True, slots=True)
class NpyHeader:
    """Header of a .npy array; `length` is its own length in bytes."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    fortran: bool
    length: int


def _parse_npy_header(data: bytes) -> NpyHeader | None:
    """Parse an array's header; return None if its dtype is not a plain number."""
    stream = io.BytesIO(data)
    try:
        version = numpy_format.read_magic(stream)
        # Version 3 is for names of fields, which a plain array does not have.
        if version > (2, 0) or not DTYPE_FIELD_RE.search(data):
            return None
        shape, fortran, dtype = _read_npy_fields(stream, version)
    except Exception:  # noqa: BLE001 - whatever a broken header provokes
        raise UnsupportedFileError(TRUNCATED) from None
    is_plain = dtype.isnative and not dtype.hasobject and dtype.names is None
    torch_dtype = NUMPY_DTYPES.get(dtype.str[1:])
    if not is_plain or torch_dtype is None:
        return None
    return NpyHeader(torch_dtype, shape, fortran, stream.tell())


def _read_npy_fields(
    stream: io.BytesIO, version: tuple[int, int]
) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read shape, order and dtype with NumPy's own parser."""
    parsers = {(1, 0): numpy_format.read_array_header_1_0}
    parse = parsers.get(version, numpy_format.read_array_header_2_0)
    with warnings.catch_warnings():
        # NumPy warns of integers written as in Python 2.
        warnings.simplefilter("ignore")
        return parse(stream)
