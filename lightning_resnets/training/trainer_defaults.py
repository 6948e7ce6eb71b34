"""Trainer settings that apply unless a recipe or the command line overrides them."""

from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import Callback

from lightning_resnets.training.callbacks.checkpointing import LastCheckpoint
from lightning_resnets.training.callbacks.divergence import StopOnDivergence
from lightning_resnets.training.callbacks.exact_resume import ExactResume
from lightning_resnets.training.callbacks.model_card import ModelCardCallback
from lightning_resnets.training.callbacks.resume_config import ResumeConfigCallback
from lightning_resnets.training.callbacks.signals import StopOnSignal
from lightning_resnets.training.hardware import default_precision

CHECKPOINT_IO = "lightning_resnets.training.callbacks.checkpointing.AtomicCheckpointIO"


def trainer_defaults(recipe: str, run_dir: Path) -> dict[str, Any]:
    """Return the Trainer's default arguments.

    Args:
        recipe: name of the recipe, for the model card.
        run_dir: folder for checkpoints, logs and the resolved configuration.

    Returns:
        Keyword arguments of `lightning.Trainer`, in the form that LightningCLI takes.
    """
    return {
        "callbacks": _callbacks(recipe, run_dir),
        "default_root_dir": str(run_dir),
        "enable_model_summary": False,
        "log_every_n_steps": 50,
        "logger": _logger(run_dir),
        # The first validation after an epoch finds the same faults.
        "num_sanity_val_steps": 0,
        "plugins": [{"class_path": CHECKPOINT_IO}],
        "precision": default_precision(),
    }


def _logger(run_dir: Path) -> dict[str, Any]:
    """Return the class and the arguments of the logger."""
    return {
        "class_path": "lightning.pytorch.loggers.CSVLogger",
        # Without a name, the versions lie directly in the run's folder.
        "init_args": {"save_dir": str(run_dir), "name": ""},
    }


def _callbacks(recipe: str, run_dir: Path) -> list[Callback]:
    """Return the callbacks of every run; Lightning calls them in this order."""
    return [
        ModelCardCallback(recipe),
        ResumeConfigCallback(),
        # The counts of an epoch are not part of the module's state dict.
        ExactResume(keep=["train_counts"]),
        # Before LastCheckpoint, so that a bad step is found before it is saved.
        StopOnDivergence(),
        LastCheckpoint(run_dir),
        StopOnSignal(),
    ]
