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
    """Paths of models, told by their endings, and all the others."""
    models = [path for path in paths if path.lower().endswith(CHECKPOINT_SUFFIXES)]
    return models, [path for path in paths if path not in models]
