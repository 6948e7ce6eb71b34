"""No step of a fit reads a number off the device: on a GPU the queue would stop for it."""

import traceback
from itertools import pairwise
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from lightning_resnets.training.image_classifier import ImageClassifier
from lightning_resnets.training.trainer_defaults import trainer_defaults
from tests.helpers.few_images import Few, trainer


class Reads(TorchDispatchMode):
    """Where a number was read off a tensor (`item()`, `bool()`, `float()` all come to one
    operation).
    """

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default:
            self.found.append("\n".join(traceback.format_stack(limit=12)))
        return func(*args, **kwargs or {})


class Count(L.Callback):
    """How many reads there were by the end of each step."""

    def __init__(self, reads: Reads) -> None:
        self.reads, self.counts = reads, list[int]()

    def on_train_batch_end(self, *_: object, **__: object) -> None:
        self.counts.append(len(self.reads.found))


class Talking(ImageClassifier):
    """What the rule forbids."""

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        loss = super().training_step(batch, batch_idx)
        loss.item()
        return loss


def counted(
    folder: Path, kind: type[ImageClassifier], model: dict[str, Any], data: dict[str, Any]
) -> tuple[list[int], list[str]]:
    L.seed_everything(1, verbose=False)
    reads = Reads()
    count = Count(reads)
    run = trainer(
        folder,
        max_epochs=1,
        callbacks=[*trainer_defaults("demo", folder)["callbacks"], count],
        precision="bf16-mixed",
    )
    with reads:
        run.fit(kind("resnet20", lr=0.05, **model), datamodule=Few(batch_size=8, **data))
    assert len(count.counts) == 8
    return count.counts, reads.found


SETTINGS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({}, {"cutout": 8}),
    ({}, {"mixup_alpha": 0.2}),
    ({}, {"cutmix_alpha": 1.0, "horizontal_flip": "alternating"}),
    ({"loss": "bce"}, {}),
    ({"consistency_weight": 0.1}, {"cutout": 8, "dual_cutout": True}),
]


@pytest.mark.parametrize(("model", "data"), SETTINGS)
def test_no_step_reads_a_number(
    tmp_path: Path, model: dict[str, Any], data: dict[str, Any]
) -> None:
    counts, found = counted(tmp_path, ImageClassifier, model, data)
    steps = [after - before for before, after in pairwise(counts)]
    assert steps == [0] * 7, found[counts[0]]


def test_one_that_does_is_noticed(tmp_path: Path) -> None:
    counts, _ = counted(tmp_path, Talking, {}, {})
    assert counts == list(range(counts[0], counts[0] + 8))
