"""Any image file becomes RGB or raises; a model gets it exactly as in validation."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lightning_resnets.data.batches import Normalize
from lightning_resnets.errors import ImageError
from lightning_resnets.preprocessing import denormalize, preprocess, read_image, resize_and_crop

MEAN = (0.4914, 0.4822, 0.4465)
STD = (0.2470, 0.2435, 0.2616)
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


def make_empty_png(width: int, height: int) -> bytes:
    """Return a PNG that claims a size and has no pixels."""
    import struct
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

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


def test_preprocess_is_equal_to_normalize() -> None:
    image = RANDOM.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    images = torch.from_numpy(image).permute(2, 0, 1).unsqueeze(0)
    expected = Normalize(MEAN, STD, torch.device("cpu"))(images)
    assert torch.equal(preprocess(image, (3, 32, 32), MEAN, STD), expected)


def test_denormalize_is_the_inverse_of_preprocess() -> None:
    image = np.arange(256, dtype=np.uint8).repeat(12).reshape(32, 32, 3)
    np.testing.assert_array_equal(
        denormalize(preprocess(image, (3, 32, 32), MEAN, STD), MEAN, STD), image
    )


def test_one_channel_gets_gray() -> None:
    assert preprocess(IMAGE, (1, 28, 28), (0.5,), (0.5,)).shape == (1, 1, 28, 28)
    assert denormalize(preprocess(IMAGE, (1, 28, 28), (0.5,), (0.5,)), (0.5,), (0.5,)).shape == (
        28,
        28,
        3,
    )


def test_an_image_of_the_right_size_is_unchanged() -> None:
    assert resize_and_crop(IMAGE, (20, 30)) is IMAGE


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 90),
    st.integers(1, 90),
    st.integers(0, 255),
    st.sampled_from([(32, 32), (8, 24), (1, 1)]),
)
def test_any_size_is_resized_and_one_color_stays(
    height: int, width: int, value: int, size: tuple[int, int]
) -> None:
    pixels = resize_and_crop(np.full((height, width, 3), value, dtype=np.uint8), size)
    assert pixels.shape == (*size, 3)
    assert (pixels == value).all()


@pytest.mark.parametrize("shape", [(1, 5000), (5000, 1), (1, 1)])
def test_extreme_shapes_are_resized(shape: tuple[int, int]) -> None:
    assert resize_and_crop(np.zeros((*shape, 3), dtype=np.uint8), (32, 32)).shape == (32, 32, 3)


def test_the_center_is_cropped_and_antialiased() -> None:
    wide = np.zeros((64, 192, 3), dtype=np.uint8)
    wide[:, 64:128] = 200  # only the middle third is gray
    wide[:, 64:128:2] = 100  # in stripes that must blend
    pixels = resize_and_crop(wide, (32, 32)).astype(int)
    assert abs(pixels[:, 1:-1] - 150).max() <= 13
    mirrored = resize_and_crop(np.ascontiguousarray(wide[::-1, ::-1]), (32, 32))
    np.testing.assert_array_equal(mirrored[::-1, ::-1], resize_and_crop(wide, (32, 32)))


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)]
)
def test_arrays_other_than_rgb_bytes_raise(image: Any) -> None:
    with pytest.raises(ImageError, match="convert it to RGB"):
        resize_and_crop(image, (32, 32))


def test_bgr_order_is_that_of_caffe() -> None:
    mean, std = tuple(value / 255 for value in (103.939, 116.779, 123.68)), (1 / 255,) * 3
    values = preprocess(IMAGE, (3, *IMAGE.shape[:2]), mean, std, channel_order="BGR")
    # The means as Caffe writes them.
    expected = IMAGE[:, :, ::-1].astype(np.float64) - (103.939, 116.779, 123.68)
    np.testing.assert_allclose(values[0].permute(1, 2, 0).numpy(), expected, atol=1e-4)
    np.testing.assert_array_equal(denormalize(values, mean, std, "BGR"), IMAGE)


def test_an_image_of_the_scaled_size_is_only_cropped() -> None:
    wide = np.random.default_rng(0).integers(0, 256, (256, 341, 3), dtype=np.uint8)
    np.testing.assert_array_equal(resize_and_crop(wide, (224, 224), 0.875), wide[16:240, 58:282])


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_crop_pct_matches_torchvision(interpolation: str) -> None:
    from torchvision.transforms.v2 import InterpolationMode, functional

    smooth = resize_and_crop(
        np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8), (512, 512)
    )
    values = torch.from_numpy(smooth).permute(2, 0, 1).float()
    resized = functional.resize(values, [256], InterpolationMode(interpolation), antialias=True)
    expected = functional.center_crop(resized.clamp(0, 255), [224]).permute(1, 2, 0).numpy()
    assert (
        np.abs(resize_and_crop(smooth, (224, 224), 0.875, interpolation) - expected).max() <= 0.51
    )
