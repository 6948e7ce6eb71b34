"""What a file holds, whatever its form: weights under the file's own names, its card, and plain values beside them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Contents:
    """A file read and checked, nothing of it run.

    `form` says in words what the file is ("PyTorch zip", "PyTorch before 1.6", "pickled model", "safetensors",
    "NumPy npz"). `weights` are plain tensors in memory of their own under the file's names, the wrapper (`state_dict`,
    "" for none) taken off and nothing else. `card` is the card's table where there is one. `also` holds the plain
    values beside the weights (`arch`, `epoch`, `args`), of JSON types, `notes` sentences worth showing.
    """

    form: str
    weights: dict[str, Tensor]
    wrapper: str = ""
    card: Mapping[str, Any] | None = None
    also: dict[str, Any] = field(default_factory=dict[str, Any])
    notes: tuple[str, ...] = ()


def contents(path: Path) -> Contents:
    import torch

    d = torch.load(path, map_location="cpu", weights_only=True)
    w = d.get("state_dict", d)
    return Contents(
        "PyTorch zip",
        {k: v.clone() for k, v in w.items()},
        "state_dict",
        d.get("card"),
        {k: v for k, v in d.items() if k == "hyper_parameters"},
    )
