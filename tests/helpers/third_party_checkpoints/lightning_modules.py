"""Lightning checkpoints whose model lies deep inside, with torchmetrics states beside it.

The file is written by Lightning itself: `Trainer.save_checkpoint`. Metric states are persistent,
so that they are in `state_dict` as `val_f1.tp` and `confmat.confmat`.
"""

import logging
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import torchvision
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn
from torchmetrics.classification import MulticlassConfusionMatrix, MulticlassF1Score

from tests.helpers.third_party_checkpoints.case import (
    IMAGENET_SIZE,
    Case,
    make_trained,
    random_images,
    run,
    seed_weights,
)

NUM_CLASSES = 7


class Learner(nn.Module):
    """Wrap a model as `net`, beside a temperature of the loss."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net


class Module(LightningModule):
    """A LightningModule of somebody else."""

    def __init__(self, net: nn.Module, with_metrics: bool) -> None:
        super().__init__()
        self.learner = Learner(net)
        if with_metrics:
            self.val_f1 = MulticlassF1Score(NUM_CLASSES, average="macro")
            self.confmat = MulticlassConfusionMatrix(NUM_CLASSES)
            for metric in (self.val_f1, self.confmat):
                metric.persistent(True)

    def forward(self, x: Tensor) -> Tensor:
        return self.learner.net(x)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def saved_by_trainer(module: LightningModule) -> dict[str, Any]:
    """Return the content that `Trainer.save_checkpoint` writes for a module."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    with warnings.catch_warnings(), TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        trainer = Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
        trainer.strategy.connect(module)
        path = Path(folder) / "last.ckpt"
        trainer.save_checkpoint(path, weights_only=True)
        return torch.load(path, weights_only=False)


def learner_net(with_metrics: bool = False) -> Case:
    """Return a checkpoint with the prefix `learner.net.`."""
    seed_weights(30)
    net = make_trained(torchvision.models.resnet18(num_classes=NUM_CLASSES))
    image = random_images(3, IMAGENET_SIZE)
    features, logits = run(net, image, net.fc)
    content = saved_by_trainer(Module(net, with_metrics))
    return Case(content=content, image=image, features=features, logits=logits)


def with_metric_states() -> Case:
    """Return the same with states of an F1 score and a confusion matrix."""
    return learner_net(with_metrics=True)
