"""A model of a hundred weights with all that makes it hard to go on exactly: a run of it takes a
tenth of a second.
"""

import random
from collections.abc import Iterator
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

QUIET: dict[str, Any] = {
    "accelerator": "cpu",
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,
}


class Tiny(L.LightningModule):
    """Draws from three random generators, keeps a sum over the epoch, logs steps, epochs and
    validations.
    """

    def __init__(self, interval: str = "step") -> None:
        super().__init__()
        self.model = nn.Sequential(
            nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.ReLU(), nn.Linear(8, 3)
        )
        self.total, self.interval, self.scale = torch.zeros(()), interval, 1.0

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        images, labels = batch
        loss = F.cross_entropy(self.model(images), labels) * (
            1 + 0.1 * random.random() + 0.1 * np.random.rand()  # noqa: NPY002 - the global state is what resuming restores
        )
        loss = loss * self.scale
        self.total = self.total + loss.detach()
        self.log("loss", loss)
        return loss

    def on_train_epoch_end(self) -> None:
        self.log("total", self.total)
        self.total = torch.zeros(())

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        self.log("val", F.cross_entropy(self.model(batch[0]), batch[1]), batch_size=len(batch[1]))

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(self.parameters(), 0.05)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 30)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": self.interval},
        }


class Points(L.LightningDataModule):
    """Ten batches of four points, in `TrainBatches`'s way of going on, or by torch's own
    DataLoader.
    """

    def __init__(self, plain: bool) -> None:
        super().__init__()
        points = torch.randn(40, 4, generator=torch.Generator().manual_seed(0))
        self.pairs, self.plain = TensorDataset(points, points.argmax(1).clamp(max=2)), plain
        self.epoch = self.position = 0

    def __len__(self) -> int:
        return 10

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        epoch = self.epoch
        order = torch.randperm(40, generator=torch.Generator().manual_seed(epoch))
        for position in range(self.position, 10):
            self.epoch, self.position = divmod(epoch * 10 + position + 1, 10)
            yield self.pairs[order[4 * position : 4 * position + 4]]

    def train_dataloader(self) -> Any:
        return DataLoader(self.pairs, 4, shuffle=True) if self.plain else self

    def val_dataloader(self) -> Any:
        return DataLoader(self.pairs, 8)

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.epoch, self.position = state_dict["epoch"], state_dict["position"]
