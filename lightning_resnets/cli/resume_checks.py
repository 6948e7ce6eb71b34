"""Check the checkpoint of `--ckpt_path`, and an existing run, before anything is built."""

from pathlib import Path
from typing import Any

import torch

from lightning_resnets.checkpoint.model_card import ModelCard
from lightning_resnets.models.pretrained_weights import resolve_model_kwargs
from lightning_resnets.training.callbacks.resume_config import (
    CHECKPOINT_KEY,
    config_differences,
    is_extended,
)

MAX_EPOCHS_KEY = "trainer.max_epochs"


# Lightning resumes from these keys; a checkpoint with only weights and model card has none.
RESUME_KEYS = {"optimizer_states", "loops", "pytorch-lightning_version"}


def check_same_model(path: Path, card: ModelCard, config: dict[str, Any]) -> None:
    """Check that a checkpoint contains the model of the recipe.

    Args:
        path: the checkpoint, for the message.
        card: its model card.
        config: the `model` section of the configuration.

    Raises:
        ValueError: architecture or model kwargs differ.
    """
    arch = config["arch"]
    model_kwargs = resolve_model_kwargs(arch, config.get("model_kwargs") or {})
    if (card.arch, card.model_kwargs) != (arch, model_kwargs):
        raise ValueError(
            f"{path} contains {_describe(card.arch, card.model_kwargs)}, but the recipe builds "
            f"{_describe(arch, model_kwargs)}. Use a recipe for {card.arch}."
        )


def check_resumable(path: Path, config: dict[str, Any]) -> bool:
    """Check that a run can resume from a checkpoint.

    Args:
        path: a checkpoint written during training.
        config: current configuration, from `run_config`.

    Returns:
        True if the run was planned with another number of epochs or steps.

    Raises:
        ValueError: the file has no optimizer state, or options differ.
    """
    contents = _read(path)
    missing = RESUME_KEYS - contents.keys()
    if missing:
        raise ValueError(
            f"Cannot resume from {path}: it has no {min(missing)}. "
            "Use the run's last.ckpt, or start again without --ckpt_path."
        )
    # A checkpoint of another program has no options of ours to compare.
    previous = contents.get(CHECKPOINT_KEY)
    differences = config_differences(previous, config)
    if differences:
        raise ValueError(
            f"{path} was trained with {', '.join(differences)}. "
            "Give the same options, or start again without --ckpt_path."
        )
    return is_extended(previous, config)


def check_no_unfinished_run(path: Path) -> None:
    """Check that a new run does not replace one that still has epochs left.

    Args:
        path: last.ckpt of the run folder; it may be missing.

    Raises:
        ValueError: the run in this folder has not finished.
    """
    if not path.is_file():
        return
    try:
        contents = _read(path)
        num_done = contents["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"]
        num_planned = contents[CHECKPOINT_KEY][MAX_EPOCHS_KEY]
    except Exception:  # noqa: BLE001 - not one of our checkpoints: nothing to resume is lost
        return
    # A run that is limited by steps has no planned number of epochs.
    if num_planned is not None and num_done < num_planned:
        raise ValueError(
            f"{path} belongs to a run that has finished {num_done} of {num_planned} epochs. "
            "Resume it with --ckpt_path last, choose another folder with --run_dir DIR, "
            "or replace it with --overwrite true."
        )


def _read(path: Path) -> dict[str, Any]:
    """Read a checkpoint as data, without loading its tensors into memory."""
    return torch.load(path, map_location="cpu", weights_only=True, mmap=True)


def _describe(arch: str, model_kwargs: dict[str, Any]) -> str:
    """Format an architecture with its model kwargs."""
    return f"{arch} with {model_kwargs}" if model_kwargs else arch
