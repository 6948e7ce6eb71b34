"""Test `graph`: any model by name or file, in every format, and its errors."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch

from lightning_resnets import create_model
from lightning_resnets.checkpoint.model_card import ModelCard
from lightning_resnets.cli.main import main
from lightning_resnets.graph import ModelGraph, trace
from tests.helpers.command_line import error_message

CUSTOM_MODEL = """
from torch import nn

class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
    def forward(self, x):
        return x + self.conv(x)

def tiny(num_classes=10):
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, num_classes)]
    return nn.Sequential(Residual(), Residual(), *head)
"""


@pytest.fixture(autouse=True)
def working_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def graph_output(capsys: pytest.CaptureFixture[str], args: str) -> str:
    """Run `graph` and return what it prints."""
    main(["graph", *args.split()])
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("fold", "depth"),
    [("stages", "stage"), ("blocks", "block"), ("none", "module"), ("stage", "stages")],
)
def test_output_is_the_text_of_the_graph(
    fold: str, depth: str, capsys: pytest.CaptureFixture[str]
) -> None:
    graph = trace(create_model("seresnet20"), (3, 32, 32))
    folded = graph.fold(depth)  # type: ignore[arg-type]
    collapsed = graph.fold(depth, collapse_repeats=True)  # type: ignore[arg-type]
    assert graph_output(capsys, f"seresnet20 --fold {fold}") == f"{folded}\n"
    assert graph_output(capsys, f"seresnet20 --fold {fold} --collapse-repeats") == f"{collapsed}\n"


def test_bundled_model_has_the_same_graph(capsys: pytest.CaptureFixture[str]) -> None:
    graph = trace(create_model("seresnet20"), (3, 32, 32))
    assert graph_output(capsys, "seresnet20-cifar10") == f"{graph.fold()}\n"


def test_graph_is_written_in_every_format(capsys: pytest.CaptureFixture[str]) -> None:
    formats = ("dot", "graphml", "json", "svg", "txt")
    for suffix in formats:
        args = f"resnet50 --collapse-repeats --image-size 64 --out model.{suffix}"
        line = graph_output(capsys, args)
        assert line.startswith(
            f"model.{suffix}: 26 nodes (42 with repeats), 25,557,032 parameters, "
        )
    graph = ModelGraph.from_json(Path("model.json").read_text(encoding="utf-8"))
    assert graph == trace(create_model("resnet50", 1000), (3, 64, 64)).fold(collapse_repeats=True)
    assert Path("model.txt").read_text(encoding="utf-8") == f"{graph}\n"
    assert ElementTree.parse("model.svg").getroot().tag.endswith("svg")
    assert ElementTree.parse("model.graphml").getroot().tag.endswith("graphml")
    assert Path("model.dot").read_text(encoding="utf-8").startswith('digraph "resnet50" {')
    # No temporary file is left.
    assert sorted(path.name for path in Path().iterdir()) == [f"model.{name}" for name in formats]


def test_custom_model_and_checkpoint_file(capsys: pytest.CaptureFixture[str]) -> None:
    Path("graph_own.py").write_text(CUSTOM_MODEL)
    assert "2 skips: 2 add" in graph_output(capsys, "graph_own:tiny")
    torch.save(create_model("resnet20").state_dict(), "some.pth")
    assert "9 skips: 9 add (2 proj" in graph_output(capsys, "some.pth")
    assert "9 skips: 9 add" in graph_output(capsys, "some.pth --model resnet20")


FIXED_SIZE_MODEL = """
import torch
from torch import nn

class Gray(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3, padding=1)
        self.fc = nn.Linear(2 * 20 * 20, num_classes)
    def forward(self, x):
        # A question that only the recorder can trace, and only for one size.
        if x.sum() < 0:
            x = -x
        x = self.conv(x)
        return self.fc((x + torch.relu(x)).flatten(1))

def gray(num_classes=10):
    return Gray(num_classes)
"""


def test_custom_model_has_the_size_of_the_option(capsys: pytest.CaptureFixture[str]) -> None:
    Path("graph_gray.py").write_text(FIXED_SIZE_MODEL)
    # The channels are those of its first convolution.
    output = graph_output(capsys, "graph_gray:gray --image-size 20 --fold none")
    assert "1×20×20" in output
    assert "1 skip: 1 add" in output
    message = error_message(["graph", "graph_gray:gray"])
    assert "an input of 1×224×224" in message
    assert "--image-size N sets the model's own" in message


def test_assumed_size_of_a_custom_model_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    Path("graph_own2.py").write_text(CUSTOM_MODEL)
    main(["graph", "graph_own2:tiny"])
    captured = capsys.readouterr()
    assert "3×224×224" in captured.out
    assert captured.err == "input size 3×224×224 is assumed: --image-size N sets another\n"
    for args in ("graph_own2:tiny --image-size 32", "resnet20"):
        main(["graph", *args.split()])
        assert capsys.readouterr().err == ""


def test_custom_checkpoint_has_the_size_of_its_card(capsys: pytest.CaptureFixture[str]) -> None:
    Path("graph_own3.py").write_text(CUSTOM_MODEL)
    card = ModelCard(
        arch="graph_own3:tiny",
        class_names=tuple(map(str, range(10))),
        input_size=(3, 48, 48),
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
    )
    weights = create_model("graph_own3:tiny").state_dict()
    torch.save({"state_dict": weights, "card": card.to_dict()}, "own.pt")
    main(["graph", "own.pt", "--model", "graph_own3:tiny"])
    captured = capsys.readouterr()
    assert "3×48×48" in captured.out
    assert captured.err == ""


@pytest.mark.slow  # imports torchvision
def test_torchvision_models(capsys: pytest.CaptureFixture[str]) -> None:
    resnet = graph_output(capsys, "torchvision/resnet18 --image-size 64")
    assert "8 skips: 8 add (3 proj" in resnet
    densenet = graph_output(capsys, "torchvision/densenet121 --image-size 64")
    assert "535 skips: 535 concat" in densenet


ERRORS = {
    "resnet51": "There is no model or file named 'resnet51'. "
    "Similar names: resnet56, resnet50, resnet18.",
    "zzz": "There is no model or file named 'zzz'. `lightning-resnets models` lists the models.",
    "zzz.pth": "'zzz.pth'",
    "timm/resnet1": "'timm/resnet1'",
    "no_module:model": "No module named 'no_module'",
    "resnet20 --out model.png": "Unknown file type 'model.png': "
    "the name must end in .json, .graphml, .dot, .svg or .txt.",
    "resnet20 --out no/model.svg": "Folder 'no' does not exist. Create it first.",
    "resnet20 --out there.svg": "'there.svg' already exists. Choose another name or add --over",
    "resnet20 --out folder.svg": "'folder.svg' is a folder. Give a file name.",
    "resnet20 --image-size 0": "--image-size: must be a number of pixels from 1 to 4096, got '0'",
    "resnet20 --fold cell": "--fold: must be stages, blocks or none, got 'cell'",
    "alexnet --image-size 32": "3×32×32",
    "seresnet20-cifar10 --model plain20": "seresnet20",
}


@pytest.mark.parametrize(
    "args",
    [
        args if "alexnet" not in args else pytest.param(args, marks=pytest.mark.slow)
        for args in ERRORS
    ],
)
def test_errors_leave_files_unchanged(args: str) -> None:
    Path("there.svg").write_text("mine")
    Path("folder.svg").mkdir()
    assert ERRORS[args] in error_message(["graph", *args.split()])
    assert sorted(path.name for path in Path().iterdir()) == ["folder.svg", "there.svg"]
    assert Path("there.svg").read_text() == "mine"


def test_overwrite_replaces_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    Path("there.json").write_text("mine")
    graph_output(capsys, "resnet20 --fold stages --out there.json --overwrite")
    document = json.loads(Path("there.json").read_text(encoding="utf-8"))
    assert document["version"] == 1
    assert document["parameters"] == 269_722
