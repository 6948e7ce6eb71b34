"""Check the checkpoint of `--ckpt_path`, and an existing run, before anything is built."""

import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lightning_resnets.checkpoint.model_card import ModelCard
from lightning_resnets.cli.run_progress import RunProgress
from lightning_resnets.errors import CheckpointError, UserError
from lightning_resnets.models.pretrained_weights import resolve_model_kwargs
from lightning_resnets.training.callbacks.exact_resume import CHECKPOINT_KEY as RESUME_STATE_KEY
from lightning_resnets.training.callbacks.resume_config import (
    CHECKPOINT_KEY,
    config_differences,
    flatten,
    is_extended,
)

# Lightning resumes from these keys; a checkpoint with only weights and model card has none.
RESUME_KEYS = {"optimizer_states", "lr_schedulers", "loops", "pytorch-lightning_version"}

# Counters in the state of Lightning's loops
PROGRESS_COUNTERS = {"ready", "started", "processed", "completed"}

# Lightning's functions that restore a checkpoint
RESTORE_FUNCTIONS = {"resume_start", "_restore_modules_and_callbacks", "restore_training_state"}


@dataclass(frozen=True, slots=True)
class ResumeInfo:
    """Facts about the run that a checkpoint belongs to.

    Attributes:
        is_extended: True if the run was planned with another number of epochs or steps.
        log_version: version of its log folder; None if unknown.
    """

    is_extended: bool
    log_version: int | None


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


def check_resumable(path: Path, config: dict[str, Any]) -> ResumeInfo:
    """Check that a run can resume from a checkpoint.

    Args:
        path: a checkpoint written during training.
        config: current configuration, from `run_config`.

    Returns:
        Facts about the checkpoint's run.

    Raises:
        CheckpointError: the file is damaged.
        ValueError: the file has no optimizer state, or options differ.
    """
    contents = _read(path)
    _check_keys(path, contents)
    _check_optimizer(path, contents)
    _check_progress(path, contents["loops"])
    # A checkpoint of another program has no options of ours to compare.
    previous = contents.get(CHECKPOINT_KEY)
    _check_same_options(path, previous, config)
    return ResumeInfo(is_extended(previous, config), _log_version(contents))


def _check_keys(path: Path, contents: Mapping[str, Any]) -> None:
    """Raise ValueError if the file has only weights, or is of another program."""
    missing = RESUME_KEYS - contents.keys()
    if missing:
        # The same name in every run, because a set has no order.
        raise ValueError(
            f"Cannot resume from {path}: it has no {min(missing)}. "
            "Use the run's last.ckpt, or start again without --ckpt_path."
        )


def _check_same_options(path: Path, previous: Any, config: dict[str, Any]) -> None:
    """Raise ValueError if options that change the result differ from those of the run."""
    differences = config_differences(previous, config)
    if differences:
        raise ValueError(
            f"{path} was trained with {', '.join(differences)}. "
            "Give the same options, or start again without --ckpt_path."
        )


def _check_optimizer(path: Path, contents: Mapping[str, Any]) -> None:
    """Raise CheckpointError unless there is the state of one optimizer and of one schedule.

    Lightning would go on without a state that is missing in the list.
    """
    for key in ("optimizer_states", "lr_schedulers"):
        states = contents[key]
        if not isinstance(states, list) or len(states) != 1 or not isinstance(states[0], dict):
            raise damaged_error(path, f"{key} is not a list of one mapping")


def _check_progress(path: Path, loops: object) -> None:
    """Raise CheckpointError unless all counters of Lightning's loops are numbers."""
    if not isinstance(loops, dict) or not isinstance(loops.get("fit_loop"), dict):
        raise damaged_error(path, "loops is not a mapping")
    counters = dict(flatten(loops["fit_loop"]))
    if "epoch_progress.current.processed" not in counters:
        raise damaged_error(path, "loops has no number of epochs")
    for name, value in counters.items():
        is_counter = name.rpartition(".")[2] in PROGRESS_COUNTERS
        if is_counter and (type(value) is not int or value < 0):
            raise damaged_error(path, f"{name} is not a number of batches or epochs")


def damaged_error(path: Path | str, reason: str) -> CheckpointError:
    """Build the error about a checkpoint that a run cannot resume from.

    Args:
        path: the checkpoint.
        reason: what is wrong with it.

    Returns:
        The error.
    """
    return CheckpointError(
        f"Cannot resume from {path}: the file is damaged ({reason}). Use an earlier checkpoint, "
        "or start again without --ckpt_path."
    )


def _log_version(contents: Mapping[str, Any]) -> int | None:
    """Return the version of the run's log folder; None if the file does not say it."""
    state = contents.get(RESUME_STATE_KEY)
    if not isinstance(state, dict):
        return None
    versions = state.get("log_versions")
    if not isinstance(versions, list) or not versions:
        return None
    version = versions[0]
    # A text could be a path to another folder.
    return version if type(version) is int else None


def is_restore_error(error: BaseException) -> bool:
    """Return True if an error was raised while Lightning restored a checkpoint.

    Args:
        error: the caught error.

    Returns:
        False for errors of training, and for errors that already have a message for the user.
    """
    if isinstance(error, UserError | torch.OutOfMemoryError):
        return False
    frames = traceback.walk_tb(error.__traceback__)
    return any(frame.f_code.co_name in RESTORE_FUNCTIONS for frame, _ in frames)


def check_no_unfinished_run(path: Path) -> None:
    """Check that a new run does not replace one that still has epochs left.

    Args:
        path: last.ckpt of the run folder; it may be missing.

    Raises:
        ValueError: the run in this folder has not finished, or nobody can tell.
    """
    if not path.exists():
        return
    choices = "choose another folder with --run_dir DIR, or replace it with --overwrite true."
    try:
        progress = RunProgress.from_checkpoint(_read(path))
    # Whatever a damaged file or one of another program raises.
    except Exception:  # noqa: BLE001
        raise ValueError(
            f"{path} is damaged, or was written by another program. A new run would replace it: "
            f"{choices}"
        ) from None
    if not progress.is_finished:
        raise ValueError(
            f"{path} belongs to a run that has finished {progress.describe()}. "
            f"Resume it with --ckpt_path last, {choices}"
        )


def find_best_checkpoint(run_dir: Path) -> Path:
    """Find the best checkpoint of a run, which Lightning's ModelCheckpoint has kept.

    Args:
        run_dir: folder of the run.

    Returns:
        The file.

    Raises:
        ValueError: the run has none.
    """
    last = run_dir / "last.ckpt"
    if not last.is_file():
        raise ValueError(f"There is no {last}, which knows the best checkpoint of the run.")
    best = _best_model_path(_read(last))
    if best is None:
        raise ValueError(
            f"The run in {run_dir} has no best checkpoint. Add ModelCheckpoint with `monitor` to "
            "the recipe, or use --ckpt_path last."
        )
    _check_inside(best, run_dir)
    return best


def _check_inside(best: Path, run_dir: Path) -> None:
    """Raise ValueError unless the best checkpoint is a file of the run folder."""
    # A crafted file must not lead elsewhere.
    if not best.resolve().is_relative_to(run_dir.resolve()) or not best.is_file():
        raise ValueError(
            f"The best checkpoint of the run, '{best}', is not in {run_dir}. "
            "Use --ckpt_path last, or the path of a checkpoint."
        )


def _best_model_path(contents: Mapping[str, Any]) -> Path | None:
    """Return the path that the first ModelCheckpoint with a monitored metric has saved."""
    callbacks = contents.get("callbacks")
    states = callbacks.values() if isinstance(callbacks, dict) else ()
    for state in states:
        if isinstance(state, dict) and state.get("monitor") and state.get("best_model_path"):
            return Path(str(state["best_model_path"]))
    return None


def _read(path: Path) -> dict[str, Any]:
    """Read a checkpoint as data, without loading its tensors into memory."""
    try:
        contents = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    # torch raises many types for damaged files.
    except Exception as error:
        # Some exceptions have no text.
        lines = str(error).splitlines() or [type(error).__name__]
        reason = lines[0]
        raise damaged_error(path, reason) from error
    if not isinstance(contents, dict):
        raise damaged_error(path, "it is not a mapping")
    return contents


def _describe(arch: str, model_kwargs: dict[str, Any]) -> str:
    """Format an architecture with its model kwargs."""
    if not model_kwargs:
        return arch
    return f"{arch} with {model_kwargs}"
