"""Measure how long loading a checkpoint takes: ResNet-152 (242 MB) in each format, beside
torchvision's usual way.

`python -m benchmarks.checkpoint_loading [--json] [--save]`. The file has no model card: it is
identified, checked and loaded. torch is imported before. `first` is the first load in the process,
`later` the median of five more."""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import safetensors.torch
import torch
from torch import nn

from benchmarks.report import add_output_options, finish, machine

MODEL = "resnet152"
REPEATS = 5
REFERENCE = "torchvision"


def time_call(function: Callable[[], object]) -> float:
    """Return the seconds that one call takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def save_formats(model: nn.Module, folder: Path) -> dict[str, Path]:
    """Save the same weights in every format and return the files by format."""
    names = ("torch.save", "before torch 1.6", "whole model", "safetensors")
    paths = {name: folder / name.replace(" ", "_") for name in names}
    state_dict = model.state_dict()
    torch.save(state_dict, paths["torch.save"])
    torch.save(state_dict, paths["before torch 1.6"], _use_new_zipfile_serialization=False)
    torch.save(model, paths["whole model"])
    safetensors.torch.save_file(state_dict, paths["safetensors"])
    return paths


def load_with_torchvision(path: Path) -> nn.Module:
    """Load the weights as most people do: build the model, then `load_state_dict`."""
    from torchvision.models import get_model

    model = get_model(MODEL)
    model.load_state_dict(torch.load(path, weights_only=True))
    return model.eval()


def measure() -> dict[str, dict[str, float]]:
    """Return the seconds of the first and of later loads, by format."""
    from torchvision.models import get_model

    from lightning_resnets.checkpoint.load import load_checkpoint

    results: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        paths = save_formats(get_model(MODEL), Path(folder))
        loaders: dict[str, Callable[[], object]] = {}
        for name, path in paths.items():
            loaders[name] = lambda path=path: load_checkpoint(path)
        loaders[REFERENCE] = lambda: load_with_torchvision(paths["torch.save"])
        for name, load in loaders.items():
            first = time_call(load)
            later = statistics.median(time_call(load) for _ in range(REPEATS))
            results[name] = {"first": first, "later": later}
    return results


def main() -> None:
    """Measure, print and store as the options ask."""
    name = "python -m benchmarks.checkpoint_loading"
    parser = argparse.ArgumentParser(prog=name, description=__doc__)
    add_output_options(parser)
    options = parser.parse_args()
    results = measure()
    reference = results[REFERENCE]["later"]
    relative = {name: times["later"] / reference for name, times in results.items()}
    for name, times in results.items():
        print(
            f"{name:<18} first {times['first']:.2f} s   later {times['later']:.2f} s   "
            f"{relative[name]:.2f} of torchvision's"
        )
    report = {
        "machine": machine(torch.device("cpu")),
        "model": MODEL,
        "seconds": results,
        "relative_to_torchvision": relative,
    }
    finish("checkpoint_loading", report, options)


if __name__ == "__main__":
    main()
