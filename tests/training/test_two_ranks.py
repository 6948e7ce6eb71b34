"""Two processes against one: every image counted once, the same gradients, runs that go on, what is
refused.
"""

import warnings
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from lightning_resnets.checkpoint.bundled import resolve_checkpoint
from lightning_resnets.cli.main import main
from lightning_resnets.data.cifar10 import CIFAR10Sample, ImagesAndLabels
from lightning_resnets.training.callbacks.exact_resume import ExactResume
from lightning_resnets.training.callbacks.model_card import ModelCardCallback
from lightning_resnets.training.image_classifier import ImageClassifier
from tests.helpers.two_ranks import pair, trainer

pytestmark = pytest.mark.filterwarnings(
    "ignore:This process .* is multi-threaded:DeprecationWarning"
)

ODD = 201


class Odd(CIFAR10Sample):
    """64 training and 201 test images; with 2 processes and batches of 100, one has two batches and
    one has one.
    """

    def __init__(self, batch_size: int = 16, **options: Any) -> None:
        super().__init__(batch_size=batch_size, **{"eval_batch_size": 100} | options)

    def read(self) -> tuple[ImagesAndLabels, ImagesAndLabels]:
        (images, labels), (test, classes) = super().read()
        return (images[::31][:64], labels[::31][:64]), (test[:ODD], classes[:ODD])

    def setup(self, stage: str | None = None) -> None:
        super().setup(stage)
        if self.num_val_images:
            self.val_set = self.test_set


def make_bundled() -> ImageClassifier:
    return ImageClassifier.load_from_checkpoint(resolve_checkpoint("resnet20-cifar10"))


def scores(folder: Path) -> dict[str, float]:
    (result,) = trainer(folder).test(make_bundled(), datamodule=Odd(), verbose=False)
    return dict(result)


def padded(folder: Path) -> dict[str, float]:
    """The same images through a DataLoader, for which Lightning makes the usual
    DistributedSampler.
    """
    data = Odd()
    data.setup("test")
    images, labels = (torch.cat(parts) for parts in zip(*data.test_dataloader(), strict=True))
    loader = DataLoader(TensorDataset(images, labels), 100)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning says that the sampler repeats images
        (result,) = trainer(folder).test(make_bundled(), dataloaders=loader, verbose=False)
    return dict(result)


def test_two_processes_count_every_image_once(tmp_path: Path) -> None:
    one, (first, second) = scores(tmp_path), pair(scores, tmp_path)
    assert first == second
    assert first.keys() == one.keys()
    for name, value in one.items():
        assert first[name] == pytest.approx(value, rel=1e-6), name
    assert whole(first["test_accuracy"] * ODD)


@pytest.mark.slow
def test_the_usual_sampler_counts_an_image_twice(tmp_path: Path) -> None:
    one, wrong = scores(tmp_path)["test_accuracy"], pair(padded, tmp_path)[0]["test_accuracy"]
    assert whole(wrong * (ODD + 1))
    assert not whole(wrong * ODD)
    assert wrong != pytest.approx(one, abs=1e-5)


def whole(count: float) -> bool:
    return abs(count - round(count)) < 1e-3


def fitted(folder: Path) -> dict[str, Any]:
    """A short run with validation, then a test of the weights it ends with: all that was logged,
    and the weights.
    """
    L.seed_everything(5, verbose=False)
    model = ImageClassifier("resnet20", lr=0.05)
    save = ModelCheckpoint(folder, "{epoch}", save_last=True, enable_version_counter=False)
    run = trainer(
        folder, max_epochs=2, callbacks=[ModelCardCallback(), save], enable_checkpointing=True
    )
    run.fit(model, datamodule=Odd(batch_size=8, num_val_images=10))
    metrics = {name: float(value) for name, value in run.callback_metrics.items()}
    (result,) = run.test(model, datamodule=Odd(), verbose=False)
    return metrics | dict(result)


@pytest.mark.slow
def test_what_is_measured_during_and_after_a_run_is_true_of_its_file(tmp_path: Path) -> None:
    """Batch norm's statistics differ between processes: all must be evaluated with those that are
    written.
    """
    first, second = pair(fitted, tmp_path)
    assert first == second
    (alone,) = trainer(tmp_path).test(
        ImageClassifier.load_from_checkpoint(tmp_path / "last.ckpt"),
        datamodule=Odd(),
        verbose=False,
    )
    for name, value in alone.items():
        assert first[name] == pytest.approx(value, rel=1e-5), name
        if (kept := name.replace("test", "val")) in first:
            assert first[kept] == pytest.approx(value, rel=1e-5), kept


class Slopes(L.Callback):
    """The images of every step and the gradients that the optimizer is given."""

    def __init__(self) -> None:
        self.images: list[Tensor] = []
        self.labels: list[Tensor] = []
        self.slopes: list[dict[str, Tensor]] = []

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        pl_module.eval()
        self.images.append(batch[0].clone())
        self.labels.append(batch[1].clone())

    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Any
    ) -> None:
        self.slopes.append(
            {name: p.grad.clone() for name, p in pl_module.named_parameters() if p.grad is not None}
        )


def descent(folder: Path, world: int, **augmentation: Any) -> tuple[Any, ...]:
    """Three steps on 16 images each, in all processes together.

    Batch norms count in their own process, as everybody's do, so that two processes are not one
    where they are trained (SyncBatchNorm, that makes them one, is for GPUs alone): here they stay
    in evaluation, with the statistics of a trained model. In float64 all but the loss, so that what
    is seen is no rounding."""
    model, slopes = make_bundled(), Slopes()
    model.lr = 0.001  # a model whose batch norms stand still diverges at the usual rate
    data = Odd(batch_size=16 // world, seed=3, **augmentation)
    trainer(folder, max_steps=3, precision="64-true", callbacks=[slopes]).fit(
        model, datamodule=data
    )
    return slopes.images, slopes.labels, slopes.slopes


AUGMENTED = {"crop_padding": 4, "horizontal_flip": True, "cutout": 8}
PLAIN = {"crop_padding": 0, "horizontal_flip": False, "cutout": 0}


@pytest.mark.slow
@pytest.mark.parametrize("augmentation", [PLAIN, AUGMENTED])
def test_gradients_are_those_of_one_process(tmp_path: Path, augmentation: dict[str, Any]) -> None:
    images, labels, one = descent(tmp_path, 1, **augmentation)
    (left, names, two), (right, others, again) = pair(
        partial(descent, world=2, **augmentation), tmp_path
    )
    assert len(one) == 3
    for step, slopes in enumerate(one):
        assert torch.equal(woven(left[step], right[step]), images[step])
        assert torch.equal(woven(names[step], others[step]), labels[step])
        for name, slope in slopes.items():
            assert torch.equal(two[step][name], again[step][name])
            assert (two[step][name] - slope).norm() <= 1e-6 * slope.norm(), (step, name)


def woven(first: Tensor, second: Tensor) -> Tensor:
    """One of each in turn."""
    return torch.stack((first, second), 1).flatten(0, 1)


def gone_on(folder: Path, epochs: int, path: str | None = None) -> dict[str, Tensor]:
    L.seed_everything(5, verbose=False)
    model = ImageClassifier("resnet20", lr=0.05)
    save = ModelCheckpoint(
        folder, "{step}", save_top_k=-1, every_n_train_steps=3
    )  # in the middle of an epoch of 4
    options: dict[str, Any] = {
        "callbacks": [ModelCardCallback(), ExactResume(["train_counts"]), save],
        "logger": CSVLogger(folder),
    }
    run = trainer(folder, max_epochs=epochs, enable_checkpointing=True, **options)
    run.fit(model, datamodule=Odd(batch_size=8), ckpt_path=path, weights_only=True)
    return dict(model.state_dict())


@pytest.mark.slow
def test_a_run_of_two_processes_goes_on_exactly(tmp_path: Path) -> None:
    through, _ = pair(partial(gone_on, epochs=2), tmp_path)
    resumed, other = pair(partial(gone_on, epochs=2, path=str(tmp_path / "step=3.ckpt")), tmp_path)
    for name, weight in through.items():
        assert torch.equal(resumed[name], weight), name
        assert "running" in name or "num_batches" in name or torch.equal(other[name], weight), name


def test_predict_with_two_processes_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    images = ["--data", "lightning_resnets.data.CIFAR10Sample", "--ckpt_path", "resnet20-cifar10"]
    two = ["--trainer.accelerator", "cpu", "--trainer.devices", "2", "--trainer.strategy", "ddp"]
    with pytest.raises(
        SystemExit, match=r"predict needs a single process: add --trainer.devices 1"
    ):
        main(["predict", "--config", "resnet20-cifar10", *images, *two])
    assert not (tmp_path / "runs").exists()
