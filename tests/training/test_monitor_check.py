"""Test that a callback which monitors a missing validation stops the run before its first step."""

from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint

from lightning_resnets.errors import DataError
from lightning_resnets.training.image_classifier import ImageClassifier
from tests.helpers.few_images import Few, trainer


class CountSteps(Callback):
    """Count the training steps."""

    count = 0

    def on_train_batch_start(self, *args: Any, **kwargs: Any) -> None:
        self.count += 1


MONITORS = {
    "early stopping": lambda: EarlyStopping("val_loss"),
    "checkpoint": lambda: ModelCheckpoint(monitor="val_accuracy", mode="max"),
}


@pytest.mark.parametrize("name", MONITORS)
def test_monitored_validation_that_is_missing_raises(tmp_path: Path, name: str) -> None:
    steps = CountSteps()
    callback = MONITORS[name]()
    options = {"max_epochs": 1, "limit_train_batches": 1, "callbacks": [steps, callback]}
    monitor = callback.monitor
    with pytest.raises(DataError, match=rf"monitors {monitor}, but the run has no validation"):
        trainer(tmp_path, **options).fit(ImageClassifier("resnet20"), datamodule=Few(batch_size=8))
    assert steps.count == 0


@pytest.mark.parametrize("name", MONITORS)
def test_monitored_validation_is_found(tmp_path: Path, name: str) -> None:
    steps = CountSteps()
    callbacks = [steps, MONITORS[name]()]
    options = {"max_epochs": 1, "limit_train_batches": 1, "num_sanity_val_steps": 0}
    data = Few(batch_size=8, num_val_images=10)
    trainer(tmp_path, callbacks=callbacks, **options).fit(
        ImageClassifier("resnet20"), datamodule=data
    )
    assert steps.count == 1


def test_lenient_and_training_monitors_need_no_validation(tmp_path: Path) -> None:
    callbacks = [EarlyStopping("val_loss", strict=False), EarlyStopping("train_loss")]
    options = {"max_epochs": 1, "limit_train_batches": 1}
    module = ImageClassifier("resnet20")
    trainer(tmp_path, callbacks=callbacks, **options).fit(module, datamodule=Few(batch_size=8))
    assert module.trainer.global_step == 1
