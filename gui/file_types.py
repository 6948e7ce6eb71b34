"""File types that the app opens."""

from collections.abc import Sequence

CHECKPOINT_SUFFIXES = (
    ".ckpt",
    ".safetensors",
    ".pth",
    ".pt",
    ".th",
    ".bin",
    ".npz",
    ".pkl",
    ".pdparams",
    ".tar",
)


def split_paths(paths: Sequence[str]) -> tuple[list[str], list[str]]:
    """Tell the paths of models by their endings.

    Args:
        paths: Paths of files.

    Returns:
        The paths of models, and all the others.
    """
    models = [path for path in paths if path.lower().endswith(CHECKPOINT_SUFFIXES)]
    return models, [path for path in paths if path not in models]
