"""Test the accuracy against a slow loop, and the labels of every dataset."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lightning_resnets.checkpoint.bundled import resolve_checkpoint
from lightning_resnets.checkpoint.load import LoadedCheckpoint, load_checkpoint
from lightning_resnets.checkpoint.model_card import ModelCard
from lightning_resnets.data import cifar10_sample, image_folder
from lightning_resnets.data.evaluation_sets import subsample
from lightning_resnets.data.imagenet_classes import WNIDS, class_names
from lightning_resnets.errors import DataError
from lightning_resnets.evaluation import count_correct, evaluate, label_rank
from tests.helpers.labeled_images import save_cifar10_images, save_color_images

NUM_IMAGES = 60


class MeanColor(nn.Module):
    """Return the mean of each channel as logits, and -9 for any further class."""

    def __init__(self, num_classes: int = 3) -> None:
        super().__init__()
        self.num_classes = num_classes

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.pad(x.mean((2, 3)), (0, self.num_classes - 3), value=-9.0)


def color_model(
    names: tuple[str, ...] = ("red", "green", "blue"), **card_fields: str
) -> LoadedCheckpoint:
    """Return a model that recognizes red, green and blue images."""
    card = ModelCard(
        arch="mean",
        class_names=names,
        input_size=(3, 32, 32),
        mean=(0.5,) * 3,
        std=(0.25,) * 3,
        **card_fields,
    )
    return LoadedCheckpoint(MeanColor(len(names)).eval(), card)


def reference_count(logits: list[list[float]], labels: list[int]) -> tuple[int, int]:
    """Count top-1 and top-5 hits by sorting each row."""
    top1 = top5 = 0
    for row, label in zip(logits, labels, strict=True):
        order = sorted(range(len(row)), key=lambda index: (-row[index], index))
        top1 += label in order[:1]
        top5 += label in order[:5]
    return top1, top5


@pytest.mark.parametrize("num_classes", [2, 10, 40])
def test_counts_equal_those_of_a_slow_loop(num_classes: int) -> None:
    torch.manual_seed(num_classes)
    # Integers below 9, so that many logits are equal.
    logits = torch.randint(0, 9, (500, num_classes)).float()
    labels = torch.randint(0, num_classes, (500,))
    batches = (batch[:, :, None, None] for batch in logits.split(64))
    calls: list[tuple[int, int, int]] = []
    counts = count_correct(nn.Flatten(), batches, labels, lambda *args: calls.append(args))
    assert counts == reference_count(logits.tolist(), labels.tolist())
    assert [done for done, _, _ in calls] == [64, 128, 192, 256, 320, 384, 448, 500]
    assert calls[-1] == (500, counts[0], 500)


def test_nan_logits_count_as_incorrect() -> None:
    nan, inf = float("nan"), float("inf")
    logits = torch.tensor([[nan] * 6, [0.0] * 6, [-inf, 1.0, 0.0, 0.0, 0.0, inf]])
    assert label_rank(logits, torch.tensor([0, 0, 1])).tolist() == [6, 0, 1]


def test_image_files_and_arrays_have_the_same_accuracy(tmp_path: Path) -> None:
    folder = save_cifar10_images(tmp_path, NUM_IMAGES)
    loaded = load_checkpoint(resolve_checkpoint("resnet20"))
    result = evaluate(loaded, "folder", folder, batch_size=7, num_workers=2)
    pixels, labels = cifar10_sample.load_sample("test")
    arrays = list(pixels[:NUM_IMAGES])
    batches = image_folder.load_batches(arrays, loaded.card.preprocessing, NUM_IMAGES)
    counts = count_correct(loaded.model, batches, torch.from_numpy(labels[:NUM_IMAGES]))
    assert (result.correct, round(NUM_IMAGES * result.top5)) == counts
    assert result.total == NUM_IMAGES
    assert 40 < result.correct < NUM_IMAGES


def test_folders_are_matched_with_class_names(tmp_path: Path) -> None:
    folder = save_color_images(tmp_path, Blue="blue", GREEN="lime", red="lime")
    result = evaluate(color_model(), "folder", folder)
    assert (result.correct, result.total, result.top5) == (6, 9, 1.0)
    assert (result.arch, result.dialect) == ("mean", "lightning_resnets")
    # With BGR input, blue images look red: only green ones are correct.
    bgr = evaluate(color_model(channel_order="BGR", dialect="caffe"), "folder", folder)
    assert bgr.correct == 3
    assert bgr.dialect == "caffe"


def test_imagenet_folders_are_wordnet_ids(tmp_path: Path) -> None:
    colors = {WNIDS[1]: "lime", WNIDS[2]: "blue", WNIDS[999]: "red"}
    save_color_images(tmp_path / "val", **colors)
    loaded = color_model(class_names())
    result = evaluate(loaded, "imagenet", tmp_path)
    assert (result.correct, result.total) == (6, 9)
    assert evaluate(loaded, "imagenet", tmp_path / "val").correct == 6
    with pytest.raises(DataError, match="1,000"):
        evaluate(color_model(), "imagenet", tmp_path)


def test_other_classes_than_those_of_cifar10_raise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lightning_resnets.data.evaluation_sets.find_cifar10", lambda root: root)
    for dataset in ("cifar10", "sample"):
        with pytest.raises(DataError, match="The model has 3 classes but CIFAR-10 has 10"):
            evaluate(color_model(), dataset, tmp_path)


def test_subsample_is_evenly_spaced() -> None:
    images = [np.zeros((1, 1, 3), np.uint8)] * 1000
    labels = list(range(1000))
    assert subsample((images, labels), 4)[1] == [0, 250, 500, 750]
    assert subsample((images, labels), 2000)[1] == labels
    assert len(set(subsample((images, labels), 999)[1])) == 999


def test_result_as_text_has_both_accuracies(tmp_path: Path) -> None:
    folder = save_color_images(tmp_path, Blue="blue", GREEN="lime", red="lime")
    lines = str(evaluate(color_model(), "folder", folder)).splitlines()
    assert lines[:5] == [
        "model           mean (lightning_resnets key naming)",
        "dataset         folder",
        "top-1 accuracy  66.67%",
        "top-5 accuracy  100.00%",
        "images          9 (6 correct)",
    ]
