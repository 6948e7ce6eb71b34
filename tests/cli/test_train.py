"""Test `fit`, `test` and `predict`: the files that they write, and their errors."""

import csv
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
import yaml
from lightning.pytorch.callbacks import ProgressBar, TQDMProgressBar

from lightning_resnets import create_model
from lightning_resnets.checkpoint.bundled import resolve_checkpoint
from lightning_resnets.checkpoint.load import read_card
from lightning_resnets.cli.main import main
from lightning_resnets.training.run_dir import lock_run_dir
from tests.helpers.command_line import QUIET_CPU_TRAINER, SAMPLE_DATA, error_message

RECIPE = ["--config", "resnet20-cifar10", *QUIET_CPU_TRAINER]


SAMPLE_RECIPE = [*RECIPE, *SAMPLE_DATA]


SHORT = ["--trainer.limit_train_batches", "2", "--data.batch_size", "8"]


FEW_TEST_BATCHES = ["--trainer.limit_test_batches", "2", "--data.eval_batch_size", "50"]


RUN_DIR = Path("runs/resnet20-cifar10")


@pytest.fixture(autouse=True)
def working_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_fit_writes_a_checkpoint_for_test_and_predict(capsys: pytest.CaptureFixture[str]) -> None:
    main(["fit", *SAMPLE_RECIPE, *SHORT, "--trainer.max_epochs", "1"])
    path = RUN_DIR / "resnet20-cifar10.ckpt"
    card = read_card(path)
    # Weights and model card only, no optimizer.
    assert path.stat().st_size < 1_300_000
    assert card.recipe == "resnet20-cifar10"
    accuracy = card.metrics["test_accuracy"]
    assert f"{path}: {accuracy:.2%} test accuracy after 1 epoch\n" in capsys.readouterr().out
    main(["test", *SAMPLE_RECIPE, f"--ckpt_path={path}"])
    assert f"{accuracy:.7f}"[:8] in capsys.readouterr().out
    main(["predict", *SAMPLE_RECIPE, "--ckpt_path", str(path)])
    assert "predictions.csv: 1,000 predictions\n" in capsys.readouterr().out
    with (RUN_DIR / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["image_index"]) for row in rows] == list(range(1000))
    assert {row["class"] for row in rows} <= set(card.class_names)
    assert all(0.1 <= float(row["probability"]) <= 1 for row in rows)


def test_resumed_run_has_the_steps_of_both_parts() -> None:
    fit = ["fit", *SAMPLE_RECIPE, *SHORT, *FEW_TEST_BATCHES, "--test_at_end", "false"]
    main([*fit, "--trainer.max_epochs", "1"])
    main([*fit, "--trainer.max_epochs", "2", "--ckpt_path", "last"])
    assert torch.load(RUN_DIR / "last.ckpt", weights_only=True)["global_step"] == 4


def test_resume_appends_to_the_log_and_test_leaves_it_unchanged() -> None:
    fit = ["fit", *SAMPLE_RECIPE, *SHORT, *FEW_TEST_BATCHES]
    main([*fit, "--trainer.max_epochs", "1"])
    logs = [path for path in Path("runs").rglob("*") if path.suffix in (".csv", ".yaml")]
    assert {path.name for path in logs} >= {"metrics.csv", "config.yaml"}
    before = {path: path.read_bytes() for path in logs}
    small = str(RUN_DIR / "resnet20-cifar10.ckpt")
    main(["test", *SAMPLE_RECIPE, *FEW_TEST_BATCHES, "--ckpt_path", small])
    assert all(path.read_bytes() == content for path, content in before.items())
    main([*fit, "--trainer.max_epochs", "2", "--ckpt_path", "last"])
    # The test at the end of the first part is not part of its last checkpoint.
    epochs, losses = zip(*read_losses("metrics.csv"), strict=True)
    assert list(epochs) == [0, 1]
    first = before[RUN_DIR / "version_0/metrics.csv"].decode()
    assert repr(losses[0]) in first


def read_losses(name: str) -> list[tuple[float, float]]:
    """Return epoch and loss of each training epoch in the log of the only version."""
    (file,) = RUN_DIR.rglob(name)
    with file.open(newline="") as log:
        rows = [row for row in csv.DictReader(log) if row["train_loss"]]
    return [(float(row["epoch"]), float(row["train_loss"])) for row in rows]


def test_progress_bar_of_the_user_replaces_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    bars: list[object] = []
    monkeypatch.setattr(ProgressBar, "setup", lambda bar, *_, **__: bars.append(bar))
    monkeypatch.setattr(TQDMProgressBar, "on_train_start", lambda *_: sys.exit("stopped"))
    on = ["true" if arg == "false" else arg for arg in SAMPLE_RECIPE]
    own = ["--trainer.callbacks", "TQDMProgressBar", "--trainer.callbacks.refresh_rate", "7"]
    with pytest.raises(SystemExit, match="stopped"):
        main(["fit", *on, *SHORT, *own, "--trainer.fast_dev_run", "1"])
    (bar,) = bars
    assert isinstance(bar, TQDMProgressBar)
    assert bar.refresh_rate == 7


@pytest.mark.parametrize("logger", ["WandbLogger", "MLFlowLogger", "TensorBoardLogger"])
def test_missing_package_of_a_logger_raises_one_message(
    logger: str, capsys: pytest.CaptureFixture[str]
) -> None:
    package = {"WandbLogger": "wandb", "MLFlowLogger": "mlflow"}.get(logger, "tensorboard")
    if find_spec(package):
        pytest.skip(f"{package} is installed")
    args = ["fit", *SAMPLE_RECIPE, "--trainer.logger", logger]
    if logger == "TensorBoardLogger":
        args += ["--trainer.logger.save_dir", "logs"]
    with pytest.raises(SystemExit) as caught:
        main(args)
    assert caught.value.code == 2
    (message,) = [line for line in capsys.readouterr().err.splitlines() if "Cannot use" in line]
    assert f"lightning-resnets: Cannot use lightning.pytorch.loggers.{logger}: " in message
    assert "pip install" in message
    assert "NoneType" not in message


def test_limit_of_one_is_one_batch(capsys: pytest.CaptureFixture[str]) -> None:
    # The parser reads 1 as 1.0, which Lightning takes for all batches.
    limits = ["--trainer.limit_train_batches", "1", "--trainer.limit_test_batches=1"]
    sizes = ["--data.batch_size", "8", "--data.eval_batch_size", "50"]
    main(["fit", *SAMPLE_RECIPE, *limits, *sizes, "--trainer.max_epochs", "1"])
    assert "No record.json: only a part" in capsys.readouterr().out
    assert torch.load(RUN_DIR / "last.ckpt", weights_only=True)["global_step"] == 1


def test_second_run_in_a_locked_folder_raises() -> None:
    fit = ["fit", *SAMPLE_RECIPE, "--trainer.fast_dev_run", "1"]
    with lock_run_dir(RUN_DIR):
        assert f"'{RUN_DIR}'" in error_message(fit)
        main([*fit, "--run_dir", "elsewhere"])
    main(fit)


def test_failed_start_leaves_no_files() -> None:
    before = set(Path().rglob("*"))
    message = error_message(
        ["fit", *RECIPE, "--data.data_dir", "nowhere", "--run_dir", "mine/first"]
    )
    assert "nowhere" in message
    assert set(Path().rglob("*")) - before <= {Path("mine")}


def test_unwritable_run_dir_raises() -> None:
    assert "/dev/null/a" in error_message(["fit", *SAMPLE_RECIPE, "--run_dir", "/dev/null/a"])


def test_configuration_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["fit", "--config", "resnet20-cifar10", "--print_config"])
    config = yaml.safe_load(capsys.readouterr().out)
    assert config["model"]["arch"] == "resnet20"
    assert config["data"]["init_args"]["batch_size"] == 128
    assert config["trainer"]["max_epochs"] == 60


def test_missing_weights_raise() -> None:
    assert "Missing --ckpt_path: give a checkpoint file or a bundled model's name." in (
        error_message(["test", *SAMPLE_RECIPE])
    )
    assert "last.ckpt" in error_message(["fit", *SAMPLE_RECIPE, "--ckpt_path", "last"])


def test_unreadable_checkpoint_raises() -> None:
    Path("text.ckpt").write_text("this is not a checkpoint")
    for name in ("no-such.ckpt", "text.ckpt"):
        assert name in error_message(["test", *SAMPLE_RECIPE, "--ckpt_path", name])


def test_missing_dataset_raises(tmp_path: Path) -> None:
    assert "CIFAR-10" in error_message(["fit", *RECIPE, "--data.data_dir", str(tmp_path)])


def test_other_number_of_classes_raises() -> None:
    model = create_model("resnet20", num_classes=7)
    card = read_card(resolve_checkpoint("resnet20-cifar10")).to_dict()
    weights = {f"model.{name}": weight for name, weight in model.state_dict().items()}
    checkpoint = {"state_dict": weights, "card": card | {"class_names": list("abcdefg")}}
    torch.save(checkpoint, "seven.ckpt")
    assert "The checkpoint has 7 classes but the dataset has 10" in error_message(
        ["test", *SAMPLE_RECIPE, "--ckpt_path", "seven.ckpt"]
    )
