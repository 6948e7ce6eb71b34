"""Tests of the learning rate over a training."""

from typing import Any

import lightning as L
import pytest
import torch

from lightning_resnets.errors import TrainingError
from lightning_resnets.training.image_classifier import ImageClassifier
from lightning_resnets.training.lr_schedule import WarmupDecayLR, lr_factor
from tests.helpers.few_images import Few


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_rate_rises_to_its_peak_and_falls_to_zero(schedule: str) -> None:
    rates = [lr_factor(step, 100, 0.2, schedule) for step in range(101)]
    assert max(rates) == rates[20] == 1
    assert rates[:21] == sorted(rates[:21])
    assert rates[20:] == sorted(rates[20:], reverse=True)
    assert 0 < rates[0] < 0.1
    assert rates[100] == pytest.approx(0)
    assert rates[60] == pytest.approx(0.5)


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_rate_stays_zero_past_the_planned_end(schedule: str) -> None:
    assert [lr_factor(step, 100, 0.2, schedule) for step in (100, 101, 150)] == [0, 0, 0]


def test_schedule_leaves_added_groups_alone() -> None:
    weights = [torch.nn.Parameter(torch.ones(2)) for _ in range(3)]
    groups: list[dict[str, Any]] = [{"params": [weight]} for weight in weights[:2]]
    optimizer = torch.optim.SGD(groups, 0.4)
    schedule = WarmupDecayLR(optimizer, 10, 0.0, "linear")
    optimizer.add_param_group({"params": [weights[2]], "lr": 0.03})
    for step in range(1, 11):
        optimizer.step()
        schedule.step()
        rates = [group["lr"] for group in optimizer.param_groups]
        assert rates == pytest.approx([0.4 * (1 - step / 10), 0.4 * (1 - step / 10), 0.03])


@pytest.mark.parametrize("options", [{"max_epochs": -1}, {"max_time": "00:00:01:00"}])
def test_training_without_last_step_raises(options: dict[str, Any]) -> None:
    quiet: dict[str, Any] = {"enable_progress_bar": False, "enable_model_summary": False}
    trainer = L.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, **quiet, **options
    )
    with pytest.raises(TrainingError, match=r"max_epochs=-1\)\. Set max_epochs to the number"):
        trainer.fit(ImageClassifier("resnet20"), datamodule=Few(batch_size=16))


def test_training_without_epochs_has_a_last_step() -> None:
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=-1,
        max_steps=2,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    module = ImageClassifier("resnet20", lr=0.05)
    trainer.fit(module, datamodule=Few(batch_size=16))
    assert trainer.global_step == 2
    assert trainer.optimizers[0].param_groups[0]["lr"] == 0
