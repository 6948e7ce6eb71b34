"""Open one file for reading by position, and check what is read against its checksum."""

import io
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

from lightning_resnets.errors import CheckpointError, UnsupportedFileError
from lightning_resnets.utils.format import printable_key

MAX_FILE_BYTES = 4 * 2**30  # of a file, and of what it unpacks to

STREAM_BUFFER_BYTES = 2**18
MAX_LINE_BYTES = 4 * 2**20  # of a pickle's text; arrays are never written so

# Each message continues a sentence that starts with the file's name.
TRUNCATED = "is truncated or damaged. Copy or download it again."
CORRUPT = "is damaged or not a PyTorch checkpoint. Copy or save it again."
TOO_COMPLEX = (
    "has an implausibly large structure and was not loaded. Save only the model's state_dict()."
)
COMPRESSED = (
    "has a zip layout that training code never writes (compressed, encrypted or overlapping "
    "members) and was not loaded. Get it from its author again."
)
SAVE_STATE_DICT_HINT = (
    "Load it where it was made and save the model's state_dict() with torch.save or as safetensors."
)


@dataclass(frozen=True, slots=True)
class Extent:
    """A range of bytes in a file, with its checksum.

    Attributes:
        start: first byte.
        nbytes: length.
        crc: CRC-32 of `prefix_crc`'s bytes followed by these; 0 if the file has no checksum.
        prefix_crc: CRC-32 of bytes in front of these that the checksum covers too.
    """

    start: int
    nbytes: int
    crc: int = 0
    prefix_crc: int = 0

    def check(self, data: bytes | memoryview, name: object) -> None:
        """Compare bytes that were read with the checksum.

        Args:
            data: all bytes of the range.
            name: name of what they hold, for the message.

        Raises:
            UnsupportedFileError: the file has a checksum and it does not match.
        """
        # torch.save writes zeros where it was told to compute no checksums.
        if self.crc and zlib.crc32(data, self.prefix_crc) != self.crc:
            raise checksum_error(name)


def checksum_error(name: object) -> UnsupportedFileError:
    """Return the error for bytes that are not those that were written.

    Args:
        name: name of what the bytes hold.
    """
    return UnsupportedFileError(
        f"is damaged: the checksum of '{printable_key(name)}' does not match its data. "
        "Copy or download it again."
    )


class BoundedStream(io.BufferedReader):
    """The bytes of a file from its start on, for reading one after another.

    A length that a damaged file claims never allocates more than the file has.
    """

    def __init__(self, source: "FileReader", end: int) -> None:
        """Open the stream.

        Args:
            source: the file.
            end: position of the last byte to read, plus one.
        """
        source.file.seek(0)
        super().__init__(source.file, STREAM_BUFFER_BYTES)
        self._end = end

    def read(self, size: int | None = -1, /) -> bytes:
        """Read bytes.

        Args:
            size: number of bytes; fewer are returned at the end.

        Returns:
            The bytes.
        """
        # Small reads are not checked: they are frequent and allocate little.
        if size is None or size < 0 or size > STREAM_BUFFER_BYTES:
            left = max(self._end - self.tell(), 0)
            size = left if size is None or size < 0 else min(size, left)
        return super().read(size)

    def readline(self, size: int | None = -1, /) -> bytes:
        """Read a line, at most MAX_LINE_BYTES of it.

        Args:
            size: unused.

        Returns:
            The line.
        """
        # A file without a line break must not be read whole.
        return super().readline(MAX_LINE_BYTES)


class FileReader:
    """A file that is read by position; reading past its end raises UnsupportedFileError.

    Attributes:
        file: the open file, without a buffer, or bytes in memory.
        size: length in bytes at the time of opening.
    """

    def __init__(self, file: FileIO | io.BytesIO) -> None:
        self.file: Any = file
        self.size = file.seek(0, os.SEEK_END)

    @contextmanager
    def stream(self, end: int) -> Iterator[BoundedStream]:
        """Read the file from its start on.

        Args:
            end: number of bytes after which claims of a length are not believed.

        Yields:
            The stream; the file stays open afterwards.
        """
        stream = BoundedStream(self, end)
        try:
            yield stream
        finally:
            # A stream that is collected would close the file.
            stream.detach()

    def read(self, start: int, size: int) -> bytes:
        """Return `size` bytes from position `start`.

        Args:
            start: position in bytes.
            size: number of bytes.

        Returns:
            Exactly `size` bytes.

        Raises:
            UnsupportedFileError: the file ends before.
        """
        self._seek(start, size)
        parts = list[bytes]()
        # One read may return less than asked for, at most 2 GB on Linux.
        while size:
            part = self.file.read(size)
            if not part:
                raise UnsupportedFileError(TRUNCATED)
            parts.append(part)
            size -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def read_into(self, start: int, memory: memoryview) -> None:
        """Fill `memory` with bytes from position `start`; the file may change afterwards.

        Args:
            start: position in bytes.
            memory: writable bytes to fill completely.

        Raises:
            UnsupportedFileError: the file ends before.
        """
        self._seek(start, len(memory))
        while memory:
            # It may fill only a part, as `read` does.
            count = self.file.readinto(memory)
            if not count:
                raise UnsupportedFileError(TRUNCATED)
            memory = memory[count:]

    def _seek(self, start: int, size: int) -> None:
        """Go to a position; raise if fewer than `size` bytes follow it."""
        if start < 0 or size < 0 or start + size > self.size:
            raise UnsupportedFileError(TRUNCATED)
        self.file.seek(start)


@contextmanager
def open_file(path: Path) -> Iterator[FileReader]:
    """Open a file for reading by position.

    Args:
        path: file to open.

    Yields:
        The reader; it is closed afterwards.

    Raises:
        CheckpointError: the file does not exist, is not a regular file or is not readable.
        UnsupportedFileError: the file is empty or too large.
    """
    if path.is_dir():
        raise CheckpointError(f"'{path}' is a folder, not a checkpoint. Choose a file inside it.")
    # Reading a pipe or a device may never end.
    if path.exists() and not path.is_file():
        raise CheckpointError(f"'{path}' is not a regular file. Choose a checkpoint.")
    with _open_raw(path) as file:
        source = FileReader(file)
        _check_size(source)
        yield source


def _check_size(source: FileReader) -> None:
    """Raise if a file is empty or too large."""
    if not source.size:
        raise UnsupportedFileError("is empty. Copy or download it again.")
    if source.size > MAX_FILE_BYTES:
        raise too_large_error()


def too_large_error() -> UnsupportedFileError:
    """Return the error for more bytes than any checkpoint of an image classifier has."""
    return UnsupportedFileError(
        f"is larger than {MAX_FILE_BYTES / 2**30:g} GB. Save it without optimizer state."
    )


def _open_raw(path: Path) -> FileIO:
    """Open a file without a buffer; raise CheckpointError if that fails."""
    try:
        return FileIO(path)
    except FileNotFoundError:
        raise CheckpointError(f"File '{path}' does not exist. Check the path.") from None
    # ValueError: the path contains a null character.
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CheckpointError(
            f"Cannot read '{path}' ({reason}). Check its name and permissions."
        ) from error
