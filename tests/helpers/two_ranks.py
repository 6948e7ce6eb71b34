"""Run a function in two forked processes that communicate over gloo, as under torchrun."""

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.loggers import Logger
from torch import multiprocessing

from tests.helpers import child_process  # noqa: F401 - makes it safe to fork

Work = Callable[[Path], Any]


def pair(work: Work, folder: Path, count: int = 2) -> list[Any]:
    """What `work(folder)` gives in each of the processes: plain values and tensors, in order of
    rank.

    `work` finds a Trainer's surroundings as under torchrun. What it raises is raised here.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    multiprocessing.start_processes(one, (work, folder, count, port), count, start_method="fork")
    return [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in range(count)]


def one(rank: int, work: Work, folder: Path, count: int, port: int) -> None:
    places = {
        "RANK": rank,
        "LOCAL_RANK": rank,
        "GROUP_RANK": 0,
        "WORLD_SIZE": count,
        "LOCAL_WORLD_SIZE": count,
    }
    where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "pair"}
    os.environ.update({name: str(value) for name, value in {**places, **where}.items()})
    torch.save(work(folder), folder / f"rank{rank}.pt")


def trainer(folder: Path, **options: Any) -> L.Trainer:
    """A quiet Trainer on the CPU, of as many processes as there are around it."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    quiet: dict[str, Any] = {
        "accelerator": "cpu",
        "devices": count,
        "strategy": "ddp" if count > 1 else "auto",
        "default_root_dir": folder,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
        "logger": False,
    }
    return L.Trainer(**quiet | options)


class Notes(Logger):
    """A logger that keeps what it is given, by step, where its name begins so."""

    name, version = "notes", 0

    def __init__(self, beginning: str) -> None:
        super().__init__()
        self.beginning, self.given = beginning, dict[int, dict[str, float]]()

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        pass

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        if any(name.startswith(self.beginning) for name in metrics):
            assert step is not None
            assert step not in self.given
            self.given[step] = dict(metrics)
