"""Test the command line: names are resolved, help is printed, errors are one line."""

from importlib.metadata import version
from pathlib import Path

import pytest

from lightning_resnets.cli.main import COMMANDS, main
from lightning_resnets.cli.recipe_args import resolve_args
from lightning_resnets.recipes import list_recipes
from tests.helpers.command_line import error_message


def test_recipe_names_become_files() -> None:
    recipe = str(list_recipes()["resnet20-cifar10"])
    assert resolve_args(["fit", "--config", "resnet20-cifar10"]) == ["fit", "--config", recipe]
    assert resolve_args(["fit", "--config=resnet20-cifar10"]) == ["fit", "--config", recipe]
    assert resolve_args(["fit", "-c", "resnet20-cifar10"]) == ["fit", "--config", recipe]


def test_last_checkpoint_is_not_resolved() -> None:
    assert resolve_args(["fit", "--ckpt_path", "last"]) == ["fit", "--ckpt_path", "last"]


def test_bundled_model_names_become_files() -> None:
    path = resolve_args(["test", "--ckpt_path=resnet20"])[2]
    assert Path(path).name == "resnet20-cifar10.ckpt"


def test_help_lists_commands_and_recipes(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--help"])
    text = capsys.readouterr().out
    assert all(f"\n  {name} " in text for name in COMMANDS)
    assert all(name in text for name in list_recipes())
    # A terminal is at least this wide.
    assert max(map(len, text.splitlines())) <= 95


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--version"])
    assert capsys.readouterr().out == f"lightning-resnets {version('lightning-resnets')}\n"


def test_unknown_commands_raise() -> None:
    assert "Unknown command 'train' (commands: fit, validate, " in error_message(["train"])
    assert "did you mean evaluate?" in error_message(["evalute", "a.pth"])


def test_missing_recipe_raises(capsys: pytest.CaptureFixture[str]) -> None:
    for options in (
        "",
        "--trainer.max_epochs 1",
        "--model.arch resnet20 --data.data_dir DIR",
        "--ckpt_path last",
    ):
        message = error_message(["fit", *options.split()])
        assert message.startswith("lightning-resnets: Missing --config: give a recipe (demo, dens")
    # A dataset without a recipe is a configuration too.
    with pytest.raises(SystemExit):
        main(["fit", "--data", "lightning_resnets.data.CIFAR10Sample", "--print_config"])
    assert "CIFAR10Sample" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("wrong", "similar"),
    [
        ("resnet20-cifar", "resnet20-cifar10"),
        ("resnet20", "resnet20-cifar10"),
        ("Demo", "demo"),
    ],
)
def test_unknown_recipe_suggests_a_similar_one(wrong: str, similar: str) -> None:
    message = error_message(["fit", "--config", wrong])
    assert f"no recipe or file named '{wrong}'. Did you mean {similar}? Recipes: demo, " in message


def test_unknown_recipe_without_a_similar_one_lists_all() -> None:
    assert "named 'x.yaml'. Recipes: demo, " in error_message(["test", "-c", "x.yaml"])
