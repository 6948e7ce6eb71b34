"""What a checkpoint's pickle may name: nothing that could take memory or run, and no pipe is waited at."""

import os
import tracemalloc
from pathlib import Path

import pytest
import torch

from lightning_resnets import build
from lightning_resnets.checkpoint.card import Card, CheckpointError
from lightning_resnets.checkpoint.names import check_pickle
from lightning_resnets.checkpoint.read import load, read
from lightning_resnets.checkpoint.shipped import shipped
from lightning_resnets.image import PictureError, read_picture

CARD = {"arch": "resnet20", "classes": ["a", "b"], "size": (3, 32, 32), "mean": (0.5,) * 3, "std": (0.5,) * 3}


class Calls:
    """Pickled as a call of a function with arguments."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self.call


@pytest.mark.parametrize("size", [10, 3 * 10**9])
def test_a_bytearray_of_any_length_is_refused_before_it_is_made(tmp_path: Path, size: int) -> None:
    path = tmp_path / "bomb.ckpt"
    torch.save({"card": CARD, "state_dict": {}, "extra": Calls(bytearray, size)}, path)
    tracemalloc.start()
    with pytest.raises(CheckpointError, match="bytearray"):
        read(path)
    assert tracemalloc.get_traced_memory()[1] < 10**7
    tracemalloc.stop()


def test_code_is_named_and_not_run(tmp_path: Path) -> None:
    marker, path = tmp_path / "ran", tmp_path / "evil.ckpt"
    torch.save({"card": CARD, "state_dict": {}, "extra": Calls(os.mkdir, str(marker))}, path)
    with pytest.raises(CheckpointError, match="mkdir"):
        check_pickle(path)
    assert not marker.exists()


def test_what_training_writes_passes(tmp_path: Path) -> None:
    for path in shipped().values():
        check_pickle(path)
    net = build("resnet20")
    optimizer = torch.optim.SGD(net.parameters(), 0.1, 0.9)
    net(torch.randn(2, 3, 32, 32)).sum().backward()
    optimizer.step()
    torch.save(
        {"net": net.state_dict(), "optimizer": optimizer.state_dict(), "half": torch.ones(2).half()}, tmp_path / "a"
    )
    check_pickle(tmp_path / "a")


def test_a_pipe_is_not_waited_at(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.ckpt")
    with pytest.raises(CheckpointError, match="no ordinary file"):
        read(tmp_path / "pipe.ckpt")
    with pytest.raises(PictureError, match="no ordinary file"):
        read_picture(tmp_path / "pipe.ckpt")


@pytest.mark.parametrize(
    "change",
    [{"mean": (10**400, 0, 0)}, {"std": (1e-300,) * 3}, {"metrics": {"test_loss": 10**400}}, {"size": (3, 4096, 4096)}],
)
def test_numbers_that_no_net_has_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(CheckpointError, match="must be"):
        Card.from_dict(CARD | change)


def test_a_card_may_not_ask_for_a_giant(tmp_path: Path) -> None:
    path = tmp_path / "giant.ckpt"
    torch.save({"card": CARD | {"arch": "densenet121", "options": {"stem_width": 2 * 10**7}}, "state_dict": {}}, path)
    with pytest.raises(CheckpointError, match="larger than any"):
        load(path)
