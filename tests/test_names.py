"""What a checkpoint's pickle may name, read off before torch opens it: nothing that could run."""

import os
from pathlib import Path

import pytest
import torch

from lightning_resnets.checkpoint.card import CheckpointError
from lightning_resnets.checkpoint.names import check_pickle
from lightning_resnets.checkpoint.shipped import shipped


class Calls:
    """Pickled as a call of a function with arguments."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self.call


def test_code_is_named_and_not_run(tmp_path: Path) -> None:
    marker, path = tmp_path / "ran", tmp_path / "evil.ckpt"
    torch.save({"state_dict": {}, "extra": Calls(os.mkdir, str(marker))}, path)
    with pytest.raises(CheckpointError, match="mkdir"):
        check_pickle(path)
    assert not marker.exists()


def test_what_training_writes_passes() -> None:
    for path in shipped().values():
        check_pickle(path)
