"""Test that invalid images and labels raise one clear message."""

from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_resnets.analysis.lesion import lesion
from lightning_resnets.analysis.result import LabeledImages
from lightning_resnets.errors import AnalysisError
from lightning_resnets.models.registry import create_model

IMAGES, LABELS = torch.zeros(4, 3, 8, 8), torch.arange(4)


@pytest.mark.parametrize("labels", [LABELS, LABELS.int(), LABELS.to(torch.uint8)])
@pytest.mark.parametrize("images", [IMAGES, IMAGES.half(), IMAGES[:, :1]])
def test_images_of_any_dtype_and_channels(images: Tensor, labels: Tensor) -> None:
    labeled = LabeledImages(images, labels)
    assert len(labeled) == 4
    assert [tuple(batch.shape) for batch, _ in labeled.batches(3)] == [
        (3, *images.shape[1:]),
        (1, *images.shape[1:]),
    ]


@pytest.mark.parametrize(
    ("images", "labels", "sentence"),
    [
        (
            IMAGES.byte(),
            LABELS,
            r"^images must be .*, got a uint8 tensor of shape \(4, 3, 8, 8\)\.$",
        ),
        (
            IMAGES[0],
            LABELS,
            r"^images must be .* float tensor \(N, C, H, W\), .* of shape \(3, 8, 8\)\.$",
        ),
        (IMAGES.numpy(), LABELS, r"^images must be .*, got a ndarray\.$"),
        (IMAGES[:0], LABELS[:0], r"^At least one image is required, got none\.$"),
        (
            IMAGES,
            LABELS[:3],
            r"^labels must be .* of shape \(4,\), .* got a int64 tensor of shape \(3,\)\.$",
        ),
        (IMAGES, LABELS[:, None], r"^labels must be .* shape \(4, 1\)\.$"),
        (
            IMAGES,
            LABELS.float(),
            r"^labels must be an integer tensor .* float32",
        ),
        (IMAGES, LABELS > 1, r"^labels must be .*, got a bool tensor"),
        (IMAGES, [0, 1, 2, 3], r"^labels must be .*, got a list\.$"),
        (IMAGES, LABELS - 1, r"^labels must be 0 or more, got -1\.$"),
    ],
)
def test_invalid_images_and_labels_raise(images: Any, labels: Any, sentence: str) -> None:
    with pytest.raises(AnalysisError, match=sentence):
        LabeledImages(images, labels)


def test_tensor_without_labels_raises() -> None:
    images: Any = IMAGES
    with pytest.raises(
        AnalysisError,
        match=r"^images must be LabeledImages\(images, labels\), got a float32 tensor of shape",
    ):
        lesion(create_model("resnet20"), images)


def test_from_loader_takes_the_first_images() -> None:
    images = LabeledImages.from_loader([(IMAGES, LABELS), (IMAGES + 1, LABELS)], 6)
    assert images.labels.tolist() == [0, 1, 2, 3, 0, 1]
    assert images.images.mean((1, 2, 3)).tolist() == [0, 0, 0, 0, 1, 1]
    with pytest.raises(AnalysisError, match=r"^At least one image is required"):
        LabeledImages.from_loader([])
