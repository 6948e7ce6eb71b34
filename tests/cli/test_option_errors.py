"""Sentences for what jsonargparse refuses: by the installed version's own messages, and by messages it never wrote."""

import importlib
from typing import Any, Literal

import pytest
from jsonargparse import ArgumentError, ArgumentParser

from lightning_resnets.cli.option_errors import DATAMODULES, format_option_error


class Images:
    def __init__(
        self, policy: Literal["trivial", "rand"] | None = None, size: int | dict[int, int] = 3
    ) -> None: ...


class Reader:
    def __init__(self, images: Images | None = None) -> None: ...


def refused(*args: str) -> str:
    """What the parser of these options, which are like those of `fit`, says of the arguments."""
    parser = ArgumentParser(exit_on_error=False, allow_abbrev=False)
    parser.add_argument("--seed", type=bool | int, default=0)
    parser.add_argument("--model.lr", type=float, default=0.4)
    parser.add_argument("--model.optimizer", type=Literal["sgd", "adamw", "lamb"], default="sgd")
    parser.add_argument("--model.model_kwargs", type=dict[str, Any] | None)
    parser.add_argument("--trainer.epochs", type=int | None)
    parser.add_argument(
        "--trainer.precision", type=Literal[32, 16] | Literal["32-true", "16"] | None
    )
    parser.add_argument("--data", type=Images | None)
    parser.add_argument("--reader", type=Reader | None)
    parser.add_argument("--classes", type=int)
    parser.link_arguments("trainer.epochs", "classes")
    with pytest.raises(ArgumentError) as caught:
        parser.parse_args(list(args))
    return format_option_error(
        str(caught.value),
        [option for action in parser._actions for option in action.option_strings],
    )


IMAGES = f"--data {__name__}.Images"
SENTENCES = {
    "--seed abc": "--seed takes true, false or a whole number, not 'abc'.",
    "--model.lr abc": "--model.lr takes a number, not 'abc'.",
    "--model.optimizer adamx": "--model.optimizer takes sgd, adamw or lamb, not 'adamx'.",
    "--model.model_kwargs notadict": "--model.model_kwargs takes a mapping as in '{name: value}' or null, not 'notadict'.",
    "--trainer.epochs many": "--trainer.epochs takes a whole number or null, not 'many'.",
    "--trainer.epochs 1.5": "--trainer.epochs takes a whole number or null, not '1.5'.",
    "--trainer.precision 8": "--trainer.precision takes 32, 16, 32-true or null, not '8'.",
    f"{IMAGES} --data.auto_augment rnd": "--data.auto_augment takes trivial, rand or null, not 'rnd'.",
    f"{IMAGES} --data.size big": "--data.size takes a whole number or a mapping as in '{name: value}', not 'big'.",
    f"--reader {__name__}.Reader --reader.images {__name__}.Images --reader.images.policy rnd": (
        "--reader.images.policy takes trivial, rand or null, not 'rnd'."
    ),
    f"{IMAGES} --data.polici rand": f"{__name__}.Images has no setting 'polici' (did you mean policy?).",
    "--data CIFAR10X": (
        "--data takes a class by its dotted path, not 'CIFAR10X' (did you mean lightning_resnets.data.cifar10.CIFAR10?)."
    ),
    "--data Nothing": f"--data takes a class by its dotted path, not 'Nothing' (there are {', '.join(DATAMODULES)}).",
    "--data nosuch.Data": "nosuch.Data cannot be had: No module named 'nosuch'.",
    "--classes 5": "--classes cannot be given: it is trainer.epochs.",
    "--trainer.epoch 3": "There is no option '--trainer.epoch' (did you mean --trainer.epochs?).",
}


@pytest.mark.parametrize("words", SENTENCES)
def test_the_option_what_was_given_and_what_it_takes(words: str) -> None:
    assert refused(*words.split()) == SENTENCES[words]


STRANGE = {
    'Parser key "a.b":\n  Something new': 'Parser key "a.b": Something new.',
    "Key a.b wants:\n  an integer": "Key a.b wants: an integer.",
    "Parser key \"a.b\":\n  Expected a <class 'my.Own'>. Got value: 3": (
        'Parser key "a.b": Expected a my.Own. Got value: 3.'
    ),
    'Parser key "a":\n  Not that.\n  Subtypes: [x]\n  Given value: 3': 'Parser key "a": Not that.',
}


@pytest.mark.parametrize("message", STRANGE)
def test_what_is_not_understood_is_passed_on_in_one_line(message: str) -> None:
    assert format_option_error(message, []) == STRANGE[message]


def test_the_datamodules_that_are_named_are_there() -> None:
    for path in DATAMODULES:
        module, _, name = path.rpartition(".")
        assert hasattr(importlib.import_module(module), name)
