"""One file open for reading: its size, its bytes by position, and the sentence where it is no checkpoint."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from lightning_resnets.errors import CheckpointError, UnsupportedFileError

MAX_FILE_BYTES = 4 * 2**30  # bytes, of a file and of what it unpacks to


TRUNCATED = "is cut off or damaged: copy or download it again."


CORRUPT = "is damaged or no checkpoint of PyTorch: copy or save it again."


TOO_COMPLEX = (
    "holds more structure than any checkpoint and was not opened: save only the model's weights."
)


COMPRESSED = (
    "is packed in a way that no training writes and was not opened: get it from its author again."
)


SAVE_STATE_DICT_HINT = (
    "load it where it was made and save the model's state_dict() with torch.save or as safetensors."
)


class FileReader:
    """A file of `size` bytes, read by position; raises Refused where it is shorter than it should be."""

    def __init__(self, file: FileIO) -> None:
        self.file = file
        self.size = os.fstat(file.fileno()).st_size

    def read(self, start: int, size: int) -> bytes:
        self._seek(start, size)
        parts = list[bytes]()
        while size:
            parts.append(self.file.read(size))
            size -= len(parts[-1])
            if not parts[-1]:
                raise UnsupportedFileError(TRUNCATED)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def read_into(self, start: int, memory: memoryview) -> None:
        """Read into memory; the file may change or shrink afterwards."""
        self._seek(start, len(memory))
        while memory:
            count = self.file.readinto(memory)
            if not count:
                raise UnsupportedFileError(TRUNCATED)
            memory = memory[count:]

    def _seek(self, start: int, size: int) -> None:
        if start < 0 or size < 0 or start + size > self.size:
            raise UnsupportedFileError(TRUNCATED)
        self.file.seek(start)


@contextmanager
def open_file(path: Path) -> Iterator[FileReader]:
    """The file at `path`; raises CheckpointError where there is none or it may not be read."""
    if path.is_dir():
        raise CheckpointError(f"'{path}' is a folder, not a checkpoint: choose a file in it.")
    if path.exists() and not path.is_file():  # a pipe or a device: reading it may never end
        raise CheckpointError(f"'{path}' is no ordinary file: choose a checkpoint.")
    try:
        file = FileIO(path)
    except FileNotFoundError:
        raise CheckpointError(f"There is no file '{path}': check the name.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CheckpointError(
            f"'{path}' cannot be read ({reason}): check its name and permissions."
        ) from error
    with file:
        source = FileReader(file)
        if not source.size:
            raise UnsupportedFileError("is empty: copy or download it again.")
        if source.size > MAX_FILE_BYTES:
            raise UnsupportedFileError(
                f"is larger than {MAX_FILE_BYTES / 2**30:g} GB: save it without optimizer state."
            )
        yield source


FOREIGN_FORMATS = {
    b"\x89HDF\r\n\x1a\n": "is an HDF5 file (Keras, MATLAB): read it there and save its arrays with numpy.savez.",
    b"\x1f\x8b": "is packed with gzip: unpack it first.",
    b"BZh": "is packed with bzip2: unpack it first.",
    b"\xfd7zXZ": "is packed with xz: unpack it first.",
    b"\x28\xb5\x2f\xfd": "is packed with zstd: unpack it first.",
    b"GGUF": "is a GGUF file, which holds language models: open a checkpoint of an image classifier.",
    b"version https://git-lfs": "is a Git LFS pointer, not the file itself: run `git lfs pull` or download the file.",
    b"\x93NUMPY": "is a single NumPy array: save all of the model's arrays in one file with numpy.savez.",
}


TAR = (
    "is a tar archive (a packed folder, or PyTorch before 0.1.10): unpack it, or "
    + SAVE_STATE_DICT_HINT
)


ONNX = "is an ONNX model, whose weights lost their names: " + SAVE_STATE_DICT_HINT


NOT_A_CHECKPOINT = "is not a checkpoint: open a .ckpt that `lightning-resnets fit` wrote, a .pth, a .safetensors or an .npz."


def describe_unsupported(head: bytes, suffix: str) -> str:
    """What a file is that is none of the forms we read, by its first 512 bytes."""
    if found := next(
        (words for magic, words in FOREIGN_FORMATS.items() if head.startswith(magic)), ""
    ):
        return found
    if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<":
        return "is a web page, not a checkpoint: download the file itself again."
    if head[257:262] == b"ustar":
        return TAR
    if suffix == ".onnx" or (head[:1] == b"\x08" and head[2:3] == b"\x12"):
        return ONNX
    return NOT_A_CHECKPOINT
