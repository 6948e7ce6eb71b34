"""The page of help: every parameter has its words, every default is the one that the parser takes."""

import inspect
from typing import Any

import lightning as L
import pytest
import yaml

from lightning_resnets.data.cifar import CIFAR10
from lightning_resnets.data.imagenet import ImageNet
from lightning_resnets.training import help  # noqa: A004 - the module's name
from lightning_resnets.training.classifier import Classifier
from lightning_resnets.training.cli import TRAINING, main
from lightning_resnets.training.help import page


def configuration(capsys: pytest.CaptureFixture[str], data: str) -> dict[str, Any]:
    """What `fit` would do without any recipe, as jsonargparse writes it."""
    with pytest.raises(SystemExit) as done:
        main(["fit", "--data", data, "--print_config"])
    assert not done.value.code
    return yaml.safe_load(capsys.readouterr().out)


def options(text: str) -> dict[str, str]:
    """Each printed option's default; after at least two blanks come the words."""
    found = (line.strip().removeprefix("--") for line in text.splitlines() if line.startswith("  --"))
    return {line.split()[0]: line[27:].partition("  ")[0].strip() for line in found}


def test_defaults_are_those_of_the_parser(capsys: pytest.CaptureFixture[str]) -> None:
    cifar = configuration(capsys, "lightning_resnets.data.cifar.CIFAR10")
    imagenet = configuration(capsys, "lightning_resnets.data.imagenet.ImageNet")
    for option, text in options(page("fit")).items():
        if option == "config":
            continue
        group, _, name = option.rpartition(".")
        shown = text.split(" | ")
        if group == "data":
            held = [one["data"]["init_args"][name] for one in (cifar, imagenet) if name in one["data"]["init_args"]]
        else:
            held = [cifar[group][name] if group else cifar[name]]
        assert [yaml.safe_load(value) for value in (shown * len(held))[: len(held)]] == held, option
        assert len(shown) == len(set(map(str, held))), f"--{option}: one value where the two agree"


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (Classifier.__init__, help.MODEL.keys() | help.LINKED),
        (CIFAR10.__init__, help.DATA.keys() | help.CIFAR.keys()),
        (ImageNet.__init__, help.DATA.keys() | help.IMAGENET.keys()),
    ],
    ids=["Classifier", "CIFAR10", "ImageNet"],
)
def test_every_parameter_has_words_and_words_have_a_parameter(function: Any, words: set[str]) -> None:
    assert inspect.signature(function).parameters.keys() - {"self"} == words


def test_every_option_of_the_command_has_words() -> None:
    assert help.extras().keys() | help.LIGHTNINGS.keys() == help.RUN.keys()
    assert help.TRAINER.keys() <= inspect.signature(L.Trainer.__init__).parameters.keys()
    known = help.RUN | help.MODEL | help.DATA | help.CIFAR | help.IMAGENET | help.TRAINER
    assert known.keys() >= help.ELSEWHERE
    assert page.__globals__["DOES"].keys() == set(TRAINING)


@pytest.mark.parametrize("flag", ["-h", "--help"])
@pytest.mark.parametrize("command", TRAINING)
def test_the_page_fits_a_screen_and_is_what_help_prints(
    command: str, flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main([command, "--config", "demo", flag])
    text = capsys.readouterr().out
    assert text == page(command) + "\n"
    assert len(text.splitlines()) <= 70
    assert max(map(len, text.splitlines())) <= 110
    assert f"lightning-resnets {command} --help-all" in text


def test_only_what_matters_is_shown() -> None:
    assert {"model.lr", "data.policy", "save_minutes"} <= options(page("fit")).keys()
    assert not {"model.lr", "data.policy", "save_minutes"} & options(page("test")).keys()
    assert {"ckpt_path", "data.root"} <= options(page("test")).keys()


def test_everything_can_be_seen(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main(["fit", "--help-all"])
    text = capsys.readouterr().out
    assert not done.value.code
    assert "--trainer.gradient_clip_val" in text
    assert "--model.lr" in text
