"""How fast `Trainer.fit` trains: beside a bare loop of the same kernels, and beside the usual script.

`python -m benchmarks.training [--json] [--save]`. In turns, on the same images and model:

bare    a loop written by hand: our batches in memory, bfloat16, channels last, fused optimizer, sums on the device
fit     `Trainer.fit` with all that `lightning-resnets fit` puts around it: callbacks, checkpoints, log, progress bar
usual   Dataset of PIL images, RandomCrop, RandomHorizontalFlip, ToTensor, Normalize, DataLoader with worker
        processes, float32, NCHW, loss and accuracy read at every step

The images are random, of CIFAR-10's size: speed does not depend on what they show.
"""

import argparse
import contextlib
import io
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from benchmarks.report import finish, machine, outputs
from lightning_resnets.data.augment import Augmentation
from lightning_resnets.data.batches import Normalize, TrainBatchLoader
from lightning_resnets.data.cifar10 import CIFAR10, MEAN, STD
from lightning_resnets.models.registry import create_model
from lightning_resnets.training.image_classifier import ImageClassifier
from lightning_resnets.training.trainer_defaults import trainer_defaults

WARM = 3  # steps before the clock starts


@dataclass(frozen=True, slots=True)
class Setting:
    """What all three train, and how long."""

    model: str
    batch_size: int
    steps: int
    workers: int
    device: torch.device
    precision: str
    compile: bool

    @property
    def count(self) -> int:
        return self.batch_size * (WARM + self.steps)

    def images(self) -> tuple[Tensor, Tensor]:
        rng = torch.Generator().manual_seed(0)
        batch = torch.randint(0, 256, (self.count, 3, 32, 32), dtype=torch.uint8, generator=rng)
        return batch, torch.randint(0, 10, (self.count,), generator=rng)

    def settle(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()


class Clock:
    """Seconds from the end of the last warming step to the end of the last step."""

    def __init__(self, setting: Setting) -> None:
        self.setting, self.done, self.start, self.seconds = setting, 0, 0.0, 0.0

    def step(self) -> None:
        self.done += 1
        if self.done in (WARM, WARM + self.setting.steps):
            self.setting.settle()
            self.seconds, self.start = time.perf_counter() - self.start, time.perf_counter()

    @property
    def speed(self) -> float:
        """Images a second."""
        assert self.done == WARM + self.setting.steps, "all steps were taken"
        return self.setting.batch_size * self.setting.steps / self.seconds


def bare(setting: Setting) -> float:
    """The loop that one would write by hand with everything that makes it fast."""
    device, clock = setting.device, Clock(setting)
    pixels, labels = (part.to(device) for part in setting.images())
    loader = TrainBatchLoader(
        pixels, labels, setting.batch_size, Normalize(MEAN, STD, device), Augmentation()
    )
    model = create_model(setting.model).to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    forward = torch.compile(model) if setting.compile else model
    optimizer = torch.optim.SGD(
        model.parameters(), 0.1, 0.9, weight_decay=5e-4, nesterov=True, fused=True
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))
    sums = torch.zeros(2, device=device)
    for batch, targets in loader:
        with torch.autocast(device.type, torch.bfloat16, enabled=setting.precision == "bf16-mixed"):
            logits = forward(batch)
        loss = F.cross_entropy(logits.float(), targets)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        sums += torch.stack((loss.detach(), (logits.argmax(1) == targets).sum()))
        clock.step()
    return clock.speed


class Images(CIFAR10):
    """The datamodule that ships, on the benchmark's images."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(batch_size=setting.batch_size, seed=0)
        self.setting = setting

    def read(self) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        return self.setting.images(), self.setting.images()


class Watch(L.Callback):
    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def on_train_batch_end(self, *_: Any, **__: Any) -> None:
        self.clock.step()


def fit(setting: Setting) -> float:
    """`Trainer.fit` as `lightning-resnets fit` calls it."""
    clock = Clock(setting)
    with tempfile.TemporaryDirectory() as folder, silence():
        trainer = L.Trainer(**around(setting, Path(folder)))
        trainer.callbacks.append(Watch(clock))  # type: ignore[attr-defined] - after all others
        model = ImageClassifier(setting.model, lr=0.1, weight_decay=5e-4, compile=setting.compile)
        trainer.fit(model, datamodule=Images(setting))
    return clock.speed


def around(setting: Setting, folder: Path) -> dict[str, Any]:
    """The Trainer's arguments, those of the command."""
    given = trainer_defaults("benchmark", folder)
    given["callbacks"] = [*given["callbacks"], TQDMProgressBar(refresh_rate=50)]
    given["logger"] = CSVLogger(str(folder), name="")
    given["plugins"] = [made(plugin) for plugin in given.get("plugins", [])]
    here = {
        "accelerator": "gpu" if setting.device.type == "cuda" else "cpu",
        "devices": 1,
        "max_epochs": 1,
    }
    return given | here | {"precision": setting.precision}


def made(plugin: Any) -> Any:
    """A plugin that the command names by its class."""
    if not isinstance(plugin, dict):
        return plugin
    module, _, name = plugin["class_path"].rpartition(".")
    return getattr(__import__(module, fromlist=[name]), name)()


@contextlib.contextmanager
def silence() -> Iterator[None]:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


class Files(Dataset[tuple[Tensor, int]]):
    """Images one by one, as torchvision's CIFAR10 gives them."""

    def __init__(self, images: np.ndarray, labels: list[int]) -> None:
        self.images, self.labels = images, labels
        steps = [
            transforms.RandomCrop(32, padding=4),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
        ]
        self.transform: Any = transforms.Compose([*steps, transforms.Normalize(MEAN, STD)])

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, place: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.images[place])), self.labels[place]


def usual(setting: Setting) -> float:
    """The script that most people run."""
    pixels, labels = setting.images()
    data = Files(pixels.permute(0, 2, 3, 1).contiguous().numpy(), labels.tolist())
    loader = DataLoader(
        data, setting.batch_size, shuffle=True, num_workers=setting.workers, drop_last=True
    )
    model, clock, device = (
        create_model(setting.model).to(setting.device).train(),
        Clock(setting),
        setting.device,
    )
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), 0.1, 0.9, weight_decay=5e-4)
    total = right = 0.0
    for batch, targets in loader:
        batch, targets = batch.to(device), targets.to(device)
        optimizer.zero_grad()
        logits = model(batch)
        loss = criterion(logits, targets)
        loss.backward()
        optimizer.step()
        total += loss.item()
        right += logits.argmax(1).eq(targets).sum().item()
        clock.step()
    return clock.speed


WAYS: dict[str, Callable[[Setting], float]] = {"bare": bare, "fit": fit, "usual": usual}


def measured(setting: Setting, rounds: int) -> dict[str, Any]:
    """Images a second of each way, in turns, and the ratios within each round; medians and all values."""
    speeds: dict[str, list[float]] = {name: [] for name in WAYS}
    for turn in range(rounds):
        for name in (*WAYS, *reversed(WAYS))[turn % 2 * len(WAYS) :][: len(WAYS)]:
            speeds[name].append(WAYS[name](setting))
            print(f"round {turn + 1}  {name:<6} {speeds[name][-1]:10,.0f} images/s", flush=True)
    ratios = {
        f"fit_over_{other}": statistics.median(
            a / b for a, b in zip(speeds["fit"], speeds[other], strict=True)
        )
        for other in ("bare", "usual")
    }
    return {
        "ratios": ratios,
        "pictures_per_second": {name: statistics.median(s) for name, s in speeds.items()},
        "rounds": speeds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.training",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    cuda = torch.cuda.is_available()
    parser.add_argument("--model", default="resnet20")
    parser.add_argument("--batch-size", type=int, default=512)
    parser.add_argument(
        "--steps", type=int, default=200 if cuda else 12, help="timed steps of each way in a round"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--threads", type=int, default=len(os.sched_getaffinity(0)), help="of torch, on a CPU"
    )
    parser.add_argument(
        "--workers", type=int, default=2, help="processes of the usual script's DataLoader"
    )
    parser.add_argument("--device", default="cuda" if cuda else "cpu")
    parser.add_argument("--precision", default="bf16-mixed", choices=("bf16-mixed", "32-true"))
    parser.add_argument(
        "--compile", action="store_true", default=cuda, help="torch.compile in bare and fit"
    )
    outputs(parser)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    device = torch.device(given.device)
    setting = Setting(
        given.model,
        given.batch_size,
        given.steps,
        given.workers,
        device,
        given.precision,
        given.compile,
    )
    report = {
        "machine": machine(device),
        "model": given.model,
        "batch_size": given.batch_size,
        "steps": given.steps,
        "precision": given.precision,
        "compile": given.compile,
    } | measured(setting, given.rounds)
    for name, ratio in report["ratios"].items():
        print(f"{name:<16} {ratio:.3f}")
    finish("training", report, given)


if __name__ == "__main__":
    main()
