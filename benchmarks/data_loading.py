"""How many ImageNet images a second our loader gives, beside torchvision's reference pipeline.

`python -m benchmarks.data_loading --root DIR [--size N] [--policy trivial] [--json]`. Both give batches as a model
takes them, float32 and normalized, with equally many worker processes, of the same images at the same size, in turns.

The reference is what torchvision's training script does by default: PIL decodes, crops and flips, each image is
normalized in its worker, batches are put together from float32.
"""

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

from benchmarks.report import finish, machine, outputs
from lightning_resnets.data.imagenet import MEAN, STD, ImageNet, num_cores

Batches = Callable[[], Iterable[object]]


def ours(root: Path, batch_size: int, size: int, workers: int, policy: str | None) -> Batches:
    """Our training batches; what follows the transfer is done here too, by the same processor."""
    data = ImageNet(
        str(root), batch_size, train_image_size=size, num_workers=workers, auto_augment=policy
    )  # type: ignore[arg-type]
    data.setup("fit")
    epochs = data.train_dataloader()
    return lambda: (data.on_after_batch_transfer(batch, 0) for batch in epochs)


def reference(root: Path, batch_size: int, size: int, workers: int, policy: str | None) -> Batches:
    """The batches of torchvision's training preset."""
    smooth = v2.InterpolationMode.BILINEAR
    steps: list[torch.nn.Module] = [
        v2.RandomResizedCrop(size, interpolation=smooth),
        v2.RandomHorizontalFlip(),
    ]
    if policy:
        steps.append(
            {"trivial": v2.TrivialAugmentWide, "rand": v2.RandAugment}[policy](interpolation=smooth)
        )
    steps += [
        v2.PILToTensor(),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize(MEAN, STD),
        v2.ToPureTensor(),
    ]
    folder = root / "train" if (root / "train").is_dir() else root
    images = ImageFolder(str(folder), v2.Compose(steps))
    return lambda: DataLoader(images, batch_size, shuffle=True, num_workers=workers, drop_last=True)


def rate(batches: Batches, batch_size: int, limit: int) -> float:
    """Images a second from the second batch on: what starts the workers is paid once an epoch, not by the image."""
    start, count = 0.0, -1
    for _ in batches():
        count += 1
        if not count:
            start = time.perf_counter()
        if count == limit:
            break
    if count < 1:
        raise ValueError("There are too few images for two batches: take a smaller --batch-size.")
    return count * batch_size / (time.perf_counter() - start)


def measured(given: argparse.Namespace) -> dict[str, list[float]]:
    """Images a second of each way in each round; a first round that warms the files up does not count."""
    options = given.root, given.batch_size, given.size, given.workers, given.policy
    ways = {"ours": ours(*options), "reference": reference(*options)}
    found: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(given.rounds + 1):
        for name, way in ways.items():
            value = rate(way, given.batch_size, given.batches)
            if turn:
                found[name].append(value)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.data_loading", description=__doc__)
    parser.add_argument(
        "--root", type=Path, required=True, metavar="DIR", help="images, a folder a class"
    )
    parser.add_argument(
        "--size", type=int, default=176, help="pixels a side (176, as ResNet-50 is trained)"
    )
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--batches", type=int, default=200, help="at most so many a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--workers", type=int, default=num_cores(), help="processes that load (one a core)"
    )
    parser.add_argument("--policy", choices=("trivial", "rand"), help="automatic augmentation")
    outputs(parser)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = measured(given)
    median = {name: statistics.median(values) for name, values in found.items()}
    ratio = statistics.median(a / b for a, b in zip(found["ours"], found["reference"], strict=True))
    for name, value in median.items():
        print(
            f"{name:<10} {value:6,.0f} images a second, {min(found[name]):,.0f} to {max(found[name]):,.0f}"
        )
    print(f"ours over reference: {ratio:.2f} ({given.workers} workers, {given.size} pixels)")
    settings = {
        name: getattr(given, name) for name in ("size", "batch_size", "workers", "policy", "rounds")
    }
    report = {
        "cores": os.cpu_count(),
        "pictures_per_second": median,
        "ratios": {"ours_over_reference": ratio},
    }
    report = {"machine": machine(torch.device("cpu"))} | settings | report
    finish("loading", report, given)


if __name__ == "__main__":
    main()
