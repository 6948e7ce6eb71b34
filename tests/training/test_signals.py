"""SIGTERM and Ctrl-C: the step is finished and saved, a sentence says how to go on, the exit code
is the signal's.
"""

import os
import signal
import time
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
import yaml
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging

from lightning_resnets.cli.main import main
from lightning_resnets.errors import RunInterrupted
from lightning_resnets.training.callbacks.checkpointing import LastCheckpoint
from lightning_resnets.training.callbacks.exact_resume import ExactResume
from lightning_resnets.training.callbacks.signals import StopOnSignal
from tests.helpers.child_process import ended, forked, wait_for
from tests.helpers.tiny_module import QUIET, Points, Tiny

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(
        tmp_path_factory.mktemp("cwd")
    )  # a Trainer without a saver writes checkpoints/ where it is


class Send(Callback):
    """Sends this process a signal within a step."""

    def __init__(self, number: int, step: int) -> None:
        self.number, self.step = number, step

    def on_before_backward(self, trainer: L.Trainer, *_: object) -> None:
        if trainer.global_step == self.step:
            os.kill(os.getpid(), self.number)


def run(folder: Path, *callbacks: Callback, **options: Any) -> L.Trainer:
    lasting = [
        EMAWeightAveraging(decay=0.8),
        ExactResume(["total"]),
        LastCheckpoint(folder),
        StopOnSignal(),
    ]
    L.seed_everything(1, verbose=False)
    trainer = L.Trainer(
        max_epochs=2, logger=False, callbacks=[*lasting, *callbacks], **QUIET | options
    )
    last = folder / "last.ckpt"
    path = last if last.is_file() else None
    trainer.fit(module := Tiny(), datamodule=Points(plain=False), ckpt_path=path, weights_only=True)
    trainer.weights = dict(module.state_dict())  # type: ignore[attr-defined]
    return trainer


@pytest.mark.parametrize(
    ("number", "name"), [(signal.SIGTERM, "SIGTERM"), (signal.SIGINT, "Ctrl-C")]
)
@pytest.mark.parametrize(
    ("step", "saved"), [(4, 5), (9, 10)], ids=["within an epoch", "at its end"]
)
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_the_very_step_is_saved_and_gone_on_from(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    number: int,
    name: str,
    step: int,
    saved: int,
    precision: Any,
) -> None:
    whole = run(tmp_path / "whole", precision=precision)
    before = signal.getsignal(number)
    with pytest.raises(RunInterrupted) as caught:
        run(tmp_path, Send(number, step), precision=precision)
    assert caught.value.code == 128 + number
    path = tmp_path / "last.ckpt"
    sentence = (
        f"Stopped by {name} after step {saved}, saved in {path}. Resume with --ckpt_path last.\n"
    )
    assert capsys.readouterr().err.endswith(sentence)
    assert signal.getsignal(number) is before
    assert torch.load(path, weights_only=True)["global_step"] == saved
    rest = run(tmp_path, precision=precision)
    for key, weight in whole.weights.items():  # type: ignore[attr-defined]
        assert torch.equal(weight, rest.weights[key]), key  # type: ignore[attr-defined]


def test_without_a_saver_it_says_that_nothing_was_saved(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    callbacks = [StopOnSignal(), Send(signal.SIGTERM, 2)]
    with pytest.raises(RunInterrupted):
        L.Trainer(max_epochs=1, logger=False, callbacks=callbacks, **QUIET).fit(
            Tiny(), datamodule=Points(plain=False)
        )
    assert capsys.readouterr().err.endswith("Stopped by SIGTERM after step 3, nothing was saved.\n")


class WithATest(Tiny):
    def test_step(self, batch: list[torch.Tensor], batch_idx: int) -> None:
        self.model(batch[0])


class SendInTest(Callback):
    def __init__(self, number: int) -> None:
        self.number = number

    def on_test_batch_start(self, *_: object, **__: object) -> None:
        os.kill(os.getpid(), self.number)


@pytest.mark.parametrize(
    ("number", "name"), [(signal.SIGTERM, "SIGTERM"), (signal.SIGINT, "Ctrl-C")]
)
def test_a_test_ends_at_once_and_what_was_trained_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], number: int, name: str
) -> None:
    before = signal.getsignal(number)
    trainer = run(tmp_path, SendInTest(number))
    with pytest.raises(RunInterrupted) as caught:
        trainer.test(WithATest(), [[torch.zeros(4, 4)]])
    assert caught.value.code == 128 + number
    trained = f"the trained weights are in {tmp_path / 'last.ckpt'} (--ckpt_path last)"
    assert f"Stopped by {name} while testing; {trained}" in capsys.readouterr().err
    assert signal.getsignal(number) is before


def recipe(folder: Path) -> None:
    folder.mkdir()
    plan = {
        "accelerator": "cpu",
        "precision": "bf16-mixed",
        "max_epochs": 500,
        "enable_progress_bar": False,
    }
    plan |= {
        "limit_train_batches": 20,
        "log_every_n_steps": 5,
        "callbacks": [{"class_path": "EMAWeightAveraging"}],
    }
    data = {"class_path": "lightning_resnets.data.CIFAR10Sample", "init_args": {"batch_size": 4}}
    values = {
        "checkpoint_every_steps": 3,
        "model": {"arch": "resnet20"},
        "data": data,
        "trainer": plan,
    }
    (folder / "tiny.yaml").write_text(yaml.safe_dump(values))


def fit() -> None:
    main(["fit", "--config", "tiny.yaml"])


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_the_command_ends_with_the_signals_code(tmp_path: Path, number: int, code: int) -> None:
    folder = tmp_path / "run"
    recipe(folder)
    child = forked(folder, fit)
    last = folder / "runs/tiny/last.ckpt"
    wait_for(last, child)
    os.kill(child, number)
    assert ended(child) == code, (folder / "log.txt").read_text()
    step = torch.load(last, weights_only=True)["global_step"]
    log = (folder / "log.txt").read_text()
    assert f"after step {step}, saved in runs/tiny/last.ckpt. Resume with --ckpt_path last." in log
    assert "Traceback" not in log
    assert {path.name for path in last.parent.iterdir()} == {
        "last.ckpt",
        "version_0",
    }  # no small file, no test


@pytest.mark.slow
def test_a_second_ctrl_c_ends_at_once(tmp_path: Path) -> None:
    def slow() -> None:
        write = torch.save

        def waits(values: Any, file: Any) -> None:
            if Path("runs/tiny/last.ckpt").is_file():
                Path("writing").touch()
                time.sleep(60)
            write(values, file)

        torch.save = waits
        fit()

    folder = tmp_path / "run"
    recipe(folder)
    child = forked(folder, slow)
    wait_for(folder / "writing", child)
    os.kill(child, signal.SIGINT)
    time.sleep(0.2)
    os.kill(child, signal.SIGINT)
    assert ended(child) == -signal.SIGINT  # what a shell calls 130
    torch.load(folder / "runs/tiny/last.ckpt", weights_only=True)
