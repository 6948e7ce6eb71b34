"""Test batches from memory: order of an epoch, resuming, and how ranks split the images."""

import itertools

import pytest
import torch

from lightning_resnets.data.augment import Augmentation
from lightning_resnets.data.batches import EvalBatchLoader, Normalize, TrainBatchLoader

CPU = torch.device("cpu")
NORMALIZE = Normalize((0.5, 0.4, 0.3), (0.2, 0.25, 0.3), CPU)


PLAN = Augmentation(crop_padding=2)


def batches(
    count: int = 50, size: int = 8, plan: Augmentation = PLAN, **options: int
) -> TrainBatchLoader:
    images = torch.randint(
        0, 256, (count, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )
    return TrainBatchLoader(
        images, torch.arange(count), size, NORMALIZE, plan, num_classes=count, **options
    )


def test_normalise_is_the_formula() -> None:
    images = torch.randint(0, 256, (2, 3, 4, 4), dtype=torch.uint8)
    mean, std = (
        torch.tensor([0.5, 0.4, 0.3]).view(3, 1, 1),
        torch.tensor([0.2, 0.25, 0.3]).view(3, 1, 1),
    )
    out = NORMALIZE(images)
    assert torch.allclose(out, (images / 255 - mean) / std, atol=1e-5)
    assert out.is_contiguous(memory_format=torch.channels_last)


def test_an_epoch_has_every_picture_at_most_once_and_another_has_another_order() -> None:
    loader = batches()
    epochs = [torch.cat([labels for _, labels in loader]) for _ in range(2)]
    assert [len(labels.unique()) for labels in epochs] == [48, 48]
    assert not torch.equal(epochs[0], epochs[1])


def test_epochs_follow_even_when_the_last_batch_is_not_asked_beyond() -> None:
    loader, whole = batches(), batches()
    for _ in range(3):
        taken = list(itertools.islice(iter(loader), len(loader)))
        for (images, labels), (expected, named) in zip(taken, whole, strict=True):
            assert torch.equal(labels, named)
            assert torch.equal(images, expected)


PLANS = {
    "plain": PLAN,
    "mixed": Augmentation(
        2, flip="alternating", trivial_augment=True, cutout=3, mixup=0.2, cutmix=1.0
    ),
    "dual": Augmentation(2, cutout=3, dual_cutout=True),
}


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
@pytest.mark.parametrize("done", [0, 1, 5, 6, 7, 15])
def test_resumed_at_any_batch_it_goes_on_bit_for_bit(done: int, plan: Augmentation) -> None:
    def stream(loader: TrainBatchLoader):
        while True:
            yield from loader

    first = batches(plan=plan)
    run = stream(first)
    for _ in range(done):
        next(run)
    second = batches(plan=plan)
    second.load_state_dict(first.state_dict())
    for (images, labels), (again, named) in itertools.islice(
        zip(run, stream(second), strict=False), 9
    ):
        assert torch.equal(labels, named)
        assert torch.equal(images, again)


def test_processes_share_an_epoch_without_overlap() -> None:
    one = torch.cat([labels for _, labels in batches(size=8)])
    shares = [
        torch.cat([labels for _, labels in batches(size=4, rank=rank, world_size=2)])
        for rank in (0, 1)
    ]
    assert torch.equal(torch.stack(shares, 1).flatten(), one)


@pytest.mark.parametrize("world", [1, 3])
def test_evaluation_sees_every_picture_once(world: int) -> None:
    images, labels = torch.zeros(11, 3, 8, 8, dtype=torch.uint8), torch.arange(11)
    loaders = [EvalBatchLoader(images, labels, 4, NORMALIZE, rank, world) for rank in range(world)]
    seen = torch.cat([part for loader in loaders for _, part in loader])
    assert sorted(seen.tolist()) == list(range(11))
    assert all(len(list(loader)) == len(loader) for loader in loaders)


def test_too_large_a_batch_is_refused() -> None:
    with pytest.raises(ValueError, match="50 images are fewer than one batch of 64"):
        batches(size=64)


def test_an_epoch_that_is_left_early_is_followed_by_a_whole_one() -> None:
    loader, whole = batches(), batches()
    for _ in range(3):
        part = [labels for _, labels in itertools.islice(loader, 2)]
        full = [labels for _, labels in whole]
        assert torch.equal(torch.cat(part), torch.cat(full[:2]))


def test_dual_cutout_gives_each_picture_twice_under_two_squares() -> None:
    images, labels = next(iter(batches(plan=PLANS["dual"])))
    plain, own = next(iter(batches(plan=Augmentation(2))))
    assert torch.equal(labels, own.repeat(2))
    first, second = images.chunk(2)
    for half in (first, second):
        holed = half == 0
        assert torch.equal(half, plain.masked_fill(holed, 0))
        assert holed.any()
    assert not torch.equal(first, second)


def test_mixed_targets_are_the_share_of_each_picture() -> None:
    plan = Augmentation(2, mixup=1.0)
    images, targets = next(iter(batches(plan=plan)))
    plain, labels = next(iter(batches(plan=Augmentation(2))))
    assert torch.allclose(targets.sum(1), torch.ones(8))
    share = targets[0, labels[0]]
    assert torch.allclose(images, share * plain + (1 - share) * plain.roll(1, 0), atol=1e-5)
