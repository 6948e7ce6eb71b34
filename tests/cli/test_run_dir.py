"""Test that the run folder is honored in every spelling, and that a run has one log."""

from pathlib import Path

import pytest
import torch
import yaml

from lightning_resnets.cli.fit_options import single_batch_limits
from lightning_resnets.cli.main import main
from tests.helpers.command_line import QUIET_CPU_TRAINER, SAMPLE_DATA, error_message

DATA = [*SAMPLE_DATA, *QUIET_CPU_TRAINER, "--data.batch_size", "8"]
SHORT = [*DATA, "--test_at_end", "false"]
TEST_BEST = ["test", "--config", "resnet20-cifar10", *DATA, "--ckpt_path=best"]
FIT = ["fit", "--config", "resnet20-cifar10", *SHORT, "--trainer.limit_train_batches=1"]
DEFAULT = Path("runs/resnet20-cifar10")


@pytest.fixture(autouse=True)
def working_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_run_dir_in_every_spelling(capsys: pytest.CaptureFixture[str]) -> None:
    Path("folder.yaml").write_text(yaml.safe_dump({"run_dir": "mine"}))
    Path("chain.yaml").write_text(yaml.safe_dump({"run_dir": "other"}))
    for options in (
        ["--run_dir", "mine"],
        ["--run_dir=mine"],
        ["--config", "folder.yaml"],
        ["-cchain.yaml", "--run_dir=other", "--config=folder.yaml"],
        ["-c", "chain.yaml", "--run_dir=mine"],
    ):
        with pytest.raises(SystemExit):
            main([*FIT, *options, "--print_config"])
        config = yaml.safe_load(capsys.readouterr().out)
        assert config["run_dir"] == config["trainer"]["default_root_dir"] == "mine"
        assert config["trainer"]["logger"]["init_args"]["save_dir"] == "mine"
    assert not list(Path().glob("runs"))


def test_run_dir_of_a_recipe_keeps_other_runs_intact() -> None:
    main([*FIT, "--trainer.max_epochs", "1"])
    before = (DEFAULT / "last.ckpt").read_bytes()
    Path("folder.yaml").write_text(yaml.safe_dump({"run_dir": "mine"}))
    main([*FIT, "--trainer.max_epochs", "1", "--config", "folder.yaml", "--overwrite=true"])
    assert (DEFAULT / "last.ckpt").read_bytes() == before
    assert {path.name for path in Path("mine").iterdir()} == {"last.ckpt", "version_0"}
    # Resuming looks into that folder, too.
    main([*FIT, "--trainer.max_epochs", "2", "-cfolder.yaml", "--ckpt_path=last"])
    assert torch.load("mine/last.ckpt", weights_only=True)["global_step"] == 2


def test_abbreviated_run_dir_raises(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([*FIT, "--run_di", "mine"])
    assert "Unknown option '--run_di' (did you mean --run_dir?)" in capsys.readouterr().err
    assert not list(Path().iterdir())


def test_limit_of_one_in_a_recipe_is_one_batch() -> None:
    one, all_batches = Path("one.yaml"), Path("all.yaml")
    one.write_text("trainer: {limit_train_batches: 1, limit_val_batches: 1.0}\n")
    all_batches.write_text("trainer.limit_train_batches: 1.0\n")
    limit = {"limit_train_batches": 1}
    assert single_batch_limits(["fit", "--config", "one.yaml"]) == limit
    assert single_batch_limits(["fit", "--config", "one.yaml", "--config", "all.yaml"]) == {}
    assert single_batch_limits(["fit", "--config", "all.yaml", "--config", "one.yaml"]) == limit
    option = "--trainer.limit_train_batches="
    assert single_batch_limits(["fit", "--config", "one.yaml", f"{option}0.5"]) == {}
    assert single_batch_limits(["fit", f"{option}2", "--config", "one.yaml"]) == limit
    args = ["fit", "--config", "resnet20-cifar10", "--config", "one.yaml", *SHORT]
    main([*args, "--trainer.max_epochs", "1", "--run_dir=mine"])
    assert torch.load("mine/last.ckpt", weights_only=True)["global_step"] == 1


BEST = [
    "--trainer.callbacks",
    "ModelCheckpoint",
    "--trainer.callbacks.monitor",
    "train_loss",
    "--trainer.callbacks.save_on_train_epoch_end",
    "true",
]


def test_best_checkpoint_and_log_survive_a_resume() -> None:
    fit = [*FIT, *BEST]
    main([*fit, "--trainer.max_epochs", "1"])
    first = torch.load(DEFAULT / "last.ckpt", weights_only=True)
    (state,) = [state for state in first["callbacks"].values() if "best_model_path" in state]
    # A score that no later epoch reaches
    best = Path(state["best_model_path"])
    score = torch.tensor(-1.0)
    state |= {"best_model_score": score, "best_k_models": {str(best): score}}
    state |= {"kth_best_model_path": str(best), "kth_value": score, "current_score": score}
    torch.save(first, DEFAULT / "last.ckpt")
    log = DEFAULT / "version_0/metrics.csv"
    rows = log.read_text()
    for epochs in ("2", "3"):
        main([*fit, "--trainer.max_epochs", epochs, "--ckpt_path", "last"])
    last = torch.load(DEFAULT / "last.ckpt", weights_only=True)
    (state,) = [state for state in last["callbacks"].values() if "best_model_path" in state]
    assert (state["best_model_path"], float(state["best_model_score"])) == (str(best), -1.0)
    assert [path.name for path in DEFAULT.glob("version_*")] == ["version_0"]
    assert [path.name for path in (DEFAULT / "version_0/checkpoints").iterdir()] == [best.name]
    assert log.read_text().startswith(rows)
    assert log.read_text().count("\n") == 1 + 3
    few = ["--trainer.limit_test_batches", "1", "--data.eval_batch_size", "50"]
    main([*TEST_BEST, *few])
    best.unlink()
    assert "is not in runs/resnet20-cifar10" in error_message(TEST_BEST)


def test_best_checkpoint_of_a_run_without_one_raises() -> None:
    assert "There is no runs/resnet20-cifar10/last.ckpt" in error_message(TEST_BEST)
    main([*FIT, "--trainer.max_epochs", "1"])
    assert "has no best checkpoint. Add ModelCheckpoint with `monitor`" in error_message(TEST_BEST)
