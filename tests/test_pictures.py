"""Pictures for an analysis: what is none is said in one sentence when they are put together."""

from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_resnets.analysis.lesion import lesion
from lightning_resnets.analysis.result import AnalysisError, Pictures
from lightning_resnets.zoo import build

IMAGES, LABELS = torch.zeros(4, 3, 8, 8), torch.arange(4)


@pytest.mark.parametrize("labels", [LABELS, LABELS.int(), LABELS.to(torch.uint8)])
@pytest.mark.parametrize("images", [IMAGES, IMAGES.half(), IMAGES[:, :1]])
def test_pictures_of_any_precision_and_channels(images: Tensor, labels: Tensor) -> None:
    pictures = Pictures(images, labels)
    assert len(pictures) == 4
    assert [tuple(batch.shape) for batch, _ in pictures.batches(3)] == [(3, *images.shape[1:]), (1, *images.shape[1:])]


@pytest.mark.parametrize(
    ("images", "labels", "sentence"),
    [
        (IMAGES.byte(), LABELS, r"^Pictures are a float .*, not a tensor of uint8 and shape \(4, 3, 8, 8\)\.$"),
        (IMAGES[0], LABELS, r"^Pictures are a float tensor \(N, C, H, W\) .* and shape \(3, 8, 8\)\.$"),
        (IMAGES.numpy(), LABELS, r"^Pictures are a float tensor .*, not a ndarray\.$"),
        (IMAGES[:0], LABELS[:0], r"^There is no picture to look at: give one or more\.$"),
        (IMAGES, LABELS[:3], r"^The labels of 4 pictures .*, not a tensor of int64 and shape \(3,\)\.$"),
        (IMAGES, LABELS[:, None], r"^The labels of 4 pictures .* shape \(4, 1\)\.$"),
        (IMAGES, LABELS.float(), r"^The labels of 4 pictures are a tensor of as many whole numbers, not .* float32"),
        (IMAGES, LABELS > 1, r"^The labels of 4 pictures .*, not a tensor of bool"),
        (IMAGES, [0, 1, 2, 3], r"^The labels of 4 pictures .*, not a list\.$"),
        (IMAGES, LABELS - 1, r"^Labels are counted from 0: there is no class -1\.$"),
    ],
)
def test_what_are_no_pictures(images: Any, labels: Any, sentence: str) -> None:
    with pytest.raises(AnalysisError, match=sentence):
        Pictures(images, labels)


def test_a_tensor_alone_is_no_pictures() -> None:
    images: Any = IMAGES
    with pytest.raises(
        AnalysisError, match=r"^This takes Pictures\(images, labels\), not a tensor of float32 and shape"
    ):
        lesion(build("resnet20"), images)


def test_of_a_loader() -> None:
    pictures = Pictures.of([(IMAGES, LABELS), (IMAGES + 1, LABELS)], 6)
    assert pictures.labels.tolist() == [0, 1, 2, 3, 0, 1]
    assert pictures.images.mean((1, 2, 3)).tolist() == [0, 0, 0, 0, 1, 1]
    with pytest.raises(AnalysisError, match="There is no picture"):
        Pictures.of([])
