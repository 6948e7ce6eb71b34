"""Test that the help page describes every parameter and shows the parser's defaults."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import yaml

from lightning_resnets.cli import train_help
from lightning_resnets.cli.main import TRAINING_COMMANDS, main
from lightning_resnets.cli.train_help import format_help
from lightning_resnets.data import CIFAR10, ImageNet
from lightning_resnets.training.image_classifier import ImageClassifier

MAX_LINES = 70


MAX_COLUMNS = 110


# "  --", the name, and a space
DEFAULT_COLUMN = 4 + train_help.NAME_WIDTH + 1


@pytest.fixture(autouse=True)
def working_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def default_config(data: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Return the configuration of `fit` without a recipe."""
    with pytest.raises(SystemExit) as caught:
        main(["fit", "--data", data, "--print_config"])
    assert not caught.value.code
    return yaml.safe_load(capsys.readouterr().out)


def printed_defaults(page: str) -> dict[str, str]:
    """Return the default of each option on a help page; two spaces end it."""
    defaults: dict[str, str] = {}
    for line in page.splitlines():
        if line.startswith("  --"):
            option = line.split()[0].removeprefix("--")
            defaults[option] = line[DEFAULT_COLUMN:].partition("  ")[0]
    return defaults


def test_option_column_is_wide_enough() -> None:
    for line in format_help("fit").splitlines():
        if line.startswith("  --"):
            assert line[DEFAULT_COLUMN - 1] == " "


def test_defaults_are_those_of_the_parser(capsys: pytest.CaptureFixture[str]) -> None:
    cifar = default_config("lightning_resnets.data.CIFAR10", capsys)
    imagenet = default_config("lightning_resnets.data.ImageNet", capsys)
    defaults = printed_defaults(format_help("fit"))
    # The recipe is the one option without a default.
    del defaults["config"]
    for option, text in defaults.items():
        group, _, name = option.rpartition(".")
        if group == "data":
            sections = (cifar["data"]["init_args"], imagenet["data"]["init_args"])
            expected = [section[name] for section in sections if name in section]
        else:
            expected = [cifar[group][name] if group else cifar[name]]
        shown = [yaml.safe_load(value) for value in text.split(" | ")]
        # One value stands for both datasets if they agree.
        distinct = [value for index, value in enumerate(expected) if value not in expected[:index]]
        assert shown == distinct, option


@pytest.mark.parametrize(
    ("function", "described"),
    [
        (ImageClassifier.__init__, train_help.MODEL_HELP.keys() | train_help.LINKED_OPTIONS),
        (CIFAR10.__init__, train_help.DATA_HELP.keys() | train_help.CIFAR_HELP.keys()),
        (ImageNet.__init__, train_help.DATA_HELP.keys() | train_help.IMAGENET_HELP.keys()),
    ],
    ids=["ImageClassifier", "CIFAR10", "ImageNet"],
)
def test_every_parameter_is_described(function: Callable[..., None], described: set[str]) -> None:
    assert inspect.signature(function).parameters.keys() - {"self"} == described


def test_every_option_of_the_command_is_described() -> None:
    options = train_help.command_options().keys() | train_help.LIGHTNING_DEFAULTS.keys()
    assert options == train_help.RUN_HELP.keys()
    assert train_help.TRAINER_HELP.keys() <= inspect.signature(L.Trainer.__init__).parameters.keys()
    described: set[str] = set()
    for section in train_help.help_sections():
        described |= section.descriptions.keys()
    assert described >= train_help.EVAL_OPTIONS
    assert train_help.COMMAND_HELP.keys() == set(TRAINING_COMMANDS)


@pytest.mark.parametrize("flag", ["-h", "--help"])
@pytest.mark.parametrize("command", TRAINING_COMMANDS)
def test_help_flag_prints_a_page_that_fits_a_screen(
    command: str, flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main([command, "--config", "demo", flag])
    text = capsys.readouterr().out
    assert text == format_help(command) + "\n"
    assert len(text.splitlines()) <= MAX_LINES
    assert max(map(len, text.splitlines())) <= MAX_COLUMNS
    assert f"lightning-resnets {command} --help-all" in text


def test_evaluation_commands_list_only_options_with_an_effect() -> None:
    fit_only = {"model.lr", "data.auto_augment", "checkpoint_every_minutes"}
    assert fit_only <= printed_defaults(format_help("fit")).keys()
    test_options = printed_defaults(format_help("test")).keys()
    assert not fit_only & test_options
    assert {"ckpt_path", "data.data_dir"} <= test_options


def test_help_all_lists_lightnings_options(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["fit", "--help-all"])
    text = capsys.readouterr().out
    assert not caught.value.code
    assert "--trainer.gradient_clip_val" in text
    assert "--model.lr" in text
