"""Test that a recipe imports and runs nothing that the user did not name."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from lightning_resnets.cli.main import main
from lightning_resnets.cli.recipe_trust import named_code, split_trust
from lightning_resnets.errors import OptionError
from tests.helpers.command_line import QUIET_CPU_TRAINER

MODULE = """
from pathlib import Path

Path("imported").touch()

from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import CSVLogger
from lightning_resnets import create_model
from lightning_resnets.data import CIFAR10Sample


class Data(CIFAR10Sample):
    pass


class Log(CSVLogger):
    pass


class Call(Callback):
    pass


def net(num_classes=10):
    return create_model("resnet20", num_classes)


def hook(trainer, pl_module):
    Path("called").touch()
"""


@pytest.fixture(autouse=True)
def working_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    Path("evilcode.py").write_text(MODULE)
    yield
    sys.modules.pop("evilcode", None)


CALLBACK = {"class_path": "evilcode.Call"}
LOG = {"class_path": "evilcode.Log", "init_args": {"save_dir": "."}}


def calling(function: str) -> dict[str, Any]:
    """Return a callback that calls a function when `fit` starts."""
    name = "lightning.pytorch.callbacks.LambdaCallback"
    return {"class_path": name, "init_args": {"on_fit_start": function}}


# Changes of a harmless recipe, each of which runs code of a module beside it.
RECIPES: dict[str, dict[str, Any]] = {
    "model": {"model": {"arch": "evilcode:net"}},
    "model, dotted": {"model.arch": "evilcode:net"},
    "data": {"data": {"class_path": "evilcode.Data"}},
    "data, short": {"data": "evilcode.Data"},
    "logger": {
        "trainer": {"logger": {"class_path": "evilcode.Log", "init_args": {"save_dir": "."}}}
    },
    "loggers": {"trainer": {"logger": [LOG]}},
    "callback": {"trainer": {"callbacks": CALLBACK}},
    "callbacks": {"trainer": {"callbacks": ["EMAWeightAveraging", CALLBACK]}},
    "callbacks, as text": {"trainer": {"callbacks": "[{class_path: evilcode.Call}]"}},
    "function": {"trainer": {"callbacks": [calling("evilcode.hook")]}},
    "function, through Lightning": {
        "trainer": {"callbacks": [calling("lightning.pytorch.cli.os.abort")]}
    },
    "system": {"trainer": {"callbacks": [calling("os.abort")]}},
    "plugin": {"trainer": {"plugins": [{"class_path": "evilcode.Call"}]}},
    "included file": {"trainer": "included.yaml"},
    "included data": {"data": "included_data.yaml"},
}


def write_recipe(changes: dict[str, Any]) -> None:
    """Write a recipe that trains nothing but one step."""
    recipe: dict[str, Any] = {
        "model": {"arch": "resnet20"},
        "data": {"class_path": "lightning_resnets.data.CIFAR10Sample"},
        "trainer": {"fast_dev_run": 1},
    }
    for name, value in changes.items():
        if isinstance(value, dict) and isinstance(recipe.get(name), dict) and name != "data":
            recipe[name] |= value
        else:
            recipe[name] = value
    Path("recipe.yaml").write_text(yaml.safe_dump(recipe))
    included = {"fast_dev_run": 1, "callbacks": [CALLBACK]}
    Path("included.yaml").write_text(yaml.safe_dump(included))
    Path("included_data.yaml").write_text(yaml.safe_dump({"class_path": "evilcode.Data"}))


def fit(*args: str) -> None:
    main(["fit", "--config", "recipe.yaml", *QUIET_CPU_TRAINER, *args])


@pytest.mark.parametrize("name", RECIPES)
def test_code_that_only_the_recipe_names_is_not_imported(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_recipe(RECIPES[name])
    with pytest.raises(SystemExit) as caught:
        fit()
    assert caught.value.code == 2
    assert "evilcode" not in sys.modules
    assert not Path("imported").exists()
    message = capsys.readouterr().err.splitlines()[-1]
    assert "The recipe names code outside of lightning and lightning_resnets: '" in message
    assert "Pass --trust_recipe to run it, or name it on the command line." in message


@pytest.mark.parametrize("name", ["model", "data", "function", "included file"])
def test_trusted_recipe_runs_its_code(name: str) -> None:
    write_recipe(RECIPES[name])
    fit("--trust_recipe")
    assert Path("imported").exists()
    assert Path("called").exists() is (name == "function")


def test_code_that_the_command_line_names_runs() -> None:
    write_recipe({})
    fit("--model.arch=evilcode:net", "--trainer.callbacks", "evilcode.Call")
    assert Path("imported").exists()


def test_second_recipe_is_checked_like_the_first(capsys: pytest.CaptureFixture[str]) -> None:
    write_recipe({})
    Path("second.yaml").write_text(yaml.safe_dump(RECIPES["callback"]))
    with pytest.raises(SystemExit):
        fit("--config=second.yaml")
    assert "'evilcode.Call'" in capsys.readouterr().err
    assert not Path("imported").exists()


def test_recipe_cannot_trust_itself(capsys: pytest.CaptureFixture[str]) -> None:
    write_recipe(RECIPES["data"] | {"trust_recipe": True})
    with pytest.raises(SystemExit):
        fit()
    assert capsys.readouterr().err
    assert not Path("imported").exists()


def test_python_objects_in_yaml_are_not_built(capsys: pytest.CaptureFixture[str]) -> None:
    write_recipe({})
    text = Path("recipe.yaml").read_text()
    call = '!!python/object/apply:os.mkdir ["made"]'
    Path("recipe.yaml").write_text(f"{text}\nseed_everything: {call}\n")
    with pytest.raises(SystemExit):
        fit()
    assert "could not determine a constructor" in capsys.readouterr().err
    assert not Path("made").exists()


def test_trust_is_read_from_the_command_line_in_every_spelling() -> None:
    for args, is_trusted in (
        (["fit", "--x", "1"], False),
        (["fit", "--trust_recipe", "--x", "1"], True),
        (["fit", "--trust_recipe", "true", "--x", "1"], True),
        (["fit", "--trust_recipe=true", "--x", "1"], True),
        (["fit", "--trust_recipe=false", "--x", "1"], False),
        (["fit", "--x", "1", "--trust_recipe", "False"], False),
    ):
        assert split_trust(args) == (["fit", "--x", "1"], is_trusted)
    with pytest.raises(OptionError, match="must be true or false, got 'maybe'"):
        split_trust(["fit", "--trust_recipe=maybe"])


def test_only_names_of_classes_on_the_command_line_are_trusted() -> None:
    args = ["fit", "--config", "setup.py", "--data.data_dir", "data.v2", "--run_dir=runs.old"]
    assert named_code(args) == []
    assert named_code(["fit", "--data", "mine.Data", "--trainer.logger=a.b.Log"]) == ["mine", "a"]
    structure = "--trainer.callbacks+={class_path: mine.Call, init_args: {x: os.path.join}}"
    assert named_code(["fit", structure]) == ["mine", "os.path.join"]
