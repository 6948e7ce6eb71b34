"""Test that a checkpoint cannot make a resumed run delete files outside its own folder."""

from pathlib import Path

import pytest
import torch

from lightning_resnets.cli.main import main
from lightning_resnets.training.checkpoint_paths import is_own_checkpoint
from tests.helpers.command_line import QUIET_CPU_TRAINER, SAMPLE_DATA

RUN_DIR = "runs/resnet20-cifar10"


@pytest.fixture(autouse=True)
def working_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def resume_from_hostile_checkpoint(path: str) -> None:
    """Train an epoch with ModelCheckpoint, and resume from a file that names `path` as its best."""
    short = ["--trainer.limit_train_batches", "2", "--data.batch_size", "8"]
    best = ["--trainer.callbacks", "ModelCheckpoint", "--trainer.callbacks.dirpath", RUN_DIR]
    options = [*SAMPLE_DATA, *QUIET_CPU_TRAINER, *short, *best, "--test_at_end", "false"]
    fit = ["fit", "--config", "resnet20-cifar10", *options]
    main([*fit, "--trainer.max_epochs", "1"])
    values = torch.load(f"{RUN_DIR}/last.ckpt", weights_only=True)
    for state in values["callbacks"].values():
        if "best_model_path" in state:
            state |= {"best_model_path": path, "kth_best_model_path": path, "last_model_path": path}
            state |= {"best_k_models": {path: torch.tensor(1.0)}}
    torch.save(values, "hostile.ckpt")
    main([*fit, "--trainer.max_epochs", "2", "--ckpt_path", "hostile.ckpt"])


def make_victim(folder: Path) -> Path:
    """Make a folder with a file that must survive."""
    folder.mkdir()
    (folder / "kept.txt").write_text("kept")
    return folder


@pytest.mark.parametrize(
    "pattern", ["local://{}", "file://{}", "{}", f"{RUN_DIR}/../../{{}}", "::{}"]
)
def test_hostile_checkpoint_deletes_nothing(tmp_path: Path, pattern: str) -> None:
    victim = make_victim(tmp_path / "victim")
    is_relative = pattern.startswith("runs")
    resume_from_hostile_checkpoint(pattern.format("victim" if is_relative else victim))
    assert (victim / "kept.txt").read_text() == "kept"


def test_hostile_checkpoint_would_delete_without_the_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = "lightning_resnets.training.image_classifier.drop_foreign_paths"
    monkeypatch.setattr(target, lambda *_: None)
    victim = make_victim(tmp_path / "victim")
    resume_from_hostile_checkpoint(f"local://{victim}")
    assert not (victim / "kept.txt").exists()


def test_only_checkpoints_directly_in_the_folder_are_own(tmp_path: Path) -> None:
    folder = (tmp_path / "run").resolve()
    (tmp_path / "link.ckpt").symlink_to(tmp_path)
    assert is_own_checkpoint(str(folder / "a.ckpt"), {folder})
    assert is_own_checkpoint("run/a.ckpt", {folder})
    outside = ("run/b/a.ckpt", "run/../a.ckpt", "s3://run/a.ckpt", "link.ckpt")
    not_checkpoints = ("run/a.txt", "run", "", None, 3)
    for path in (*outside, *not_checkpoints):
        assert not is_own_checkpoint(path, {folder})
