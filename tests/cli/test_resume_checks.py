"""Test the checks of `--ckpt_path` and of an existing run folder."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_resnets.cli.main import main
from lightning_resnets.cli.run_progress import MAX_EPOCHS_KEY, MAX_STEPS_KEY, RunProgress
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


def damage(values: dict[str, Any], *path: str, to: object) -> None:
    """Replace a nested value."""
    *parents, last = path
    for name in parents:
        values = values[name]
    values[last] = to


CURRENT = ("loops", "fit_loop", "epoch_progress", "current")

# Changes of last.ckpt
DAMAGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "empty resume state": lambda values: damage(values, "resume", to={}),
    "resume state of another type": lambda values: damage(values, "resume", to=[1]),
    "no logs": lambda values: damage(values, "resume", "logs", to=None),
    "logs of another type": lambda values: damage(values, "resume", "logs", to=[7]),
    "row of another type": lambda values: damage(values, "resume", "row", to={"step": "x"}),
    "metrics of another type": lambda values: damage(values, "resume", "metrics", to={"a": "x"}),
    "short torch state": lambda values: damage(
        values["resume"]["processes"][0], "random", "torch", to=torch.zeros(9, dtype=torch.uint8)
    ),
    "short numpy state": lambda values: damage(
        values["resume"]["processes"][0], "random", "numpy", to=[torch.zeros(3), 0, 0, 0.0]
    ),
    "short python state": lambda values: damage(
        values["resume"]["processes"][0], "random", "python", to=[3, torch.zeros(2).int(), None]
    ),
    "no kept values": lambda values: values["resume"]["processes"][0].pop("kept"),
    "no schedules": lambda values: values.pop("lr_schedulers"),
    "schedules of another type": lambda values: damage(values, "lr_schedulers", to=3),
    "empty schedule": lambda values: damage(values, "lr_schedulers", to=[[]]),
    "optimizer of another type": lambda values: damage(values, "optimizer_states", to=[{}]),
    "no optimizers": lambda values: damage(values, "optimizer_states", to=[]),
    "loops of another type": lambda values: damage(values, "loops", to=[]),
    "empty loops": lambda values: damage(values, "loops", to={"fit_loop": {}}),
    "epochs of another type": lambda values: damage(values, *CURRENT, "processed", to="1"),
    "callbacks of another type": lambda values: damage(
        values, "callbacks", "ModelCardCallback", to=5
    ),
    "data of another type": lambda values: damage(values, "CIFAR10Sample", to={"epoch": 0}),
    "weights of another shape": lambda values: damage(
        values, "state_dict", "model.conv1.weight", to=torch.zeros(3)
    ),
    "no weights": lambda values: values.pop("state_dict"),
}


@pytest.fixture(scope="module")
def unfinished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run that has finished its first epoch."""
    folder = tmp_path_factory.mktemp("unfinished")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        main([*fit_args(), "--trainer.max_epochs", "1"])
    return folder / RUN_DIR


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_checkpoint_raises_one_message(unfinished: Path, name: str) -> None:
    shutil.copytree(unfinished, RUN_DIR)
    values = torch.load(LAST, weights_only=True)
    DAMAGES[name](values)
    torch.save(values, LAST)
    log = (RUN_DIR / "version_0/metrics.csv").read_text()
    message = error_message([*fit_args(), "--trainer.max_epochs", "2", "--ckpt_path", "last"])
    assert message.startswith("lightning-resnets: ")
    assert LAST.name in message
    has_remedy = "start again without --ckpt_path" in message
    assert has_remedy or (name == "no weights" and "contains no weights. Save" in message)
    assert (RUN_DIR / "version_0/metrics.csv").read_text() == log


def test_resume_without_random_states_says_that_it_is_not_exact(
    unfinished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(unfinished, RUN_DIR)
    values = torch.load(LAST, weights_only=True)
    del values["resume"]
    torch.save(values, LAST)
    main([*fit_args(), "--trainer.max_epochs", "2", "--ckpt_path", "last"])
    expected = f"Resuming from '{LAST}' is not exact: the checkpoint has no random states."
    assert expected in capsys.readouterr().err
    assert torch.load(LAST, weights_only=True)["global_step"] == 4


@pytest.mark.parametrize("size", [0, 1000])
def test_damaged_last_checkpoint_is_not_replaced_by_mistake(unfinished: Path, size: int) -> None:
    RUN_DIR.mkdir(parents=True)
    LAST.write_bytes((unfinished / "last.ckpt").read_bytes()[:size])
    message = error_message([*fit_args(), "--trainer.max_epochs", "1"])
    assert f"{LAST} is damaged, or was written by another program" in message
    assert "--overwrite true" in message
    assert LAST.stat().st_size == size
    message = error_message([*fit_args(), "--trainer.max_epochs", "1", "--ckpt_path", "last"])
    assert f"'{LAST.name}' is " in message
    main([*fit_args(), "--trainer.max_epochs", "1", "--overwrite", "true"])
    assert torch.load(LAST, weights_only=True)["global_step"] == 2


def test_unfinished_run_with_limited_steps_is_not_replaced(unfinished: Path) -> None:
    shutil.copytree(unfinished, RUN_DIR)
    values = torch.load(LAST, weights_only=True)
    values[CHECKPOINT_KEY] |= {MAX_EPOCHS_KEY: None, MAX_STEPS_KEY: 9}
    torch.save(values, LAST)
    message = error_message([*fit_args(), "--trainer.max_epochs", "1"])
    assert "has finished 2 of 9 steps" in message
    assert not RunProgress(0, 9, None, 10, is_stopped=False).is_finished
    assert RunProgress(0, 10, None, 10, is_stopped=False).is_finished
    assert RunProgress(3, 9, -1, 10, is_stopped=True).is_finished


@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`, callbacks")
def test_run_that_was_stopped_early_is_finished(capsys: pytest.CaptureFixture[str]) -> None:
    # No loss is below this threshold, so the patience of one epoch ends the run.
    stop = ["--trainer.callbacks", "EarlyStopping", "--trainer.callbacks.monitor", "train_loss"]
    stop += ["--trainer.callbacks.patience", "1", "--trainer.callbacks.min_delta", "1000"]
    fit = [*fit_args(), *stop, "--trainer.max_epochs", "6"]
    main(fit)
    steps = torch.load(LAST, weights_only=True)["global_step"]
    assert steps == 4
    capsys.readouterr()
    for _ in range(2):
        main([*fit, "--ckpt_path", "last"])
        note = capsys.readouterr().err
        assert "The run is finished, it was stopped early (Monitored metric train_loss" in note
        assert torch.load(LAST, weights_only=True)["global_step"] == steps
    # Without EarlyStopping the run goes on.
    main([*fit_args(), "--trainer.max_epochs", "6", "--ckpt_path", "last"])
    assert torch.load(LAST, weights_only=True)["global_step"] == 12


def test_new_run_may_replace_one_that_was_stopped_early() -> None:
    stop = ["--trainer.callbacks", "EarlyStopping", "--trainer.callbacks.monitor", "train_loss"]
    stop += ["--trainer.callbacks.stopping_threshold", "1000"]
    fit = [*fit_args(), *stop, "--trainer.max_epochs", "6"]
    main(fit)
    main(fit)
    assert torch.load(LAST, weights_only=True)["global_step"] == 2
