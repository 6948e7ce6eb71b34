"""`inspect` prints the expected texts."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_resnets import create_model
from lightning_resnets.cli import main as command
from lightning_resnets.cli.inspect import main

State = dict[str, Tensor]
OWN = """\
file           resnet20-cifar10.ckpt: PyTorch zip, {size:.1f} MB, weights under 'state_dict'
model          resnet20
               269,722 parameters, 10 classes of CIFAR-10
key naming     the file's own card
preprocessing  32×32, RGB 0..1, mean 0.4914, 0.4822, 0.4465, std 0.247, 0.2435, 0.2616
"""
BARE = """\
file           a.pth: PyTorch zip, 1.1 MB, weights under 'model'
model          resnet20
               269,722 parameters, 10 classes (names unknown)
key naming     lightning-resnets; likely: every weight fits resnet20, but also plain20, \
resnet20,shortcut_pad=back; weights cannot distinguish them: chose the first
preprocessing  32×32, RGB 0..1, mean 0.4914, 0.4822, 0.4465, std 0.247, 0.2435, 0.2616 (assumed)
also matches   plain20, \
resnet20,shortcut_pad=back (shortcuts that add all zeros behind the channels)
converted      prefix 'module.' removed from the keys
verdict        every weight matches
file says      epoch 3
"""
MISMATCH = """\
file           a.pth: PyTorch zip, 1.1 MB
closest model  resnet20
               {count:,} of its parameters are in the file
key naming     lightning-resnets; unsure: resnet20 is the closest model, \
but not every weight fits it
verdict        does not match: cannot be loaded as this model
missing        layer1.0.bn1.weight
unexpected     extra
mismatched     layer1.0.conv2.weight 16×16×5×5, the model has 16×16×3×3
"""


@pytest.fixture
def state() -> State:
    return create_model("resnet20").state_dict()


def said(tmp_path: Path, value: Any, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    torch.save(value, tmp_path / "a.pth")
    main([str(tmp_path / "a.pth"), *options])
    return capsys.readouterr().out


def mismatched(state: State) -> State:
    state |= {"extra": torch.ones(3), "layer1.0.conv2.weight": torch.ones(16, 16, 5, 5)}
    del state["layer1.0.bn1.weight"]
    return state


def test_files_with_a_card(capsys: pytest.CaptureFixture[str]) -> None:
    main(["resnet20-cifar10"])
    shown = capsys.readouterr().out
    size = (Path(__file__).parents[2] / "checkpoints/resnet20-cifar10.ckpt").stat().st_size / 1e6
    assert shown.startswith(OWN.format(size=size))
    assert "metric         test_accuracy 0." in shown


def test_files_without_a_card(
    tmp_path: Path, state: State, capsys: pytest.CaptureFixture[str]
) -> None:
    wrapped = {"epoch": 3, "model": {f"module.{name}": weight for name, weight in state.items()}}
    assert said(tmp_path, wrapped, capsys) == BARE
    found = json.loads(said(tmp_path, wrapped, capsys, "--json"))
    assert {
        name: found[name]
        for name in ("arch", "confidence", "matches", "alternatives", "parameters", "wrapper")
    } == {
        "arch": "resnet20",
        "confidence": "likely",
        "matches": True,
        "alternatives": ["plain20", "resnet20,shortcut_pad=back"],
        "parameters": 269_722,
        "wrapper": "model",
    }
    assert found["card"]["arch"] == "resnet20"


def test_files_that_match_no_model(
    tmp_path: Path, state: State, capsys: pytest.CaptureFixture[str]
) -> None:
    state = mismatched(state)
    with pytest.raises(SystemExit, match="1"):
        said(tmp_path, state, capsys)
    fitting = (
        269_722 - 16 - 16 * 16 * 9
    )  # without the weight that lacks and the one of another shape
    assert capsys.readouterr().out == MISMATCH.format(count=fitting)
    with pytest.raises(SystemExit, match="1"):
        main([str(tmp_path / "a.pth"), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert (found["matches"], found["missing_keys"], found["unexpected_keys"]) == (
        False,
        ["layer1.0.bn1.weight"],
        ["extra"],
    )
    assert found["mismatched_keys"] == [["layer1.0.conv2.weight", [16, 16, 5, 5], [16, 16, 3, 3]]]
    assert found["notes"] == []


def test_nonfinite_weights_are_noted(
    tmp_path: Path, state: State, capsys: pytest.CaptureFixture[str]
) -> None:
    state["fc.bias"][0] = torch.inf
    note = "note           'a.pth' has NaN or inf in its weights (fc.bias): its training diverged."
    assert said(tmp_path, state, capsys).splitlines()[-1] == note


def test_main_command_runs_inspect(capsys: pytest.CaptureFixture[str]) -> None:
    command.main(["inspect", "plain20-cifar10", "--json"])
    assert json.loads(capsys.readouterr().out)["arch"] == "plain20"
