"""Measure how many ImageNet images per second our loader returns, beside torchvision's reference
pipeline.

`python -m benchmarks.data_loading --data-dir DIR [--image-size N] [--auto-augment trivial] [--json]
[--save]`. Both return batches as a model takes them, float32 and normalized, from equally many
worker processes, of the same images at the same size, in turns. The reference is the default of
torchvision's training script: PIL decodes, crops and flips, each image is normalized in its worker,
and batches are collated from float32."""

import argparse
import os
import statistics
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from benchmarks.report import add_output_options, finish, machine
from lightning_resnets.data.imagenet import MEAN, STD, ImageNet
from lightning_resnets.data.worker_datamodule import num_cores

Epoch = Callable[[], Iterable[object]]
LOADERS = ("ours", "reference")


def make_our_loader(options: argparse.Namespace) -> Epoch:
    """Return our training batches; what follows the transfer runs on the same CPU."""
    data = ImageNet(
        str(options.data_dir),
        options.batch_size,
        train_image_size=options.image_size,
        num_workers=options.num_workers,
        auto_augment=options.auto_augment,
    )
    data.setup("fit")
    loader = data.train_dataloader()
    return lambda: (data.on_after_batch_transfer(batch, 0) for batch in loader)


def make_reference_loader(options: argparse.Namespace) -> Epoch:
    """Return the batches of torchvision's training preset."""
    bilinear = v2.InterpolationMode.BILINEAR
    transforms: list[torch.nn.Module] = [
        v2.RandomResizedCrop(options.image_size, interpolation=bilinear),
        v2.RandomHorizontalFlip(),
    ]
    if options.auto_augment:
        policies = {"trivial": v2.TrivialAugmentWide, "rand": v2.RandAugment}
        transforms.append(policies[options.auto_augment](interpolation=bilinear))
    transforms.append(v2.PILToTensor())
    transforms.append(v2.ToDtype(torch.float32, scale=True))
    transforms.append(v2.Normalize(MEAN, STD))
    transforms.append(v2.ToPureTensor())
    train_dir = options.data_dir / "train"
    folder = train_dir if train_dir.is_dir() else options.data_dir
    images = ImageFolder(str(folder), v2.Compose(transforms))
    return lambda: DataLoader(
        images,
        options.batch_size,
        shuffle=True,
        num_workers=options.num_workers,
        drop_last=True,
    )


def images_per_second(epoch: Epoch, batch_size: int, limit: int) -> float:
    """Measure from the second batch on: starting the workers is paid once an epoch, not per
    image.
    """
    start = 0.0
    count = -1
    for _ in epoch():
        count += 1
        if count == 0:
            start = time.perf_counter()
        if count == limit:
            break
    if count < 1:
        raise ValueError("There are too few images for two batches: use a smaller --batch-size.")
    return count * batch_size / (time.perf_counter() - start)


def measure(options: argparse.Namespace) -> dict[str, list[float]]:
    """Return images per second of both loaders in each round; a first round warms the file cache
    up.
    """
    epochs = {"ours": make_our_loader(options), "reference": make_reference_loader(options)}
    speeds: dict[str, list[float]] = {name: [] for name in LOADERS}
    for turn in range(options.rounds + 1):
        for name in LOADERS:
            speed = images_per_second(epochs[name], options.batch_size, options.batches)
            if turn > 0:
                speeds[name].append(speed)
    return speeds


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.data_loading", description=__doc__)
    add = parser.add_argument
    add("--data-dir", type=Path, required=True, metavar="DIR", help="one subfolder per class")
    add("--image-size", type=int, default=176, help="pixels a side (default: as for ResNet-50)")
    add("--batch-size", type=int, default=64)
    add("--batches", type=int, default=200, help="maximum number of batches in a round")
    add("--rounds", type=int, default=5)
    add("--num-workers", type=int, default=num_cores(), help="worker processes (one per core)")
    add("--auto-augment", choices=("trivial", "rand"), help="augmentation policy")
    add_output_options(parser)
    return parser


def main() -> None:
    """Measure, print and store as the options ask."""
    options = build_parser().parse_args()
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        speeds = measure(options)
    median = {name: statistics.median(values) for name, values in speeds.items()}
    pairs = zip(speeds["ours"], speeds["reference"], strict=True)
    ratio = statistics.median(ours / reference for ours, reference in pairs)
    for name, value in median.items():
        low, high = min(speeds[name]), max(speeds[name])
        print(f"{name:<10} {value:6,.0f} images / s, {low:,.0f} to {high:,.0f}")
    print(f"ours / reference: {ratio:.2f}")
    report = {
        "machine": machine(torch.device("cpu")),
        "size": options.image_size,
        "batch_size": options.batch_size,
        "num_workers": options.num_workers,
        "auto_augment": options.auto_augment,
        "rounds": options.rounds,
        "cores": os.cpu_count(),
        "images_per_second": median,
        "ratios": {"ours_over_reference": ratio},
    }
    finish("data_loading", report, options)


if __name__ == "__main__":
    main()
