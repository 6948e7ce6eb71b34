"""Test the validation split: shares of classes, against exact fractions."""

from fractions import Fraction

import pytest
import torch

from lightning_resnets.data.split import class_quotas, stratified_split
from lightning_resnets.errors import DataError


def labels_of(*counts: int) -> torch.Tensor:
    """Return shuffled labels with so many images of each class."""
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    return labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(9))]


@pytest.mark.parametrize(
    ("counts", "num_val_images", "expected"),
    [
        ((95, 5), 20, [19, 1]),
        ((95, 5), 10, [10, 0]),
        ((500, 500), 100, [50, 50]),
        ((1, 99), 50, [0, 50]),
        ((0, 10, 30), 8, [0, 2, 6]),
        ((2, 2, 2), 3, [1, 1, 1]),
        ((3, 3, 3), 4, [2, 1, 1]),
    ],
)
def test_validation_images_are_a_class_share(
    counts: tuple[int, ...], num_val_images: int, expected: list[int]
) -> None:
    labels = labels_of(*counts)
    train, val = stratified_split(labels, num_val_images, 0)
    assert labels[val].bincount(minlength=len(counts)).tolist() == expected
    assert sorted([*train.tolist(), *val.tolist()]) == list(range(len(labels)))


def test_quotas_differ_from_the_exact_share_by_less_than_one() -> None:
    rng = torch.Generator().manual_seed(1)
    for _ in range(200):
        counts = torch.randint(20, 1300, (50,), generator=rng)
        total = int(counts.sum())
        # At most half of the images, so that no class reaches its limit.
        num_val_images = int(torch.randint(0, total // 2, (1,), generator=rng))
        quotas = class_quotas(counts, num_val_images)
        assert int(quotas.sum()) == num_val_images
        for count, quota in zip(counts.tolist(), quotas.tolist(), strict=True):
            assert abs(Fraction(count * num_val_images, total) - quota) < 1


def test_every_class_stays_in_training_up_to_the_largest_split() -> None:
    counts = torch.tensor([1, 2, 7, 90])
    for num_val_images in range(97):
        quotas = class_quotas(counts, num_val_images)
        assert int(quotas.sum()) == num_val_images
        assert ((counts - quotas) >= 1).all()
    with pytest.raises(DataError, match="must be 0 to 96, so that every class keeps"):
        class_quotas(counts, 97)


def test_split_depends_on_its_seed_alone() -> None:
    labels = labels_of(40, 60)
    state = torch.get_rng_state()
    first = stratified_split(labels, 10, 0)[1]
    assert torch.equal(first, stratified_split(labels, 10, 0)[1])
    assert not torch.equal(first, stratified_split(labels, 10, 1)[1])
    assert torch.equal(torch.get_rng_state(), state)
