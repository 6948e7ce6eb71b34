"""A custom model in twenty lines: built by `module:function`, trained and inspected."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from lightning_resnets import create_model
from lightning_resnets.checkpoint.load import load_model, read_card
from lightning_resnets.cli.main import main
from lightning_resnets.errors import CustomModelError, TrainingError
from lightning_resnets.graph import trace
from lightning_resnets.interactive.model import InteractiveModel
from lightning_resnets.merges import MergeKind
from lightning_resnets.training.image_classifier import ImageClassifier

QUIET = [
    "--trainer.enable_progress_bar",
    "false",
    "--trainer.limit_test_batches",
    "2",
]  # "1" would mean all: a float is a fraction
EXAMPLE = """
from torch import nn

from lightning_resnets import Add, Concat
from lightning_resnets.models.resnet import ResNet


class TwoWindows(nn.Module):
    def __init__(self, inplanes, planes, stride=1):
        super().__init__()
        self.small = nn.Conv2d(inplanes, planes // 2, 3, stride, padding=1)
        self.large = nn.Conv2d(inplanes, planes // 2, 5, stride, padding=2)
        self.concat = Concat()
        self.bn = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU()
        self.add = Add()
        self.fit = nn.Conv2d(inplanes, planes, 1, stride)

    def forward(self, x):
        return self.relu(self.add(self.fit(x), self.bn(self.concat(self.small(x), self.large(x)))))


def model(num_classes=10, depth=2):
    return ResNet(TwoWindows, (depth,) * 3, num_classes, stem="cifar")
"""


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "twowindows.py").write_text(EXAMPLE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "twowindows", raising=False)
    return "twowindows:model"


def test_a_custom_block_is_stacked_trained_and_traced(example: str) -> None:
    path = list(sys.path)
    model = create_model(example, num_classes=3, depth=1)
    assert sys.path == path
    model(torch.randn(2, 3, 32, 32)).sum().backward()
    assert all(weight.grad is not None for weight in model.parameters())
    graph = trace(model)
    assert [skip.merge for skip in graph.skips if skip.kind is MergeKind.ADD] == [
        f"layer{i}.0.add" for i in (1, 2, 3)
    ]
    assert graph.merges[0].name == "layer1.0.concat"
    assert graph.fold().merges == graph.fold().fold().merges


def test_invalid_names_and_options_raise(example: str) -> None:
    with pytest.raises(ValueError, match=r"no model 'nowhere:model' \(No module named 'nowhere'\)"):
        create_model("nowhere:model")
    with pytest.raises(ValueError, match="no model 'twowindows:models'"):
        create_model("twowindows:models")
    with pytest.raises(ValueError, match="does not take these options"):
        create_model(example, color="red")
    with pytest.raises(ValueError, match="returned dict, not a model"):
        create_model("builtins:dict")
    with pytest.raises(ValueError, match="no model ':'"):
        create_model(":")


def train(model: str) -> Path:
    """Train for two batches and return the small checkpoint."""
    short = [
        "--trainer.max_epochs",
        "1",
        "--trainer.limit_train_batches",
        "2",
        "--data.batch_size",
        "8",
    ]
    main(["fit", "--config", "demo", "--model.arch", model, *short, *QUIET])
    return Path("runs/demo/demo.ckpt")


def test_a_checkpoint_alone_never_runs_custom_code(
    example: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = train(example)
    assert read_card(path).arch == example
    Path("twowindows.py").write_text("raise SystemExit('run')")
    monkeypatch.delitem(sys.modules, "twowindows")
    for load in (load_model, InteractiveModel.open, ImageClassifier.load_from_checkpoint):
        with pytest.raises(
            CustomModelError,
            match=rf"'demo.ckpt' contains a custom model, '{example}'.*--model {example}",
        ) as caught:
            load(path)
        assert caught.value.model == example
        with pytest.raises(ValueError, match="contains a custom model"):
            load(path, "twowindows:other")
    assert "twowindows" not in sys.modules


def test_with_its_name_a_custom_model_is_loaded_and_tested(
    example: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = train(example)
    model, card = load_model(path, example)
    interactive = InteractiveModel.open(path, example)
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    assert interactive.run(pixels, ["layer2.1.concat"]).outputs["layer2.1.concat"].shape == (
        32,
        16,
        16,
    )
    module = ImageClassifier.load_from_checkpoint(path, arch=example)
    x = torch.randn(2, 3, 32, 32)
    assert torch.equal(module.eval()(x), model(x))
    capsys.readouterr()
    main(["test", "--config", "demo", "--model.arch", example, "--ckpt_path", str(path), *QUIET])
    (printed,) = re.findall(r"test_accuracy\W+([\d.]+)", capsys.readouterr().out)
    assert float(printed) == pytest.approx(card.metrics["test_accuracy"])


def test_only_hyperparameters_are_taken_from_the_checkpoint(example: str) -> None:
    train(example)
    Path("bait.py").write_text("raise SystemExit('run')")
    values = torch.load("runs/demo/last.ckpt", weights_only=True)
    values["hyper_parameters"] |= {
        "lr": 0.125,
        "optimizer": {"class_path": "bait.Optimizer"},
        "_class_path": "bait.Model",
    }
    torch.save(values, "baited.ckpt")
    # A class for the optimizer is an error, not something to import.
    with pytest.raises(TrainingError, match="optimizer must be 'sgd'"):
        ImageClassifier.load_from_checkpoint("baited.ckpt", arch=example)
    del values["hyper_parameters"]["optimizer"]
    torch.save(values, "baited.ckpt")
    module = ImageClassifier.load_from_checkpoint("baited.ckpt", arch=example, warmup_fraction=0.5)
    assert (module.lr, module.warmup_fraction, module.hparams["arch"]) == (0.125, 0.5, example)
    assert "bait" not in sys.modules
