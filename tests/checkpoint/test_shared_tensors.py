"""Thousands of names that share one tensor take the work of one."""

import time
from pathlib import Path

import torch

from lightning_resnets import create_model
from lightning_resnets.checkpoint.build_model import nonfinite_notes
from lightning_resnets.checkpoint.identify.conversions import hwio_to_oihw
from lightning_resnets.checkpoint.inspect import inspect_checkpoint
from tests.helpers.peak_memory import peak_growth


def test_shared_convolutions_are_permuted_once() -> None:
    # 16.8 MB, which 250 copies would make 4 GB.
    shared = torch.arange(7 * 7 * 3 * 28_500, dtype=torch.float32).reshape(7, 7, 3, 28_500)
    state = {"conv1.weight": shared, **{f"layer{i}.weight": shared for i in range(250)}}
    assert peak_growth(lambda: hwio_to_oihw(state)) < 100_000_000
    assert all(weight is state["conv1.weight"] for weight in state.values())
    assert torch.equal(state["conv1.weight"], shared.permute(3, 2, 0, 1))


def test_shared_weights_are_looked_at_once() -> None:
    shared = torch.ones(10**6)
    start = time.process_time()
    assert nonfinite_notes(dict.fromkeys(map(str, range(49_000)), shared), "a.ckpt") == ()
    assert time.process_time() - start < 2
    shared[5] = torch.nan
    assert "NaN or inf in its weights (0)" in nonfinite_notes({"0": shared}, "a.ckpt")[0]


def test_a_file_of_shared_names_is_inspected_quickly(tmp_path: Path) -> None:
    model = create_model("resnet20").state_dict()
    # `model.` marks the weights of the model inside a LightningModule.
    state = {f"model.{name}": weight for name, weight in model.items()}
    state |= dict.fromkeys((f"metric{i}" for i in range(40_000)), torch.ones(10**6))
    card = {
        "arch": "resnet20",
        "class_names": [str(index) for index in range(10)],
        "input_size": (3, 32, 32),
        "mean": (0.5,) * 3,
        "std": (0.5,) * 3,
    }
    torch.save({"state_dict": state, "card": card}, tmp_path / "a.ckpt")
    start = time.process_time()
    assert inspect_checkpoint(tmp_path / "a.ckpt").fits
    assert time.process_time() - start < 10
