"""Random erasing: torchvision's draws as oracle, and a rectangle of its own for each image."""

import numpy as np
import torch
from torchvision.transforms import RandomErasing

from lightning_resnets.data.augment import erase_boxes, sample_erase_boxes


def test_rectangles_are_drawn_as_torchvision_draws_them() -> None:
    torch.manual_seed(0)
    image = torch.zeros(3, 64, 64)
    theirs = [
        RandomErasing.get_params(image, (0.02, 0.33), (0.3, 3.3), [0.0])[:4] for _ in range(4000)
    ]
    expected = torch.tensor(
        [(top, top + high, left, left + wide) for top, left, high, wide in theirs]
    ).float()
    own = sample_erase_boxes(4000, 64, 1.0, np.random.default_rng(0)).float()
    assert torch.allclose(own.mean(0), expected.mean(0), atol=1.0)
    assert torch.allclose(own.std(0), expected.std(0), atol=1.0)
    assert own.min() >= 0
    assert own.max() <= 64


def test_a_share_of_the_pictures_is_erased() -> None:
    boxes = sample_erase_boxes(4000, 64, 0.25, np.random.default_rng(1))
    area = (boxes[:, 1] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 2])
    assert 0.22 < (area > 0).float().mean() < 0.28
    none = sample_erase_boxes(100, 64, 0.0, np.random.default_rng(1))
    assert torch.equal(none[:, ::2], none[:, 1::2])


def test_only_the_rectangle_becomes_the_mean() -> None:
    images = torch.rand(3, 3, 8, 8).contiguous(memory_format=torch.channels_last) + 1
    out = erase_boxes(images, torch.tensor([[1, 4, 2, 8], [0, 0, 3, 3], [0, 8, 0, 8]]))
    assert not out[0, :, 1:4, 2:8].any()
    assert torch.equal(out[0, :, :, :2], images[0, :, :, :2])
    assert torch.equal(out[1], images[1])
    assert not out[2].any()
    assert out.is_contiguous(memory_format=torch.channels_last)
