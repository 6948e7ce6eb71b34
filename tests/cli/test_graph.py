"""`lightning-resnets graph`: any model by name or file, in every form; a mistake is one sentence and leaves no file."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch

from lightning_resnets import create_model
from lightning_resnets.cli.main import main
from lightning_resnets.graph import ModelGraph, trace

OWN = """
import torch
from torch import nn

class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
    def forward(self, x):
        return x + self.conv(x)

def tiny(classes=10):
    return nn.Sequential(Twice(), Twice(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, classes))
"""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def printed(capsys: pytest.CaptureFixture[str], words: str) -> str:
    main(["graph", *words.split()])
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("fold", "depth"),
    [("stages", "stage"), ("blocks", "block"), ("none", "module"), ("stage", "stages")],
)
def test_the_text_is_the_graphs_own(
    fold: str, depth: str, capsys: pytest.CaptureFixture[str]
) -> None:
    graph = trace(create_model("seresnet20"), (3, 32, 32))
    assert printed(capsys, f"seresnet20 --fold {fold}") == f"{graph.fold(depth)}\n"  # type: ignore[arg-type]
    assert (
        printed(capsys, f"seresnet20 --fold {fold} --repeats")
        == f"{graph.fold(depth, repeats=True)}\n"
    )  # type: ignore[arg-type]
    assert printed(capsys, "seresnet20-cifar10") == f"{graph.fold()}\n"  # the model that ships


def test_every_form_of_one_graph(capsys: pytest.CaptureFixture[str]) -> None:
    for ending in ("json", "graphml", "dot", "svg", "txt"):
        told = printed(capsys, f"resnet50 --repeats --size 64 --out model.{ending}")
        assert told.startswith(
            f"model.{ending}: 26 blocks for 42 with repeats, 25,557,032 parameters, "
        )
    graph = ModelGraph.from_json(Path("model.json").read_text(encoding="utf-8"))
    assert graph == trace(create_model("resnet50", 1000), (3, 64, 64)).fold(repeats=True)
    assert Path("model.txt").read_text(encoding="utf-8") == f"{graph}\n"
    assert ElementTree.parse("model.svg").getroot().tag.endswith("svg")
    assert ElementTree.parse("model.graphml").getroot().tag.endswith("graphml")
    assert Path("model.dot").read_text(encoding="utf-8").startswith('digraph "resnet50" {')
    assert sorted(path.name for path in Path().iterdir()) == [
        f"model.{e}" for e in ("dot", "graphml", "json", "svg", "txt")
    ]


def test_a_net_of_your_own_and_one_in_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    Path("graph_own.py").write_text(OWN)
    assert "2 skips: 2 add" in printed(capsys, "graph_own:tiny")
    torch.save(create_model("resnet20").state_dict(), "some.pth")
    assert "9 skips: 9 add (2 projected)" in printed(capsys, "some.pth")
    assert "9 skips: 9 add" in printed(capsys, "some.pth --model resnet20")


@pytest.mark.slow  # imports torchvision
def test_a_net_of_torchvisions(capsys: pytest.CaptureFixture[str]) -> None:
    assert "8 skips: 8 add (3 projected)" in printed(capsys, "torchvision/resnet18 --size 64")
    assert "535 skips: 535 concat" in printed(capsys, "torchvision/densenet121 --size 64")


MISTAKES = {
    "resnet51": "There is no model and no file called 'resnet51' (near: resnet56, resnet50, resnet18).",
    "zzz": "There is no model and no file called 'zzz' (`lightning-resnets models` lists the models).",
    "zzz.pth": "There is no file and no shipped model called 'zzz.pth'",
    "timm/resnet1": "There is no model named 'timm/resnet1' (near: timm/resnet",
    "no_module:model": "There is no model 'no_module:model' (No module named 'no_module')",
    "resnet20 --out model.png": "'model.png' says by its ending what to write: take .json, .graphml, .dot, .svg or .txt.",
    "resnet20 --out no/model.svg": "There is no folder 'no'",
    "resnet20 --out there.svg": "'there.svg' is there already: choose another name, or add --overwrite.",
    "resnet20 --out folder.svg": "'folder.svg' is no ordinary file",
    "resnet20 --size 0": "Argument --size: '0' is no number of pixels from 1 to 4096",
    "resnet20 --fold cell": "Argument --fold: 'cell' is no depth to fold to: take stages, blocks or none",
    "alexnet --size 32": "This model cannot be followed for an image of 3×32×32",
    "seresnet20-cifar10 --model plain20": "seresnet20",
}


@pytest.mark.parametrize(
    "words",
    [w if "alexnet" not in w else pytest.param(w, marks=pytest.mark.slow) for w in MISTAKES],
)
def test_a_mistake_is_one_sentence(words: str) -> None:
    Path("there.svg").write_text("mine")
    Path("folder.svg").mkdir()
    with pytest.raises(SystemExit) as caught:
        main(["graph", *words.split()])
    assert MISTAKES[words] in str(caught.value.code)
    assert "\n" not in str(caught.value.code)
    assert sorted(path.name for path in Path().iterdir()) == ["folder.svg", "there.svg"]
    assert Path("there.svg").read_text() == "mine"


def test_overwrite_and_json_to_look_at(capsys: pytest.CaptureFixture[str]) -> None:
    Path("there.json").write_text("mine")
    printed(capsys, "resnet20 --fold stages --out there.json --overwrite")
    document = json.loads(Path("there.json").read_text(encoding="utf-8"))
    assert (document["version"], document["parameters"]) == (1, 269_722)
