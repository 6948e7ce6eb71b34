"""The recipes: each runs, names a model of the zoo and says what the table of results promises."""

from pathlib import Path

import pytest
import yaml

from lightning_resnets.cli.main import main
from lightning_resnets.models.registry import MODELS
from lightning_resnets.recipes import list_recipes

CIFAR = [name for name in list_recipes() if "-cifar10" in name]
PROMISED = {
    "resnet20",
    "resnet32",
    "resnet44",
    "resnet56",
    "resnet110",
    "plain20",
    "plain32",
    "plain44",
    "plain56",
    "plain110",
    "seresnet20",
    "seresnet56",
    "seresnet110",
    "densenet_bc_100_12",
    "densenet_40_12",
    "preresnet110",
    "wrn_16_8",
    "highway19",
}
SAMPLE = ["--data", "lightning_resnets.data.CIFAR10Sample"]
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


@pytest.mark.parametrize("recipe", ["demo", *CIFAR])
def test_every_recipe_runs(recipe: str) -> None:
    main(
        [
            "fit",
            "--config",
            recipe,
            *SAMPLE,
            *QUIET,
            "--trainer.fast_dev_run",
            "1",
            "--data.batch_size",
            "4",
        ]
    )


def test_every_documented_model_has_a_recipe() -> None:
    assert {name.removesuffix("-cifar10") for name in CIFAR} >= PROMISED
    for name in CIFAR:
        assert (
            yaml.safe_load(list_recipes()[name].read_text())["model"]["arch"]
            == name.partition("-")[0]
        )
        assert name.partition("-")[0] in MODELS


@pytest.mark.parametrize("depth", [20, 32, 44, 56, 110])
def test_plain_and_residual_recipes_differ_only_in_the_model(depth: int) -> None:
    plain, residual = (
        yaml.safe_load(list_recipes()[f"{kind}{depth}-cifar10"].read_text())
        for kind in ("plain", "resnet")
    )
    assert plain["model"].pop("arch") != residual["model"].pop("arch")
    residual["model"].pop("model_kwargs", None)  # zero_gamma, for which a plain model has no use
    assert plain == residual
