"""Test the short errors for options that jsonargparse refuses, and for messages it never wrote."""

import importlib
from pathlib import Path
from typing import Any, Literal

import pytest
from jsonargparse import ArgumentError, ArgumentParser

from lightning_resnets.cli.main import main
from lightning_resnets.cli.option_errors import DATAMODULES, format_option_error


class Images:
    def __init__(
        self,
        auto_augment: Literal["trivial", "rand"] | None = None,
        size: int | dict[int, int] = 3,
    ) -> None: ...


class Reader:
    def __init__(self, images: Images | None = None) -> None: ...


def parser_error(*args: str) -> str:
    """Parse arguments that a parser like that of `fit` refuses, and return the short error."""
    parser = ArgumentParser(exit_on_error=False, allow_abbrev=False)
    parser.add_argument("--seed", type=bool | int, default=0)
    parser.add_argument("--model.lr", type=float, default=0.4)
    parser.add_argument("--model.optimizer", type=Literal["sgd", "adamw", "lamb"], default="sgd")
    parser.add_argument("--model.model_kwargs", type=dict[str, Any] | None)
    parser.add_argument("--trainer.epochs", type=int | None)
    precisions = Literal[32, 16] | Literal["32-true", "16"] | None
    parser.add_argument("--trainer.precision", type=precisions)
    parser.add_argument("--data", type=Images | None)
    parser.add_argument("--reader", type=Reader | None)
    parser.add_argument("--classes", type=int)
    parser.link_arguments("trainer.epochs", "classes")
    options: list[str] = []
    for action in parser._actions:
        options.extend(action.option_strings)
    with pytest.raises(ArgumentError) as caught:
        parser.parse_args(list(args))
    return format_option_error(str(caught.value), options)


IMAGES = f"--data {__name__}.Images"


MAPPING = "a mapping such as '{name: value}'"


PARSER_ERRORS = {
    "--seed abc": "--seed must be true, false or an integer, got 'abc'.",
    "--model.lr abc": "--model.lr must be a number, got 'abc'.",
    "--model.optimizer adamx": "--model.optimizer must be sgd, adamw or lamb, got 'adamx'.",
    "--model.model_kwargs text": f"--model.model_kwargs must be {MAPPING} or null, got 'text'.",
    "--trainer.epochs many": "--trainer.epochs must be an integer or null, got 'many'.",
    "--trainer.epochs 1.5": "--trainer.epochs must be an integer or null, got '1.5'.",
    "--trainer.precision 8": "--trainer.precision must be 32, 16, 32-true or null, got '8'.",
    f"{IMAGES} --data.auto_augment rnd": (
        "--data.auto_augment must be trivial, rand or null, got 'rnd'."
    ),
    f"{IMAGES} --data.size big": f"--data.size must be an integer or {MAPPING}, got 'big'.",
    f"--reader {__name__}.Reader --reader.images {__name__}.Images "
    "--reader.images.auto_augment rnd": (
        "--reader.images.auto_augment must be trivial, rand or null, got 'rnd'."
    ),
    f"{IMAGES} --data.auto_augmet rand": (
        f"{__name__}.Images has no option 'auto_augmet' (did you mean auto_augment?)."
    ),
    "--data CIFAR10X": (
        "--data must be a class path, got 'CIFAR10X' "
        "(did you mean lightning_resnets.data.CIFAR10?)."
    ),
    "--data Nothing": (
        f"--data must be a class path, got 'Nothing' (choose one of {', '.join(DATAMODULES)})."
    ),
    "--data nosuch.Data": "Cannot use nosuch.Data: No module named 'nosuch'.",
    "--classes 5": "--classes cannot be set: it is taken from trainer.epochs.",
    "--trainer.epoch 3": "Unknown option '--trainer.epoch' (did you mean --trainer.epochs?).",
}


@pytest.mark.parametrize("args", PARSER_ERRORS)
def test_error_has_option_value_and_accepted_values(args: str) -> None:
    assert parser_error(*args.split()) == PARSER_ERRORS[args]


UNKNOWN_MESSAGES = {
    'Parser key "a.b":\n  Something new': 'Parser key "a.b": Something new.',
    "Key a.b wants:\n  an integer": "Key a.b wants: an integer.",
    "Parser key \"a.b\":\n  Expected a <class 'my.Own'>. Got value: 3": (
        'Parser key "a.b": Expected a my.Own. Got value: 3.'
    ),
    'Parser key "a":\n  Not that.\n  Subtypes: [x]\n  Given value: 3': 'Parser key "a": Not that.',
}


@pytest.mark.parametrize("message", UNKNOWN_MESSAGES)
def test_unknown_message_is_kept_on_one_line(message: str) -> None:
    assert format_option_error(message, []) == UNKNOWN_MESSAGES[message]


def test_suggested_datamodules_exist() -> None:
    for path in DATAMODULES:
        module, _, name = path.rpartition(".")
        assert hasattr(importlib.import_module(module), name)


@pytest.fixture
def working_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def fit_error(recipe: str, options: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Run `fit` with wrong options, which exits with status 2, and return its message."""
    with pytest.raises(SystemExit) as caught:
        main(["fit", "--config", recipe, *options.split()])
    assert caught.value.code == 2
    return capsys.readouterr().err


MISSPELLED_OPTIONS = {
    "--model.lrr 3": "Unknown option '--model.lrr' (did you mean --model.lr?).",
    "--trainer.max_epoch 3": (
        "Unknown option '--trainer.max_epoch' (did you mean --trainer.max_epochs?)."
    ),
    "--model.lr abc": "--model.lr must be a number, got 'abc'.",
    "--data.batch_sice 3": (
        "lightning_resnets.data.CIFAR10 has no option 'batch_sice' (did you mean batch_size?)."
    ),
    "--data nosuch.Data": "Cannot use nosuch.Data: No module named 'nosuch'.",
    "--config mine.yaml": "Unknown option '--model.widht' (see `lightning-resnets fit --help`).",
}


@pytest.mark.parametrize("options", MISSPELLED_OPTIONS)
def test_misspelled_options_of_fit(
    working_dir: None, options: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("mine.yaml").write_text("model:\n  arch: resnet20\n  widht: 3\n")
    message = fit_error("resnet20-cifar10", options, capsys)
    assert message == f"lightning-resnets: {MISSPELLED_OPTIONS[options]}\n"


WRONG_VALUES = {
    "--trainer.max_epochs many": "an integer or null, got 'many'",
    "--trainer.max_epochs 1.5": "an integer or null, got '1.5'",
    "--trainer.precision 8": "64, 32, 16, transformer-engine",
    "--seed_everything abc": "true, false or an integer, got 'abc'",
    "--model.model_kwargs text": f"{MAPPING} or null, got 'text'",
    "--data.auto_augment rnd": "trivial, rand or null, got 'rnd'",
    "--model.optimizer adamx": "sgd, adamw or lamb, got 'adamx'",
    "--data CIFAR10X": "a class path, got 'CIFAR10X' (did you mean",
}


@pytest.mark.parametrize("options", WRONG_VALUES)
def test_wrong_values_of_fit(
    working_dir: None, options: str, capsys: pytest.CaptureFixture[str]
) -> None:
    message = fit_error("resnet50-imagenet-a3", options, capsys)
    option = options.split()[0]
    assert message.startswith(f"lightning-resnets: {option} must be {WRONG_VALUES[options]}")
    assert message.count("\n") == 1
