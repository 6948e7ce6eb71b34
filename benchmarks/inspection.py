"""What it costs to look into a model while it runs, and what a sweep saves: beside the usual ways, in turns.

`python -m benchmarks.inspection [--rounds N] [--json]`. Every block and every merge is recorded by `probe` (inside one
`with` block, and one opened for each batch), by plain forward hooks on the same modules, by torchvision's feature
extractor, and by TorchLens where it is installed. Ratios are to the bare forward pass of the same round, medians of all
rounds, of the one thread's processor time; `of_the_least` compares the quickest of each, for a machine that is busy. A
sweep drops each block once; the naive way is a whole pass for each.
"""

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

from benchmarks.report import finish, machine, outputs
from lightning_resnets.graph import trace_nodes
from lightning_resnets.interventions import RemoveBlock, intervene
from lightning_resnets.interventions.record import record_activations
from lightning_resnets.interventions.sweep import sweep
from lightning_resnets.merges import Merge
from lightning_resnets.models.registry import create_model

Way = Callable[[], object]
SHARE = 5  # what takes long is done in one round of so many
WARM = 0.025  # seconds
CASES = (("resnet20", 1, 32), ("resnet20", 128, 32), ("resnet50", 1, 224), ("resnet50", 8, 224))
LONG = (("resnet50", 8, 224),)
SWEPT = (("resnet20", 128), ("resnet50", 1))


@dataclass(frozen=True, slots=True)
class Case:
    """A model, images (N, 3, H, W), and all its points: the blocks, the merges, the answer."""

    name: str
    model: nn.Module
    images: Tensor
    blocks: tuple[str, ...]
    points: tuple[str, ...]

    @classmethod
    def of(cls, arch: str, batch: int, side: int) -> "Case":
        model = create_model(arch).eval().requires_grad_(False)
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


def hooked(case: Case, stack: ExitStack) -> None:
    """The same by hand: a hook a module that keeps what it was given and what it gave."""
    kept: dict[str, Any] = {}

    def look(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, given: tuple[Any, ...], output: Tensor) -> None:
            kept[name] = (given, output)

        return hook

    for name in case.points:
        stack.callback(case.model.get_submodule(name).register_forward_hook(look(name)).remove)


def extractor(case: Case) -> Way:
    from torchvision.models.feature_extraction import create_feature_extractor

    made = create_feature_extractor(case.model, list(case.points)).eval()
    return lambda: made(case.images)


@contextlib.contextmanager
def lensed() -> Iterator[None]:
    """TorchLens wraps torch's functions for good when it is first used; here only as long as it is its turn."""
    from torchlens.backends.torch import wrappers  # pyright: ignore[reportMissingImports]

    wrappers.wrap_torch()
    try:
        yield
    finally:
        wrappers.unwrap_torch()


def traced(case: Case) -> Way:
    import torchlens  # pyright: ignore[reportMissingImports]

    return lambda: torchlens.trace(case.model, case.images)


def seconds(act: Way) -> float:
    """Of the processor's time, which whoever else is busy there does not lengthen; torch has this one thread alone."""
    gc.disable()
    try:
        start = time.thread_time()
        act()
        return time.thread_time() - start
    finally:
        gc.enable()


def ways(case: Case) -> dict[str, Callable[[], float]]:
    """Each way times one pass, as it is in a row of many: those before it have made room for what is kept."""

    def settled(act: Way) -> float:
        start = time.perf_counter()
        kept = act()
        while time.perf_counter() - start < WARM:
            kept = act()
        found = seconds(act)
        del kept
        return found

    def bare() -> Tensor:
        return case.model(case.images)

    def probed() -> float:
        with record_activations(case.model, case.points):
            return settled(bare)

    def opened() -> object:
        with record_activations(case.model, case.points) as seen:
            case.model(case.images)
        return seen

    def by_hooks() -> float:
        with ExitStack() as stack:
            hooked(case, stack)
            return settled(bare)

    extract = extractor(case)
    return {
        "bare": lambda: settled(bare),
        "probe": probed,
        "probe opened each time": lambda: settled(opened),
        "plain hooks": by_hooks,
        "feature extractor": lambda: settled(extract),
    }


def by_interactive(case: Case) -> float:
    """One full trace of TorchLens; then the caches are warmed again for who comes next."""
    with lensed():
        trace = traced(case)
        kept = trace()
        found = seconds(trace)
        del kept
    gc.collect()
    case.model(case.images)
    return found


def measured(case: Case, rounds: int) -> dict[str, Any]:
    """Milliseconds by way, and ratios to the bare pass; of TorchLens, or why there are none."""
    turns, note = ways(case), "" if find_spec("torchlens") else "not installed"
    times: dict[str, list[float]] = {name: [] for name in turns}
    interactive, against = list[float](), list[float]()
    order, dice = list(turns), random.Random(0)  # noqa: S311
    for turn in range(-1, rounds):  # the first round warms up
        dice.shuffle(order)
        for name in order:
            once = turns[name]()
            if turn >= 0:
                times[name].append(once)
        if turn % SHARE == 0 and not note:
            try:
                interactive.append(by_interactive(case))
                against.append(turns["bare"]())
            except Exception as error:  # noqa: BLE001 - whatever it is goes into the row
                note = (
                    f"fails: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
                )
    ratios: dict[str, Any] = {name: _ratio(found, times["bare"]) for name, found in times.items()}
    milliseconds: dict[str, Any] = {
        name: 1000 * statistics.median(found) for name, found in times.items()
    }
    ratios["TorchLens"] = note or _ratio(interactive, against)
    milliseconds["TorchLens"] = note or 1000 * statistics.median(interactive)
    least = {name: min(found) / min(times["bare"]) for name, found in times.items()}
    return {
        "milliseconds": milliseconds,
        "ratios": ratios,
        "ratios_of_the_least": least,
        "rounds": rounds,
    }


def _ratio(one: list[float], other: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(one, other, strict=True))


def swept(case: Case, rounds: int) -> dict[str, float]:
    """Seconds to drop each block once, by a sweep and by a whole pass each."""
    changes = [RemoveBlock(block) for block in case.blocks]
    followed = trace_nodes(case.model, tuple(case.images.shape[1:]))  # type: ignore[arg-type]

    def naive() -> None:
        for change in changes:
            with intervene(case.model, change):
                case.model(case.images)

    def once() -> None:
        for _ in sweep(case.model, case.images, changes, followed):
            pass

    pairs = [(seconds(once), seconds(naive)) for _ in range(max(1, rounds // SHARE))]
    one, other = ([pair[i] for pair in pairs] for i in (0, 1))
    found = {
        "changes": len(changes),
        "sweep": statistics.median(one),
        "naive": statistics.median(other),
    }
    return found | {"sweep_over_naive": _ratio(one, other)}


def remembered(case: Case, images: int) -> dict[str, int]:
    """Tensors alive and the largest memory of the process (KiB), after the first image and after so many."""

    def alive() -> int:
        gc.collect()
        return sum(issubclass(type(thing), Tensor) for thing in gc.get_objects())

    with record_activations(case.model, case.points):
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
        time_of, least = figures["milliseconds"][way], figures["ratios_of_the_least"].get(way)
        text = (
            f"{time_of:9.2f} ms, {ratio:7.3f} of the bare pass"
            if isinstance(ratio, float)
            else ratio
        )
        print(f"  {way:<24}{text}" + (f" ({least:.3f} at the least)" if least else ""), flush=True)


def report(rounds: int, images: int) -> dict[str, Any]:
    """Everything measured, printed on the way."""
    found: dict[str, Any] = {
        "rounds": {},
        "milliseconds": {},
        "ratios": {},
        "ratios_of_the_least": {},
        "sweep": {},
    }
    with torch.inference_mode():
        found["memory"] = remembered(
            Case.of(*CASES[0]), images
        )  # first: the largest memory is that of the process
        print(f"memory: {found['memory']}")
        for arch, batch, side in CASES:
            case = Case.of(arch, batch, side)
            figures = measured(
                case, max(1, rounds // SHARE) if (arch, batch, side) in LONG else rounds
            )
            for part, values in figures.items():
                found[part][case.name] = values
            show(case.name, figures)
            if (arch, batch) in SWEPT:
                found["sweep"][case.name] = line = swept(case, rounds)
                print(
                    f"  sweep of {line['changes']} blocks       {line['sweep_over_naive']:.2f} of the naive way"
                )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.inspection", description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--images", type=int, default=500, help="for the row on memory")
    outputs(parser)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = report(given.rounds, given.images)
    found = {"machine": machine(torch.device("cpu"))} | found
    finish("seeing", found, given)


if __name__ == "__main__":
    main()
