"""Checkpoints are whole or not there: a kill, a full disk and a closed folder leave the one of
before.
"""

import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging

from lightning_resnets.errors import CheckpointError
from lightning_resnets.training.callbacks.checkpointing import (
    AtomicCheckpointIO,
    LastCheckpoint,
    is_safe_to_save,
)
from lightning_resnets.utils.atomic_write import atomic_torch_save
from tests.helpers.child_process import ended, forked
from tests.helpers.tiny_module import QUIET, Points, Tiny

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(
        tmp_path_factory.mktemp("cwd")
    )  # a Trainer without a saver writes checkpoints/ where it is


BIG = {"weights": [torch.arange(100_000) for _ in range(5)]}  # 4 MB


def test_what_is_written_is_what_torch_writes(tmp_path: Path) -> None:
    atomic_torch_save(BIG, tmp_path / "new" / "last.ckpt")
    read = torch.load(tmp_path / "new" / "last.ckpt", weights_only=True)
    assert all(
        torch.equal(one, two) for one, two in zip(read["weights"], BIG["weights"], strict=True)
    )
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["last.ckpt"]


def test_it_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (order.append("flush"), fsync(handle))[1])
    monkeypatch.setattr(
        Path, "replace", lambda self, to: (order.append("name"), replace(self, to))[1]
    )
    atomic_torch_save(BIG, tmp_path / "last.ckpt")
    assert order == ["flush", "name", "flush"]


def test_kill_while_writing_keeps_the_previous_file(tmp_path: Path) -> None:
    def action() -> None:
        def half(values: Any, file: Any) -> None:
            file.write(b"PK half a checkpoint")
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)

        torch.save = half  # type: ignore[assignment]
        atomic_torch_save({"step": 2}, Path("last.ckpt"))

    atomic_torch_save({"step": 1}, tmp_path / "last.ckpt")
    assert ended(forked(tmp_path, action)) == -signal.SIGKILL
    assert torch.load(tmp_path / "last.ckpt", weights_only=True) == {"step": 1}
    left = [path.name for path in tmp_path.iterdir() if path.suffix != ".txt"]
    assert sorted(left) == [".last.part.ckpt", "last.ckpt"]
    atomic_torch_save({"step": 3}, tmp_path / "last.ckpt")
    assert torch.load(tmp_path / "last.ckpt", weights_only=True) == {"step": 3}
    assert not (tmp_path / ".last.part.ckpt").exists()


def test_partial_file_is_not_found_as_last(tmp_path: Path) -> None:
    (tmp_path / ".last.part.ckpt").write_bytes(b"PK half a checkpoint")
    saver = LastCheckpoint(tmp_path)
    assert not saver._find_last_checkpoints(L.Trainer(logger=False, callbacks=[saver], **QUIET))
    (tmp_path / "last.ckpt").touch()
    assert saver._find_last_checkpoints(L.Trainer(logger=False, callbacks=[saver], **QUIET))


def test_full_disk_raises_and_keeps_the_previous_file(tmp_path: Path) -> None:
    """The system's own refusal, by its limit for a file."""

    def action() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
        atomic_torch_save({"step": 1}, Path("last.ckpt"))
        try:
            atomic_torch_save(BIG, Path("last.ckpt"))
        except CheckpointError as error:
            sys.exit(str(error))

    assert ended(forked(tmp_path, action)) == 1
    assert (tmp_path / "log.txt").read_text() == (
        "Cannot write 'last.ckpt' (File too large). The previous file is intact. Check the free "
        "disk space and the permissions of its folder, then resume with --ckpt_path last.\n"
    )
    assert torch.load(tmp_path / "last.ckpt", weights_only=True) == {"step": 1}
    assert {path.name for path in tmp_path.iterdir()} == {"last.ckpt", "log.txt"}


FULL = """
import os, sys
os.chdir(sys.argv[1])
sys.argv = ["", "fit", "--config", "demo", "--trainer.limit_train_batches", "4",
    "--data.batch_size", "8", "--checkpoint_every_steps", "2", "--trainer.max_epochs", "3",
    "--trainer.enable_progress_bar", "false", "--trainer.accelerator", "cpu"]
import lightning_resnets.cli.main as cli
from lightning_resnets.training.callbacks import checkpointing
write, count = checkpointing.atomic_torch_save, 0
def fill(values, path):
    global count
    count += 1
    if count == 3:  # all that is left
        with open("rest", "wb") as file:
            try:
                while True:
                    file.write(bytes(4096))
                    file.flush()
            except OSError:
                pass
    write(values, path)
checkpointing.atomic_torch_save = fill
try:
    cli.main()
finally:
    import torch
    step = torch.load("runs/demo/last.ckpt", weights_only=True)["global_step"]
    print("step", step, sorted(os.listdir("runs/demo")))
"""


@pytest.mark.slow
def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    """A file system of 8 MB in a name space of its own, filled up before the third write."""
    mount = "mount -t tmpfs -o size=8m none ."
    if (
        not shutil.which("unshare")
        or subprocess.run(
            ["unshare", "-rm", "sh", "-c", mount], capture_output=True, cwd=tmp_path
        ).returncode
    ):
        pytest.skip("this system lets nobody mount")
    (tmp_path / "full.py").write_text(FULL)
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = f"mount -t tmpfs -o size=8m none {disk}"
    script = f"{mount} && exec {sys.executable} {tmp_path / 'full.py'} {disk}"
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script], capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 1, done.stderr
    assert done.stdout.splitlines()[-1] == "step 4 ['last.ckpt', 'version_0']"
    assert "No space left on device" in done.stderr.splitlines()[-1]
    assert done.stderr.splitlines()[-1].startswith("lightning-resnets: ")
    assert "resume with --ckpt_path last" in done.stderr
    assert "Traceback" not in done.stderr


def test_other_mistakes_stay_what_they_are_and_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises((AttributeError, TypeError), match=r"local|pickle"):
        atomic_torch_save(lambda: None, tmp_path / "last.ckpt")
    assert not list(tmp_path.iterdir())


def test_a_run_saves_at_its_epochs_and_between(tmp_path: Path) -> None:
    seen: list[int] = []

    class Watch(AtomicCheckpointIO):
        def save_checkpoint(
            self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
        ) -> None:
            seen.append(checkpoint["global_step"])
            super().save_checkpoint(checkpoint, path, storage_options)

    def steps(saver: LastCheckpoint, **options: Any) -> list[int]:
        seen.clear()
        trainer = L.Trainer(
            max_epochs=2, logger=False, callbacks=[saver], plugins=[Watch()], **QUIET | options
        )
        trainer.fit(Tiny(), datamodule=Points(plain=False))
        return list(seen)

    assert steps(LastCheckpoint(tmp_path)) == [10, 20]
    assert steps(LastCheckpoint(tmp_path, every_minutes=1e-9)) == list(range(1, 21))
    assert steps(LastCheckpoint(tmp_path, every_minutes=0, every_steps=4)) == [4, 8, 10, 14, 18, 20]
    assert steps(LastCheckpoint(tmp_path, every_steps=1), val_check_interval=2) == [
        1,
        3,
        5,
        7,
        9,
        10,
        11,
        13,
        15,
        17,
        19,
        20,
    ]
    assert steps(LastCheckpoint(tmp_path, every_steps=1), fast_dev_run=True) == []
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]


@pytest.mark.parametrize(
    ("batch", "changes", "free"),
    [
        (3, {}, True),
        (9, {}, False),  # the epoch's end
        (3, {"should_stop": True}, False),
        (3, {"max_steps": 40}, False),
        (3, {"max_steps": 41}, True),
        (3, {"accumulate_grad_batches": 3}, False),
        (5, {"accumulate_grad_batches": 3}, True),
        (3, {"enable_validation": True, "val_check_batch": 4}, False),
        (4, {"enable_validation": True, "val_check_batch": 4}, True),
        (
            3,
            {"enable_validation": True, "val_check_batch": 7, "check_val_every_n_epoch": None},
            False,
        ),
    ],
)
def test_what_follows_a_batch(batch: int, changes: dict[str, Any], free: bool) -> None:
    epoch = SimpleNamespace(batch_progress=SimpleNamespace(is_last_batch=False))
    values: dict[str, Any] = {
        "num_training_batches": 10,
        "global_step": 40,
        "max_steps": -1,
        "should_stop": False,
    }
    values |= {"accumulate_grad_batches": 1, "enable_validation": False, "val_check_batch": 10}
    values |= {
        "check_val_every_n_epoch": 1,
        "fit_loop": SimpleNamespace(epoch_loop=epoch, total_batch_idx=41 - 7),
    }
    assert is_safe_to_save(SimpleNamespace(**values | changes), batch) is free  # type: ignore[arg-type]


def test_averaged_weights_are_given_to_a_run_that_had_all_its_epochs(tmp_path: Path) -> None:
    """Killed after its last epoch, it has nothing left to train; Lightning would leave it the last
    step's weights.
    """
    from lightning_resnets.training.callbacks.exact_resume import ExactResume

    def run(path: Path | None) -> dict[str, torch.Tensor]:
        callbacks = [EMAWeightAveraging(decay=0.8), ExactResume(), LastCheckpoint(tmp_path)]
        trainer = L.Trainer(max_epochs=1, logger=False, callbacks=callbacks, **QUIET)
        trainer.fit(
            module := Tiny(), datamodule=Points(plain=False), ckpt_path=path, weights_only=True
        )
        return dict(module.state_dict())

    whole = run(None)
    again = run(tmp_path / "last.ckpt")
    assert all(torch.equal(again[name], weight) for name, weight in whole.items())
