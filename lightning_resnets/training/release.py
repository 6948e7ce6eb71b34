"""The small file at the end of a run: weights and card, nothing that only training needs."""

from pathlib import Path

import lightning as L
import torch

from lightning_resnets.training.saving import write_whole

KEPT = ("state_dict", "hyper_parameters", "card", "epoch", "global_step", "pytorch-lightning_version")


def release(trainer: L.Trainer, path: Path) -> None:
    """Write the trainer's net to `path`; called in every process, written by the first.

    The file is a Lightning checkpoint without optimizer, schedule and loops. It is complete or not there: written
    beside `path` and renamed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        trainer.save_checkpoint(part, weights_only=False)
        if trainer.is_global_zero:
            whole = torch.load(part, map_location="cpu", weights_only=True)
            write_whole({name: whole[name] for name in KEPT}, path)
    finally:
        if trainer.is_global_zero:
            part.unlink(missing_ok=True)
