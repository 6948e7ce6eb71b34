"""A zip archive's list of members, checked before any is read: nothing packed, overlapping, doubled or cut off."""

import io
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass

from lightning_resnets.checkpoint.forms.files import CUT, LARGEST, PACKED, STATE_DICT, TANGLED, Refused, Source

LARGEST_LIST = 4 * 2**20  # bytes of the list of members: some 50,000 names
SWELL = 4  # no honest archive unpacks to more than this many times its size
SWELL_PACKED = 20  # the same for arrays that numpy.savez_compressed wrote
OTHER = "is a zip archive but no checkpoint: open a .ckpt that training wrote."
SCRIPT = "is a TorchScript archive, a program with its weights: " + STATE_DICT
EXPORTED = "is an exported program (.pt2): " + STATE_DICT
PROGRAM = ("archive_format", "serialized_exported_program.json", "models/model.json")
KERAS = "is a Keras archive: read it there and save its arrays with numpy.savez."


@dataclass(frozen=True, slots=True)
class Member:
    """A file in the archive: where its header starts, how long it is, and how long packed."""

    header: int
    size: int
    packed: int
    plain: bool


class _Guarded(io.BufferedReader):
    """A file that does not hand out a list of members of any length at once."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > LARGEST_LIST:
            raise Refused(TANGLED)
        return super().read(size)


def members(source: Source) -> dict[str, Member]:
    """Every member by its name; raises Refused for an archive that is cut off or that no training writes."""
    guarded = _Guarded(source.file)
    try:
        with zipfile.ZipFile(guarded) as archive:
            found, end = archive.infolist(), archive.start_dir
    except Refused:
        raise
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error, EOFError, IndexError):
        raise Refused(CUT) from None
    finally:
        guarded.detach()
    ends = [*sorted(item.header_offset for item in found)[1:], end]
    for item, limit in zip(sorted(found, key=lambda item: item.header_offset), ends, strict=True):
        if item.flag_bits & 1 or item.header_offset < 0 or item.header_offset + 30 + item.compress_size > limit:
            raise Refused(PACKED)
    listed = {
        item.filename: Member(
            item.header_offset, item.file_size, item.compress_size, item.compress_type == zipfile.ZIP_STORED
        )
        for item in found
        if not item.is_dir()
    }
    if len(listed) != sum(not item.is_dir() for item in found):
        raise Refused(PACKED)
    return listed


def kind(listed: Mapping[str, Member]) -> str:
    """ "torch" or "numpy"; raises Refused, with the way on, for archives that other programs wrote."""
    roots = {name.partition("/")[0] for name in listed}
    if any(f"{root}/constants.pkl" in listed for root in roots) or any("/code/" in name for name in listed):
        raise Refused(SCRIPT)
    if any(
        name.endswith(("archive_format", "serialized_exported_program.json", "models/model.json")) for name in listed
    ):
        raise Refused(EXPORTED)
    if any(name.endswith("/data.pkl") for name in listed):
        return "torch"
    if listed and all(name.endswith(".npy") for name in listed):
        return "numpy"
    raise Refused(KERAS if any(name.endswith(".weights.h5") for name in listed) else OTHER)


def check(listed: Mapping[str, Member], source: Source, packed: bool = False) -> None:
    """Raises Refused where members are packed (torch never packs) or unpack to far more than the file."""
    size = sum(member.size for member in listed.values())
    swell = SWELL_PACKED if packed else SWELL
    plain = all(member.plain and member.size == member.packed for member in listed.values())
    if not (packed or plain) or size > LARGEST or size > swell * source.size:
        raise Refused(PACKED)


def place(member: Member, source: Source) -> tuple[int, int]:
    """Where a member's bytes lie in the file, as its own header has it: start and length."""
    head = source.read(member.header, 30)
    if head[:4] != b"PK\x03\x04":
        raise Refused(CUT)
    name, extra = struct.unpack("<HH", head[26:30])
    start = member.header + 30 + name + extra
    if start + member.packed > source.size:
        raise Refused(CUT)
    return start, member.packed
