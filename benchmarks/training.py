"""Measure the speed of `Trainer.fit` beside a bare loop of the same kernels and the usual script.

`python -m benchmarks.training [--json] [--save]`. In turns, on the same images and model:

bare    a loop written by hand: our batches in memory, bfloat16, channels last, fused optimizer
fit     `Trainer.fit` as `lightning-resnets fit` runs it: callbacks, checkpoints, log, progress bar
usual   Dataset of PIL images, RandomCrop, RandomHorizontalFlip, ToTensor, Normalize, DataLoader
        with workers, float32, NCHW, loss and accuracy read at every step

The images are random, of CIFAR-10's size: speed does not depend on their content.
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

from benchmarks.report import add_output_options, finish, machine
from lightning_resnets.data.augment import Augmentation
from lightning_resnets.data.batches import Normalize, TrainBatchLoader
from lightning_resnets.data.cifar10 import CIFAR10, MEAN, STD
from lightning_resnets.models.registry import create_model
from lightning_resnets.training.image_classifier import ImageClassifier
from lightning_resnets.training.trainer_defaults import trainer_defaults

WARMUP_STEPS = 3  # before the clock starts


@dataclass(frozen=True, slots=True)
class Setting:
    """Model, batch size and length that all three implementations share."""

    model: str
    batch_size: int
    steps: int
    workers: int
    device: torch.device
    precision: str
    compile: bool

    @property
    def count(self) -> int:
        """Return the number of images of an epoch."""
        return self.batch_size * (WARMUP_STEPS + self.steps)

    def images(self) -> tuple[Tensor, Tensor]:
        """Return random images (N, 3, 32, 32) uint8 and labels (N,)."""
        rng = torch.Generator().manual_seed(0)
        batch = torch.randint(0, 256, (self.count, 3, 32, 32), dtype=torch.uint8, generator=rng)
        return batch, torch.randint(0, 10, (self.count,), generator=rng)

    def synchronize(self) -> None:
        """Wait for the GPU, if there is one."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()


class Clock:
    """Seconds from the end of the last warming step to the end of the last step."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.done = 0
        self.start = 0.0
        self.seconds = 0.0

    def step(self) -> None:
        """Count a step; start after the warm-up and stop after the last."""
        self.done += 1
        if self.done in (WARMUP_STEPS, WARMUP_STEPS + self.setting.steps):
            self.setting.synchronize()
            now = time.perf_counter()
            self.seconds = now - self.start
            self.start = now

    @property
    def speed(self) -> float:
        """Return images per second."""
        assert self.done == WARMUP_STEPS + self.setting.steps, "all steps were taken"
        return self.setting.batch_size * self.setting.steps / self.seconds


def run_bare(setting: Setting) -> float:
    """Train with a loop written by hand, with everything that makes it fast."""
    device = setting.device
    clock = Clock(setting)
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
    """The CIFAR-10 datamodule, on the benchmark's images."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(batch_size=setting.batch_size, seed=0)
        self.setting = setting

    def read(self) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        return self.setting.images(), self.setting.images()


class ClockCallback(L.Callback):
    """Count the steps of a Trainer."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def on_train_batch_end(self, *_: Any, **__: Any) -> None:
        self.clock.step()


def run_fit(setting: Setting) -> float:
    """Train with `Trainer.fit` as `lightning-resnets fit` calls it."""
    clock = Clock(setting)
    with tempfile.TemporaryDirectory() as folder, suppress_output():
        trainer = L.Trainer(**trainer_arguments(setting, Path(folder)))
        trainer.callbacks.append(ClockCallback(clock))  # type: ignore[attr-defined] - after all others
        model = ImageClassifier(setting.model, lr=0.1, weight_decay=5e-4, compile=setting.compile)
        trainer.fit(model, datamodule=Images(setting))
    return clock.speed


def trainer_arguments(setting: Setting, folder: Path) -> dict[str, Any]:
    """Return the Trainer's arguments, those of the command."""
    arguments = trainer_defaults("benchmark", folder)
    arguments["callbacks"] = [*arguments["callbacks"], TQDMProgressBar(refresh_rate=50)]
    arguments["logger"] = CSVLogger(str(folder), name="")
    arguments["plugins"] = [instantiate(plugin) for plugin in arguments.get("plugins", [])]
    here = {
        "accelerator": "gpu" if setting.device.type == "cuda" else "cpu",
        "devices": 1,
        "max_epochs": 1,
    }
    return arguments | here | {"precision": setting.precision}


def instantiate(plugin: Any) -> Any:
    """Instantiate a plugin that the command names by its class path."""
    if not isinstance(plugin, dict):
        return plugin
    module, _, name = plugin["class_path"].rpartition(".")
    return getattr(__import__(module, fromlist=[name]), name)()


@contextlib.contextmanager
def suppress_output() -> Iterator[None]:
    """Discard what is printed inside the block."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


class PILDataset(Dataset[tuple[Tensor, int]]):
    """Images one by one, as torchvision's CIFAR10 returns them."""

    def __init__(self, images: np.ndarray, labels: list[int]) -> None:
        self.images = images
        self.labels = labels
        steps = [
            transforms.RandomCrop(32, padding=4),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
        ]
        self.transform: Any = transforms.Compose([*steps, transforms.Normalize(MEAN, STD)])

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.images[index])), self.labels[index]


def run_usual(setting: Setting) -> float:
    """Train with the script that most people run."""
    pixels, labels = setting.images()
    data = PILDataset(pixels.permute(0, 2, 3, 1).contiguous().numpy(), labels.tolist())
    loader = DataLoader(
        data, setting.batch_size, shuffle=True, num_workers=setting.workers, drop_last=True
    )
    device = setting.device
    model = create_model(setting.model).to(device).train()
    clock = Clock(setting)
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), 0.1, 0.9, weight_decay=5e-4)
    total = 0.0
    correct = 0.0
    for batch, targets in loader:
        batch = batch.to(device)
        targets = targets.to(device)
        optimizer.zero_grad()
        logits = model(batch)
        loss = criterion(logits, targets)
        loss.backward()
        optimizer.step()
        total += loss.item()
        correct += logits.argmax(1).eq(targets).sum().item()
        clock.step()
    return clock.speed


IMPLEMENTATIONS: dict[str, Callable[[Setting], float]] = {
    "bare": run_bare,
    "fit": run_fit,
    "usual": run_usual,
}


def measure(setting: Setting, rounds: int) -> dict[str, Any]:
    """Return images per second of each implementation, in turns, and the ratios within each
    round.
    """
    speeds: dict[str, list[float]] = {name: [] for name in IMPLEMENTATIONS}
    for turn in range(rounds):
        # Every other round runs backwards, so that none always comes first.
        order = list(IMPLEMENTATIONS) if turn % 2 == 0 else list(reversed(IMPLEMENTATIONS))
        for name in order:
            speed = IMPLEMENTATIONS[name](setting)
            speeds[name].append(speed)
            print(f"round {turn + 1}  {name:<6} {speed:10,.0f} images / s", flush=True)
    ratios = {}
    for other in ("bare", "usual"):
        pairs = zip(speeds["fit"], speeds[other], strict=True)
        ratios[f"fit_over_{other}"] = statistics.median(fit / one for fit, one in pairs)
    medians = {name: statistics.median(values) for name, values in speeds.items()}
    return {"ratios": ratios, "images_per_second": medians, "rounds": speeds}


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command; defaults depend on the device."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.training",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    cuda = torch.cuda.is_available()
    cores = len(os.sched_getaffinity(0))
    add = parser.add_argument
    add("--model", default="resnet20")
    add("--batch-size", type=int, default=512)
    add("--steps", type=int, default=200 if cuda else 12, help="timed steps in a round")
    add("--rounds", type=int, default=5)
    add("--threads", type=int, default=cores, help="torch threads on a CPU")
    add("--num-workers", type=int, default=2, help="workers of the usual script's DataLoader")
    add("--device", default="cuda" if cuda else "cpu")
    add("--precision", default="bf16-mixed", choices=("bf16-mixed", "32-true"))
    add("--compile", action="store_true", default=cuda, help="torch.compile in bare and fit")
    add_output_options(parser)
    return parser


def main() -> None:
    """Measure, print and store as the options ask."""
    options = build_parser().parse_args()
    torch.set_num_threads(options.threads)
    setting = Setting(
        model=options.model,
        batch_size=options.batch_size,
        steps=options.steps,
        workers=options.num_workers,
        device=torch.device(options.device),
        precision=options.precision,
        compile=options.compile,
    )
    report = {"machine": machine(setting.device)}
    for name in ("model", "batch_size", "steps", "precision", "compile"):
        report[name] = getattr(setting, name)
    report |= measure(setting, options.rounds)
    for name, ratio in report["ratios"].items():
        print(f"{name:<16} {ratio:.3f}")
    finish("training", report, options)


if __name__ == "__main__":
    main()
