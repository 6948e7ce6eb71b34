"""Read the opcodes of a pickle and their arguments; a long argument is charged before it is made.

`pickletools` documents every opcode and its argument.
"""

import pickletools
from typing import Any, BinaryIO

import numpy as np

from lightning_resnets.formats.budget import PAGE_BYTES, Budget

OPCODES = {opcode.code.encode("latin-1"): opcode for opcode in pickletools.opcodes}

# Bytes of the length in front of a text.
TEXT_LENGTH_BYTES = {"SHORT_BINUNICODE": 1, "BINUNICODE": 4, "BINUNICODE8": 8}

# In UTF-8 these bytes begin a character above 255, above 65,535.
FIRST_WIDE_BYTE = 0xC4
FIRST_ASTRAL_BYTE = 0xF0


def read_opcode(stream: BinaryIO) -> pickletools.OpcodeInfo:
    """Read the next opcode.

    Args:
        stream: positioned at an opcode.

    Returns:
        Its description.

    Raises:
        KeyError: there is no such opcode, or the stream has ended.
    """
    return OPCODES[stream.read(1)]


def read_argument(opcode: pickletools.OpcodeInfo, stream: BinaryIO, budget: Budget) -> Any:
    """Read the argument of an opcode.

    Args:
        opcode: the opcode.
        stream: positioned behind the opcode.
        budget: charged for texts and bytes.

    Returns:
        The argument, or None if the opcode has none.

    Raises:
        ValueError: the argument is invalid, or the stream ends inside it.
        UnsupportedFileError: the argument is too long.
    """
    if opcode.arg is None:
        return None
    if length_bytes := TEXT_LENGTH_BYTES.get(opcode.name):
        return _read_text(stream, length_bytes, budget)
    if opcode.name == "UNICODE":
        return _read_escaped_line(stream, budget)
    argument = opcode.arg.reader(stream)
    if isinstance(argument, (str, bytes, bytearray)):
        budget.allocate(len(argument))
    return argument


def _read_text(stream: BinaryIO, length_bytes: int, budget: Budget) -> str:
    """Read a text of UTF-8 behind its own length."""
    length = int.from_bytes(stream.read(length_bytes), "little")
    # The stream bounds what a claimed length allocates.
    data = stream.read(length)
    if len(data) < length:
        raise ValueError
    budget.allocate(_decoded_bytes(data))
    return str(data, "utf-8", "surrogatepass")


def _read_escaped_line(stream: BinaryIO, budget: Budget) -> str:
    """Read a line of raw Unicode escapes."""
    line = stream.readline()
    # Each of its letters takes at most 4 bytes.
    budget.allocate(4 * len(line))
    return str(line.removesuffix(b"\n"), "raw-unicode-escape")


def _decoded_bytes(data: bytes) -> int:
    """Return an upper bound of the memory of a text: one wide character widens all others."""
    # Short texts are bounded by their number.
    if len(data) < PAGE_BYTES:
        return len(data)
    widest = np.frombuffer(data, np.uint8).max()
    if widest < FIRST_WIDE_BYTE:
        return len(data)
    if widest < FIRST_ASTRAL_BYTE:
        return 2 * len(data)
    return 4 * len(data)
