"""Measure the cost of recording activations and the gain of a sweep, beside the usual ways, in
turns.

`python -m benchmarks.inspection [--rounds N] [--json] [--save]`.

Every block and every merge is recorded by `record_activations` (inside one `with` block, and opened
for each batch), by forward hooks on the same modules, by torchvision's feature extractor, and by
TorchLens where it is installed. Ratios are to the bare forward pass of the same round, medians of
all rounds, of the thread's CPU time. `ratios_of_minima` compares the fastest of each, for a busy
machine. A sweep removes each block once; the naive way is a whole pass for each."""

import argparse
import contextlib
import gc
import random
import resource
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.report import add_output_options, finish, machine
from lightning_resnets.graph import trace_nodes
from lightning_resnets.interventions import RemoveBlock, intervene
from lightning_resnets.interventions.record import record_activations
from lightning_resnets.interventions.sweep import sweep
from lightning_resnets.merges import Merge
from lightning_resnets.models.registry import create_model

ForwardPass = Callable[[], object]
SLOW_EVERY = 5  # slow measurements run in one round of five
WARMUP_SECONDS = 0.025
BARE = "bare forward pass"
CASES = (("resnet20", 1, 32), ("resnet20", 128, 32), ("resnet50", 1, 224), ("resnet50", 8, 224))
SLOW_CASES = (("resnet50", 8, 224),)
SWEEP_CASES = (("resnet20", 128), ("resnet50", 1))

SLOW_BARE = "bare forward pass"

SWEEP_BARE = "bare forward pass"


@dataclass(frozen=True, slots=True)
class Case:
    """A model, images (N, 3, H, W), and the hook points: blocks, merges and the output."""

    name: str
    model: nn.Module
    images: Tensor
    blocks: tuple[str, ...]
    hook_points: tuple[str, ...]

    @classmethod
    def create(cls, arch: str, batch: int, side: int) -> "Case":
        model = create_model(arch, num_classes=10).eval().requires_grad_(False)
        cells = dict.fromkeys(
            block.block for block in trace_nodes(model, (3, side, side)).graph.nodes if block.block
        )
        points = [
            name
            for name, module in model.named_modules()
            if name in cells or isinstance(module, Merge)
        ]
        blocks = [
            name
            for name in cells
            if any(isinstance(m, Merge) for m in model.get_submodule(name).children())
        ]
        return cls(
            f"{arch}, {batch} x {side} px",
            model,
            torch.randn(batch, 3, side, side),
            tuple(blocks),
            tuple(points),
        )


def add_hooks(case: Case, stack: ExitStack) -> None:
    """Record by hand: one hook per module that keeps its inputs and its output."""
    kept: dict[str, Any] = {}

    def look(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, given: tuple[Any, ...], output: Tensor) -> None:
            kept[name] = (given, output)

        return hook

    for name in case.hook_points:
        stack.callback(case.model.get_submodule(name).register_forward_hook(look(name)).remove)


def make_extractor(case: Case) -> ForwardPass:
    from torchvision.models.feature_extraction import create_feature_extractor

    made = create_feature_extractor(case.model, list(case.hook_points)).eval()
    return lambda: made(case.images)


@contextlib.contextmanager
def torchlens_wrapped() -> Iterator[None]:
    """Let TorchLens wrap torch's functions only inside the block; it would keep them wrapped."""
    from torchlens.backends.torch import wrappers  # pyright: ignore[reportMissingImports]

    wrappers.wrap_torch()
    try:
        yield
    finally:
        wrappers.unwrap_torch()


def make_torchlens(case: Case) -> ForwardPass:
    import torchlens  # pyright: ignore[reportMissingImports]

    return lambda: torchlens.trace(case.model, case.images)


def time_call(function: ForwardPass) -> float:
    """Return the CPU seconds of this thread, which other programs do not lengthen."""
    gc.disable()
    try:
        start = time.thread_time()
        function()
        return time.thread_time() - start
    finally:
        gc.enable()


def methods(case: Case) -> dict[str, Callable[[], float]]:
    """Return a timer per method; each runs warm, as in a series of many passes."""

    def settled(function: ForwardPass) -> float:
        start = time.perf_counter()
        kept = function()
        while time.perf_counter() - start < WARMUP_SECONDS:
            kept = function()
        found = time_call(function)
        del kept
        return found

    def bare() -> Tensor:
        return case.model(case.images)

    def recorded() -> float:
        with record_activations(case.model, case.hook_points):
            return settled(bare)

    def opened() -> object:
        with record_activations(case.model, case.hook_points) as seen:
            case.model(case.images)
        return seen

    def by_hooks() -> float:
        with ExitStack() as stack:
            add_hooks(case, stack)
            return settled(bare)

    extract = make_extractor(case)
    return {
        "bare forward pass": lambda: settled(bare),
        "record_activations": recorded,
        "record_activations, opened per batch": lambda: settled(opened),
        "forward hooks": by_hooks,
        "torchvision feature extractor": lambda: settled(extract),
    }


def time_torchlens(case: Case) -> float:
    """Time one full trace of TorchLens, then warm the caches for the next method."""
    with torchlens_wrapped():
        trace = make_torchlens(case)
        kept = trace()
        found = time_call(trace)
        del kept
    gc.collect()
    case.model(case.images)
    return found


def measure(case: Case, rounds: int) -> dict[str, Any]:
    """Return milliseconds and ratios by method; TorchLens has a reason where it fails."""
    turns, note = methods(case), "" if find_spec("torchlens") else "not installed"
    times: dict[str, list[float]] = {name: [] for name in turns}
    interactive, against = list[float](), list[float]()
    order, dice = list(turns), random.Random(0)  # noqa: S311
    for turn in range(-1, rounds):  # the first round warms up
        dice.shuffle(order)
        for name in order:
            once = turns[name]()
            if turn >= 0:
                times[name].append(once)
        if turn % SLOW_EVERY == 0 and not note:
            try:
                interactive.append(time_torchlens(case))
                against.append(turns[BARE]())
            except Exception as error:  # noqa: BLE001 - whatever it is goes into the row
                note = (
                    f"fails: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
                )
    ratios: dict[str, Any] = {name: _ratio(found, times[BARE]) for name, found in times.items()}
    milliseconds: dict[str, Any] = {
        name: 1000 * statistics.median(found) for name, found in times.items()
    }
    ratios["TorchLens"] = note or _ratio(interactive, against)
    milliseconds["TorchLens"] = note or 1000 * statistics.median(interactive)
    least = {name: min(found) / min(times[BARE]) for name, found in times.items()}
    return {
        "milliseconds": milliseconds,
        "ratios": ratios,
        "ratios_of_minima": least,
        "rounds": rounds,
    }


def _ratio(one: list[float], other: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(one, other, strict=True))


def measure_sweep(case: Case, rounds: int) -> dict[str, float]:
    """Return the seconds to remove each block once, by a sweep and by whole passes."""
    changes = [RemoveBlock(block) for block in case.blocks]
    followed = trace_nodes(case.model, tuple(case.images.shape[1:]))  # type: ignore[arg-type]

    def naive() -> None:
        for change in changes:
            with intervene(case.model, change):
                case.model(case.images)

    def once() -> None:
        for _ in sweep(case.model, case.images, changes, followed):
            pass

    pairs = [(time_call(once), time_call(naive)) for _ in range(max(1, rounds // SLOW_EVERY))]
    one, other = ([pair[i] for pair in pairs] for i in (0, 1))
    found = {
        "changes": len(changes),
        "sweep": statistics.median(one),
        "naive": statistics.median(other),
    }
    return found | {"sweep_over_naive": _ratio(one, other)}


def measure_memory(case: Case, images: int) -> dict[str, int]:
    """Return live tensors after the first and the last image, and the growth of memory (KiB)."""

    def alive() -> int:
        gc.collect()
        return sum(issubclass(type(thing), Tensor) for thing in gc.get_objects())

    with record_activations(case.model, case.hook_points):
        case.model(case.images)
        first, least = alive(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(images - 1):
            case.model(case.images)
        last, most = alive(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "images": images,
        "tensors_after_one": first,
        "tensors_after_all": last,
        "growth_kib": most - least,
    }


def show(name: str, figures: dict[str, Any]) -> None:
    print(name)
    for way, ratio in figures["ratios"].items():
        time_of, least = figures["milliseconds"][way], figures["ratios_of_minima"].get(way)
        text = (
            f"{time_of:9.2f} ms, {ratio:7.3f} of the bare pass"
            if isinstance(ratio, float)
            else ratio
        )
        print(f"  {way:<24}{text}" + (f" ({least:.3f} at the least)" if least else ""), flush=True)


def report(rounds: int, images: int) -> dict[str, Any]:
    """Measure everything and print on the way."""
    found: dict[str, Any] = {
        "rounds": {},
        "milliseconds": {},
        "ratios": {},
        "ratios_of_minima": {},
        "sweep": {},
    }
    with torch.inference_mode():
        found["memory"] = measure_memory(
            Case.create(*CASES[0]), images
        )  # first: the largest memory is that of the process
        print(f"memory: {found['memory']}")
        for arch, batch, side in CASES:
            case = Case.create(arch, batch, side)
            figures = measure(
                case, max(1, rounds // SLOW_EVERY) if (arch, batch, side) in SLOW_CASES else rounds
            )
            for part, values in figures.items():
                found[part][case.name] = values
            show(case.name, figures)
            if (arch, batch) in SWEEP_CASES:
                found["sweep"][case.name] = line = measure_sweep(case, rounds)
                ratio = line["sweep_over_naive"]
                print(f"  sweep of {line['changes']} blocks       {ratio:.2f} of the naive way")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.inspection", description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--images", type=int, default=500, help="for the row on memory")
    add_output_options(parser)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = report(given.rounds, given.images)
    found = {"machine": machine(torch.device("cpu"))} | found
    finish("inspection", found, given)


if __name__ == "__main__":
    main()
