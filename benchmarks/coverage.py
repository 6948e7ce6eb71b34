"""Measure which models of torchvision and timm can be traced, rewritten with merges, and cut.

`python -m benchmarks.coverage [--json] [--save] [--only PATTERN] [--part K/N] [--rows FILE]`.

Every classification model of torchvision, and of timm the smallest model of each convolutional
family (`benchmarks/families.py` defines them). Each gets random weights that leave no branch silent
and is measured in a process of its own, on one thread. `seconds` is the CPU time of `trace_nodes`,
the better of two. `backends_agree`: torch.fx and the recorder find the same merges where both can
trace. `equal`: logits equal to the bit after `insert_merges`. `cut_works`: a cut at the first merge
changes the logits and is undone afterwards."""

import argparse
import json
import math
import multiprocessing
import re
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.families import families
from benchmarks.report import add_output_options, finish, machine
from lightning_resnets.graph import TraceError, trace, trace_nodes
from lightning_resnets.graph.insert_merges import insert_merges
from lightning_resnets.graph.model_graph import ModelGraph
from lightning_resnets.graph.trace import TraceBackend
from lightning_resnets.interventions import ScaleInput, intervene
from lightning_resnets.merges import MergeKind
from lightning_resnets.models.external import build_external
from lightning_resnets.utils.skip_init import skip_init

TIMEOUT_SECONDS = 300.0  # per model
MAX_IMAGE_SIZE = 320  # pixels a side
MergeCounts = tuple[int, int, int]  # adds, concats, gates


@dataclass(slots=True)
class Row:
    """Results for one model; None where it was not measured or there is nothing to measure."""

    model: str
    traced_by: str = ""
    seconds: float | None = None
    nodes: int = 0
    adds: int = 0
    concats: int = 0
    gates: int = 0
    skips: int = 0
    backends_agree: bool | None = None
    equal: bool | None = None
    cut_works: bool | None = None
    reason: str = ""


def model_names() -> list[str]:
    """Return all models to measure, as `package/name`."""
    from torchvision import models

    known = [f"torchvision/{name}" for name in models.list_models(module=models)]
    return [*known, *(f"timm/{name}" for name in families())]


def randomize(model: nn.Module) -> nn.Module:
    """Fill weights and statistics with random values, none near zero on the whole.

    A cut branch then always changes the logits.
    """
    rng = torch.Generator().manual_seed(0)
    for name, weight in model.named_parameters():
        with torch.no_grad():
            if name.endswith("bias"):
                weight.uniform_(-0.1, 0.1, generator=rng)
            elif weight.numel() == max(
                weight.shape, default=1
            ):  # a scale: of a norm, of a layer, of a branch
                weight.uniform_(0.4, 1, generator=rng)
            else:
                bound = max(
                    math.sqrt(4.5 / weight[0].numel()), 0.03
                )  # rows of experts hold whole convolutions
                weight.uniform_(-bound, bound, generator=rng)
    for name, buffer in model.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            low, high = (0.5, 1.5) if name.endswith("var") else (-0.1, 0.1)
            buffer.uniform_(low, high, generator=rng)
    return model.eval()


def image_size_for(name: str, model: nn.Module) -> tuple[int, int, int]:
    """Return the (C, H, W) that the model is made for, at most 320 pixels where it takes others."""
    config: dict[str, Any] = getattr(model, "pretrained_cfg", None) or {}
    side = 299 if name == "torchvision/inception_v3" else 224
    channels, height, width = config.get("input_size", (3, side, side))
    most = max(height, width) if config.get("fixed_input_size") else MAX_IMAGE_SIZE
    return channels, min(height, most), min(width, most)


def count_merges(
    model: nn.Module, size: tuple[int, int, int], by: TraceBackend
) -> MergeCounts | None:
    """Return the merges that one backend finds, None where it cannot trace."""
    try:
        kinds = Counter(block.kind for block in trace(insert_merges(model, size, by), size).merges)
    except TraceError:
        return None
    return kinds[MergeKind.ADD], kinds[MergeKind.CONCAT], kinds[MergeKind.GATE]


def measure(name: str) -> Row:
    """Measure one model; an error becomes the reason in its row."""
    row = Row(name)
    try:
        with skip_init():
            model = build_external(name, 10)
        _measure(randomize(model), row)
    except Exception as error:  # noqa: BLE001  whatever a model of another package raises is its row's reason
        lines = str(error).strip().splitlines()
        row.reason = f"{type(error).__name__}: {lines[0] if lines else ''}"
    return row


def _measure(model: nn.Module, row: Row) -> None:
    size = image_size_for(row.model, model)
    graph, first = _timed(model, size)
    row.traced_by, row.seconds, row.nodes = (
        graph.traced_by,
        min(first, _timed(model, size)[1]),
        len(graph.nodes),
    )
    shown = insert_merges(model, size)
    found = trace(shown, size)
    kinds = Counter(block.kind for block in found.merges)
    row.adds, row.concats, row.gates, row.skips = (
        *(kinds[kind] for kind in MergeKind),
        len(found.skips),
    )
    if graph.traced_by == "torch.fx":
        other = count_merges(model, size, "recorder")
        row.backends_agree = other == (row.adds, row.concats, row.gates)
        row.reason = "" if row.backends_agree else f"the recorder finds {other}"
    image = torch.randn(
        1 if graph.traced_by == "torch.fx" else 2, *size, generator=torch.Generator().manual_seed(1)
    )
    with torch.inference_mode():
        expected = model(image.clone())
        given = shown(image.clone())
        row.equal = torch.equal(given, expected) and bool(expected.isfinite().all())
        if not row.equal:
            row.reason = f"logits differ by {(given - expected).abs().max():.3g}"
        row.cut_works = _cut(shown, image, given, found.merges[0].name) if found.merges else None


def _timed(model: nn.Module, size: tuple[int, int, int]) -> tuple[ModelGraph, float]:
    start = time.process_time()
    graph = trace_nodes(model, size).graph
    return graph, time.process_time() - start


def _cut(shown: nn.Module, image: Tensor, given: Tensor, merge: str) -> bool:
    with intervene(shown, ScaleInput(merge, 0, 0.0)):
        changed = not torch.equal(shown(image.clone()), given)
    return changed and torch.equal(shown(image.clone()), given)


def measure_in_process(name: str) -> Row:
    """Measure in a process of its own, which frees its memory and limits its time."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    child = context.Process(target=_answer, args=(there, name))
    child.start()
    there.close()
    try:
        row = (
            here.recv()
            if here.poll(TIMEOUT_SECONDS)
            else Row(name, reason=f"it takes longer than {TIMEOUT_SECONDS:.0f} s")
        )
    except EOFError:
        row = Row(name, reason="its process ended: too little memory")
    child.kill()
    child.join()
    return row


def _answer(there: Connection, name: str) -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    there.send(measure(name))


def measure_all(names: list[str], kept: Path | None) -> Iterator[Row]:
    """Yield one row per model, taken from the file of an earlier run where it is there."""
    lines = kept.read_text().splitlines() if kept and kept.exists() else []
    before = {row["model"]: Row(**row) for row in map(json.loads, lines)}
    for name in names:
        row = before.get(name) or measure_in_process(name)
        if kept and name not in before:
            with kept.open("a") as file:
                file.write(json.dumps(asdict(row)) + "\n")
        yield row


def summarize(found: list[Row]) -> dict[str, Any]:
    """Summarize the rows of a set of models."""
    times = sorted(row.seconds for row in found if row.seconds is not None)
    whole = [row for row in found if row.backends_agree is not None]
    cut = [row for row in found if row.cut_works is not None]
    return {
        "models": len(found),
        "traced": sum(bool(row.traced_by) for row in found),
        "traced_by_torch_fx": sum(row.traced_by == "torch.fx" for row in found),
        "traced_by_recorder": sum(row.traced_by.startswith("recorder") for row in found),
        "equal": sum(row.equal is True for row in found),
        "backends_agree": f"{sum(row.backends_agree is True for row in whole)} of {len(whole)}",
        "cut_works": f"{sum(row.cut_works is True for row in cut)} of {len(cut)}",
        "median_seconds": times[len(times) // 2] if times else None,
        "under_1s": sum(value < 1 for value in times) / max(len(found), 1),
        "adds": sum(row.adds for row in found),
        "concats": sum(row.concats for row in found),
        "gates": sum(row.gates for row in found),
    }


def list_exceptions(found: list[Row]) -> dict[str, str]:
    """Return the models that only the recorder traces, and those with a failure."""
    return {
        "traced_by_recorder_names": ", ".join(
            row.model for row in found if row.traced_by.startswith("recorder")
        )
        or "none",
        "failed": "; ".join(f"{row.model}: {row.reason}" for row in found if row.reason) or "none",
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coverage", description=__doc__)
    parser.add_argument(
        "--only",
        default="",
        metavar="PATTERN",
        help="models whose name this regular expression finds",
    )
    parser.add_argument(
        "--part", default="1/1", metavar="K/N", help="every N-th model, from number K on"
    )
    parser.add_argument(
        "--rows",
        type=Path,
        metavar="FILE",
        help="keep each row here, and take those that are there",
    )
    add_output_options(parser)
    given = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    for by in ("torch.fx", "recorder"):  # what the first time costs is no model's
        trace_nodes(nn.Sequential(nn.Conv2d(3, 3, 3), nn.ReLU()), (3, 8, 8), by)
    part, parts = map(int, given.part.split("/"))
    names = [name for name in model_names() if re.search(given.only, name)][part - 1 :: parts]
    found: list[Row] = []
    for row in measure_all(names, given.rows):
        found.append(row)
        took = f"{row.seconds:.2f} s" if row.seconds is not None else ""
        marks = f"{row.adds}+ {row.concats}c {row.gates}g"
        line = f"{row.model:<45} {row.traced_by:<9} {took:>7} {marks:<16}"
        print(f"{line} equal {row.equal} {row.reason}", flush=True)
    packages = {
        name: [row for row in found if row.model.startswith(f"{name}/")]
        for name in ("torchvision", "timm")
    }
    report = {"machine": machine(torch.device("cpu"))} | summarize(found)
    report |= {
        name: summarize(part) | list_exceptions(part) for name, part in packages.items() if part
    }
    report["rows"] = [asdict(row) for row in found]
    finish("coverage", report, given)


if __name__ == "__main__":
    main()
