"""The page of help has words for every parameter and the parser's defaults; docs/training.md runs as printed."""

import inspect
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
import yaml

from lightning_resnets.cli import train_help
from lightning_resnets.cli.main import TRAINING_COMMANDS, main, recipes
from lightning_resnets.cli.train_help import format_help
from lightning_resnets.data.cifar10 import CIFAR10
from lightning_resnets.data.imagenet import ImageNet
from lightning_resnets.training.image_classifier import ImageClassifier

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE = (DOCS / "training.md").read_text()
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


def configuration(capsys: pytest.CaptureFixture[str], data: str) -> dict[str, Any]:
    """What `fit` would do without any recipe, as jsonargparse writes it."""
    with pytest.raises(SystemExit) as done:
        main(["fit", "--data", data, "--print_config"])
    assert not done.value.code
    return yaml.safe_load(capsys.readouterr().out)


def options(text: str) -> dict[str, str]:
    """Each printed option's default; after at least two blanks come the words."""
    found = (
        line.strip().removeprefix("--") for line in text.splitlines() if line.startswith("  --")
    )
    return {line.split()[0]: line[27:].partition("  ")[0].strip() for line in found}


def test_defaults_are_those_of_the_parser(capsys: pytest.CaptureFixture[str]) -> None:
    cifar = configuration(capsys, "lightning_resnets.data.CIFAR10")
    imagenet = configuration(capsys, "lightning_resnets.data.ImageNet")
    for option, text in options(format_help("fit")).items():
        if option == "config":
            continue
        group, _, name = option.rpartition(".")
        shown = text.split(" | ")
        if group == "data":
            held = [
                one["data"]["init_args"][name]
                for one in (cifar, imagenet)
                if name in one["data"]["init_args"]
            ]
        else:
            held = [cifar[group][name] if group else cifar[name]]
        assert [yaml.safe_load(value) for value in (shown * len(held))[: len(held)]] == held, option
        assert len(shown) == len(set(map(str, held))), f"--{option}: one value where the two agree"


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (ImageClassifier.__init__, train_help.MODEL_HELP.keys() | train_help.LINKED_OPTIONS),
        (CIFAR10.__init__, train_help.DATA_HELP.keys() | train_help.CIFAR_HELP.keys()),
        (ImageNet.__init__, train_help.DATA_HELP.keys() | train_help.IMAGENET_HELP.keys()),
    ],
    ids=["Classifier", "CIFAR10", "ImageNet"],
)
def test_every_parameter_has_words_and_words_have_a_parameter(
    function: Any, words: set[str]
) -> None:
    assert inspect.signature(function).parameters.keys() - {"self"} == words


def test_every_option_of_the_command_has_words() -> None:
    assert (
        train_help.command_options().keys() | train_help.LIGHTNING_DEFAULTS.keys()
        == train_help.RUN_HELP.keys()
    )
    assert train_help.TRAINER_HELP.keys() <= inspect.signature(L.Trainer.__init__).parameters.keys()
    known = (
        train_help.RUN_HELP
        | train_help.MODEL_HELP
        | train_help.DATA_HELP
        | train_help.CIFAR_HELP
        | train_help.IMAGENET_HELP
        | train_help.TRAINER_HELP
    )
    assert known.keys() >= train_help.EVAL_OPTIONS
    assert train_help.COMMAND_HELP.keys() == set(TRAINING_COMMANDS)


@pytest.mark.parametrize("flag", ["-h", "--help"])
@pytest.mark.parametrize("command", TRAINING_COMMANDS)
def test_the_page_fits_a_screen_and_is_what_help_prints(
    command: str, flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main([command, "--config", "demo", flag])
    text = capsys.readouterr().out
    assert text == format_help(command) + "\n"
    assert len(text.splitlines()) <= 70
    assert max(map(len, text.splitlines())) <= 110
    assert f"lightning-resnets {command} --help-all" in text


def test_only_what_matters_is_shown() -> None:
    assert {"model.lr", "data.auto_augment", "save_minutes"} <= options(format_help("fit")).keys()
    assert (
        not {"model.lr", "data.auto_augment", "save_minutes"} & options(format_help("test")).keys()
    )
    assert {"ckpt_path", "data.data_dir"} <= options(format_help("test")).keys()


def test_everything_can_be_seen(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main(["fit", "--help-all"])
    text = capsys.readouterr().out
    assert not done.value.code
    assert "--trainer.gradient_clip_val" in text
    assert "--model.lr" in text


def printed(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def beside(monkeypatch: pytest.MonkeyPatch) -> None:
    """The files that docs/training.md prints, where one is."""
    for text in [*printed("yaml"), *printed("python")]:
        if text.startswith("# "):
            Path(text.split()[1]).write_text(text)
    monkeypatch.delitem(sys.modules, "gated", raising=False)


def test_the_printed_recipe_runs(beside: None, capsys: pytest.CaptureFixture[str]) -> None:
    """Its average, its callbacks and its model: a step of everything."""
    commands = [shlex.split(line)[1:] for block in printed("sh") for line in block.splitlines()]
    (tried,) = [args for args in commands if "--trainer.fast_dev_run" in args]
    main([*tried, *QUIET])
    rows = Path("runs/mine/gate_statistics_val.csv").read_text().splitlines()
    assert {row.split(",")[0] for row in rows[1:]} == {"1", "2"}, "the gates of two blocks"
    for args in commands:
        capsys.readouterr()
        with pytest.raises(SystemExit) as done:
            main([*args, "--print_config"])
        assert not done.value.code
        shown = yaml.safe_load(capsys.readouterr().out)
        assert shown["trainer"]["devices"] in ("auto", "1", "8")


@pytest.mark.slow  # trains four epochs
def test_the_printed_recipe_ends_with_the_averaged_weights(beside: None) -> None:
    main(["fit", "--config", "mine.yaml", *QUIET])
    small, last = (
        torch.load(f"runs/mine/{name}.ckpt", weights_only=True) for name in ("mine", "last")
    )
    names = [name for name, value in small["state_dict"].items() if value.is_floating_point()]
    assert all(torch.equal(small["state_dict"][name], last["state_dict"][name]) for name in names)
    assert not all(
        torch.equal(small["state_dict"][name], last["current_model_state"][name]) for name in names
    )
    assert "skip_norms/1/branch" in Path("runs/mine/version_0/metrics.csv").read_text()


@pytest.mark.filterwarnings(
    "ignore:.* does not have many workers", "ignore:`weights_only` was not set"
)
def test_the_printed_script_runs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tqdm.tqdm.monitor_interval", 0)  # its monitor is a thread that stays
    (script,) = [text for text in printed("python") if not text.startswith("# ")]
    exec(compile(script, "training.md", "exec"), {"__name__": "page"})  # our own page
    assert {path.name for path in Path().glob("*.c*")} == {"mine.ckpt", "gate_statistics_val.csv"}
    (metrics,) = Path().rglob("metrics.csv")
    assert "skip_norms/layer1.0/branch" in metrics.read_text()
    capsys.readouterr()
    main(["inspect", "mine.ckpt"])
    assert "seresnet20" in capsys.readouterr().out


def test_the_links_of_the_page_lead_somewhere() -> None:
    assert all((DOCS / link).exists() for link in re.findall(r"\]\(([^)#:]+)\)", PAGE))


def test_the_printed_rate_is_the_recipes() -> None:
    recipe = yaml.safe_load(recipes()["resnet50-imagenet-a3"].read_text())
    assert (
        f"has {recipe['model']['lr']} for 2,048: 8 processes of {recipe['data']['init_args']['batch_size']}."
        in PAGE
    )
