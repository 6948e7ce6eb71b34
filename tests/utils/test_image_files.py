"""Any image file becomes RGB or raises, and what is not whole is said."""

import io
import struct
import threading
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lightning_resnets.errors import ImageError, ImageWarning
from lightning_resnets.utils.image_files import read_image

RANDOM = np.random.default_rng(0)
IMAGE = RANDOM.integers(0, 256, (20, 30, 3), dtype=np.uint8)


def encode(image: Image.Image, image_format: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, image_format, **options)
    return file.getvalue()


@pytest.mark.parametrize("image_format", ["PNG", "BMP", "TIFF", "PPM"])
def test_lossless_formats_keep_every_pixel(image_format: str) -> None:
    np.testing.assert_array_equal(read_image(encode(Image.fromarray(IMAGE), image_format)), IMAGE)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_upright(orientation: int) -> None:
    stored = {
        1: IMAGE,
        2: IMAGE[:, ::-1],
        3: IMAGE[::-1, ::-1],
        4: IMAGE[::-1],
        5: IMAGE.swapaxes(0, 1),
        6: IMAGE.swapaxes(0, 1)[::-1],
        7: IMAGE[::-1, ::-1].swapaxes(0, 1),
        8: IMAGE.swapaxes(0, 1)[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(Image.fromarray(np.ascontiguousarray(stored)), exif=exif)
    np.testing.assert_array_equal(read_image(data), IMAGE)


def test_sixteen_bits_keep_their_range() -> None:
    gray = np.linspace(0, 65535, 256).reshape(16, 16).astype(np.uint16)
    pixels = read_image(encode(Image.fromarray(gray)))
    np.testing.assert_array_equal(pixels[:, :, 0], np.arange(256).reshape(16, 16))
    assert (pixels == pixels[:, :, :1]).all()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),
        ([-1.0, 0.0, 1.0], [0, 128, 255]),
        ([0.0, 100.0, 200.0], [0, 128, 255]),
        ([0.0, np.nan, np.inf], [0, 0, 255]),
        ([300.0, 300.0, 300.0], [0, 0, 0]),
    ],
)
def test_float_pixels_are_scaled(values: list[float], expected: list[int]) -> None:
    data = encode(Image.fromarray(np.array([values], dtype=np.float32)), "TIFF")
    assert read_image(data)[0, :, 0].tolist() == expected


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_becomes_white(mode: str) -> None:
    image = Image.new("RGBA", (2, 1), (0, 0, 0, 255))
    image.putpixel((1, 0), (90, 0, 90, 0))
    if mode == "P":
        image = image.convert("RGB").convert("P")
        clear = image.getpixel((1, 0))
        data = encode(image, transparency=clear)
    else:
        data = encode(image.convert(mode))
    assert read_image(data)[0].tolist() == [[0, 0, 0], [255, 255, 255]]


def test_half_transparency_becomes_half_white() -> None:
    assert read_image(encode(Image.new("RGBA", (1, 1), (0, 0, 0, 128))))[0, 0].tolist() == [
        127,
        127,
        127,
    ]


@pytest.mark.parametrize(
    ("mode", "image_format"),
    [("CMYK", "JPEG"), ("L", "JPEG"), ("1", "PNG"), ("I", "TIFF"), ("P", "GIF")],
)
def test_other_modes_are_read(mode: str, image_format: str) -> None:
    assert read_image(encode(Image.new(mode, (5, 4)), image_format)).shape == (4, 5, 3)


def test_first_frame_of_an_animation_with_a_wrong_suffix(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "blue")]
    path = tmp_path / "moves.jpg"
    path.write_bytes(encode(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert read_image(path)[0, 0].tolist() == [255, 0, 0]


def chunk(kind: bytes, body: bytes) -> bytes:
    """Return a PNG chunk."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def make_empty_png(width: int, height: int) -> bytes:
    """Return a PNG that claims a size and has no pixels."""
    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", size)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


JPEG = encode(Image.fromarray(IMAGE), "JPEG")
PNG = encode(Image.fromarray(IMAGE))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "Cannot read this file: it is empty"),
        (b"hello, this is text", "Cannot read this file as an image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "Cannot read this file as an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "Cannot read this file as an image"),
        (b"%PDF-1.7\n", "Cannot read this file as an image"),
        (JPEG[:300], "as an image|damaged"),
        (PNG[: len(PNG) // 2], "damaged"),
        (PNG[:60] + bytes(8) + PNG[68:], "damaged"),
        (make_empty_png(9000, 9000), "9000 x 9000 pixels are more than 40 million"),
        (make_empty_png(30000, 30000), "too many pixels|more than 40 million"),
        (make_empty_png(10, 10), "damaged"),
    ],
)
def test_invalid_images_raise(data: bytes, message: str) -> None:
    with pytest.raises(ImageError, match=message) as caught:
        read_image(data)
    assert "\n" not in str(caught.value)


def test_missing_files_and_folders_raise(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="There is no file"):
        read_image(tmp_path / "none.png")
    with pytest.raises(ImageError, match="is a folder"):
        read_image(tmp_path)
    (tmp_path / "notes.png").write_text("milk, eggs")
    with pytest.raises(ImageError, match=r"Cannot read 'notes.png' as an image"):
        read_image(str(tmp_path / "notes.png"))


def split_png(data: bytes) -> tuple[bytes, bytes]:
    """Return a PNG up to its pixels, and its rows before compression."""
    start = data.index(b"IDAT") - 4
    end = data.index(b"IEND") - 4
    stream = b""
    while start < end:
        (length,) = struct.unpack_from(">I", data, start)
        stream += data[start + 8 : start + 8 + length]
        start += length + 12
    return data[: data.index(b"IDAT") - 4], zlib.decompress(stream)


def smooth_image(width: int, height: int) -> Image.Image:
    """Return noise at a quarter of the size, scaled up: it compresses like a photograph."""
    noise = RANDOM.integers(0, 256, (height // 4, width // 4, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "1"])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.95])
def test_png_whose_pixels_end_early_raises(mode: str, share: float) -> None:
    image = Image.fromarray(RANDOM.integers(0, 256, (40, 60, 3), dtype=np.uint8)).convert(mode)
    start, rows = split_png(encode(image))
    # The stream is valid and complete, but has too few rows.
    short = rows[: int(len(rows) * share)]
    data = start + chunk(b"IDAT", zlib.compress(short)) + chunk(b"IEND", b"")
    with pytest.raises(ImageError, match=r"ends early|damaged"):
        read_image(data)


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (8, 8), (33, 17)])
@pytest.mark.parametrize("mode", ["RGB", "L", "1", "I;16"])
def test_black_images_are_whole(size: tuple[int, int], mode: str) -> None:
    assert not read_image(encode(Image.new(mode, size))).any()


def interlace(pixels: np.ndarray) -> bytes:
    """Return the rows of an interlaced RGB PNG, pass after pass."""
    starts = ((0, 0), (0, 4), (4, 0), (0, 2), (2, 0), (0, 1), (1, 0))
    steps = ((8, 8), (8, 8), (8, 4), (4, 4), (4, 2), (2, 2), (2, 1))
    rows = b""
    for (top, left), (step_y, step_x) in zip(starts, steps, strict=True):
        part = pixels[top::step_y, left::step_x]
        if part.size:
            rows += b"".join(b"\0" + row.tobytes() for row in part)
    return rows


@pytest.mark.parametrize("height", [19, 20])
def test_interlaced_pngs_are_whole_or_raise(height: int) -> None:
    pixels = RANDOM.integers(1, 256, (height, 30, 3), dtype=np.uint8)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 30, height, 8, 2, 0, 0, 1))
    rows = interlace(pixels)
    for kept, is_whole in ((len(rows), True), (len(rows) // 2, False), (len(rows) // 8, False)):
        stream = chunk(b"IDAT", zlib.compress(rows[:kept]))
        data = b"\x89PNG\r\n\x1a\n" + header + stream + chunk(b"IEND", b"")
        if is_whole:
            np.testing.assert_array_equal(read_image(data), pixels)
        else:
            with pytest.raises(ImageError, match=r"ends early|damaged"):
                read_image(data)


@pytest.mark.parametrize(
    ("kind", "start"), [(b"iCCP", b"icc\0\0"), (b"zTXt", b"Comment\0\0"), (b"iCCP", b"")]
)
def test_png_with_an_unreadable_profile_or_comment_is_read(kind: bytes, start: bytes) -> None:
    data = encode(Image.fromarray(IMAGE))
    # 80 MB of zeros in 80 kB.
    body = start + zlib.compress(bytes(80 * 2**20)) if start else b"cut"
    position = data.index(b"IDAT") - 4
    with pytest.warns(ImageWarning, match="color profile or comments cannot be read"):
        pixels = read_image(data[:position] + chunk(kind, body) + data[position:])
    np.testing.assert_array_equal(pixels, IMAGE)


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"subsampling": 0}, {"quality": 40}], ids=str
)
@pytest.mark.parametrize("missing", [1, 2, 20])
def test_jpeg_without_its_last_bytes_is_read(options: dict[str, Any], missing: int) -> None:
    image = smooth_image(320, 240)
    whole = encode(image, "JPEG", **options)
    with pytest.warns(ImageWarning, match=r"its last bytes are missing \(\d.\d% of the pixels\)"):
        pixels = read_image(whole[:-missing])
    expected = np.asarray(Image.open(io.BytesIO(whole)).convert("RGB"))
    # All above the last row of blocks is equal; a progressive file lacks the last bit of some.
    difference = np.abs(pixels[:-17].astype(int) - expected[:-17].astype(int))
    assert difference.max() <= (24 if options.get("progressive") else 0)
    assert difference.mean() < 0.1


@pytest.mark.parametrize("size", [32, 64, 224])
@pytest.mark.parametrize("progressive", [False, True])
def test_small_jpegs_without_their_last_bytes_are_read(size: int, progressive: bool) -> None:
    image = Image.fromarray(RANDOM.integers(0, 256, (size, size, 3), dtype=np.uint8))
    whole = encode(image, "JPEG", progressive=progressive)
    expected = read_image(whole).astype(int)
    with pytest.warns(ImageWarning, match="its last bytes are missing"):
        pixels = read_image(whole[:-20])
    # Only blocks of the last row depend on so few bytes, and their neighbors' colors.
    assert np.abs(pixels - expected)[: size - 17].max(initial=0) <= 24


def test_flat_jpeg_without_its_last_bytes_is_read() -> None:
    whole = encode(Image.new("RGB", (224, 224), (200, 40, 90)), "JPEG")
    with pytest.warns(ImageWarning, match="its last bytes are missing"):
        pixels = read_image(whole[:-20])
    assert np.abs(pixels[:-17].astype(int) - (200, 40, 90)).max() <= 2


@pytest.mark.parametrize("options", [{}, {"progressive": True}], ids=str)
@pytest.mark.parametrize("share", [0.05, 0.3, 0.5, 0.9])
def test_jpeg_that_lacks_more_raises(options: dict[str, Any], share: float) -> None:
    whole = encode(smooth_image(320, 240), "JPEG", **options)
    with pytest.raises(ImageError, match=r"damaged|as an image"):
        read_image(whole[: int(len(whole) * share)])


def test_threads_leave_the_warning_filters_as_they_were() -> None:
    data = encode(Image.fromarray(IMAGE))
    before = list(warnings.filters)
    barrier = threading.Barrier(8)

    def read(_: int) -> None:
        barrier.wait()
        for _ in range(20):
            read_image(data)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(read, range(8)))
    assert list(warnings.filters) == before


def test_warning_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "holiday.jpg"
    path.write_bytes(encode(smooth_image(320, 240), "JPEG")[:-5])
    with pytest.warns(ImageWarning, match=r"^'holiday.jpg': its last bytes are missing"):
        read_image(path)
