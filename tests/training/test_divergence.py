"""A loss that is no number stops the run at its exact step; what is kept is finite; no step waits
for the device.
"""

import math
import re
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from torch import Tensor

from lightning_resnets.cli.main import main
from lightning_resnets.errors import TrainingDivergedError
from lightning_resnets.training.callbacks.checkpointing import LastCheckpoint
from lightning_resnets.training.callbacks.divergence import StopOnDivergence
from tests.helpers.tiny_module import QUIET, Points, Tiny

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers", "ignore:Checkpoint directory"
)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(
        tmp_path_factory.mktemp("cwd")
    )  # a Trainer without a saver writes checkpoints/ where it is


class Poison(Callback):
    """Multiplies loss or gradients by a number in one step or from it on."""

    def __init__(
        self, step: int, factor: float, gradients: bool = False, lasts: bool = False
    ) -> None:
        self.step, self.factor, self.gradients, self.lasts = step, factor, gradients, lasts

    def _now(self, trainer: L.Trainer) -> bool:
        return trainer.global_step + 1 == self.step or (
            self.lasts and trainer.global_step + 1 >= self.step
        )

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, *_: object
    ) -> None:
        pl_module.scale = self.factor if self._now(trainer) and not self.gradients else 1.0  # type: ignore[assignment]

    def on_after_backward(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self._now(trainer) and self.gradients:
            next(pl_module.parameters()).grad.mul_(self.factor)  # type: ignore[union-attr]


def run(folder: Path, *callbacks: Callback, epochs: int = 2) -> None:
    L.seed_everything(1, verbose=False)
    trainer = L.Trainer(max_epochs=epochs, logger=False, callbacks=list(callbacks), **QUIET)
    trainer.fit(Tiny(), datamodule=Points(plain=False))


@pytest.mark.parametrize("factor", [math.nan, math.inf])
@pytest.mark.parametrize("step", [1, 7, 10, 13])
@pytest.mark.parametrize("every", [1, 3, 50])
def test_the_first_step_is_said(tmp_path: Path, factor: float, step: int, every: int) -> None:
    with pytest.raises(
        TrainingDivergedError, match=f"no longer finite at step {step}[ .].*lower learning rate"
    ) as caught:
        run(tmp_path, Poison(step, factor), StopOnDivergence(every=every), LastCheckpoint(tmp_path))
    path = tmp_path / "last.ckpt"
    assert path.is_file() == (step > 10)
    assert (f"(the last finite weights are in {path})" in str(caught.value)) == (step > 10)


@pytest.mark.parametrize("gradients", [False, True])
def test_weights_that_are_not_finite_are_never_saved(tmp_path: Path, gradients: bool) -> None:
    """With the gradients alone, the weights are lost in a step whose loss was right."""
    savers = [
        LastCheckpoint(tmp_path, every_steps=1),
        ModelCheckpoint(tmp_path / "all", save_top_k=-1, every_n_train_steps=1),
    ]
    with pytest.raises(TrainingDivergedError, match=r"step 6 \(the last finite"):
        run(tmp_path, Poison(6, math.nan, gradients), StopOnDivergence(), *savers)
    files = [tmp_path / "last.ckpt", *(tmp_path / "all").iterdir()]
    saved = [torch.load(path, weights_only=True) for path in files]
    assert max(file["global_step"] for file in saved) == saved[0]["global_step"] == 5
    assert all(weight.isfinite().all() for file in saved for weight in file["state_dict"].values())


def test_a_loss_that_stays_absurd_is_told_from_a_spike(tmp_path: Path) -> None:
    Points.num_classes = 3  # type: ignore[attr-defined]
    try:
        run(tmp_path, Poison(5, 100.0), StopOnDivergence(patience=4))
        with pytest.raises(
            TrainingDivergedError, match=r"above 2\.2 in all 4 steps up to step 16\. Restart"
        ):
            run(tmp_path, Poison(13, 1e4, lasts=True), StopOnDivergence(patience=4))
        run(tmp_path, Poison(13, 1e4, lasts=True), StopOnDivergence(limit=0, patience=4))
    finally:
        del Points.num_classes  # type: ignore[attr-defined]


def test_no_step_waits_for_the_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A number is asked for once in `every` steps and at an epoch's end, of all losses at once."""
    reads: list[int] = []
    for name in ("tolist", "item", "__bool__", "__float__"):
        ask = getattr(Tensor, name)
        monkeypatch.setattr(
            Tensor, name, lambda self, ask=ask: (reads.append(self.numel()), ask(self))[1]
        )
    callback = StopOnDivergence(every=4)
    trainer: Any = type("T", (), {"world_size": 1, "global_step": 0, "checkpoint_callbacks": []})()
    callback.on_train_start(trainer, Tiny())
    for step in range(1, 12):
        trainer.global_step = step
        callback.on_train_batch_end(trainer, Tiny(), {"loss": torch.tensor(1.0)}, None, step - 1)
    callback.on_train_epoch_end(trainer, Tiny())
    assert reads == [4, 4, 4]


def test_the_command_ends_with_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    short = [
        "--trainer.limit_train_batches",
        "9",
        "--data.batch_size",
        "8",
        "--checkpoint_every_steps",
        "1",
    ]
    quiet = [
        "--trainer.enable_progress_bar",
        "false",
        "--trainer.precision",
        "32-true",
        "--trainer.accelerator",
        "cpu",
    ]
    with pytest.raises(SystemExit) as caught:
        main(["fit", "--config", "demo", *short, *quiet, "--model.lr", "1000"])
    assert str(caught.value.code).startswith("lightning-resnets: The ")
    assert re.search("loss (is no longer finite|was above a million) at", str(caught.value.code))
    assert "\n" not in str(caught.value.code)
    assert not list(Path().rglob("demo.ckpt"))


@pytest.mark.parametrize("step", [1, 7, 13])
def test_a_loss_beyond_all_bounds_is_said_at_its_step(tmp_path: Path, step: int) -> None:
    with pytest.raises(TrainingDivergedError, match=f"above a million at step {step}[ .]"):
        run(tmp_path, Poison(step, 1e9), StopOnDivergence(limit=10.0), LastCheckpoint(tmp_path))
    run(tmp_path, Poison(step, 1e4), StopOnDivergence(limit=10.0))
    run(tmp_path, Poison(step, 1e9), StopOnDivergence(limit=0))
