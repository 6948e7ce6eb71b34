"""Remove from a checkpoint the paths that lie outside of the run's own folder.

Lightning's ModelCheckpoint trusts the paths in a file and deletes what lies there, on any file
system that a path can name: a foreign file could delete a folder or make a request.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L

PATH_KEYS = ("best_model_path", "kth_best_model_path", "last_model_path")


def drop_foreign_paths(checkpoint: Mapping[str, Any], trainer: L.Trainer) -> None:
    """Remove every path that is not a checkpoint directly in the run's folder, in place.

    Args:
        checkpoint: content of the file; the states of its callbacks are changed.
        trainer: the trainer, whose checkpoint callbacks know the run's folders.
    """
    paths = [getattr(callback, "dirpath", None) for callback in trainer.checkpoint_callbacks]
    folders = {Path(path).resolve() for path in paths if path}
    states = checkpoint.get("callbacks")
    if not isinstance(states, dict):
        return
    for state in states.values():
        if isinstance(state, dict):
            _clean_state(state, folders)


def _clean_state(state: dict[str, Any], folders: set[Path]) -> None:
    """Remove foreign paths from the state of one callback."""
    for key in PATH_KEYS:
        if key in state and not is_own_checkpoint(state[key], folders):
            state[key] = ""
    if "best_k_models" in state:
        best = state["best_k_models"]
        if not isinstance(best, dict):
            best = {}
        own = {path: score for path, score in best.items() if is_own_checkpoint(path, folders)}
        state["best_k_models"] = own


def is_own_checkpoint(path: object, folders: set[Path]) -> bool:
    """Return whether a path is a checkpoint directly in one of the folders, links resolved.

    Args:
        path: any value from a file.
        folders: resolved folders.

    Returns:
        True for the run's own checkpoint.
    """
    # With a colon it may be an address, which pathlib would take for a file name.
    if not isinstance(path, str) or ":" in path or not path.endswith(".ckpt"):
        return False
    # Resolved, because a link in the run's folder may lead anywhere.
    return Path(path).resolve().parent in folders
