"""Images for an analysis: what is none is said in one sentence when they are put together."""

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
def test_pictures_of_any_precision_and_channels(pixels: Tensor, labels: Tensor) -> None:
    images = LabeledImages(pixels, labels)
    assert len(images) == 4
    assert [tuple(batch.shape) for batch, _ in images.batches(3)] == [
        (3, *pixels.shape[1:]),
        (1, *pixels.shape[1:]),
    ]


@pytest.mark.parametrize(
    ("images", "labels", "sentence"),
    [
        (
            IMAGES.byte(),
            LABELS,
            r"^Images are a float .*, not a tensor of uint8 and shape \(4, 3, 8, 8\)\.$",
        ),
        (
            IMAGES[0],
            LABELS,
            r"^Images are a float tensor \(N, C, H, W\) .* and shape \(3, 8, 8\)\.$",
        ),
        (IMAGES.numpy(), LABELS, r"^Images are a float tensor .*, not a ndarray\.$"),
        (IMAGES[:0], LABELS[:0], r"^There is no image to look at: give one or more\.$"),
        (
            IMAGES,
            LABELS[:3],
            r"^The labels of 4 images .*, not a tensor of int64 and shape \(3,\)\.$",
        ),
        (IMAGES, LABELS[:, None], r"^The labels of 4 images .* shape \(4, 1\)\.$"),
        (
            IMAGES,
            LABELS.float(),
            r"^The labels of 4 images are a tensor of as many whole numbers, not .* float32",
        ),
        (IMAGES, LABELS > 1, r"^The labels of 4 images .*, not a tensor of bool"),
        (IMAGES, [0, 1, 2, 3], r"^The labels of 4 images .*, not a list\.$"),
        (IMAGES, LABELS - 1, r"^Labels are counted from 0: there is no class -1\.$"),
    ],
)
def test_what_are_no_pictures(images: Any, labels: Any, sentence: str) -> None:
    with pytest.raises(AnalysisError, match=sentence):
        LabeledImages(images, labels)


def test_a_tensor_alone_is_no_pictures() -> None:
    images: Any = IMAGES
    with pytest.raises(
        AnalysisError,
        match=r"^This takes Images\(images, labels\), not a tensor of float32 and shape",
    ):
        lesion(create_model("resnet20"), images)


def test_of_a_loader() -> None:
    images = LabeledImages.from_loader([(IMAGES, LABELS), (IMAGES + 1, LABELS)], 6)
    assert images.labels.tolist() == [0, 1, 2, 3, 0, 1]
    assert images.images.mean((1, 2, 3)).tolist() == [0, 0, 0, 0, 1, 1]
    with pytest.raises(AnalysisError, match="There is no image"):
        LabeledImages.from_loader([])
