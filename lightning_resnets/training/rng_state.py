"""States of the global random generators of a process."""

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

NUMPY_GENERATOR = "MT19937"  # the only global generator that NumPy has


def get_rng_state() -> dict[str, Any]:
    """Return the states of all global random generators of this process.

    Returns:
        The states of torch, its GPUs, NumPy and Python, as tensors and plain values.
    """
    kind, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)  # noqa: NPY002
    assert kind == NUMPY_GENERATOR
    version, words, next_gauss = random.getstate()
    gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    numpy_words = torch.from_numpy(np.asarray(keys, np.int64))
    return {
        "torch": torch.get_rng_state(),
        "cuda": gpus,
        "numpy": [numpy_words, int(position), int(has_gauss), float(gauss)],
        "python": [version, torch.tensor(words), next_gauss],
    }


def set_rng_state(state: Mapping[str, Any]) -> None:
    """Restore the random generators; those of GPUs only if their number is the same.

    Args:
        state: result of `get_rng_state`.

    Raises:
        KeyError: a generator's state is missing.
        RuntimeError: torch's state has another length.
        TypeError: a state has another type.
        ValueError: a state has another length.
    """
    torch.set_rng_state(state["torch"])
    if len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
    keys, *rest = state["numpy"]
    numpy_state = (NUMPY_GENERATOR, keys.numpy().astype(np.uint32), *rest)
    np.random.set_state(numpy_state)  # noqa: NPY002
    version, words, next_gauss = state["python"]
    random.setstate((version, tuple(words.tolist()), next_gauss))
