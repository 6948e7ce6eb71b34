"""The command line: names are resolved, a run leaves its files, a mistake ends in one sentence."""

from importlib.metadata import version
from pathlib import Path

import pytest
import torch
import yaml

from lightning_resnets import create_model
from lightning_resnets.checkpoint.bundled import resolve_checkpoint
from lightning_resnets.checkpoint.load import read_card
from lightning_resnets.cli.main import main, recipes, resolve_args
from lightning_resnets.training.checkpoint_paths import is_own_checkpoint
from lightning_resnets.training.run_dir import lock_run_dir

SAMPLE = ["--data", "lightning_resnets.data.CIFAR10Sample"]
# Else a thousand images an epoch; "1" would be the share: all.
VALIDATED = ["--trainer.limit_val_batches", "2", "--data.eval_batch_size", "50"]
QUIET = [
    "--trainer.accelerator",
    "cpu",
    "--trainer.precision",
    "32-true",
    "--trainer.enable_progress_bar",
    "false",
]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def sentence(args: list[str]) -> str:
    with pytest.raises(SystemExit) as caught:
        main(args)
    assert isinstance(caught.value.code, str), "a sentence, not a number"
    assert "\n" not in caught.value.code
    return caught.value.code


def test_fit_writes_a_small_file_that_test_and_predict_take(
    capsys: pytest.CaptureFixture[str],
) -> None:
    short = [
        "--trainer.max_epochs",
        "1",
        "--trainer.limit_train_batches",
        "2",
        "--data.batch_size",
        "8",
    ]
    main(["fit", "--config", "resnet20-cifar10", *SAMPLE, *QUIET, *VALIDATED[:2], *short])
    path = Path("runs/resnet20-cifar10/resnet20-cifar10.ckpt")
    card = read_card(path)
    assert path.stat().st_size < 1_300_000
    assert card.recipe == "resnet20-cifar10"
    assert f"{card.metrics['test_accuracy']:.2%} of the test images" in capsys.readouterr().out
    main(["test", "--config=resnet20-cifar10", *SAMPLE, *QUIET, f"--ckpt_path={path}"])
    assert f"{card.metrics['test_accuracy']:.7f}"[:8] in capsys.readouterr().out
    main(["predict", "--config", "resnet20-cifar10", *SAMPLE, *QUIET, "--ckpt_path", str(path)])
    assert len(Path("runs/resnet20-cifar10/predictions.csv").read_text().splitlines()) == 1001


def test_a_run_goes_on_from_its_last_checkpoint() -> None:
    short = [
        "--trainer.limit_train_batches",
        "2",
        "--data.batch_size",
        "8",
        "--test_at_end",
        "false",
    ]
    fit = ["fit", "--config", "resnet20-cifar10", *SAMPLE, *QUIET, *VALIDATED, *short]
    main([*fit, "--trainer.max_epochs", "1"])
    main([*fit, "--trainer.max_epochs", "2", "--ckpt_path", "last"])
    saved = torch.load("runs/resnet20-cifar10/last.ckpt", weights_only=True)
    assert saved["global_step"] == 4


def test_names_become_files() -> None:
    assert resolve_args(["fit", "--config", "resnet20-cifar10"])[2] == str(
        recipes()["resnet20-cifar10"]
    )
    assert resolve_args(["fit", "--config=resnet20-cifar10"])[1:] == [
        "--config",
        str(recipes()["resnet20-cifar10"]),
    ]
    assert resolve_args(["fit", "--ckpt_path", "last"]) == ["fit", "--ckpt_path", "last"]


def test_help_and_mistakes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    main(["--help"])
    shown = capsys.readouterr().out
    assert all(name in shown for name in ("fit", "predict", "resnet20-cifar10"))
    main(["--version"])
    assert capsys.readouterr().out == f"lightning-resnets {version('lightning-resnets')}\n"
    main(["models", "--help"])
    assert capsys.readouterr().out.startswith("usage: lightning-resnets models [PATTERN]")
    assert "no command 'train'" in sentence(["train"])
    assert "did you mean evaluate?" in sentence(["evalute", "a.pth"])
    assert "Say which recipe: --config RECIPE (recipes: demo, densenet" in sentence(["fit"])
    assert "no recipe and no file called 'resnet21'" in sentence(["fit", "--config", "resnet21"])
    test = ["test", "--config", "resnet20-cifar10", *SAMPLE, *QUIET, "--ckpt_path"]
    assert "no-such.ckpt" in sentence([*test, "no-such.ckpt"])
    Path("text.ckpt").write_text("this is no checkpoint")
    assert "text.ckpt" in sentence([*test, "text.ckpt"])
    assert "There is no CIFAR-10 in" in sentence(
        ["fit", "--config", "resnet20-cifar10", *QUIET, "--data.data_dir", str(tmp_path)]
    )


def test_what_a_run_has_written_of_itself_survives_test_and_resume() -> None:
    short = [
        "--trainer.limit_train_batches",
        "2",
        "--data.batch_size",
        "8",
        "--trainer.limit_test_batches",
        "2",
    ]
    fit = ["fit", "--config", "resnet20-cifar10", *SAMPLE, *QUIET, *VALIDATED, *short]
    main([*fit, "--trainer.max_epochs", "1"])
    before = {
        path: path.read_bytes()
        for path in Path("runs").rglob("*")
        if path.suffix in (".csv", ".yaml")
    }
    assert {path.name for path in before} >= {"metrics.csv", "config.yaml"}
    small = "runs/resnet20-cifar10/resnet20-cifar10.ckpt"
    few = [*VALIDATED, "--trainer.limit_test_batches", "2"]
    main(["test", "-c", "resnet20-cifar10", *SAMPLE, *QUIET, *few, "--ckpt_path", small])
    assert "no run can go on from it" in sentence([*fit, "--ckpt_path", small])
    main([*fit, "--trainer.max_epochs", "2", "--ckpt_path", "last"])
    assert all(path.read_bytes() == text for path, text in before.items())


def test_weights_are_asked_for_and_last_must_be_there() -> None:
    recipe = ["--config", "resnet20-cifar10", *SAMPLE, *QUIET]
    assert "Say which weights" in sentence(["test", *recipe])
    assert "last.ckpt" in sentence(["fit", *recipe, "--ckpt_path", "last"])
    assert "batch_size" in sentence(["fit", *recipe, "--data.batch_size", "0"])


def test_a_checkpoint_of_another_net_is_refused() -> None:
    short = [
        "--trainer.max_epochs",
        "1",
        "--trainer.limit_train_batches",
        "2",
        "--data.batch_size",
        "4",
    ]
    main(
        [
            "fit",
            "--config",
            "plain20-cifar10",
            *SAMPLE,
            *QUIET,
            *VALIDATED,
            *short,
            "--trainer.limit_test_batches",
            "2",
        ]
    )
    path = "runs/plain20-cifar10/plain20-cifar10.ckpt"
    assert "holds plain20" in sentence(
        ["test", "--config", "resnet20-cifar10", *SAMPLE, *QUIET, "--ckpt_path", path]
    )
    last = "runs/plain20-cifar10/last.ckpt"
    assert "holds plain20" in sentence(
        ["fit", "--config", "resnet20-cifar10", *SAMPLE, *QUIET, "--ckpt_path", last]
    )


@pytest.mark.parametrize(
    "where", ["local://{}", "file://{}", "{}", "runs/resnet20-cifar10/../../{}", "::{}"]
)
def test_a_checkpoint_cannot_have_files_removed(tmp_path: Path, where: str) -> None:
    short = [
        "--trainer.limit_train_batches",
        "2",
        "--data.batch_size",
        "8",
        "--test_at_end",
        "false",
    ]
    best = [
        "--trainer.callbacks",
        "ModelCheckpoint",
        "--trainer.callbacks.dirpath",
        "runs/resnet20-cifar10",
    ]
    fit = ["fit", "--config", "resnet20-cifar10", *SAMPLE, *QUIET, *short, *best]
    main([*fit, "--trainer.max_epochs", "1"])
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "kept.txt").write_text("kept")
    path = where.format("victim" if where.startswith("runs") else victim)
    values = torch.load("runs/resnet20-cifar10/last.ckpt", weights_only=True)
    for state in values["callbacks"].values():
        if "best_model_path" in state:
            state |= {"best_model_path": path, "kth_best_model_path": path, "last_model_path": path}
            state |= {"best_k_models": {path: torch.tensor(1.0)}}
    torch.save(values, "hostile.ckpt")
    main([*fit, "--trainer.max_epochs", "2", "--ckpt_path", "hostile.ckpt"])
    assert (victim / "kept.txt").read_text() == "kept"


def test_the_live_file_would_have_removed_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "lightning_resnets.training.image_classifier.only_own_files", lambda *_: None
    )
    with pytest.raises((AssertionError, FileNotFoundError)):
        test_a_checkpoint_cannot_have_files_removed(tmp_path, "local://{}")


def test_a_run_keeps_its_own_files_in_mind(tmp_path: Path) -> None:
    folder = (tmp_path / "run").resolve()
    (tmp_path / "link.ckpt").symlink_to(tmp_path)
    assert is_own_checkpoint(str(folder / "a.ckpt"), {folder})
    assert is_own_checkpoint("run/a.ckpt", {folder})
    for path in (
        "run/b/a.ckpt",
        "run/../a.ckpt",
        "s3://run/a.ckpt",
        "run/a.txt",
        "link.ckpt",
        "",
        None,
        3,
        "run",
    ):
        assert not is_own_checkpoint(path, {folder})


MISSPELT = {
    "--model.lrr 3": "There is no option '--model.lrr' (did you mean --model.lr?).",
    "--trainer.max_epoch 3": "There is no option '--trainer.max_epoch' (did you mean --trainer.max_epochs?).",
    "--model.lr abc": "--model.lr takes a number, not 'abc'.",
    "--data.batch_sice 3": (
        "lightning_resnets.data.CIFAR10 has no setting 'batch_sice' (did you mean batch_size?)."
    ),
    "--data nosuch.Data": "nosuch.Data cannot be had: No module named 'nosuch'.",
    "--config mine.yaml": "There is no option '--model.widht' (`lightning-resnets fit --help` lists them).",
}


@pytest.mark.parametrize("words", MISSPELT)
def test_an_option_that_is_not_understood(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.yaml").write_text("model:\n  model: resnet20\n  widht: 3\n")
    with pytest.raises(SystemExit) as caught:
        main(["fit", "--config", "resnet20-cifar10", *words.split()])
    assert caught.value.code == 2
    assert capsys.readouterr().err == f"lightning-resnets: {MISSPELT[words]}\n"


def test_settings_that_train_nothing_or_fit_no_data(tmp_path: Path) -> None:
    recipe = ["--config", "resnet20-cifar10", *SAMPLE, *QUIET]
    assert "0 epochs or batches train nothing" in sentence(
        ["fit", *recipe, "--trainer.max_epochs", "0"]
    )
    model = create_model("resnet20", num_classes=7)
    card = {
        **read_card(resolve_checkpoint("resnet20-cifar10")).to_dict(),
        "classes": list("abcdefg"),
    }
    torch.save(
        {"state_dict": {f"model.{k}": v for k, v in model.state_dict().items()}, "card": card},
        "seven.ckpt",
    )
    assert "tells 7 classes apart and the data has 10" in sentence(
        ["test", *recipe, "--ckpt_path", "seven.ckpt"]
    )
    assert "dual_cutout needs a cutout" in sentence(["fit", *recipe, "--data.dual_cutout", "true"])
    assert "mixup and cutmix are parameters" in sentence(
        ["fit", *recipe, "--data.mixup_alpha", "-1"]
    )


def test_a_run_that_never_began_leaves_no_folder() -> None:
    recipe = ["--config", "resnet20-cifar10", *QUIET]
    before = set(Path().rglob("*"))
    assert "nowhere" in sentence(
        ["fit", *recipe, "--data.data_dir", "nowhere", "--run_dir", "mine/first"]
    )
    assert set(Path().rglob("*")) - before <= {Path("mine")}


SENSELESS = {
    "--trainer.max_epochs -1": "A schedule needs an end",
    "--trainer.limit_train_batches 0": "train nothing",
    "--model.consistency_weight 0.1": "add --data.dual_cutout true",
    "--model.warmup_fraction 2": "warmup is a share of the steps, 0 to 1, not 2",
    "--checkpoint_every_minutes -1": "checkpoint_every_minutes and checkpoint_every_steps are 0 or more",
    "--model.weight_decay -1": "weight_decay is 0 or more, not -1",
    "--model.lr 0": "lr is above 0, not 0",
    "--model.model_kwargs.classes 7": "'classes' is no option of a model",
    "--trainer.accumulate_grad_batches 0": "accumulate_grad_batches is 1 or more, not 0",
    "--trainer.devices -2": "see to the --trainer options",
    "--run_dir /dev/null/a": "cannot be written to",
}


@pytest.mark.parametrize("words", SENSELESS)
def test_settings_without_sense(words: str) -> None:
    assert SENSELESS[words] in sentence(
        ["fit", "--config", "resnet20-cifar10", *SAMPLE, *QUIET, *words.split()]
    )


def test_a_run_goes_on_under_its_own_settings_and_from_the_file_that_was_checked() -> None:
    short = [
        "--trainer.limit_train_batches",
        "2",
        "--data.batch_size",
        "8",
        "--trainer.limit_test_batches",
        "0",
    ]
    fit = ["fit", "--config", "resnet20-cifar10", *SAMPLE, *QUIET, *short]
    main([*fit, "--trainer.max_epochs", "1"])
    again = [*fit, "--trainer.max_epochs", "2", "--ckpt_path", "last"]
    found = sentence([*again, "--model.lr", "0.01", "--seed_everything", "5"])
    assert (
        "was trained with seed_everything 0, not 5, model.lr 0.4, not 0.01: give the same options"
        in found
    )
    Path("runs/resnet20-cifar10/last_one.ckpt").write_bytes(b"newer, and no checkpoint")
    main(again)


def test_a_run_that_has_not_ended_is_not_begun_anew_by_mistake() -> None:
    short = [
        "--trainer.limit_train_batches",
        "2",
        "--data.batch_size",
        "8",
        "--trainer.limit_test_batches",
        "0",
    ]
    fit = ["fit", "--config", "resnet20-cifar10", *SAMPLE, *QUIET, *short, "--trainer.max_epochs"]
    main([*fit, "1"])
    main([*fit, "1"])  # it had ended
    values = torch.load("runs/resnet20-cifar10/last.ckpt", weights_only=True)
    values["settings"]["trainer.max_epochs"] = 2
    torch.save(values, "runs/resnet20-cifar10/last.ckpt")
    assert "has done 1 of 2 epochs: go on with --ckpt_path last" in sentence([*fit, "2"])
    main([*fit, "1", "--run_dir", "elsewhere"])
    main([*fit, "2", "--overwrite", "true"])
    assert torch.load("runs/resnet20-cifar10/last.ckpt", weights_only=True)["global_step"] == 4


def test_one_batch_is_one_batch(capsys: pytest.CaptureFixture[str]) -> None:
    limits = [
        "--trainer.limit_train_batches",
        "1",
        "--trainer.limit_test_batches=1",
        "--data.eval_batch_size",
        "50",
    ]
    main(
        [
            "fit",
            "--config",
            "resnet20-cifar10",
            *SAMPLE,
            *QUIET,
            *limits,
            "--trainer.max_epochs",
            "1",
        ]
    )
    assert "leaves no record: only a part" in capsys.readouterr().out
    assert torch.load("runs/resnet20-cifar10/last.ckpt", weights_only=True)["global_step"] == 1


def test_a_folder_belongs_to_one_run() -> None:
    fit = ["fit", "--config", "resnet20-cifar10", *SAMPLE, *QUIET, "--trainer.fast_dev_run", "1"]
    with lock_run_dir(Path("runs/resnet20-cifar10")):
        assert "Another run is writing to 'runs/resnet20-cifar10'" in sentence(fit)
        main([*fit, "--run_dir", "elsewhere"])
    main(fit)


def test_the_settings_of_a_run_can_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["fit", "--config", "resnet20-cifar10", "--print_config"])
    shown = yaml.safe_load(capsys.readouterr().out)
    assert shown["model"]["model"] == "resnet20"
    assert shown["data"]["init_args"]["batch_size"] == 128
    assert shown["trainer"]["max_epochs"] == 60


@pytest.mark.parametrize(
    ("words", "takes"),
    {
        "--trainer.max_epochs many": "a whole number or null, not 'many'",
        "--trainer.max_epochs 1.5": "a whole number or null, not '1.5'",
        "--trainer.precision 8": "64, 32, 16, transformer-engine",
        "--seed_everything abc": "true, false or a whole number, not 'abc'",
        "--model.model_kwargs notadict": "a mapping as in '{name: value}' or null, not 'notadict'",
        "--data.auto_augment rnd": "trivial, rand or null, not 'rnd'",
        "--model.optimizer adamx": "sgd, adamw or lamb, not 'adamx'",
        "--data CIFAR10X": "a class by its dotted path, not 'CIFAR10X' (did you mean",
    }.items(),
)
def test_a_value_that_does_not_fit(
    words: str, takes: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["fit", "--config", "resnet50-imagenet-a3", *words.split()])
    said = capsys.readouterr().err
    assert caught.value.code == 2
    assert said.startswith(f"lightning-resnets: {words.split()[0]} takes {takes}")
    assert said.count("\n") == 1


def test_what_is_to_be_trained_must_be_said(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (
        "--trainer.max_epochs 1",
        "--model.arch resnet20 --data.data_dir DIR",
        "--ckpt_path last",
    ):
        assert sentence(["fit", *words.split()]).startswith(
            "lightning-resnets: Say which recipe: --config RECIPE ("
        )
    with pytest.raises(SystemExit):
        main(["fit", *SAMPLE, "--print_config"])
    assert "CIFAR10Sample" in capsys.readouterr().out


def test_a_recipe_that_was_meant_comes_before_all_that_there_are() -> None:
    for wrong, meant in {
        "resnet20-cifar": "resnet20-cifar10",
        "resnet20": "resnet20-cifar10",
        "Demo": "demo",
    }.items():
        assert f"called '{wrong}' (did you mean {meant}? Recipes: demo, " in sentence(
            ["fit", "--config", wrong]
        )
    assert "called 'x.yaml' (recipes: demo, " in sentence(["test", "-c", "x.yaml"])
