"""List a zip archive's members and check them before any is read.

Compressed, overlapping, duplicate and truncated members are refused.
"""

import io
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass

from lightning_resnets.errors import UnsupportedFileError
from lightning_resnets.formats.source import (
    COMPRESSED,
    MAX_FILE_BYTES,
    SAVE_STATE_DICT_HINT,
    TOO_COMPLEX,
    TRUNCATED,
    Extent,
    FileReader,
    checksum_error,
)

PIECE_BYTES = 2**20  # unpacked at a time
MAX_DIRECTORY_BYTES = 4 * 2**20  # of the list of members: some 50,000 names
LOCAL_HEADER_BYTES = 30  # without name and extra field

# Unpacked size over file size. torch aligns but never compresses; members may be listed twice.
MAX_EXPANSION = 4
MAX_COMPRESSED_EXPANSION = 20  # for arrays that numpy.savez_compressed wrote

NOT_TORCH_ZIP = "is a zip archive but not a checkpoint. Choose a .ckpt that training wrote."
TORCHSCRIPT = "is a TorchScript archive, a program with its weights. " + SAVE_STATE_DICT_HINT
EXPORTED_PROGRAM = "is an exported program (.pt2). " + SAVE_STATE_DICT_HINT
EXPORTED_PROGRAM_FILES = (
    "archive_format",
    "serialized_exported_program.json",
    "models/model.json",
)
KERAS = "is a Keras archive. Load it in Keras and save its arrays with numpy.savez."

ZIP_ERRORS = (
    zipfile.BadZipFile,
    OSError,
    ValueError,
    NotImplementedError,
    struct.error,
    EOFError,
    IndexError,
)


@dataclass(frozen=True, slots=True)
class ZipMember:
    """A file in the archive.

    Attributes:
        header: offset of its local header in bytes.
        size: size in bytes.
        compressed: size in the archive in bytes.
        is_stored: it is not compressed.
        crc: CRC-32 of its unpacked bytes.
    """

    header: int
    size: int
    compressed: int
    is_stored: bool
    crc: int


class _LimitedReader(io.BufferedReader):
    """A file that refuses to return a list of members of any length at once."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Read at most `size` bytes; raise UnsupportedFileError if that is too much."""
        if size is not None and size > MAX_DIRECTORY_BYTES:
            raise UnsupportedFileError(TOO_COMPLEX)
        return super().read(size)


def list_members(source: FileReader) -> dict[str, ZipMember]:
    """List an archive's files.

    Args:
        source: the archive.

    Returns:
        Members by name, without folders.

    Raises:
        UnsupportedFileError: the archive is truncated, or has members that are encrypted,
            overlapping or listed twice.
    """
    # Overlaps are checked with folders included.
    infos, directory = _read_directory(source)
    _check_no_overlap(infos, directory)
    files = [info for info in infos if not info.is_dir()]
    members = {info.filename: _to_member(info) for info in files}
    if len(members) != len(files):
        raise UnsupportedFileError(COMPRESSED)
    return members


def _read_directory(source: FileReader) -> tuple[list[zipfile.ZipInfo], int]:
    """Return the entries of the archive's directory and its offset."""
    limited = _LimitedReader(source.file)
    try:
        with zipfile.ZipFile(limited) as archive:
            return archive.infolist(), archive.start_dir
    except UnsupportedFileError:
        raise
    except ZIP_ERRORS:
        raise UnsupportedFileError(TRUNCATED) from None
    finally:
        limited.detach()


def _check_no_overlap(infos: list[zipfile.ZipInfo], end: int) -> None:
    """Raise if a member is encrypted or reaches into the next one or the directory at `end`."""
    infos = sorted(infos, key=lambda info: info.header_offset)
    limits = [*(info.header_offset for info in infos[1:]), end]
    for info, limit in zip(infos, limits, strict=True):
        is_encrypted = info.flag_bits & 1
        stop = info.header_offset + LOCAL_HEADER_BYTES + info.compress_size
        if is_encrypted or info.header_offset < 0 or stop > limit:
            raise UnsupportedFileError(COMPRESSED)


def _to_member(info: zipfile.ZipInfo) -> ZipMember:
    """Convert zipfile's record."""
    is_stored = info.compress_type == zipfile.ZIP_STORED
    return ZipMember(info.header_offset, info.file_size, info.compress_size, is_stored, info.CRC)


def archive_kind(members: Mapping[str, ZipMember]) -> str:
    """Tell the program that wrote an archive.

    Args:
        members: members by name.

    Returns:
        "torch" or "numpy".

    Raises:
        UnsupportedFileError: another program wrote it; the message says what to do.
    """
    if _is_torchscript(members):
        raise UnsupportedFileError(TORCHSCRIPT)
    if any(name.endswith(EXPORTED_PROGRAM_FILES) for name in members):
        raise UnsupportedFileError(EXPORTED_PROGRAM)
    if any(name.endswith("/data.pkl") for name in members):
        return "torch"
    if members and all(name.endswith(".npy") for name in members):
        return "numpy"
    if any(name.endswith(".weights.h5") for name in members):
        raise UnsupportedFileError(KERAS)
    raise UnsupportedFileError(NOT_TORCH_ZIP)


def _is_torchscript(members: Mapping[str, ZipMember]) -> bool:
    """Return True for an archive with code or constants beside its weights."""
    # torch puts everything into one folder.
    roots = {name.partition("/")[0] for name in members}
    if any("/code/" in name for name in members):
        return True
    return any(f"{root}/constants.pkl" in members for root in roots)


def check_members(
    members: Mapping[str, ZipMember], source: FileReader, allow_compressed: bool = False
) -> None:
    """Check that an archive does not unpack to far more than its own size.

    Args:
        members: members by name.
        source: the archive.
        allow_compressed: NumPy may compress, torch never does.

    Raises:
        UnsupportedFileError: the archive is compressed or too large.
    """
    size = sum(member.size for member in members.values())
    factor = MAX_COMPRESSED_EXPANSION if allow_compressed else MAX_EXPANSION
    if size > MAX_FILE_BYTES or size > factor * source.size:
        raise UnsupportedFileError(COMPRESSED)
    if not allow_compressed and not all(_is_plain(member) for member in members.values()):
        raise UnsupportedFileError(COMPRESSED)


def _is_plain(member: ZipMember) -> bool:
    """Return True if the member's bytes lie in the file as they are."""
    return member.is_stored and member.size == member.compressed


def member_extent(member: ZipMember, source: FileReader) -> Extent:
    """Return the position of a member's bytes, from its local header.

    Args:
        member: a member that is not compressed.
        source: the archive.

    Returns:
        The position with the archive's checksum.

    Raises:
        UnsupportedFileError: the header is damaged or the file truncated.
    """
    head = source.read(member.header, LOCAL_HEADER_BYTES)
    if head[:4] != b"PK\x03\x04":
        raise UnsupportedFileError(TRUNCATED)
    # The last two fields: lengths of name and extra field, which may differ from the directory's.
    name_length, extra_length = struct.unpack("<HH", head[26:30])
    start = member.header + LOCAL_HEADER_BYTES + name_length + extra_length
    if start + member.compressed > source.size:
        raise UnsupportedFileError(TRUNCATED)
    return Extent(start, member.compressed, member.crc)


def read_member(member: ZipMember, source: FileReader, name: str) -> bytes:
    """Read a member that is not compressed and compare it with its checksum.

    Args:
        member: the member.
        source: the archive.
        name: its name, for the message.

    Returns:
        Its bytes.

    Raises:
        UnsupportedFileError: the member is damaged or the file truncated.
    """
    extent = member_extent(member, source)
    data = source.read(extent.start, extent.nbytes)
    extent.check(data, name)
    return data


def unpack_member(archive: zipfile.ZipFile, name: str, size: int) -> bytearray:
    """Unpack a compressed member into new memory, piece by piece.

    Args:
        archive: the archive.
        name: name of the member.
        size: its unpacked size, charged by the caller.

    Returns:
        Its bytes.

    Raises:
        UnsupportedFileError: the member is damaged or its checksum does not match.
    """
    memory = bytearray(size)
    try:
        filled = _unpack_into(memory, archive, name)
    except zipfile.BadZipFile as error:
        is_checksum = "CRC" in str(error)
        raise checksum_error(name) if is_checksum else UnsupportedFileError(TRUNCATED) from None
    except Exception:  # noqa: BLE001 - whatever damaged compressed data provokes
        raise UnsupportedFileError(TRUNCATED) from None
    if filled != size:
        raise UnsupportedFileError(TRUNCATED)
    return memory


def _unpack_into(memory: bytearray, archive: zipfile.ZipFile, name: str) -> int:
    """Fill memory with a member's bytes; return their number."""
    filled = 0
    with archive.open(name) as file:
        # zipfile compares the checksum at the end.
        while piece := file.read(PIECE_BYTES):
            memory[filled : filled + len(piece)] = piece
            filled += len(piece)
    return filled
