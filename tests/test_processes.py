"""Two processes against one: every picture counted once, the same gradients, runs that go on, what is refused."""

import warnings
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from processes import pair, trainer
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from lightning_resnets.checkpoint.shipped import find
from lightning_resnets.data.cifar import CIFAR10Sample, Pictures
from lightning_resnets.training.callbacks import WriteCard
from lightning_resnets.training.classifier import Classifier

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

ODD = 201


class Odd(CIFAR10Sample):
    """64 training and 201 test pictures; with 2 processes and batches of 100, one has two batches and one has one."""

    def __init__(self, batch_size: int = 16, **options: Any) -> None:
        super().__init__(batch_size=batch_size, **{"eval_batch_size": 100} | options)

    def read(self) -> tuple[Pictures, Pictures]:
        (images, labels), (test, classes) = super().read()
        return (images[::31][:64], labels[::31][:64]), (test[:ODD], classes[:ODD])

    def setup(self, stage: str | None = None) -> None:
        super().setup(stage)
        if self.validation:
            self.val_set = self.test_set


def shipped() -> Classifier:
    return Classifier.load_from_checkpoint(find("resnet20-cifar10"))


def scores(folder: Path) -> dict[str, float]:
    (result,) = trainer(folder).test(shipped(), datamodule=Odd(), verbose=False)
    return dict(result)


def padded(folder: Path) -> dict[str, float]:
    """The same pictures through a DataLoader, for which Lightning makes the usual DistributedSampler."""
    data = Odd()
    data.setup("test")
    images, labels = (torch.cat(parts) for parts in zip(*data.test_dataloader(), strict=True))
    loader = DataLoader(TensorDataset(images, labels), 100)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning says that the sampler repeats pictures
        (result,) = trainer(folder).test(shipped(), dataloaders=loader, verbose=False)
    return dict(result)


def test_two_processes_count_every_picture_once(tmp_path: Path) -> None:
    one, (first, second) = scores(tmp_path), pair(scores, tmp_path)
    assert first == second
    assert first.keys() == one.keys()
    for name, value in one.items():
        assert first[name] == pytest.approx(value, rel=1e-6), name
    right = first["test_accuracy"] * ODD
    assert right == pytest.approx(round(right), abs=1e-4)
    wrong = pair(padded, tmp_path)[0]["test_accuracy"]  # 202 pictures: the first one twice
    assert wrong * (ODD + 1) == pytest.approx(round(wrong * (ODD + 1)), abs=1e-4)
    assert wrong != pytest.approx(one["test_accuracy"], abs=1e-5)


def fitted(folder: Path) -> dict[str, Any]:
    """A short run with validation, then a test of the weights it ends with: all that was logged, and the weights."""
    L.seed_everything(5, verbose=False)
    model = Classifier("resnet20", lr=0.05)
    save = ModelCheckpoint(folder, "{epoch}", save_last=True, enable_version_counter=False)
    run = trainer(folder, max_epochs=2, callbacks=[WriteCard(), save], enable_checkpointing=True)
    run.fit(model, datamodule=Odd(batch_size=8, validation=10))
    metrics = {name: float(value) for name, value in run.callback_metrics.items()}
    (result,) = run.test(model, datamodule=Odd(), verbose=False)
    return metrics | dict(result)


def test_what_is_measured_during_and_after_a_run_is_true_of_its_file(tmp_path: Path) -> None:
    """Batch norm's statistics differ between processes: all must be evaluated with those that are written."""
    first, second = pair(fitted, tmp_path)
    assert first == second
    (alone,) = trainer(tmp_path).test(
        Classifier.load_from_checkpoint(tmp_path / "last.ckpt"), datamodule=Odd(), verbose=False
    )
    for name, value in alone.items():
        assert first[name] == pytest.approx(value, rel=1e-5), name
        if (kept := name.replace("test", "val")) in first:
            assert first[kept] == pytest.approx(value, rel=1e-5), kept
