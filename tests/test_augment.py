"""Batched augmentation against slow twins that treat one picture at a time."""

import torch
from torch.nn import functional as F

from lightning_resnets.data.augment import Augmentation, crop, cutout, draw, mirror


def pictures(count: int = 8, side: int = 12) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8)


def test_crop_equals_one_picture_at_a_time() -> None:
    images, shift = pictures(), torch.randint(0, 9, (8, 2))
    for image, (row, column), out in zip(images, shift.tolist(), crop(images, shift, 4), strict=True):
        padded = F.pad(image[None].float(), (4, 4, 4, 4), mode="reflect")[0].to(torch.uint8)
        assert torch.equal(out, padded[:, row : row + 12, column : column + 12])


def test_the_middle_crop_and_no_padding_give_the_picture_itself() -> None:
    images = pictures()
    assert torch.equal(crop(images, torch.full((8, 2), 4), 4), images)
    assert torch.equal(crop(images, torch.zeros(8, 2, dtype=torch.long), 0), images)


def test_mirror_flips_the_chosen_left_to_right() -> None:
    images, chosen = pictures(), torch.arange(8) % 3 == 0
    for image, flipped, out in zip(images, chosen.tolist(), mirror(images, chosen), strict=True):
        assert torch.equal(out, torch.fliplr(image.permute(1, 2, 0)).permute(2, 0, 1) if flipped else image)


def test_cutout_equals_a_loop_over_pixels() -> None:
    images, hole = torch.rand(5, 3, 9, 9) + 1, torch.tensor([[0, 0], [4, 4], [8, 8], [0, 8], [3, 6]])
    for image, (row, column), out in zip(images, hole.tolist(), cutout(images, hole, 4), strict=True):
        expected = image.clone()
        for y in range(row - 2, row + 2):
            for x in range(column - 2, column + 2):
                if 0 <= y < 9 and 0 <= x < 9:
                    expected[:, y, x] = 0
        assert torch.equal(out, expected)


def test_draws_depend_on_seed_and_epoch_alone_and_cover_their_range() -> None:
    plan = Augmentation(pad=2)
    first, again = draw(500, 32, plan, 3, 7), draw(500, 32, plan, 3, 7)
    assert all(torch.equal(getattr(first, name), getattr(again, name)) for name in ("order", "shift", "flip", "hole"))
    assert not torch.equal(first.order, draw(500, 32, plan, 3, 8).order)
    assert not torch.equal(first.order, draw(500, 32, plan, 4, 7).order)
    assert sorted(first.order.tolist()) == list(range(500))
    assert set(first.shift.flatten().tolist()) == set(range(5))
    assert 180 < int(first.flip.sum()) < 320
    assert not draw(500, 32, Augmentation(flip=False), 3, 7).flip.any()
