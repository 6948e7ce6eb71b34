"""Read any image file as RGB bytes, and say where a file is not quite whole."""

import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from lightning_resnets.errors import ImageError, ImageWarning
from lightning_resnets.utils import jpeg_repair, png_repair
from lightning_resnets.utils.arguments import check_path
from lightning_resnets.utils.format import printable_key

Pixels = NDArray[np.uint8]

# Pillow would read EPS too, but by calling another program.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")

MAX_FILE_BYTES = 200 * 2**20
MAX_PIXELS = 40_000_000

# A JPEG with longer sides is decoded at a fraction of its size, which is fast.
JPEG_DRAFT_SIDE = 4096

# A JPEG that lacks more pixels and more bytes than this counts as damaged.
MAX_MISSING_SHARE = 0.05
MAX_MISSING_BYTES = 64
BLOCK_PIXELS = 400  # of 16 by 16, whose colors reach into their neighbors
MIN_KNOWN_SHARE = 1e-3  # avoids a division by zero

GRAY_MODES = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")  # more than 8 bits per pixel


def read_image(source: str | Path | bytes) -> Pixels:
    """Read an image file as RGB.

    The image is turned upright (EXIF), deep pixels are scaled, transparency becomes white, and of
    an animation the first frame is taken. An ImageWarning says what was damaged and ignored.

    Args:
        source: path of the file, or its content.

    Returns:
        Pixels, uint8 (H, W, 3).

    Raises:
        ImageError: the file does not exist, is too large, damaged or not an image.
    """
    label, data = _load(source)
    # Pillow raises anything from SyntaxError to struct.error for damaged files.
    try:
        pixels, note = _decode_or_repair(data)
    except Exception as error:
        raise _describe_failure(label, error) from error
    if note:
        # stacklevel 2 points to the line that reads the image.
        warnings.warn(f"{label[:1].upper()}{label[1:]}: {note}", ImageWarning, stacklevel=2)
    return pixels


def _load(source: str | Path | bytes) -> tuple[str, bytes]:
    """Return the name of a file for messages, and its content."""
    label = "this file"
    data = source
    if not isinstance(data, bytes):
        path = check_path("source", source, ImageError)
        label = f"'{printable_key(path.name)}'"
        data = _read_bytes(path)
    if not data:
        raise ImageError(f"Cannot read {label}: it is empty. Choose another image.")
    return label, data


def _describe_failure(label: str, error: Exception) -> ImageError:
    """Say why an image cannot be read, in one sentence that begins with its name."""
    if isinstance(error, ImageError):
        return ImageError(f"Cannot read {label}: {error}")
    if isinstance(error, Image.UnidentifiedImageError):
        return ImageError(
            f"Cannot read {label} as an image. Supported formats: PNG, JPEG, WebP, GIF, BMP, TIFF."
        )
    if isinstance(error, Image.DecompressionBombError):
        return ImageError(f"Cannot read {label}: it has too many pixels. Make the image smaller.")
    return ImageError(
        f"Cannot read {label}: the image is damaged. Choose another or save it again."
    )


def _decode_or_repair(data: bytes) -> tuple[Pixels, str]:
    """Decode an image; where Pillow fails, try again without what is not needed.

    Returns:
        The pixels, and a note on what was ignored.
    """
    try:
        return _decode(data), ""
    except (ImageError, Image.DecompressionBombError):
        raise
    # Any kind of exception, as above.
    except Exception as error:
        if png_repair.is_png(data):
            return _decode_bare_png(data, error)
        if jpeg_repair.is_jpeg(data):
            return _decode_short_jpeg(data, error)
        raise


def _decode_bare_png(data: bytes, error: Exception) -> tuple[Pixels, str]:
    """Decode a PNG without its text and profiles; raise the error if that does not help."""
    try:
        # Such as a color profile or a comment that would take too much memory.
        pixels = _decode(png_repair.keep_pixel_chunks(data))
    except ImageError:
        raise
    except Exception:  # noqa: BLE001 - the first error says what is wrong
        raise error from None
    return pixels, "its color profile or comments cannot be read and were ignored."


def _decode_short_jpeg(data: bytes, error: Exception) -> tuple[Pixels, str]:
    """Decode a JPEG whose last bytes are missing; raise the error if much of it is."""
    if not jpeg_repair.has_all_scans(data):
        raise error
    pixels = _decode(jpeg_repair.end_with(data, b""))
    # What depends on the missing bytes changes with their replacement.
    other = _decode(jpeg_repair.end_with(data, jpeg_repair.NOISE))
    share = float((pixels != other).any(2).mean())
    # A small or flat image has few bytes, so that its last ones are many of its pixels. One block
    # is lost as a whole with its last byte.
    whole = max(0.0, share - BLOCK_PIXELS / pixels[:, :, 0].size)
    num_bytes = jpeg_repair.last_scan_size(data) * whole / max(1 - whole, MIN_KNOWN_SHARE)
    if share > MAX_MISSING_SHARE and num_bytes > MAX_MISSING_BYTES:
        raise error
    return pixels, f"its last bytes are missing ({share:.1%} of the pixels)."


def _decode(data: bytes) -> Pixels:
    """Decode an image file; raise ImageError if it has too many pixels or too few rows."""
    with _without_pillow_warnings(), Image.open(io.BytesIO(data), formats=FORMATS) as image:
        if image.width * image.height > MAX_PIXELS:
            raise ImageError(
                f"{image.width} x {image.height} pixels are more than "
                f"{MAX_PIXELS // 10**6} million. Make the image smaller."
            )
        image.draft(None, (JPEG_DRAFT_SIDE, JPEG_DRAFT_SIDE))
        image.load()
        if image.format == "PNG" and _ends_black(image) and png_repair.lacks_rows(data):
            raise ImageError("the file ends early and rows are missing. Save it again.")
        return _to_rgb(ImageOps.exif_transpose(image))


def _ends_black(image: Image.Image) -> bool:
    """Return whether one of the last two rows is all zeros, as rows that were never read are."""
    # Two, because the rows of an interlaced image alternate between passes.
    top = max(0, image.height - 2)
    rows = np.asarray(image.crop((0, top, image.width, image.height)))
    is_zero = (rows.reshape(len(rows), -1) == 0).all(1)
    return bool(is_zero.any())


_warnings_lock = threading.Lock()
_num_silenced = 0
_silencer: warnings.catch_warnings | None = None


@contextmanager
def _without_pillow_warnings() -> Iterator[None]:
    """Hide Pillow's warnings of images that are large or slightly damaged; both are handled here.

    Images are decoded in threads, and warning filters belong to the process: the first thread
    changes them and the last one restores them.
    """
    global _num_silenced, _silencer
    with _warnings_lock:
        if _num_silenced == 0:
            _silencer = warnings.catch_warnings()
            # By hand, because another thread may be the one that leaves it.
            _silencer.__enter__()
            warnings.filterwarnings("ignore", module=r"PIL(\.|$)")
        _num_silenced += 1
    try:
        yield
    finally:
        with _warnings_lock:
            _num_silenced -= 1
            if _num_silenced == 0 and _silencer is not None:
                _silencer.__exit__(None, None, None)
                _silencer = None


def _read_bytes(path: Path) -> bytes:
    """Read a file; raise ImageError if it is missing, not a file, or too large."""
    try:
        if path.is_dir():
            raise ImageError(f"'{path}' is a folder, not an image: choose a file in it.")
        # Reading a pipe or a device might never end.
        if path.exists() and not path.is_file():
            raise ImageError(f"'{path}' is not a regular file: choose an image.")
        if path.stat().st_size > MAX_FILE_BYTES:
            limit = MAX_FILE_BYTES // 2**20
            raise ImageError(f"'{path.name}' is larger than {limit} MB: choose a smaller image.")
        return path.read_bytes()
    except FileNotFoundError:
        raise ImageError(f"There is no file '{path}': check the name.") from None
    except OSError as error:
        raise ImageError(
            f"Cannot read '{path}' ({error.strerror}): check its permissions."
        ) from error


def _to_rgb(image: Image.Image) -> Pixels:
    """Convert an image of any mode to RGB bytes, with white behind transparency."""
    if image.mode in GRAY_MODES:
        gray = _scale_to_bytes(np.asarray(image))
        return np.repeat(gray[:, :, None], 3, axis=2)
    # Such as RGBA, or a palette with a transparent color.
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image)
    return np.asarray(image.convert("RGB"), dtype=np.uint8)


def _scale_to_bytes(values: NDArray[np.generic]) -> Pixels:
    """Scale 0..65535, or floats in 0..1, to 0..255; stretch values outside from min to max."""
    numbers = values.astype(np.float64)
    finite = numbers[np.isfinite(numbers)]
    low = 0.0
    high = 65535.0
    if values.dtype.kind == "f":
        high = 1.0
    if finite.size and (finite.min() < low or finite.max() > high):
        low = float(finite.min())
        # Not zero where all values are equal.
        high = max(float(finite.max()), low + 1)
    fractions = (np.nan_to_num(numbers, nan=low, posinf=high, neginf=low) - low) / (high - low)
    return (fractions * 255).round().astype(np.uint8)
