"""Test decoding and cropping against PIL and torchvision, unusual files, and random draws."""

import io
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from PIL import Image

from lightning_resnets.data import random_resized_crop as crops
from lightning_resnets.data.random_resized_crop import (
    decode_downscaled,
    decode_image,
    random_resized_crop,
    random_resized_crop_box,
)
from lightning_resnets.errors import ImageError
from lightning_resnets.utils.image_files import read_image
from tests.helpers.imagenet_images import photographs


def smooth(width: int = 700, height: int = 500) -> Image.Image:
    """Return an image without fine detail, so that all resampling methods agree."""
    rows, columns = np.mgrid[0:height, 0:width]
    waves = [np.sin(columns / 40), np.cos(rows / 50), np.sin((rows + columns) / 60)]
    return Image.fromarray((127 + 120 * np.stack(waves, 2)).astype(np.uint8))


def jpeg_of(image: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", **options)
    return file.getvalue()


def test_real_pictures_are_decoded_as_PIL_does() -> None:
    for file in sorted(photographs().glob("*/*"))[::50]:
        assert torch.equal(
            decode_image(file.read_bytes()).permute(1, 2, 0),
            torch.from_numpy(read_image(file).copy()),
        )


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_all_kinds_of_JPEG_and_a_PNG_are_decoded_as_PIL_does(mode: str) -> None:
    image = smooth(80, 60).convert(mode)
    turned = Image.Exif()
    turned[crops.EXIF_ORIENTATION] = 6
    for data in (jpeg_of(image), jpeg_of(image, progressive=True), jpeg_of(image, exif=turned)):
        assert np.array_equal(decode_image(data).permute(1, 2, 0), read_image(data))
    file = io.BytesIO()
    smooth(80, 60).save(file, "PNG")
    assert np.array_equal(
        decode_image(file.getvalue()).permute(1, 2, 0), np.asarray(smooth(80, 60))
    )


def test_without_torchvisions_decoder_the_pixels_are_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = jpeg_of(smooth(80, 60))
    expected = decode_image(data)
    monkeypatch.delattr("torchvision.io.decode_jpeg")
    assert torch.equal(decode_image(data), expected)


def test_a_crop_is_scaled_as_torchvision_does() -> None:
    from torchvision.transforms.v2 import functional

    data, side = jpeg_of(smooth()), 64
    for seed in range(6):
        rng = Random(seed)
        left, top, wide, high = random_resized_crop_box(700, 500, rng)
        expected = functional.resized_crop(
            decode_image(data), top, left, high, wide, [side, side], antialias=True
        )
        expected = expected.flip(-1) if rng.random() < 0.5 else expected
        image = random_resized_crop(data, side, Random(seed))
        assert torch.equal(image[0], expected)
        assert image.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(("width", "height"), [(500, 375), (300, 300), (900, 90), (90, 900)])
def test_parts_are_drawn_as_torchvision_draws_them(width: int, height: int) -> None:
    from torchvision.transforms import RandomResizedCrop

    torch.manual_seed(0)
    rng, image = Random(0), torch.empty(3, height, width)
    theirs = [RandomResizedCrop.get_params(image, [0.08, 1.0], [3 / 4, 4 / 3]) for _ in range(4000)]
    own = torch.tensor([random_resized_crop_box(width, height, rng) for _ in range(4000)]).float()
    expected = torch.tensor([(left, top, wide, high) for top, left, high, wide in theirs]).float()
    assert (own[:, 2] + own[:, 0]).max() <= width
    assert (own[:, 3] + own[:, 1]).max() <= height
    assert torch.allclose(own.mean(0), expected.mean(0), atol=0.02 * max(width, height))
    assert torch.allclose(own.std(0), expected.std(0), atol=0.02 * max(width, height))


def test_the_least_share_is_kept() -> None:
    rng = Random(0)
    shares = [
        wide * high / 120_000
        for _, _, wide, high in (random_resized_crop_box(400, 300, rng, 0.5) for _ in range(500))
    ]
    assert min(shares) > 0.49


def test_large_pictures_are_decoded_coarsely_and_look_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data, halves = jpeg_of(smooth(), quality=95), 0
    for seed in range(20):
        rng = Random(seed)
        wide, high = random_resized_crop_box(700, 500, Random(seed))[2:]
        part = decode_downscaled(data, 64, rng, 0.08)
        if part is None:
            assert min(wide, high) < 128
            assert rng.getstate() == Random(seed).getstate(), "the other way must draw the same"
            continue
        halves += 1
        assert min(part.shape[1:]) >= 63
        fine = random_resized_crop(data, 64, Random(seed))
        monkeypatch.setattr(crops, "DRAFT_MIN_BYTES", 0)
        coarse = random_resized_crop(data, 64, Random(seed))
        monkeypatch.undo()
        assert (fine.float() - coarse.float()).abs().mean() < 6  # half a coarse pixel aside
    assert halves > 5


def test_what_is_no_picture_gets_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = jpeg_of(smooth())
    for large in (0, crops.DRAFT_MIN_BYTES):
        monkeypatch.setattr(crops, "DRAFT_MIN_BYTES", large)
        with pytest.raises(ImageError, match="Cannot read this file: the image is damaged"):
            random_resized_crop(whole[: len(whole) // 2], 32, Random(0))
        with pytest.raises(ImageError, match="Cannot read this file as an image"):
            random_resized_crop(b"no image", 32, Random(0))
        with pytest.raises(ImageError, match="Cannot read this file: it is empty"):
            random_resized_crop(b"", 32, Random(0))
