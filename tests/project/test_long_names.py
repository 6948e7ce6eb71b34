"""No message prints a whole name of 60,000 letters: names from files are cut to 80."""

import contextlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from lightning_resnets import create_model
from lightning_resnets.checkpoint.inspect import inspect_checkpoint
from lightning_resnets.checkpoint.inspect_text import format_report
from lightning_resnets.checkpoint.load import load_checkpoint
from lightning_resnets.cli.main import main
from lightning_resnets.errors import UserError

LONG = "x" * 60_000
SHORTER = "x" * 400  # the longest key of a pickle that counts as a weight
TOO_LONG_RE = re.compile("x{81}")

CARD: dict[str, Any] = {
    "arch": "resnet20",
    "class_names": [str(index) for index in range(10)],
    "input_size": (3, 32, 32),
    "mean": (0.5,) * 3,
    "std": (0.5,) * 3,
}


def weights(**extra: torch.Tensor) -> dict[str, torch.Tensor]:
    return {**create_model("resnet20").state_dict(), **extra}


def saved(value: Any) -> Callable[[Path], object]:
    return lambda path: torch.save(value, path)


def in_safetensors(state: dict[str, torch.Tensor], **card: Any) -> Callable[[Path], object]:
    metadata = {"card": json.dumps({**CARD, **card})} if card else None
    return lambda path: safetensors.torch.save_file(state, path, metadata)


def in_npz(state: dict[str, torch.Tensor]) -> Callable[[Path], object]:
    def write(path: Path) -> None:
        with path.open("wb") as file:
            arrays: dict[str, Any] = {name: weight.numpy() for name, weight in state.items()}
            np.savez(file, **arrays)

    return write


def index(path: Path) -> None:
    path.with_name("m.safetensors.index.json").write_text(
        json.dumps({"weight_map": {LONG: path.name}})
    )
    safetensors.torch.save_file(weights(), path)


def fp8(path: Path) -> None:
    header = json.dumps({LONG: {"dtype": LONG, "shape": [2], "data_offsets": [0, 2]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(2))


BAD = torch.full((2, 2), torch.nan)

FILES: dict[str, Callable[[Path], object]] = {
    "extra": saved(weights(**{SHORTER: torch.ones(2)})),
    "extra, safetensors": in_safetensors(weights(**{LONG: torch.ones(2)})),
    "extra, npz": in_npz(weights(**{LONG: torch.ones(2)})),
    "extra beside a card": in_safetensors(weights(**{LONG: torch.ones(2)}), epoch=3),
    "not finite": in_safetensors(weights(**{LONG: BAD}), dataset=""),
    "not a tensor": saved({"state_dict": weights() | {LONG: 3}}),  # type: ignore[operator]
    "empty": in_safetensors(weights(**{LONG: torch.ones(0, 2)})),
    "expanded": saved(weights(**{SHORTER: torch.ones(1).expand(10, 64)})),
    "unknown": in_safetensors({LONG: torch.ones(2), f"{LONG}y": torch.ones(3, 3, 1, 1)}),
    "equal after a prefix": in_safetensors(
        {f"module.{LONG}": torch.ones(2), f"module._orig_mod.{LONG}": torch.ones(3)}
    ),
    "wrapper": saved({LONG: weights()}),
    "two models": saved({LONG: weights(), f"{LONG}y": weights()}),
    "metadata": saved({"state_dict": weights(), LONG: 3, "arch": LONG, "epoch": LONG}),
    "card, arch": in_safetensors(weights(), arch=LONG),
    "card, custom": in_safetensors(weights(), arch=f"{LONG}:f"),
    "card, options": in_safetensors(weights(), model_kwargs={LONG: LONG}),
    "card, option's value": in_safetensors(weights(), model_kwargs={"stem": LONG}),
    "card, classes": in_safetensors(weights(), class_names=[LONG] * 10),
    "card, dataset": in_safetensors(weights(), dataset=LONG),
    "card, metrics": in_safetensors(weights(), metrics={LONG: 0.5}),
    "card, wrong metric": in_safetensors(weights(), metrics={LONG: "a"}),
    "card, unknown entry": in_safetensors(weights(), **{LONG: 3}),
    "index": index,
    "dtype": fp8,
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.filterwarnings("ignore::lightning_resnets.errors.CheckpointWarning")
def test_long_names_are_cut(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "m-00001-of-00001.safetensors" if name == "index" else tmp_path / "a.ckpt"
    FILES[name](path)
    texts = list[str]()
    for action in (
        lambda: format_report(inspect_checkpoint(path)),
        lambda: load_checkpoint(path).notes,
    ):
        try:
            texts += action()
        except UserError as error:
            texts.append(str(error))
    with contextlib.suppress(SystemExit):
        main(["inspect", str(path)])
    printed = capsys.readouterr()
    texts += [printed.out, printed.err]
    assert texts
    for text in texts:
        assert not TOO_LONG_RE.search(text), text[:200]
