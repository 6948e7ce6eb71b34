"""A net of the user's own: twenty lines, built by `module:function`, trained and seen like any other."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from lightning_resnets import build
from lightning_resnets.checkpoint.read import OwnNetError, load, read
from lightning_resnets.graph import trace
from lightning_resnets.lens import Lens
from lightning_resnets.merge import Kind
from lightning_resnets.training.classifier import Classifier
from lightning_resnets.training.cli import main

QUIET = ["--trainer.enable_progress_bar", "false", "--trainer.limit_test_batches", "2"]  # "1" would be the share: all
EXAMPLE = """
from torch import nn

from lightning_resnets import Add, Concat
from lightning_resnets.nets.resnet import ResNet


class TwoWindows(nn.Module):
    def __init__(self, inplanes, planes, stride=1):
        super().__init__()
        self.small = nn.Conv2d(inplanes, planes // 2, 3, stride, padding=1)
        self.large = nn.Conv2d(inplanes, planes // 2, 5, stride, padding=2)
        self.concat, self.bn, self.relu, self.add = Concat(), nn.BatchNorm2d(planes), nn.ReLU(), Add()
        self.fit = nn.Conv2d(inplanes, planes, 1, stride)

    def forward(self, x):
        return self.relu(self.add(self.fit(x), self.bn(self.concat(self.small(x), self.large(x)))))


def net(classes=10, depth=2):
    return ResNet(TwoWindows, (depth,) * 3, classes, stem="cifar")
"""


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "twowindows.py").write_text(EXAMPLE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "twowindows", raising=False)
    return "twowindows:net"


def test_a_block_of_ones_own_is_stacked_trained_and_followed(example: str) -> None:
    path = list(sys.path)
    net = build(example, classes=3, depth=1)
    assert sys.path == path
    net(torch.randn(2, 3, 32, 32)).sum().backward()
    assert all(weight.grad is not None for weight in net.parameters())
    graph = trace(net)
    assert [skip.merge for skip in graph.skips if skip.kind is Kind.ADD] == [f"layer{i}.0.add" for i in (1, 2, 3)]
    assert graph.merges[0].name == "layer1.0.concat"
    assert graph.fold().merges == graph.fold().fold().merges


def test_mistakes_get_a_sentence(example: str) -> None:
    with pytest.raises(ValueError, match=r"no net 'nowhere:net' \(No module named 'nowhere'\)"):
        build("nowhere:net")
    with pytest.raises(ValueError, match="no net 'twowindows:nets'"):
        build("twowindows:nets")
    with pytest.raises(ValueError, match="does not take these options"):
        build(example, colour="red")
    with pytest.raises(ValueError, match="gave dict, not a net"):
        build("builtins:dict")
    with pytest.raises(ValueError, match="no net ':'"):
        build(":")


def trained(net: str) -> Path:
    """The small file of a run of two batches."""
    short = ["--trainer.max_epochs", "1", "--trainer.limit_train_batches", "2", "--data.batch_size", "8"]
    main(["fit", "--config", "demo", "--model.net", net, *short, *QUIET])
    return Path("runs/demo/demo.ckpt")


def test_a_file_alone_never_runs_the_code_that_it_names(example: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = trained(example)
    assert read(path).arch == example
    Path("twowindows.py").write_text("raise SystemExit('run')")
    monkeypatch.delitem(sys.modules, "twowindows")
    for way in (load, Lens.open, Classifier.load_from_checkpoint):
        with pytest.raises(OwnNetError, match=rf"'demo.ckpt' holds a net .* '{example}'.*--net {example}") as caught:
            way(path)
        assert caught.value.net == example
        with pytest.raises(ValueError, match="holds a net that somebody wrote himself"):
            way(path, "twowindows:other")
    assert "twowindows" not in sys.modules


def test_with_its_name_it_is_opened_seen_tested_and_trained_on(
    example: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = trained(example)
    net, card = load(path, example)
    lens = Lens.open(path, example)
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    assert lens.look(pixels, ["layer2.1.concat"]).outputs["layer2.1.concat"].shape == (32, 16, 16)
    module = Classifier.load_from_checkpoint(path, example)
    x = torch.randn(2, 3, 32, 32)
    assert torch.equal(module.eval()(x), net(x))
    capsys.readouterr()
    main(["test", "--config", "demo", "--model.net", example, "--ckpt_path", str(path), *QUIET])
    (shown,) = re.findall(r"test_accuracy\W+([\d.]+)", capsys.readouterr().out)
    assert float(shown) == pytest.approx(card.metrics["test_accuracy"])


def test_hyperparameters_are_taken_from_the_file_and_nothing_else(example: str) -> None:
    trained(example)
    Path("bait.py").write_text("raise SystemExit('run')")
    values = torch.load("runs/demo/last.ckpt", weights_only=True)
    values["hyper_parameters"] |= {
        "lr": 0.125,
        "optimizer": {"class_path": "bait.Optimizer"},
        "_class_path": "bait.Net",
    }
    torch.save(values, "baited.ckpt")
    module = Classifier.load_from_checkpoint("baited.ckpt", example, warmup=0.5)
    assert (module.lr, module.warmup, module.hparams["net"]) == (0.125, 0.5, example)
    assert "bait" not in sys.modules
