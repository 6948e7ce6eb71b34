"""Test the checks of `--ckpt_path` and of an existing run folder."""

from pathlib import Path

import pytest
import torch

from lightning_resnets.cli.main import main
from lightning_resnets.cli.resume_checks import MAX_EPOCHS_KEY
from lightning_resnets.training.callbacks.resume_config import CHECKPOINT_KEY
from tests.helpers.command_line import QUIET_CPU_TRAINER, SAMPLE_DATA, error_message

RUN_DIR = Path("runs/resnet20-cifar10")


LAST = RUN_DIR / "last.ckpt"


SHORT = ["--trainer.limit_train_batches", "2", "--data.batch_size", "8"]


def fit_args(recipe: str = "resnet20-cifar10") -> list[str]:
    """Return the arguments of a run of two training steps an epoch, without a test."""
    quiet = [*SAMPLE_DATA, *QUIET_CPU_TRAINER, *SHORT, "--trainer.limit_test_batches", "0"]
    return ["fit", "--config", recipe, *quiet]


@pytest.fixture(autouse=True)
def working_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_checkpoint_of_another_model_raises() -> None:
    main([*fit_args("plain20-cifar10"), "--trainer.max_epochs", "1"])
    path = "runs/plain20-cifar10/last.ckpt"
    for command in ("fit", "test"):
        args = [command, *fit_args()[1:], "--ckpt_path", path]
        message = error_message(args)
        assert f"{path} contains plain20" in message
        assert message.endswith("the recipe builds resnet20. Use a recipe for plain20.")


def test_checkpoint_without_optimizer_raises() -> None:
    fit = fit_args()
    few = ["--trainer.limit_test_batches", "2", "--data.eval_batch_size", "50"]
    main([*fit, *few, "--trainer.max_epochs", "1"])
    small = str(RUN_DIR / "resnet20-cifar10.ckpt")
    assert f"Cannot resume from {small}: it has no loops." in error_message(
        [*fit, "--trainer.max_epochs", "2", "--ckpt_path", small]
    )


def test_resume_needs_the_same_options_and_reads_the_checked_file() -> None:
    fit = fit_args()
    main([*fit, "--trainer.max_epochs", "1"])
    resume = [*fit, "--trainer.max_epochs", "2", "--ckpt_path", "last"]
    message = error_message([*resume, "--model.lr", "0.01", "--seed_everything", "5"])
    assert "was trained with seed_everything 0, not 5, model.lr 0.4, not 0.01. Give" in message
    # Lightning's own "last" would take this newer file.
    (RUN_DIR / "last_one.ckpt").write_bytes(b"not a checkpoint")
    main(resume)


def test_unfinished_run_is_not_replaced_by_mistake() -> None:
    fit = [*fit_args(), "--trainer.max_epochs"]
    main([*fit, "1"])
    # A finished run may be replaced.
    main([*fit, "1"])
    values = torch.load(LAST, weights_only=True)
    values[CHECKPOINT_KEY][MAX_EPOCHS_KEY] = 2
    torch.save(values, LAST)
    message = error_message([*fit, "2"])
    assert "has finished 1 of 2 epochs. Resume it with --ckpt_path last" in message
    main([*fit, "1", "--run_dir", "elsewhere"])
    main([*fit, "2", "--overwrite", "true"])
    assert torch.load(LAST, weights_only=True)["global_step"] == 4
