"""Batched augmentation against slow references that treat one image at a time."""

import pytest
import torch
from torch.nn import functional as F
from torchvision.transforms.v2 import CutMix, MixUp, TrivialAugmentWide

from lightning_resnets.data.augment import (
    IMAGES_PER_DRAW,
    Augmentation,
    cutout,
    horizontal_flip,
    random_crop,
    sample_epoch,
    trivial_augment,
)
from lightning_resnets.data.mixup import BatchMix, apply_mix, mix_targets, sample_mix


def make_images(count: int = 8, side: int = 12) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8)


def test_crop_equals_one_picture_at_a_time() -> None:
    images, shift = make_images(), torch.randint(0, 9, (8, 2))
    for image, (row, column), out in zip(
        images, shift.tolist(), random_crop(images, shift, 4), strict=True
    ):
        padded = F.pad(image[None].float(), (4, 4, 4, 4), mode="reflect")[0].to(torch.uint8)
        assert torch.equal(out, padded[:, row : row + 12, column : column + 12])


def test_the_middle_crop_and_no_padding_give_the_picture_itself() -> None:
    images = make_images()
    assert torch.equal(random_crop(images, torch.full((8, 2), 4), 4), images)
    assert torch.equal(random_crop(images, torch.zeros(8, 2, dtype=torch.long), 0), images)


def test_mirror_flips_the_chosen_left_to_right() -> None:
    images, chosen = make_images(), torch.arange(8) % 3 == 0
    for image, flipped, out in zip(
        images, chosen.tolist(), horizontal_flip(images, chosen), strict=True
    ):
        assert torch.equal(
            out, torch.fliplr(image.permute(1, 2, 0)).permute(2, 0, 1) if flipped else image
        )


def test_cutout_equals_a_loop_over_pixels() -> None:
    images, hole = (
        torch.rand(5, 3, 9, 9) + 1,
        torch.tensor([[0, 0], [4, 4], [8, 8], [0, 8], [3, 6]]),
    )
    for image, (row, column), out in zip(
        images, hole.tolist(), cutout(images, hole, 4), strict=True
    ):
        expected = image.clone()
        for y in range(row - 2, row + 2):
            for x in range(column - 2, column + 2):
                if 0 <= y < 9 and 0 <= x < 9:
                    expected[:, y, x] = 0
        assert torch.equal(out, expected)


def test_draws_depend_on_seed_and_epoch_alone_and_cover_their_range() -> None:
    plan = Augmentation(crop_padding=2)
    first, again = sample_epoch(500, 32, plan, 3, 7), sample_epoch(500, 32, plan, 3, 7)
    assert all(
        torch.equal(getattr(first, name), getattr(again, name))
        for name in ("order", "crop_offset", "flip", "cutout_center")
    )
    assert not torch.equal(first.order, sample_epoch(500, 32, plan, 3, 8).order)
    assert not torch.equal(first.order, sample_epoch(500, 32, plan, 4, 7).order)
    assert sorted(first.order.tolist()) == list(range(500))
    assert set(first.crop_offset.flatten().tolist()) == set(range(5))
    assert 180 < int(first.flip.sum()) < 320
    assert not sample_epoch(500, 32, Augmentation(flip=False), 3, 7).flip.any()


def mix_with_torchvision(
    transform: torch.nn.Module, weight: float, images: torch.Tensor, labels: torch.Tensor
):
    """Apply torchvision's own transform to a batch with a fixed random draw."""
    transform._dist.sample = lambda *_: torch.tensor(weight)  # type: ignore[union-attr,operator,method-assign]
    return transform(images, labels)


def test_mixup_is_torchvisions() -> None:
    images, labels = torch.rand(6, 3, 8, 8), torch.tensor([0, 1, 2, 3, 4, 4])
    theirs, targets = mix_with_torchvision(MixUp(num_classes=5), 0.3, images, labels)
    torch.testing.assert_close(apply_mix(images, BatchMix(0.3)), theirs)
    torch.testing.assert_close(mix_targets(labels, 5, BatchMix(0.3)), targets)


def test_cutmix_is_torchvisions(monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels = torch.rand(6, 3, 8, 8), torch.tensor([0, 1, 2, 3, 4, 4])
    center = iter((torch.tensor([5]), torch.tensor([2])))  # column, then row
    with monkeypatch.context() as patch:
        patch.setattr(torch, "randint", lambda *_, **__: next(center))
        theirs, targets = mix_with_torchvision(
            CutMix(num_classes=5), 0.75, images, labels
        )  # a square of half the side
    mix = BatchMix(0.75, (0, 4, 3, 7))
    torch.testing.assert_close(apply_mix(images, mix), theirs)
    torch.testing.assert_close(mix_targets(labels, 5, mix), targets)


def test_a_mix_keeps_the_share_that_it_says_and_comes_from_seed_epoch_and_position_alone() -> None:
    plan = Augmentation(mixup=0.2, cutmix=1.0)
    mixes = [sample_mix(plan, 32, 3, 1, position) for position in range(400)]
    assert mixes == [sample_mix(plan, 32, 3, 1, position) for position in range(400)]
    assert mixes[0] != sample_mix(plan, 32, 3, 2, 0)
    boxes = [mix for mix in mixes if mix.box]
    assert 150 < len(boxes) < 250
    for mix in boxes:
        top, bottom, left, right = mix.box or (0, 0, 0, 0)
        assert 0 <= top <= bottom <= 32
        assert 0 <= left <= right <= 32
        taken = apply_mix(torch.stack((torch.ones(1, 32, 32), torch.zeros(1, 32, 32))), mix)[
            1
        ].mean()
        assert float(taken) == pytest.approx(1 - mix.lam)


def test_the_share_of_mixup_is_of_the_beta_distribution() -> None:
    shares = torch.tensor(
        [sample_mix(Augmentation(mixup=0.4), 32, 0, 0, i).lam for i in range(4000)]
    )
    assert abs(float(shares.mean()) - 0.5) < 0.02
    assert abs(float(shares.var()) - 1 / (4 * (2 * 0.4 + 1))) < 0.01


def test_only_cutmix_or_only_mixup() -> None:
    assert all(sample_mix(Augmentation(cutmix=1.0), 32, 0, 0, i).box for i in range(50))
    assert not any(sample_mix(Augmentation(mixup=1.0), 32, 0, 0, i).box for i in range(50))


def test_alternating_flips_turn_every_picture_every_epoch() -> None:
    plan = Augmentation(flip="alternating")
    turned = []
    for epoch in range(3):
        draws = sample_epoch(500, 32, plan, 3, epoch)
        turned.append(torch.zeros(500, dtype=torch.bool).scatter(0, draws.order, draws.flip))
    assert torch.equal(turned[0], ~turned[1])
    assert torch.equal(turned[0], turned[2])
    assert 180 < int(turned[0].sum()) < 320


def test_trivial_augment_is_torchvisions_group_by_group() -> None:
    images = make_images(20, 32)
    state = torch.get_rng_state()
    ours = trivial_augment(images, 1, 2, 3)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed((1 * 1_000_003 + 2) * 1_000_003 + 3)
    theirs = TrivialAugmentWide()
    for start in range(0, 20, IMAGES_PER_DRAW):
        assert torch.equal(
            ours[start : start + IMAGES_PER_DRAW], theirs(images[start : start + IMAGES_PER_DRAW])
        )
    assert not torch.equal(ours, trivial_augment(images, 1, 2, 4))
