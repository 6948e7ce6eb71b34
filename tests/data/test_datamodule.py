"""Test the datamodules in a Trainer: epochs, overfitting, reloading, batch sizes, validation."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.tuner.tuning import Tuner
from torch import Tensor, nn

from lightning_resnets.data import CIFAR10Sample
from lightning_resnets.data.cifar10_files import ImagesAndLabels
from lightning_resnets.errors import DataError

NUM_IMAGES = 100


class FewImages(CIFAR10Sample):
    """100 training and 20 test images, without normalization, so that images are recognized."""

    mean = (0.0, 0.0, 0.0)
    std = (1 / 255, 1 / 255, 1 / 255)

    def read(self) -> tuple[ImagesAndLabels, ImagesAndLabels]:
        (images, labels), (test_images, test_labels) = super().read()
        train = (images[::20][:NUM_IMAGES], labels[::20][:NUM_IMAGES])
        return train, (test_images[::50], test_labels[::50])


class Recorder(L.LightningModule):
    """Train one number, and keep the sums of the images of every batch, by epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.epochs: list[list[list[float]]] = []
        self.num_val_images = 0

    def on_train_epoch_start(self) -> None:
        self.epochs.append([])

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        self.epochs[-1].append(batch[0].double().sum((1, 2, 3)).tolist())
        return self.weight.square()

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self.num_val_images += len(batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def make_trainer(folder: Path, **options: Any) -> L.Trainer:
    quiet: dict[str, Any] = {
        "accelerator": "cpu",
        "devices": 1,
        "default_root_dir": folder,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
        "logger": False,
    }
    return L.Trainer(**quiet | options)


def fit(folder: Path, data: L.LightningDataModule, **options: Any) -> Recorder:
    """Train and return the recorded batches."""
    module = Recorder()
    make_trainer(folder, **options).fit(module, datamodule=data)
    return module


def expected_epochs(count: int, **options: Any) -> list[list[list[float]]]:
    """Iterate over the loader alone, without any Trainer."""
    data = FewImages(batch_size=16, **options)
    data.setup("fit")
    loader = data.train_dataloader()
    return [[images.double().sum((1, 2, 3)).tolist() for images, _ in loader] for _ in range(count)]


def test_overfit_batches_repeat_the_same_images(tmp_path: Path) -> None:
    epochs = fit(tmp_path, FewImages(batch_size=16), max_epochs=4, overfit_batches=2).epochs
    assert epochs == [expected_epochs(1)[0][:2]] * 4


def test_reloaded_loaders_go_on_with_the_next_epoch(tmp_path: Path) -> None:
    expected = expected_epochs(4)
    for every in (0, 1, 2):
        data = FewImages(batch_size=16)
        module = fit(tmp_path, data, max_epochs=4, reload_dataloaders_every_n_epochs=every)
        assert module.epochs == expected


@pytest.mark.parametrize("limit", [1.0, 3])
def test_second_fit_goes_on_with_the_next_epoch(tmp_path: Path, limit: float) -> None:
    expected = [epoch[: limit if limit == 3 else None] for epoch in expected_epochs(3)]  # type: ignore[misc]
    data = FewImages(batch_size=16)
    module = Recorder()
    trainer = make_trainer(tmp_path, max_epochs=1, limit_train_batches=limit)
    trainer.fit(module, datamodule=data)
    trainer.fit_loop.max_epochs = 3
    trainer.fit(module, datamodule=data)
    assert module.epochs == expected
    # A new Trainer starts with the first epoch, also on a datamodule that was used.
    assert fit(tmp_path, data, max_epochs=1, limit_train_batches=limit).epochs == expected[:1]


@pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no")
def test_loader_given_without_its_datamodule_follows_the_trainer(tmp_path: Path) -> None:
    data = FewImages(batch_size=16)
    data.setup("fit")
    module = Recorder()
    make_trainer(tmp_path, max_epochs=2).fit(module, data.train_dataloader())
    assert module.epochs == expected_epochs(2)


@pytest.mark.parametrize("mode", ["power", "binsearch"])
def test_batch_size_finder_stops_at_the_number_of_images(tmp_path: Path, mode: Any) -> None:
    data = FewImages(batch_size=16)
    module = Recorder()
    trainer = make_trainer(tmp_path, max_epochs=1)
    options: dict[str, Any] = {"margin": 0.0} if mode == "binsearch" else {}
    found = Tuner(trainer).scale_batch_size(module, datamodule=data, mode=mode, **options)
    assert found == data.batch_size == NUM_IMAGES
    assert not list(tmp_path.iterdir())
    module.epochs = []
    trainer.fit(module, datamodule=data)
    assert [len(sums) for sums in module.epochs[0]] == [NUM_IMAGES]


def test_batch_size_of_the_user_is_not_cut(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="100 images are fewer than one batch of 128"):
        fit(tmp_path, FewImages(batch_size=128), max_epochs=1)


def test_fit_without_validation_leaves_validation_possible(tmp_path: Path) -> None:
    module = Recorder()
    trainer = make_trainer(tmp_path, max_epochs=1, num_sanity_val_steps=0)
    trainer.fit(module, datamodule=FewImages(batch_size=16))
    assert (trainer.limit_val_batches, module.num_val_images) == (1.0, 0)
    with_validation = FewImages(batch_size=16, num_val_images=20)
    with_validation.setup("validate")
    trainer.validate(module, with_validation.val_dataloader(), verbose=False)
    assert module.num_val_images == 20
    trainer.fit_loop.max_epochs = 2
    trainer.fit(module, datamodule=FewImages(batch_size=16, num_val_images=30))
    assert module.num_val_images == 20 + 30
    with pytest.raises(DataError, match="There are no validation images"):
        trainer.validate(module, datamodule=FewImages())


def test_fit_without_validation_skips_the_sanity_check(tmp_path: Path) -> None:
    data = FewImages(batch_size=16)
    assert fit(tmp_path, data, max_epochs=1, num_sanity_val_steps=2).num_val_images == 0


class ProcessIds:
    """Images whose label is the id of the process that reads them."""

    def __init__(self, image: bytes) -> None:
        self.image = image

    def __len__(self) -> int:
        return 8

    def read(self, index: int) -> tuple[bytes, int]:
        return self.image, os.getpid()

    def name(self, index: int) -> str:
        return f"image {index}"


@pytest.fixture
def spawn() -> Iterator[None]:
    """Start processes as macOS and Windows do."""
    before = torch.multiprocessing.get_start_method()
    torch.multiprocessing.set_start_method("spawn", force=True)
    yield
    torch.multiprocessing.set_start_method(before, force=True)


@pytest.mark.slow
@pytest.mark.usefixtures("spawn")
def test_spawned_workers_live_for_all_epochs() -> None:
    import io

    from PIL import Image

    from lightning_resnets.data import ImageNet

    file = io.BytesIO()
    Image.new("RGB", (40, 40)).save(file, "PNG")
    data = ImageNet(batch_size=2, train_image_size=32, num_workers=2)
    data.train_set = (ProcessIds(file.getvalue()), torch.arange(8))
    loader = data.train_dataloader()
    first = {int(label) for _, labels, _ in loader for label in labels}
    second = {int(label) for _, labels, _ in loader for label in labels}
    assert first == second
    assert len(first) == 2
    assert os.getpid() not in first
    workers = torch.multiprocessing.active_children()
    assert {worker.pid for worker in workers} == first
    data.teardown("fit")
    assert not torch.multiprocessing.active_children()
