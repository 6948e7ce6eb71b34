"""Nothing is lost: a run that is killed at any moment and goes on ends as one that was never
stopped, to the bit.
"""

import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
import yaml
from lightning.pytorch.callbacks import Checkpoint, EMAWeightAveraging
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor

from lightning_resnets.cli.main import main
from lightning_resnets.training.callbacks.checkpointing import AtomicCheckpointIO, LastCheckpoint
from lightning_resnets.training.callbacks.exact_resume import ExactResume
from lightning_resnets.training.rng_state import get_rng_state, set_rng_state
from tests.helpers.child_process import ended, forked
from tests.helpers.tiny_module import QUIET, Points, Tiny

RECIPE = {
    "seed_everything": 3,
    "checkpoint_every_steps": 3,
    "model": {"arch": "preresnet20", "model_kwargs": {"dropout": 0.3}, "lr": 0.05},
    "data": {"class_path": "lightning_resnets.data.CIFAR10Sample", "init_args": {"batch_size": 4}},
    "trainer": {
        "accelerator": "cpu",
        "precision": "32-true",
        "max_epochs": 4,
        "limit_train_batches": 13,
        "limit_test_batches": 2,
        "log_every_n_steps": 5,
        "enable_progress_bar": False,
        "callbacks": [
            {
                "class_path": "lightning.pytorch.callbacks.EMAWeightAveraging",
                "init_args": {"decay": 0.9},
            },
            {
                "class_path": "lightning.pytorch.callbacks.LearningRateMonitor",
                "init_args": {"logging_interval": "step"},
            },
        ],
    },
}
LAST = Path("runs/tiny/last.ckpt")


def fit() -> None:
    Path("tiny.yaml").write_text(yaml.safe_dump(RECIPE))
    resume = ["--ckpt_path", "last"] if LAST.is_file() else []
    main(["fit", "--config", "tiny.yaml", *resume])


def killed_in_a_write(after: int, share: float) -> Callable[[], None]:
    """A run that dies in the middle of its write number `after`."""
    calls = 0
    save = torch.save

    def dying(values: object, file: Any) -> None:
        nonlocal calls
        save(values, file)
        calls += 1
        if calls == after:
            file.flush()
            file.truncate(int(share * file.tell()))
            os.kill(os.getpid(), signal.SIGKILL)

    def action() -> None:
        torch.save = dying  # type: ignore[assignment]
        fit()

    return action


def same(one: Any, two: Any, where: str = "") -> None:
    if isinstance(one, Tensor):
        assert torch.equal(one, two), where
    elif isinstance(one, dict):
        assert one.keys() == two.keys(), where
        for name in one:
            same(one[name], two[name], f"{where}/{name}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(two), where
        for place, pair in enumerate(zip(one, two, strict=True)):
            same(*pair, f"{where}/{place}")
    else:
        assert one == two, where


def compare(one: Path, two: Path) -> None:
    """Two runs' folders: all that last.ckpt and the small file hold but the clock, and the rows of
    the log.
    """
    for name in ("last.ckpt", "tiny.ckpt"):
        files = [
            torch.load(folder / "runs/tiny" / name, weights_only=True) for folder in (one, two)
        ]
        for file in files:
            file["card"]["training"].pop("seconds")
            file.get("callbacks", {}).pop("ModelCardCallback", None)
        same(*files, name)
    logs = [
        max((folder / "runs/tiny").glob("version_*/metrics.csv"), key=version)
        for folder in (one, two)
    ]
    assert logs[0].read_text() == logs[1].read_text()
    assert logs[0].read_text().count("\n") == 1 + 10 + 4 + 1  # header, rates, epochs, test


def version(path: Path) -> int:
    return int(path.parent.name.removeprefix("version_"))


def killed(folder: Path, rng: random.Random) -> int:
    """Begin or go on, and be killed: at the start, in a write, or some steps after the first write;
    the exit code.
    """
    if rng.random() < 0.3:
        return ended(forked(folder, killed_in_a_write(rng.randint(1, 3), rng.random())))
    child = forked(folder, fit)
    before = stamp(folder / LAST)
    late = time.monotonic() + (0.5 if rng.random() < 0.1 else 60)
    while time.monotonic() < late and stamp(folder / LAST) == before:
        time.sleep(0.001)
        if (done := os.waitpid(child, os.WNOHANG))[0]:
            return os.waitstatus_to_exitcode(done[1])
    time.sleep(rng.uniform(0, 0.2))
    os.kill(child, signal.SIGKILL)
    return ended(child)


def stamp(path: Path) -> int:
    return path.stat().st_mtime_ns if path.is_file() else 0


class StopError(Exception):
    """What ends a run as a kill would."""


class StopAfter(Checkpoint):
    """Ends the run as a kill would, after all other callbacks have seen a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer: L.Trainer, *_: object) -> None:
        if trainer.global_step >= self.step:
            raise StopError


def part(folder: Path, seed: int, stop: int = 0, **options: Any) -> tuple[Tiny, str, int]:
    """A run, or the rest of it: the module at its end, the log's text, the steps."""
    L.seed_everything(seed, verbose=False)
    steps, plain = options.pop("save", 3), options.pop("plain", False)
    module = Tiny(options.pop("interval", "step"))
    lasting = [
        EMAWeightAveraging(decay=0.8),
        ExactResume(["total"]),
        LastCheckpoint(folder, every_steps=steps),
    ]
    plan = {"max_epochs": 3, "log_every_n_steps": 4, "plugins": [AtomicCheckpointIO()]}
    run = L.Trainer(
        callbacks=[*lasting, *([StopAfter(stop)] if stop else [])],
        logger=CSVLogger(folder, name=""),
        **QUIET | plan | options,
    )
    last = folder / "last.ckpt"
    with suppress(StopError):
        run.fit(
            module,
            datamodule=Points(plain),
            ckpt_path=last if last.is_file() else None,
            weights_only=True,
        )
    return module, Path(run.logger.experiment.metrics_file_path).read_text(), run.global_step  # type: ignore[union-attr]


@pytest.mark.filterwarnings(
    "ignore:.*does not have many workers", "ignore:The '.*dataloader' does not have many"
)
@pytest.mark.parametrize(
    ("stops", "options"),
    [
        ((5, 10, 11, 30), {}),
        ((4, 9), {"log_every_n_steps": 1}),
        ((5, 14), {"val_check_interval": 4, "save": 1}),
        ((9,), {"val_check_interval": 7, "check_val_every_n_epoch": None}),
        ((8, 11), {"accumulate_grad_batches": 3, "save": 1}),
        ((5, 23), {"interval": "epoch", "limit_val_batches": 0}),
        ((7,), {"precision": "bf16-mixed"}),
        ((12, 25), {"plain": True, "save": 0}),  # from an epoch's end only
    ],
    ids=str,
)
def test_the_rest_of_a_run_is_what_it_would_have_been(
    tmp_path: Path, stops: tuple[int, ...], options: dict[str, Any]
) -> None:
    whole, log, steps = part(tmp_path / "whole", 1, **options)
    for stop in stops:
        folder = tmp_path / str(stop)
        part(folder, 1, stop, **options)
        assert (folder / "last.ckpt").is_file()
        module, text, count = part(folder, 77, **options)
        same(dict(whole.state_dict()), dict(module.state_dict()))
        assert (text, count) == (log, steps)


def test_without_the_callback_it_would_not_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ExactResume, "on_load_checkpoint", lambda *_: None)
    with pytest.raises(AssertionError, match="model"):
        test_the_rest_of_a_run_is_what_it_would_have_been(tmp_path, (5,), {"limit_val_batches": 0})


def test_random_states_come_back() -> None:
    state = get_rng_state()
    first = [
        torch.rand(3).tolist(),
        np.random.rand(),  # noqa: NPY002
        np.random.randn(),  # noqa: NPY002
        random.random(),
        random.gauss(0, 1),
    ]
    set_rng_state(state)
    assert [
        torch.rand(3).tolist(),
        np.random.rand(),  # noqa: NPY002
        np.random.randn(),  # noqa: NPY002
        random.random(),
        random.gauss(0, 1),
    ] == first


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_twenty_kills_change_nothing(tmp_path: Path) -> None:
    """Should a run end before it was killed twenty times, another one begins."""
    whole, rng, kills = tmp_path / "whole", random.Random(20), 0
    whole.mkdir()
    assert ended(forked(whole, fit)) == 0, (whole / "log.txt").read_text()
    for run in range(20):
        folder = tmp_path / str(run)
        folder.mkdir()
        while kills < 20 and (code := killed(folder, rng)):
            assert code == -signal.SIGKILL, (folder / "log.txt").read_text()
            kills += 1
        if kills == 20:
            assert ended(forked(folder, fit)) == 0, (folder / "log.txt").read_text()
        compare(whole, folder)
        if kills == 20:
            return
    pytest.fail(f"only {kills} kills in twenty runs")
