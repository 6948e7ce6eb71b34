"""A model gets an image exactly as in validation, and it can be turned back."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_resnets.data.batches import Normalize
from lightning_resnets.errors import ImageError
from lightning_resnets.preprocessing import denormalize, preprocess, resize_and_crop

MEAN = (0.4914, 0.4822, 0.4465)
STD = (0.2470, 0.2435, 0.2616)
RANDOM = np.random.default_rng(0)
IMAGE = RANDOM.integers(0, 256, (20, 30, 3), dtype=np.uint8)


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
