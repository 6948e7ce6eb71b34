"""Tests of the counts of an epoch: every image once, whatever happened before."""

from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from lightning_resnets.training.image_classifier import ImageClassifier
from lightning_resnets.training.metrics import ClassificationCounts
from tests.helpers.few_images import Few, trainer


class StopAt(L.Callback):
    """Raise in a batch, as Ctrl-C in a notebook does."""

    def __init__(self, batch_idx: int) -> None:
        self.batch_idx = batch_idx

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if batch_idx == self.batch_idx:
            raise RuntimeError("stopped")

    def on_test_batch_end(self, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError("stopped")


def make_module(**options: Any) -> ImageClassifier:
    L.seed_everything(5, verbose=False)
    return ImageClassifier("resnet20", **{"lr": 0.05} | options)


def fit(module: L.LightningModule, folder: Path, **options: Any) -> L.Trainer:
    run = trainer(folder, **{"max_epochs": 1} | options)
    run.fit(module, datamodule=Few(batch_size=16))
    return run


def evaluate(module: L.LightningModule, folder: Path, **options: Any) -> dict[str, float]:
    (result,) = trainer(folder, **options).test(module, datamodule=Few(), verbose=False)
    return dict(result)


def count_by_hand(module: ImageClassifier, images: Tensor, labels: Tensor) -> dict[str, float]:
    """Compute the metrics of a test, image by image."""
    model = module.model.eval()
    logits = torch.cat([model(image[None]) for image in images]).detach()
    flipped = torch.cat([model(image.flip(-1)[None]) for image in images]).detach()
    mean = logits.softmax(1) + flipped.softmax(1)
    accuracy = sum(logits.argmax(1) == labels).item() / len(labels)  # type: ignore[union-attr]
    accuracy_flip_tta = sum(mean.argmax(1) == labels).item() / len(labels)  # type: ignore[union-attr]
    return {
        "test_loss": F.cross_entropy(logits, labels).item(),
        "test_accuracy": accuracy,
        "test_error": 1 - accuracy,
        "test_accuracy_flip_tta": accuracy_flip_tta,
        "test_error_flip_tta": 1 - accuracy_flip_tta,
        "test_images": len(labels),
    }


def read_test_set() -> tuple[Tensor, Tensor]:
    data = Few(eval_batch_size=40)
    data.setup("test")
    images, labels = next(iter(data.test_dataloader()))
    return images, labels


def test_counts_of_a_stopped_fit_do_not_enter_a_test(tmp_path: Path) -> None:
    module = make_module()
    with pytest.raises(RuntimeError, match="stopped"):
        fit(module, tmp_path, callbacks=[StopAt(2)])
    expected = count_by_hand(module, *read_test_set())
    assert evaluate(module, tmp_path) == pytest.approx(expected, rel=1e-4)


def test_counts_of_a_stopped_fit_do_not_enter_the_next_fit(tmp_path: Path) -> None:
    stopped = make_module()
    with pytest.raises(RuntimeError, match="stopped"):
        fit(stopped, tmp_path, callbacks=[StopAt(2)])
    fresh = make_module()
    fresh.load_state_dict(stopped.state_dict())
    metrics = [dict(fit(module, tmp_path).callback_metrics) for module in (stopped, fresh)]
    assert metrics[0] == metrics[1]


def test_counts_of_a_stopped_test_do_not_enter_the_next(tmp_path: Path) -> None:
    module = make_module()
    with pytest.raises(RuntimeError, match="stopped"):
        evaluate(module, tmp_path, callbacks=[StopAt(0)])
    assert evaluate(module, tmp_path)["test_images"] == 40


@pytest.mark.parametrize("same_trainer", [False, True])
def test_a_test_between_two_fits_changes_nothing(tmp_path: Path, same_trainer: bool) -> None:
    ends = []
    for with_test in (False, True):
        module = make_module()
        run = fit(module, tmp_path, max_epochs=1)
        if with_test:
            tester = run if same_trainer else trainer(tmp_path)
            tester.test(module, datamodule=Few(), verbose=False)
        if same_trainer:
            run.fit_loop.max_epochs = 2
            run.fit(module, datamodule=Few(batch_size=16))
        else:
            run = fit(module, tmp_path, max_epochs=1)
        ends.append((module.state_dict(), dict(run.callback_metrics)))
    (weights, metrics), (others, other_metrics) = ends
    assert all(torch.equal(weight, others[name]) for name, weight in weights.items())
    assert other_metrics["train_loss"] == metrics["train_loss"]
    assert other_metrics["train_accuracy"] == metrics["train_accuracy"]


def test_evaluation_without_inference_mode_follows_one_with_it(tmp_path: Path) -> None:
    module = make_module()
    first = evaluate(module, tmp_path)
    assert evaluate(module, tmp_path, inference_mode=False) == pytest.approx(first, rel=1e-4)
    fit(module, tmp_path, inference_mode=False, limit_val_batches=1)


def test_states_made_in_inference_mode_can_be_updated_after_a_reset() -> None:
    counts = ClassificationCounts()
    is_correct = torch.tensor([True, False])
    with torch.inference_mode():
        # A synchronization over ranks replaces the states by copies, made in this mode.
        for name in ("loss", "correct", "correct_flip_tta", "total"):
            setattr(counts, name, getattr(counts, name).clone())
    counts.reset()
    counts.update(torch.tensor(3.0), is_correct, is_correct)
    means = {name: float(value) for name, value in counts.compute().items()}
    assert means == {
        "loss": 3.0,
        "accuracy": 0.5,
        "error": 0.5,
        "accuracy_flip_tta": 0.5,
        "error_flip_tta": 0.5,
        "images": 2.0,
    }


def test_reset_counts_share_no_memory_with_another_process() -> None:
    """The strategy "ddp_spawn" sends the module with the memory of its tensors."""
    counts = ClassificationCounts()
    received = ClassificationCounts()
    for name in ("loss", "correct", "correct_flip_tta", "total"):
        setattr(received, name, getattr(counts, name))
    is_correct = torch.tensor([True, False, True])
    for each in (counts, received):
        each.reset()
    for each in (counts, received):
        each.update(torch.tensor(1.0), is_correct, is_correct)
    assert [int(each.total) for each in (counts, received)] == [3, 3]


class Distilled(ImageClassifier):
    """A subclass with a loss of its own."""

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        images, labels = batch
        loss = F.cross_entropy(self.model(images), labels)
        self.log("distillation_loss", loss, on_step=False, on_epoch=True)
        return loss


class OwnNames(Distilled):
    """A subclass that logs under the names of the base class."""

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        self.log("train_loss", torch.tensor(7.0), on_step=False, on_epoch=True)
        return super().training_step(batch, batch_idx)

    def validation_step(
        self, batch: tuple[Tensor, Tensor], batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        self.log("val_accuracy", torch.tensor(0.25))


def test_step_of_a_subclass_logs_only_its_own_metrics(tmp_path: Path) -> None:
    module = Distilled("resnet20", lr=0.05)
    run = trainer(tmp_path, max_epochs=1)
    run.fit(module, datamodule=Few(batch_size=16, num_val_images=10))
    assert set(run.callback_metrics) == {"distillation_loss", "val_loss", "val_accuracy"}
    own = OwnNames("resnet20", lr=0.05)
    run = trainer(tmp_path, max_epochs=1)
    run.fit(own, datamodule=Few(batch_size=16, num_val_images=10))
    metrics = {name: float(value) for name, value in run.callback_metrics.items()}
    assert metrics.keys() == {"distillation_loss", "train_loss", "val_accuracy"}
    assert (metrics["train_loss"], metrics["val_accuracy"]) == (7.0, 0.25)


def make_two_loaders() -> tuple[list[DataLoader[Any]], list[tuple[Tensor, Tensor]]]:
    """Return loaders of the test images and of a noisy copy with fewer images."""
    images, labels = read_test_set()
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    sets = [(images, labels), ((images + noise)[:31], labels[:31])]
    return [DataLoader(TensorDataset(*each), 7) for each in sets], sets


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
def test_each_test_loader_has_its_own_metrics(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module = make_module()
    fit(module, tmp_path, limit_val_batches=0)
    loaders, sets = make_two_loaders()
    run = trainer(tmp_path)
    results = run.test(module, dataloaders=loaders)
    printed = capsys.readouterr().out
    for index, (result, (images, labels)) in enumerate(zip(results, sets, strict=True)):
        expected = {
            f"{name}/dataloader_idx_{index}": value
            for name, value in count_by_hand(module, images, labels).items()
        }
        assert result == pytest.approx(expected, rel=1e-4)
        logged = {name: float(run.callback_metrics[name]) for name in expected}
        assert logged == pytest.approx(expected, rel=1e-4)
    # Lightning's table has a column for each loader.
    (row,) = [line for line in printed.splitlines() if "test_images" in line]
    assert [float(cell) for cell in row.replace("│", " ").split()[1:]] == [40, 31]
    # One loader again, with the same module
    assert evaluate(module, tmp_path)["test_images"] == 40


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
def test_each_validation_loader_can_be_monitored(tmp_path: Path) -> None:
    loaders, sets = make_two_loaders()
    module = make_module()
    train = DataLoader(TensorDataset(*sets[0]), 20, drop_last=True)
    stop = L.pytorch.callbacks.EarlyStopping("val_loss/dataloader_idx_1", patience=9)
    run = trainer(tmp_path, max_epochs=2, callbacks=[stop], log_every_n_steps=1)
    run.fit(module, train, loaders)
    model = module.model.eval()
    for index, (images, labels) in enumerate(sets):
        logits = model(images).detach()
        accuracy = float((logits.argmax(1) == labels).float().mean())
        found = float(run.callback_metrics[f"val_accuracy/dataloader_idx_{index}"])
        assert found == pytest.approx(accuracy, rel=1e-6)
    assert "train_accuracy" in run.callback_metrics
    assert stop.best_score > 0


class Spawned(Few):
    """999 test images, which two processes cannot share evenly."""

    def read(self) -> Any:
        train, (images, labels) = super(Few, self).read()
        return (train[0][:64], train[1][:64]), (images[:999], labels[:999])


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_spawned_processes_count_every_image_once(tmp_path: Path) -> None:
    module = make_module()
    expected = evaluate_spawned(module, tmp_path)
    found = evaluate_spawned(module, tmp_path, devices=2, strategy="ddp_spawn")
    assert found["test_images"] == 999
    assert found == pytest.approx(expected, rel=1e-5)


def evaluate_spawned(module: ImageClassifier, folder: Path, **options: Any) -> dict[str, float]:
    data = Spawned(eval_batch_size=100)
    (result,) = trainer(folder, **options).test(module, datamodule=data, verbose=False)
    return dict(result)
