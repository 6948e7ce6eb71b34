"""Custom models that return a dict, a dataclass or a tuple work in every command and in the API."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from lightning_resnets import InteractiveModel
from lightning_resnets.cli.main import main
from lightning_resnets.data.cifar10_sample import load_sample
from lightning_resnets.models.registry import create_model
from tests.helpers.command_line import error_message

MODULE = """
from dataclasses import dataclass
from collections import OrderedDict
import torch
from torch import nn


@dataclass
class Output:
    logits: torch.Tensor
    hidden_states: torch.Tensor | None = None


class Net(nn.Module):
    def __init__(self, wrap, num_classes):
        super().__init__()
        self.wrap = wrap
        self.conv1 = nn.Conv2d(3, 8, 3, 2, 1)
        self.conv2 = nn.Conv2d(8, 8, 3, 1, 1)
        self.fc = nn.Linear(8, num_classes)

    def forward(self, x):
        x = torch.relu(self.conv1(x))
        x = torch.relu(x + self.conv2(x))
        features = x.mean((2, 3))
        return self.wrap(self.fc(features), features)


def as_tensor(num_classes=10):
    return Net(lambda logits, features: logits, num_classes)


def as_dict(num_classes=10):
    return Net(lambda logits, features: {"features": features, "logits": logits}, num_classes)


def as_dataclass(num_classes=10):
    return Net(lambda logits, features: Output(logits, features), num_classes)


def as_tuple(num_classes=10):
    return Net(lambda logits, features: (logits, features), num_classes)


def as_features(num_classes=10):
    return Net(lambda logits, features: {"a": features, "b": features}, num_classes)
"""

KINDS = ("as_dict", "as_dataclass", "as_tuple")


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write the module and weights of its model, and make both the current folder's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "several_outputs", raising=False)
    (tmp_path / "several_outputs.py").write_text(MODULE)
    torch.manual_seed(0)
    model = create_model("several_outputs:as_tensor")
    torch.save({"state_dict": model.state_dict(), "epoch": 3}, tmp_path / "mine.pth")
    return tmp_path / "mine.pth"


@pytest.mark.parametrize("kind", KINDS)
def test_commands_give_the_same_as_for_a_tensor(
    kind: str, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = list[dict[str, object]]()
    for name in ("as_tensor", kind):
        model = ["--model", f"several_outputs:{name}", "--dataset", "sample"]
        main(["evaluate", str(checkpoint), *model, "--num-images", "100", "--json"])
        result = json.loads(capsys.readouterr().out)
        results.append({key: result[key] for key in ("correct", "top5", "total")})
    assert results[0] == results[1]
    main(["inspect", str(checkpoint), "--model", f"several_outputs:{kind}"])
    assert "its logits are [" in capsys.readouterr().out
    options = ["--dataset", "sample", "--num-images", "20", "--figure-format", "none"]
    main(["analyze", "lesion", str(checkpoint), "--model", f"several_outputs:{kind}", *options])
    assert "lesion.csv" in capsys.readouterr().out


@pytest.mark.parametrize("kind", KINDS)
def test_interactive_model_gives_the_same_as_for_a_tensor(kind: str, checkpoint: Path) -> None:
    image = load_sample("test")[0][0]
    plain = InteractiveModel.open(checkpoint, "several_outputs:as_tensor").run(image)
    opened = InteractiveModel.open(checkpoint, f"several_outputs:{kind}")
    np.testing.assert_array_equal(opened.run(image).logits, plain.logits)
    assert len(opened.graph.skips) == 1
    assert any("its logits are [" in note for note in opened.notes)


@pytest.mark.parametrize("command", ["inspect", "evaluate", "analyze"])
def test_model_without_logits_is_one_message(command: str, checkpoint: Path) -> None:
    args = {
        "inspect": ["inspect", str(checkpoint)],
        "evaluate": ["evaluate", str(checkpoint), "--dataset", "sample"],
        "analyze": ["analyze", "lesion", str(checkpoint), "--dataset", "sample"],
    }[command]
    message = error_message([*args, "--model", "several_outputs:as_features"])
    assert "returns dict with ['a'] 2×8, ['b'] 2×8" in message
    assert "Return the logits alone, or name them 'logits'." in message
