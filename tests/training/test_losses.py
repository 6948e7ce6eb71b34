"""Tests of the losses of image classification and of the labels that they accept."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from lightning_resnets.errors import TrainingError
from lightning_resnets.training.image_classifier import ImageClassifier
from lightning_resnets.training.losses import ClassificationLoss, check_targets
from tests.helpers.few_images import trainer

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers", "ignore:You defined a `validation_step`"
)


def make_loader(labels: Tensor) -> DataLoader[Any]:
    images = torch.randn(len(labels), 3, 32, 32, generator=torch.Generator().manual_seed(0))
    return DataLoader(TensorDataset(images, labels), 8)


@pytest.mark.parametrize("loss", ["cross_entropy", "bce"])
@pytest.mark.parametrize("bad", [99, 10, -1])
def test_label_that_the_model_does_not_have_is_named(tmp_path: Path, loss: Any, bad: int) -> None:
    labels = torch.arange(16) % 10
    labels[5] = bad
    expected = f"label {bad} but the model has 10 classes, 0 to 9. Set num_classes"
    module = ImageClassifier("resnet20", lr=0.05, loss=loss)
    run = trainer(tmp_path, max_epochs=1, limit_val_batches=0)
    with pytest.raises(TrainingError, match=expected):
        run.fit(module, make_loader(labels))
    evaluator = trainer(tmp_path)
    for evaluate in (evaluator.validate, evaluator.test):
        with pytest.raises(TrainingError, match=expected):
            evaluate(module, dataloaders=make_loader(labels), verbose=False)


@pytest.mark.parametrize("loss", ["cross_entropy", "bce"])
def test_wrong_label_in_a_later_batch_is_named(tmp_path: Path, loss: Any) -> None:
    """Images that are not shuffled may begin with the first classes."""
    labels = torch.arange(16) % 10
    labels[12] = 57
    module = ImageClassifier("resnet20", lr=0.05, loss=loss)
    run = trainer(tmp_path, max_epochs=1, limit_val_batches=0)
    with pytest.raises(TrainingError, match="label 57 but the model has 10 classes"):
        run.fit(module, make_loader(labels))
    with pytest.raises(TrainingError, match="label 57 but the model has 10 classes"):
        run.test(module, dataloaders=make_loader(labels), verbose=False)


def test_probabilities_of_other_classes_are_rejected() -> None:
    check_targets(torch.zeros(2, 10), torch.full((2, 10), 0.1), 0)
    with pytest.raises(TrainingError, match="label 99 but the model has 10 classes"):
        check_targets(torch.zeros(2, 10), torch.full((2, 100), 0.01), 0)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_losses_equal_torch_on_soft_targets(label_smoothing: float) -> None:
    logits = torch.randn(6, 10, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(6)
    hot = F.one_hot(labels, 10).float()
    smooth = hot * (1 - label_smoothing) + label_smoothing / 10
    cross_entropy = ClassificationLoss("cross_entropy", label_smoothing, 0.0)
    assert cross_entropy(logits, labels) == pytest.approx(
        float(-(smooth * logits.log_softmax(1)).sum(1).mean()), rel=1e-5
    )
    bce = ClassificationLoss("bce", label_smoothing, 0.0)
    probabilities = logits.sigmoid()
    expected = F.binary_cross_entropy(probabilities, smooth)
    assert bce(logits, labels) == pytest.approx(float(expected), rel=1e-5)
    assert bce(logits, hot) == pytest.approx(float(expected), rel=1e-5)
