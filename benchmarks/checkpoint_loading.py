"""How long a checkpoint takes to open: ResNet-152 (242 MB) in every form, beside the usual torchvision way.

`python -m benchmarks.checkpoint_loading [--json]`. Recognized without a card, checked and ready to look through; torch is imported
before. `first` is the first opening in the process, `later` the median of five more.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import safetensors.torch
import torch
from torch import nn

from benchmarks.report import finish, machine, outputs

MODEL = "resnet152"


def seconds(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def files(model: nn.Module, folder: Path) -> dict[str, Path]:
    """The same weights in every form."""
    paths = {
        name: folder / f"{name.replace(' ', '_')}" for name in ("zip", "before 1.6", "whole model")
    }
    torch.save(model.state_dict(), paths["zip"])
    torch.save(model.state_dict(), paths["before 1.6"], _use_new_zipfile_serialization=False)
    torch.save(model, paths["whole model"])
    paths["safetensors"] = folder / "model.safetensors"
    safetensors.torch.save_file(model.state_dict(), paths["safetensors"])
    return paths


def measured() -> dict[str, dict[str, float]]:
    """Seconds by form."""
    from torchvision.models import get_model

    from lightning_resnets.checkpoint.load import load_checkpoint

    def usual(path: Path) -> nn.Module:
        model = get_model(MODEL)
        model.load_state_dict(torch.load(path, weights_only=True))
        return model.eval()

    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        paths = files(get_model(MODEL), Path(folder))
        ways: dict[str, Callable[[], object]] = {
            name: lambda path=path: load_checkpoint(path) for name, path in paths.items()
        }
        ways["usual way"] = lambda: usual(paths["zip"])
        for name, way in ways.items():
            found[name] = {
                "first": seconds(way),
                "later": statistics.median(seconds(way) for _ in range(5)),
            }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.checkpoint_loading", description=__doc__
    )
    outputs(parser)
    given = parser.parse_args()
    found = measured()
    for name, times in found.items():
        share = times["later"] / found["usual way"]["later"]
        print(
            f"{name:<12} first {times['first']:.2f} s   later {times['later']:.2f} s   {share:.2f} of the usual way"
        )
    shares = {name: times["later"] / found["usual way"]["later"] for name, times in found.items()}
    report = {
        "machine": machine(torch.device("cpu")),
        "model": MODEL,
        "seconds": found,
        "share_of_the_usual_way": shares,
    }
    finish("opening", report, given)


if __name__ == "__main__":
    main()
