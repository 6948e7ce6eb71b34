"""Which models of torchvision and timm can be looked into: followed by what, how fast, revealed equal to the bit or not.

`python -m benchmarks.coverage [--json] [--only PATTERN] [--part K/N] [--rows FILE]`. Every classification model of
torchvision, and of timm the smallest model of each convolutional family (`benchmarks/families.py` says which). Each is
filled with random weights that leave no branch silent and measured in a process of its own, one thread. `seconds` are
those that the processor spends in `follow`, the better of two: other work on the machine does not count. `agree` says
whether torch.fx and the recorder find the same merges where both can follow. `cut` says whether a cut at the first
merge changes the logits and is gone afterwards.
"""

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
from benchmarks.report import finish, machine, outputs
from lightning_resnets.graph import TraceError, trace, trace_nodes
from lightning_resnets.graph.insert_merges import insert_merges
from lightning_resnets.graph.model_graph import ModelGraph
from lightning_resnets.graph.trace import TraceBackend
from lightning_resnets.interventions import ScaleInput, intervene
from lightning_resnets.merges import MergeKind
from lightning_resnets.models.external import build_external
from lightning_resnets.utils.skip_init import skip_init

LIMIT = 300.0  # seconds a model
LARGEST = 320  # pixels a side
Merges = tuple[int, int, int]  # adds, concats, gates


@dataclass(slots=True)
class Row:
    """What was found for one model; None where it was not measured, or there is nothing to measure."""

    model: str
    followed: str = ""
    seconds: float | None = None
    nodes: int = 0
    adds: int = 0
    concats: int = 0
    gates: int = 0
    skips: int = 0
    agree: bool | None = None
    equal: bool | None = None
    cut: bool | None = None
    reason: str = ""


def models() -> list[str]:
    """All that are measured, as `package/name`."""
    from torchvision import models as zoo

    known = [f"torchvision/{name}" for name in zoo.list_models(module=zoo)]
    return [*known, *(f"timm/{name}" for name in families())]


def filled(model: nn.Module) -> nn.Module:
    """The model with weights and statistics drawn anew, none near zero on the whole: what cuts a branch is seen."""
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


def size_of(name: str, model: nn.Module) -> tuple[int, int, int]:
    """The size of image that the model is made for, no side over 320 where it takes others too."""
    config: dict[str, Any] = getattr(model, "pretrained_cfg", None) or {}
    side = 299 if name == "torchvision/inception_v3" else 224
    channels, height, width = config.get("input_size", (3, side, side))
    most = max(height, width) if config.get("fixed_input_size") else LARGEST
    return channels, min(height, most), min(width, most)


def merges(model: nn.Module, size: tuple[int, int, int], by: TraceBackend) -> Merges | None:
    """How many merges are found one way, None where it does not go."""
    try:
        kinds = Counter(block.kind for block in trace(insert_merges(model, size, by), size).merges)
    except TraceError:
        return None
    return kinds[MergeKind.ADD], kinds[MergeKind.CONCAT], kinds[MergeKind.GATE]


def measured(name: str) -> Row:
    """All that is measured of a model."""
    row = Row(name)
    try:
        with skip_init():
            model = build_external(name, 10)
        _measure(filled(model), row)
    except Exception as error:  # noqa: BLE001  whatever a model of another package raises is its row's reason
        row.reason = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
    return row


def _measure(model: nn.Module, row: Row) -> None:
    size = size_of(row.model, model)
    graph, first = _timed(model, size)
    row.followed, row.seconds, row.nodes = (
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
        other = merges(model, size, "recorder")
        row.agree = other == (row.adds, row.concats, row.gates)
        row.reason = "" if row.agree else f"the recorder finds {other}"
    image = torch.randn(
        1 if graph.traced_by == "torch.fx" else 2, *size, generator=torch.Generator().manual_seed(1)
    )
    with torch.inference_mode():
        expected = model(image.clone())
        given = shown(image.clone())
        row.equal = torch.equal(given, expected) and bool(expected.isfinite().all())
        if not row.equal:
            row.reason = f"logits differ by {(given - expected).abs().max():.3g}"
        row.cut = _cut(shown, image, given, found.merges[0].name) if found.merges else None


def _timed(model: nn.Module, size: tuple[int, int, int]) -> tuple[ModelGraph, float]:
    start = time.process_time()
    graph = trace_nodes(model, size).graph
    return graph, time.process_time() - start


def _cut(shown: nn.Module, image: Tensor, given: Tensor, merge: str) -> bool:
    with intervene(shown, ScaleInput(merge, 0, 0.0)):
        changed = not torch.equal(shown(image.clone()), given)
    return changed and torch.equal(shown(image.clone()), given)


def alone(name: str) -> Row:
    """The same in a process of its own, so that its memory is free afterwards and its time limited."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    child = context.Process(target=_answer, args=(there, name))
    child.start()
    there.close()
    try:
        row = (
            here.recv()
            if here.poll(LIMIT)
            else Row(name, reason=f"it takes longer than {LIMIT:.0f} s")
        )
    except EOFError:
        row = Row(name, reason="its process ended: too little memory")
    child.kill()
    child.join()
    return row


def _answer(there: Connection, name: str) -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    there.send(measured(name))


def rows(names: list[str], kept: Path | None) -> Iterator[Row]:
    """One row a model, of those kept from before where there are any."""
    lines = kept.read_text().splitlines() if kept and kept.exists() else []
    before = {row["model"]: Row(**row) for row in map(json.loads, lines)}
    for name in names:
        row = before.get(name) or alone(name)
        if kept and name not in before:
            with kept.open("a") as file:
                file.write(json.dumps(asdict(row)) + "\n")
        yield row


def totals(found: list[Row]) -> dict[str, Any]:
    """How many of a set of models are followed, equal and quick."""
    times = sorted(row.seconds for row in found if row.seconds is not None)
    whole = [row for row in found if row.agree is not None]
    cut = [row for row in found if row.cut is not None]
    return {
        "of": len(found),
        "followed": sum(bool(row.followed) for row in found),
        "by_torch_fx": sum(row.followed == "torch.fx" for row in found),
        "by_the_recorder": sum(row.followed.startswith("recorder") for row in found),
        "equal": sum(row.equal is True for row in found),
        "agree": f"{sum(row.agree is True for row in whole)} of {len(whole)}",
        "cut_at_the_first_merge": f"{sum(row.cut is True for row in cut)} of {len(cut)}",
        "median_seconds": times[len(times) // 2] if times else None,
        "under_1s": sum(value < 1 for value in times) / max(len(found), 1),
        "adds": sum(row.adds for row in found),
        "concats": sum(row.concats for row in found),
        "gates": sum(row.gates for row in found),
    }


def lists(found: list[Row]) -> dict[str, str]:
    """Which models the recorder follows, and where something is not as it should be."""
    return {
        "recorded": ", ".join(row.model for row in found if row.followed.startswith("recorder"))
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
    outputs(parser)
    given = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    for by in ("torch.fx", "recorder"):  # what the first time costs is no model's
        trace_nodes(nn.Sequential(nn.Conv2d(3, 3, 3), nn.ReLU()), (3, 8, 8), by)
    part, parts = map(int, given.part.split("/"))
    names = [name for name in models() if re.search(given.only, name)][part - 1 :: parts]
    found: list[Row] = []
    for row in rows(names, given.rows):
        found.append(row)
        took = f"{row.seconds:.2f} s" if row.seconds is not None else ""
        marks = f"{row.adds}+ {row.concats}c {row.gates}g"
        print(
            f"{row.model:<45} {row.followed:<9} {took:>7} {marks:<16} equal {row.equal} {row.reason}",
            flush=True,
        )
    packages = {
        name: [row for row in found if row.model.startswith(f"{name}/")]
        for name in ("torchvision", "timm")
    }
    report = {"machine": machine(torch.device("cpu"))} | totals(found)
    report |= {name: totals(part) | lists(part) for name, part in packages.items() if part}
    report["models"] = [asdict(row) for row in found]
    finish("coverage", report, given)


if __name__ == "__main__":
    main()
