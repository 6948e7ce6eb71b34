"""Read a PNG's chunks: keep those with pixels, and find files that end early.

Chunks and passes are described in the PNG specification, https://www.w3.org/TR/png-3/.
"""

import struct
import zlib
from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"

# Pixels, palette, transparency and orientation; all else is text, color profiles and animation.
PIXEL_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"eXIf", b"IDAT", b"IEND")

SAMPLES_PER_PIXEL = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by color type

# First column and row, then the steps, of the seven passes of an interlaced image.
ADAM7 = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
NO_INTERLACING = ((0, 0, 1, 1),)

INFLATE_STEP = 2**16  # bytes of pixels that are held at once


def is_png(data: bytes) -> bool:
    """Return whether a file begins as a PNG.

    Args:
        data: content of the file.

    Returns:
        True if it does.
    """
    return data.startswith(SIGNATURE)


def keep_pixel_chunks(data: bytes) -> bytes:
    """Leave out text, color profiles and animation.

    Args:
        data: content of a PNG.

    Returns:
        A PNG with the same pixels.
    """
    kept = [whole for kind, whole, _ in _chunks(data) if kind in PIXEL_CHUNKS]
    return SIGNATURE + b"".join(kept)


def lacks_rows(data: bytes) -> bool:
    """Return whether a PNG has fewer pixels than its header says.

    Args:
        data: content of a PNG that Pillow accepts.

    Returns:
        True if the compressed stream ends early.
    """
    inflater = zlib.decompressobj()
    expected = 0
    found = 0
    for kind, _, body in _chunks(data):
        if kind == b"IHDR":
            expected = _num_raw_bytes(body)
        if kind != b"IDAT":
            continue
        pending = body
        # In steps: a small stream may unpack to gigabytes.
        while pending and found < expected:
            found += len(inflater.decompress(pending, INFLATE_STEP))
            pending = inflater.unconsumed_tail
    return found < expected


def _num_raw_bytes(header: bytes) -> int:
    """Return the number of bytes of all rows, each with its filter byte."""
    width, height, depth, color_type, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    bits = depth * SAMPLES_PER_PIXEL[color_type]
    passes = ADAM7 if interlaced else NO_INTERLACING
    total = 0
    for left, top, step_x, step_y in passes:
        # Rounded up; a pass of a small image may have no pixels.
        columns = (width - left + step_x - 1) // step_x
        rows = (height - top + step_y - 1) // step_y
        if columns > 0 and rows > 0:
            total += rows * (1 + (columns * bits + 7) // 8)
    return total


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Yield kind, whole chunk and body of each chunk, up to the end or the first cut one."""
    position = len(SIGNATURE)
    # Length, kind and checksum take 4 bytes each.
    while position + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        end = position + 12 + length
        if end > len(data):
            return
        kind = data[position + 4 : position + 8]
        yield kind, data[position:end], data[position + 8 : end - 4]
        position = end
