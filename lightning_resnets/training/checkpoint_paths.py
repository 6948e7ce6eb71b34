"""What a checkpoint may tell a run that goes on from it: names of files in the run's own folder, and no others.

Lightning's ModelCheckpoint believes the paths that a file gives and removes what lies there, on any file system that a
path can name: a file from elsewhere could so delete a folder or make a request.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L

PATH_KEYS = ("best_model_path", "kth_best_model_path", "last_model_path")


def drop_foreign_paths(checkpoint: Mapping[str, Any], trainer: L.Trainer) -> None:
    """Takes out of the callbacks' states, in place, every path that is no checkpoint directly in the run's folder."""
    given = [getattr(callback, "dirpath", None) for callback in trainer.checkpoint_callbacks]
    folders = {Path(folder).resolve() for folder in given if folder}
    states = checkpoint.get("callbacks")
    for state in states.values() if isinstance(states, dict) else ():
        if not isinstance(state, dict):
            continue
        state.update(
            {
                name: ""
                for name in PATH_KEYS
                if name in state and not is_own_checkpoint(state[name], folders)
            }
        )
        if "best_k_models" in state:
            best = state["best_k_models"] if isinstance(state["best_k_models"], dict) else {}
            state["best_k_models"] = {
                path: score for path, score in best.items() if is_own_checkpoint(path, folders)
            }


def is_own_checkpoint(path: object, folders: set[Path]) -> bool:
    """Whether a path is a checkpoint that lies directly in one of the folders, links and dots followed."""
    if not isinstance(path, str) or ":" in path or not path.endswith(".ckpt"):
        return False
    return Path(path).resolve().parent in folders
