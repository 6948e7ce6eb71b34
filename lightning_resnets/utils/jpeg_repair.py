"""Complete a JPEG whose last bytes are missing, and tell whether all its scans have begun.

Markers and progressive scans are described in ITU-T T.81, annexes B and G.
"""

import re
import struct
from collections.abc import Iterator
from itertools import product

START = b"\xff\xd8"
END = b"\xff\xd9"

# Bytes that decode to some other pixels; 0xFF would begin a marker.
NOISE = bytes((index * 37 + 11) % 255 for index in range(4096))

PROGRESSIVE = 0xC2  # marker of the frame
SCAN = 0xDA
LAST_COEFFICIENT = 63
# A marker in a scan; stuffed zeros and restarts belong to the scan.
NEXT_MARKER_RE = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


def is_jpeg(data: bytes) -> bool:
    """Return whether a file begins as a JPEG.

    Args:
        data: content of the file.

    Returns:
        True if it does.
    """
    return data.startswith(START)


def end_with(data: bytes, replacement: bytes) -> bytes:
    """Replace the missing end of a JPEG.

    Args:
        data: content of a JPEG that is cut in its last scan.
        replacement: bytes in place of those that are missing.

    Returns:
        A JPEG that a decoder reads to its end.
    """
    # A lone 0xFF would make the first byte of the replacement a marker.
    return data.rstrip(b"\xff") + replacement + END


def last_scan_size(data: bytes) -> int:
    """Return the number of bytes of the last scan that are in a JPEG.

    Args:
        data: content of a JPEG that is cut in its last scan.

    Returns:
        The number of bytes behind the scan's header; 0 without a scan.
    """
    size = 0
    for marker, _, end in _segments(data):
        if marker == SCAN:
            size = len(data) - end
    return size


def has_all_scans(data: bytes) -> bool:
    """Return whether every coefficient has its last bit in a scan that has begun.

    A baseline JPEG has one scan. The scans of a progressive one refine the coefficients of its
    components bit by bit.

    Args:
        data: content of a JPEG.

    Returns:
        False if scans are missing, or if the file is too damaged to tell.
    """
    try:
        return _has_all_scans(data)
    # A header that is cut.
    except (IndexError, ValueError, struct.error):
        return False


def _has_all_scans(data: bytes) -> bool:
    """Do the work of `has_all_scans`; raise IndexError, ValueError or struct.error if damaged."""
    # (component, coefficient) -> lowest bit so far
    lowest_bit = dict[tuple[int, int], int]()
    components = list[int]()
    is_progressive = False
    num_scans = 0
    for marker, body, _ in _segments(data):
        if 0xC0 <= marker <= 0xC2:
            is_progressive = marker == PROGRESSIVE
            components = [body[6 + 3 * index] for index in range(body[5])]
        if marker == SCAN:
            num_scans += 1
            _note_scan(body, lowest_bit)
    if not is_progressive:
        return num_scans > 0
    # A coefficient is complete once a scan has sent its bit 0.
    expected = set(product(components, range(LAST_COEFFICIENT + 1)))
    complete = {key for key, bit in lowest_bit.items() if bit == 0}
    return bool(components) and expected <= complete


def _note_scan(body: bytes, lowest_bit: dict[tuple[int, int], int]) -> None:
    """Note the coefficients and the bit that a scan's header names."""
    count = body[0]
    first, last, bits = body[1 + 2 * count : 4 + 2 * count]
    for index in range(count):
        for coefficient in range(first, last + 1):
            lowest_bit[body[1 + 2 * index], coefficient] = bits & 15


def _segments(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Yield marker, body and end of each segment, up to the end or the first cut one."""
    position = len(START)
    while position + 4 <= len(data):
        marker = data[position + 1]
        (length,) = struct.unpack_from(">H", data, position + 2)
        end = position + 2 + length
        if data[position] != 0xFF or end > len(data):
            return
        yield marker, data[position + 4 : end], end
        if marker == SCAN:
            found = NEXT_MARKER_RE.search(data, end)
            if found is None:
                return
            end = found.start()
        position = end
