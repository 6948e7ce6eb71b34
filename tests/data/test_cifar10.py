"""Test CIFAR-10 in both official layouts, its MD5 checks and splits, against torchvision."""

import hashlib
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from lightning_resnets.data import cifar10_files, cifar10_sample
from lightning_resnets.data.cifar10 import CIFAR10, MEAN, STD, CIFAR10Sample
from lightning_resnets.errors import DataError
from tests.helpers.cifar10_files import cifar10


def write(
    root: Path, monkeypatch: pytest.MonkeyPatch, binary: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Small files in an official layout, with the table of MD5s set to theirs."""
    rng = np.random.default_rng(0)
    table = cifar10_files.BINARY_FILES if binary else cifar10_files.PYTHON_FILES
    folder = root / ("cifar-10-batches-bin" if binary else "cifar-10-batches-py")
    folder.mkdir(parents=True)
    pixels, labels = (
        rng.integers(0, 256, (6, 20, 3072), np.uint8),
        np.tile(np.arange(10, dtype=np.uint8), (6, 2)),
    )
    for file, images, classes in zip(table, pixels, labels, strict=True):
        raw = np.concatenate([classes[:, None], images], 1).tobytes()
        if not binary:
            raw = pickle.dumps({b"data": images, b"labels": classes.tolist()})
        (folder / file).write_bytes(raw)
        monkeypatch.setitem(table, file, hashlib.md5(raw, usedforsecurity=False).hexdigest())
    return pixels, labels


@pytest.mark.parametrize("binary", [True, False])
def test_both_layouts_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, binary: bool
) -> None:
    pixels, labels = write(tmp_path, monkeypatch, binary)
    data = CIFAR10(str(tmp_path))
    data.setup("test")
    assert data.train_set is not None
    assert data.test_set is not None
    assert np.array_equal(data.train_set[0].numpy(), pixels[:5].reshape(100, 3, 32, 32))
    assert data.train_set[1].tolist() == labels[:5].flatten().tolist()
    assert np.array_equal(data.test_set[0].numpy(), pixels[5].reshape(20, 3, 32, 32))


@pytest.mark.parametrize("binary", [True, False])
def test_a_changed_byte_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, binary: bool
) -> None:
    write(tmp_path, monkeypatch, binary)
    (victim,) = tmp_path.rglob("test_batch*")
    raw = bytearray(victim.read_bytes())
    raw[100] ^= 1
    victim.write_bytes(raw)
    with pytest.raises(DataError, match="is not the official CIFAR-10 file"):
        CIFAR10(str(tmp_path)).setup("fit")


def test_a_pickle_that_is_not_the_official_one_never_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, monkeypatch, binary=False)
    marker = tmp_path / "ran"

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(marker),)

    (victim,) = tmp_path.rglob("data_batch_1")
    victim.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(DataError):
        CIFAR10(str(tmp_path)).setup("fit")
    assert not marker.exists()


def test_missing_data_and_missing_validation_get_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no CIFAR-10 in .*--data.data_dir DIR"):
        CIFAR10(str(tmp_path)).setup("fit")
    with pytest.raises(DataError, match="There are no validation images"):
        CIFAR10Sample().val_dataloader()
    with pytest.raises(DataError, match="must be a multiple of 10"):
        CIFAR10Sample(num_val_images=15).setup("fit")


def test_validation_is_split_off_the_training_set_balanced_and_reproducible() -> None:
    whole, data, again = (
        CIFAR10Sample(),
        CIFAR10Sample(num_val_images=200),
        CIFAR10Sample(num_val_images=200),
    )
    for module in (whole, data, again):
        module.setup("fit")
    assert whole.train_set
    assert data.train_set
    assert data.val_set
    assert again.val_set
    assert data.test_set
    assert whole.test_set
    assert data.val_set[1].bincount().tolist() == [20] * 10
    assert len(data.train_set[1]) == 1800
    assert torch.equal(data.val_set[0], again.val_set[0])
    rows = {image.numpy().tobytes() for image in torch.cat([data.train_set[0], data.val_set[0]])}
    assert rows == {image.numpy().tobytes() for image in whole.train_set[0]}
    assert torch.equal(data.test_set[0], whole.test_set[0])


def test_test_batches_are_what_torchvision_makes_of_the_pictures() -> None:
    data = CIFAR10Sample(eval_batch_size=64)
    data.setup("test")
    batch, labels = next(iter(data.test_dataloader()))
    reference = v2.Compose(
        [
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(list(data.mean), list(data.std)),
        ]
    )
    images, classes = cifar10_sample.load_sample("test")
    expected = torch.stack([reference(image) for image in images[:64]])
    assert torch.allclose(batch, expected, atol=1e-5)
    assert labels.tolist() == classes[:64].tolist()


def test_the_sample_is_balanced_and_its_splits_do_not_meet() -> None:
    (train, labels), (test, classes) = (
        cifar10_sample.load_sample("train"),
        cifar10_sample.load_sample("test"),
    )
    assert train.shape == (2000, 32, 32, 3)
    assert test.shape == (1000, 32, 32, 3)
    assert np.bincount(labels).tolist() == [200] * 10
    assert np.bincount(classes).tolist() == [100] * 10
    assert not {image.tobytes() for image in train} & {image.tobytes() for image in test}


@pytest.mark.slow
def test_the_official_files() -> None:
    folder = cifar10_files.find_cifar10(cifar10())
    assert folder is not None
    (batch, labels), (test, classes) = cifar10_files.read_cifar10(folder)
    alone = cifar10_files.read_test_set(folder)
    assert torch.equal(alone[0], test)
    assert torch.equal(alone[1], classes)
    assert batch.shape == (50_000, 3, 32, 32)
    assert test.shape == (10_000, 3, 32, 32)
    assert labels.bincount().tolist() == [5000] * 10
    assert classes.bincount().tolist() == [1000] * 10
    for plane, mean, std in zip(range(3), MEAN, STD, strict=True):
        share = (
            np.bincount(batch[:, plane].numpy().ravel(), minlength=256) / batch[:, plane].numel()
        )
        value = np.arange(256) / 255
        assert share @ value == pytest.approx(mean, abs=1e-4)
        assert np.sqrt(share @ value**2 - (share @ value) ** 2) == pytest.approx(std, abs=1e-4)
    bundled = {
        image.tobytes() for image in cifar10_sample.load_sample("train")[0].transpose(0, 3, 1, 2)
    }
    assert bundled <= {image.tobytes() for image in batch.numpy()}
