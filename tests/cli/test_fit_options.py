"""Test that options of `fit` with which nothing would be trained raise an error."""

from pathlib import Path

import pytest

from tests.helpers.command_line import QUIET_CPU_TRAINER, SAMPLE_DATA, error_message

INVALID_OPTIONS = {
    "--trainer.max_epochs 0": "--trainer.max_epochs must be at least 1.",
    "--trainer.max_steps 0": "--trainer.max_steps must be at least 1.",
    "--trainer.max_epochs -1": "--trainer.max_epochs must be at least 1: the learning-rate",
    "--trainer.limit_train_batches 0": "--trainer.limit_train_batches must be greater than 0.",
    "--trainer.accumulate_grad_batches 0": (
        "--trainer.accumulate_grad_batches must be at least 1, got 0. Leave it out"
    ),
    "--checkpoint_every_minutes -1": "--checkpoint_every_minutes must be at least 0, got -1",
    "--checkpoint_every_steps -2": "--checkpoint_every_steps must be at least 0, got -2",
    "--trainer.devices -2": "Check the --trainer options",
}


@pytest.fixture(autouse=True)
def working_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def fit_error(options: str) -> str:
    """Return the message of `fit` with the recipe of resnet20 and more options."""
    recipe = ["--config", "resnet20-cifar10", *SAMPLE_DATA, *QUIET_CPU_TRAINER]
    return error_message(["fit", *recipe, *options.split()])


@pytest.mark.parametrize("options", INVALID_OPTIONS)
def test_invalid_options_raise(options: str) -> None:
    assert INVALID_OPTIONS[options] in fit_error(options)


# Checked by the model and the dataset; the message names the option.
INVALID_VALUES = {
    "--model.consistency_weight 0.1": "dual_cutout",
    "--model.warmup_fraction 2": "warmup",
    "--model.weight_decay -1": "weight_decay",
    "--model.lr 0": "lr",
    "--model.model_kwargs.num_classes 7": "num_classes",
    "--data.dual_cutout true": "dual_cutout",
    "--data.mixup_alpha -1": "mixup",
    "--data.batch_size 0": "batch_size",
}


@pytest.mark.parametrize("options", INVALID_VALUES)
def test_invalid_values_of_model_and_data_raise(options: str) -> None:
    assert INVALID_VALUES[options] in fit_error(options)
