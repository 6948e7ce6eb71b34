"""Open one file for reading by position, and describe files that are not checkpoints."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from lightning_resnets.errors import CheckpointError, UnsupportedFileError

MAX_FILE_BYTES = 4 * 2**30  # of a file, and of what it unpacks to

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


class FileReader:
    """A file that is read by position; reading past its end raises UnsupportedFileError.

    Attributes:
        file: the open file, without a buffer.
        size: length in bytes at the time of opening.
    """

    def __init__(self, file: FileIO) -> None:
        self.file = file
        self.size = os.fstat(file.fileno()).st_size

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
        raise UnsupportedFileError(
            f"is larger than {MAX_FILE_BYTES / 2**30:g} GB. Save it without optimizer state."
        )


def _open_raw(path: Path) -> FileIO:
    """Open a file without a buffer; raise CheckpointError if that fails."""
    try:
        return FileIO(path)
    except FileNotFoundError:
        raise CheckpointError(f"File '{path}' does not exist. Check the path.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CheckpointError(
            f"Cannot read '{path}' ({reason}). Check its name and permissions."
        ) from error


UNSUPPORTED_FORMATS = {  # by the first bytes of the file
    b"\x89HDF\r\n\x1a\n": "is an HDF5 file (Keras, MATLAB). "
    "Load it in its own program and save its arrays with numpy.savez.",
    b"\x1f\x8b": "is compressed with gzip. Decompress it first.",
    b"BZh": "is compressed with bzip2. Decompress it first.",
    b"\xfd7zXZ": "is compressed with xz. Decompress it first.",
    b"\x28\xb5\x2f\xfd": "is compressed with zstd. Decompress it first.",
    b"GGUF": "is a GGUF file, which holds a language model. "
    "Open a checkpoint of an image classifier.",
    b"version https://git-lfs": "is a Git LFS pointer, not the file itself. "
    "Run `git lfs pull` or download the file.",
    b"\x93NUMPY": "is a single NumPy array. "
    "Save all of the model's arrays in one file with numpy.savez.",
}
TAR = (
    "is a tar archive (a packed folder, or a checkpoint of PyTorch before 0.1.10). Unpack it, or: "
    + SAVE_STATE_DICT_HINT
)
ONNX = "is an ONNX model, which does not keep the weights' names. " + SAVE_STATE_DICT_HINT
NOT_A_CHECKPOINT = (
    "is not a checkpoint. Supported formats: .ckpt of `lightning-resnets fit`, .pth, .pt, "
    ".safetensors, .npz."
)


def describe_unsupported(head: bytes, suffix: str) -> str:
    """Describe a file of a format that is not supported.

    Args:
        head: the first 512 bytes of the file.
        suffix: ending of its name in lower case, with the dot.

    Returns:
        The end of a sentence that starts with the file's name.
    """
    for magic, description in UNSUPPORTED_FORMATS.items():
        if head.startswith(magic):
            return description
    # A byte order mark or blank lines may precede the first tag.
    if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<":
        return "is a web page, not a checkpoint. Download the file itself."
    if head[257:262] == b"ustar":
        return TAR
    # ONNX starts with the protobuf fields ir_version (1) and producer_name (2).
    if suffix == ".onnx" or (head[:1] == b"\x08" and head[2:3] == b"\x12"):
        return ONNX
    return NOT_A_CHECKPOINT
