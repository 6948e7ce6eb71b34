"""A zip archive's list of members, checked before any is read: nothing packed, overlapping, doubled or cut off."""

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
    FileReader,
)

MAX_DIRECTORY_BYTES = 4 * 2**20  # bytes of the list of members: some 50,000 names


MAX_EXPANSION = 4  # no honest archive unpacks to more than this many times its size


MAX_COMPRESSED_EXPANSION = 20  # the same for arrays that numpy.savez_compressed wrote


NOT_TORCH_ZIP = "is a zip archive but no checkpoint: open a .ckpt that training wrote."


TORCHSCRIPT = "is a TorchScript archive, a program with its weights: " + SAVE_STATE_DICT_HINT


EXPORTED_PROGRAM = "is an exported program (.pt2): " + SAVE_STATE_DICT_HINT


PROGRAM = ("archive_format", "serialized_exported_program.json", "models/model.json")


KERAS = "is a Keras archive: read it there and save its arrays with numpy.savez."


@dataclass(frozen=True, slots=True)
class ZipMember:
    """A file in the archive: where its header starts, how long it is, and how long packed."""

    header: int
    size: int
    compressed: int
    stored: bool


class _Guarded(io.BufferedReader):
    """A file that does not hand out a list of members of any length at once."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > MAX_DIRECTORY_BYTES:
            raise UnsupportedFileError(TOO_COMPLEX)
        return super().read(size)


def list_members(source: FileReader) -> dict[str, ZipMember]:
    """Every member by its name; raises Refused for an archive that is cut off or that no training writes."""
    guarded = _Guarded(source.file)
    try:
        with zipfile.ZipFile(guarded) as archive:
            found, end = archive.infolist(), archive.start_dir
    except UnsupportedFileError:
        raise
    except (
        zipfile.BadZipFile,
        OSError,
        ValueError,
        NotImplementedError,
        struct.error,
        EOFError,
        IndexError,
    ):
        raise UnsupportedFileError(TRUNCATED) from None
    finally:
        guarded.detach()
    ends = [*sorted(item.header_offset for item in found)[1:], end]
    for item, limit in zip(sorted(found, key=lambda item: item.header_offset), ends, strict=True):
        if (
            item.flag_bits & 1
            or item.header_offset < 0
            or item.header_offset + 30 + item.compress_size > limit
        ):
            raise UnsupportedFileError(COMPRESSED)
    listed = {
        item.filename: ZipMember(
            item.header_offset,
            item.file_size,
            item.compress_size,
            item.compress_type == zipfile.ZIP_STORED,
        )
        for item in found
        if not item.is_dir()
    }
    if len(listed) != sum(not item.is_dir() for item in found):
        raise UnsupportedFileError(COMPRESSED)
    return listed


def archive_kind(listed: Mapping[str, ZipMember]) -> str:
    """ "torch" or "numpy"; raises Refused, with the way on, for archives that other programs wrote."""
    roots = {name.partition("/")[0] for name in listed}
    if any(f"{root}/constants.pkl" in listed for root in roots) or any(
        "/code/" in name for name in listed
    ):
        raise UnsupportedFileError(TORCHSCRIPT)
    if any(
        name.endswith(("archive_format", "serialized_exported_program.json", "models/model.json"))
        for name in listed
    ):
        raise UnsupportedFileError(EXPORTED_PROGRAM)
    if any(name.endswith("/data.pkl") for name in listed):
        return "torch"
    if listed and all(name.endswith(".npy") for name in listed):
        return "numpy"
    raise UnsupportedFileError(
        KERAS if any(name.endswith(".weights.h5") for name in listed) else NOT_TORCH_ZIP
    )


def check_members(
    listed: Mapping[str, ZipMember], source: FileReader, packed: bool = False
) -> None:
    """Raises Refused where members are packed (torch never packs) or unpack to far more than the file."""
    size = sum(member.size for member in listed.values())
    swell = MAX_COMPRESSED_EXPANSION if packed else MAX_EXPANSION
    plain = all(member.stored and member.size == member.compressed for member in listed.values())
    if not (packed or plain) or size > MAX_FILE_BYTES or size > swell * source.size:
        raise UnsupportedFileError(COMPRESSED)


def member_offset(member: ZipMember, source: FileReader) -> tuple[int, int]:
    """Where a member's bytes lie in the file, as its own header has it: start and length."""
    head = source.read(member.header, 30)
    if head[:4] != b"PK\x03\x04":
        raise UnsupportedFileError(TRUNCATED)
    name, extra = struct.unpack("<HH", head[26:30])
    start = member.header + 30 + name + extra
    if start + member.compressed > source.size:
        raise UnsupportedFileError(TRUNCATED)
    return start, member.compressed
