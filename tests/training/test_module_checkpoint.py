"""Tests of `load_from_checkpoint`: Lightning's arguments, subclasses, and nothing executed."""

import shutil
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.core.saving import save_hparams_to_tags_csv, save_hparams_to_yaml
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_resnets.checkpoint.bundled import resolve_checkpoint
from lightning_resnets.checkpoint.load import load_model
from lightning_resnets.errors import CheckpointError, CheckpointWarning
from lightning_resnets.training.callbacks.model_card import ModelCardCallback
from lightning_resnets.training.image_classifier import ImageClassifier
from tests.helpers.few_images import Few, trainer

HYPERPARAMETERS: dict[str, Any] = {
    "lr": 0.013,
    "momentum": 0.8,
    "optimizer": "adamw",
    "label_smoothing": 0.25,
    "model_kwargs": {"zero_init_last": True},
}


def save(module: L.LightningModule, folder: Path, name: str = "saved", card: bool = False) -> Path:
    """Save a checkpoint as a Trainer does, after one step."""
    L.seed_everything(3, verbose=False)
    callbacks: list[L.Callback] = [ModelCheckpoint(folder, name)]
    if card:
        callbacks.append(ModelCardCallback())
    run = trainer(folder, max_steps=1, limit_val_batches=0, callbacks=callbacks)
    run.fit(module, datamodule=Few(batch_size=8))
    return folder / f"{name}.ckpt"


@pytest.fixture(scope="module")
def module() -> ImageClassifier:
    L.seed_everything(3, verbose=False)
    return ImageClassifier("resnet20", **HYPERPARAMETERS)


@pytest.fixture(scope="module")
def path(module: ImageClassifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(module, tmp_path_factory.mktemp("saved"))


def assert_same_weights(found: nn.Module, expected: nn.Module) -> None:
    weights = expected.state_dict()
    assert found.state_dict().keys() == weights.keys()
    for name, weight in found.state_dict().items():
        assert torch.equal(weight.cpu(), weights[name].cpu()), name


def test_module_comes_back_whole(module: ImageClassifier, path: Path) -> None:
    loaded = ImageClassifier.load_from_checkpoint(path)
    assert_same_weights(loaded, module)
    assert dict(loaded.hparams) == dict(module.hparams)
    assert loaded.training
    assert all(parameter.requires_grad for parameter in loaded.parameters())
    assert {parameter.device.type for parameter in loaded.parameters()} == {"cpu"}


def test_lightnings_own_loader_reads_the_same(module: ImageClassifier, path: Path) -> None:
    ours = ImageClassifier.load_from_checkpoint(path, lr=0.5)
    load: Any = L.LightningModule.load_from_checkpoint
    lightnings = load.__func__(ImageClassifier, path, weights_only=True, lr=0.5)
    assert_same_weights(ours, lightnings)
    assert dict(ours.hparams) == dict(lightnings.hparams)


class SameStorage:
    """A function as `torch.load` takes it."""

    def __call__(self, storage: Any, location: str) -> Any:
        assert location == "cpu"
        return storage


@pytest.mark.parametrize(
    "map_location",
    ["cpu", torch.device("cpu"), {"cuda:0": "cpu"}, {"cpu": "cpu"}, SameStorage()],
)
def test_map_location_may_be_anything_that_torch_takes(
    module: ImageClassifier, path: Path, map_location: Any
) -> None:
    loaded = ImageClassifier.load_from_checkpoint(path, map_location=map_location)
    assert_same_weights(loaded, module)


def test_map_location_moves_the_module(path: Path) -> None:
    loaded = ImageClassifier.load_from_checkpoint(path, map_location="meta")
    assert {parameter.device.type for parameter in loaded.parameters()} == {"meta"}
    loaded = ImageClassifier.load_from_checkpoint(path, map_location={"cpu": "meta"})
    assert loaded.device.type == "meta"


def test_strict_false_loads_what_matches(
    module: ImageClassifier, path: Path, tmp_path: Path
) -> None:
    content = torch.load(path, weights_only=True)
    content["state_dict"].pop("model.fc.bias")
    content["state_dict"]["other.weight"] = torch.ones(2)
    partial = tmp_path / "partial.ckpt"
    torch.save(content, partial)
    expected = r"1 missing \(model.fc.bias\), 1 unexpected \(other.weight\). Pass strict=False"
    for strict in (None, True):
        with pytest.raises(CheckpointError, match=expected):
            ImageClassifier.load_from_checkpoint(partial, strict=strict)
    with pytest.warns(CheckpointWarning, match=r"1 missing \(model.fc.bias\)"):
        loaded = ImageClassifier.load_from_checkpoint(partial, strict=False)
    state = loaded.state_dict()
    assert all(
        torch.equal(state[name], weight)
        for name, weight in module.state_dict().items()
        if name != "model.fc.bias"
    )
    # Nothing to warn of where all match.
    ImageClassifier.load_from_checkpoint(path, strict=False)


@pytest.mark.parametrize("strict", [None, False])
def test_another_number_of_classes_gets_a_new_classifier(
    module: ImageClassifier, path: Path, strict: bool | None
) -> None:
    loaded = ImageClassifier.load_from_checkpoint(path, num_classes=2, strict=strict)
    assert loaded.hparams["num_classes"] == 2
    state = loaded.state_dict()
    for name, weight in module.state_dict().items():
        if not name.startswith("model.fc."):
            assert torch.equal(state[name], weight), name
    assert loaded.eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 2)
    with pytest.raises(CheckpointError, match=r"of another shape \(model.fc.weight\)"):
        ImageClassifier.load_from_checkpoint(path, num_classes=2, strict=True)


def test_another_architecture_is_rejected_even_if_not_strict(path: Path) -> None:
    for strict in (None, False):
        with pytest.raises(CheckpointError, match=r"do not match ImageClassifier: .* shape"):
            ImageClassifier.load_from_checkpoint(
                path, arch="wrn_16_8", model_kwargs=None, num_classes=10, strict=strict
            )


def test_hparams_file_replaces_the_hyperparameters(
    module: ImageClassifier, path: Path, tmp_path: Path
) -> None:
    values = {"arch": "resnet20", "lr": 0.031, "loss": "bce", "unknown": 1}
    save_hparams_to_yaml(tmp_path / "hparams.yaml", values)
    save_hparams_to_tags_csv(tmp_path / "hparams.csv", values)
    shutil.copy(tmp_path / "hparams.yaml", tmp_path / "hparams.yml")
    for file in ("hparams.yaml", "hparams.yml", "hparams.csv"):
        loaded = ImageClassifier.load_from_checkpoint(path, hparams_file=tmp_path / file)
        assert_same_weights(loaded, module)
        assert (loaded.lr, loaded.loss) == (0.031, "bce")
        # What the file lacks has its default.
        assert loaded.momentum == 0.9
    loaded = ImageClassifier.load_from_checkpoint(
        path, hparams_file=str(tmp_path / "hparams.csv"), lr=0.5
    )
    assert loaded.lr == 0.5


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.json", "{}", "hparams_file must be a .yaml, .yml or .csv file, got '.*a.json'"),
        ("a.yaml", "lr: !!python/object/apply:os.getcwd []", "Cannot read the hyperparameters"),
        ("a.yaml", "[1, 2]", "Cannot read the hyperparameters"),
        ("a.yaml", "lr: [", "Cannot read the hyperparameters"),
    ],
)
def test_invalid_hparams_file_raises(
    path: Path, tmp_path: Path, name: str, text: str, expected: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(CheckpointError, match=expected):
        ImageClassifier.load_from_checkpoint(path, hparams_file=tmp_path / name)
    with pytest.raises(CheckpointError):
        ImageClassifier.load_from_checkpoint(path, hparams_file=tmp_path / "missing.yaml")


class Distilled(ImageClassifier):
    """A subclass with arguments, a layer and a buffer of its own."""

    temperatures: Tensor

    def __init__(self, width: int, depth: int = 20, scales: tuple[float, ...] = (1.0, 2.0)) -> None:
        super().__init__(f"resnet{depth}", width, lr=0.07)
        self.head = nn.Linear(width, 10)
        self.register_buffer("temperatures", torch.tensor(scales))
        self.scales = scales
        self.note = "new"

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        self.temperatures.add_(1)
        return F.cross_entropy(self.head(self.model(batch[0])), batch[1])

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["extra"] = {"note": "saved", "history": torch.arange(3)}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        self.note = checkpoint["extra"]["note"]
        self.history = checkpoint["extra"]["history"]


@pytest.mark.parametrize("card", [False, True])
def test_subclass_with_another_init_comes_back_whole(tmp_path: Path, card: bool) -> None:
    module = Distilled(6, scales=(0.5, 4.0))
    path = save(module, tmp_path, card=card)
    loaded = Distilled.load_from_checkpoint(path)
    assert type(loaded) is Distilled
    assert_same_weights(loaded, module)
    assert loaded.temperatures.tolist() == [1.5, 5.0]
    assert loaded.scales == (0.5, 4.0)
    assert loaded.note == "saved"
    assert loaded.history.tolist() == [0, 1, 2]
    assert dict(loaded.hparams) == dict(module.hparams)


class Forwarding(ImageClassifier):
    """A subclass that hands its arguments on."""

    def __init__(self, alpha: float, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.alpha = alpha


def test_subclass_that_forwards_its_arguments_comes_back(tmp_path: Path) -> None:
    path = save(Forwarding(0.5, "seresnet20", lr=0.011, optimizer="adamw"), tmp_path)
    loaded = Forwarding.load_from_checkpoint(path, momentum=0.7)
    assert (loaded.alpha, loaded.lr, loaded.momentum) == (0.5, 0.011, 0.7)
    assert loaded.hparams["arch"] == "seresnet20"


class WithTeacher(ImageClassifier):
    """A subclass with an argument that is not saved."""

    def __init__(self, teacher: nn.Module, lr: float = 0.1) -> None:
        super().__init__("resnet20", lr=lr)
        self.save_hyperparameters(ignore=["teacher"])
        self.teacher = teacher


@pytest.mark.filterwarnings("ignore:Attribute 'teacher' is an instance of")
def test_argument_that_is_not_saved_is_passed_again(tmp_path: Path) -> None:
    module = WithTeacher(nn.Linear(2, 2), lr=0.02)
    path = save(module, tmp_path)
    loaded = WithTeacher.load_from_checkpoint(path, teacher=nn.Linear(2, 2))
    assert_same_weights(loaded, module)
    assert loaded.lr == 0.02


class OtherClassifier(ImageClassifier):
    """A subclass that replaces the classifier of the model."""

    def __init__(self, width: int = 7) -> None:
        super().__init__("resnet20")
        self.model.fc = nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))


@pytest.mark.parametrize("card", [False, True])
def test_replaced_classifier_comes_back(tmp_path: Path, card: bool) -> None:
    module = OtherClassifier(5)
    path = save(module, tmp_path, card=card)
    assert_same_weights(OtherClassifier.load_from_checkpoint(path), module)


def test_other_files_are_still_loaded(tmp_path: Path) -> None:
    bundled = resolve_checkpoint("resnet20-cifar10")
    model, _ = load_model(bundled)
    loaded = ImageClassifier.load_from_checkpoint(bundled, lr=0.3)
    assert_same_weights(loaded.model, model)
    assert loaded.lr == 0.3
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    loaded = ImageClassifier.load_from_checkpoint(tmp_path / "weights.pth")
    assert_same_weights(loaded.model, model)
    small = ImageClassifier.load_from_checkpoint(bundled, num_classes=3).eval()
    assert small(torch.zeros(1, 3, 32, 32)).shape == (1, 3)
    assert torch.equal(small.model.state_dict()["conv1.weight"], model.state_dict()["conv1.weight"])


def test_published_weights_are_not_downloaded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: ImageClassifier, path: Path
) -> None:
    content = torch.load(path, weights_only=True)
    content["hyper_parameters"]["arch"] = "resnet18"
    content["hyper_parameters"]["model_kwargs"] = {"pretrained": True}
    content["state_dict"] = {
        f"model.{name}": weight
        for name, weight in ImageClassifier("resnet18").model.state_dict().items()
    }
    torch.save(content, tmp_path / "tuned.ckpt")

    def fail(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("downloaded")

    monkeypatch.setattr("lightning_resnets.models.registry.load_into_model", fail)
    loaded = ImageClassifier.load_from_checkpoint(tmp_path / "tuned.ckpt")
    assert torch.equal(
        loaded.state_dict()["model.conv1.weight"], content["state_dict"]["model.conv1.weight"]
    )
