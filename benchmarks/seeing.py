"""What it costs to look into a net while it runs, and what a sweep saves: beside the usual ways, in turns.

`python -m benchmarks.seeing [--rounds N] [--json]`. Every block and every merge is recorded by `probe` (inside one
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
from lightning_resnets.graph import follow
from lightning_resnets.merge import Merge
from lightning_resnets.probe import probe
from lightning_resnets.surgery import Drop, operate
from lightning_resnets.sweep import sweep
from lightning_resnets.zoo import build

Way = Callable[[], object]
SHARE = 5  # what takes long is done in one round of so many
WARM = 0.025  # seconds
CASES = (("resnet20", 1, 32), ("resnet20", 128, 32), ("resnet50", 1, 224), ("resnet50", 8, 224))
LONG = (("resnet50", 8, 224),)
SWEPT = (("resnet20", 128), ("resnet50", 1))


@dataclass(frozen=True, slots=True)
class Case:
    """A net, pictures (N, 3, H, W), and all its points: the blocks, the merges, the answer."""

    name: str
    net: nn.Module
    pictures: Tensor
    blocks: tuple[str, ...]
    points: tuple[str, ...]

    @classmethod
    def of(cls, arch: str, batch: int, side: int) -> "Case":
        net = build(arch).eval().requires_grad_(False)
        cells = dict.fromkeys(block.cell for block in follow(net, (3, side, side)).blocks.blocks if block.cell)
        points = [name for name, module in net.named_modules() if name in cells or isinstance(module, Merge)]
        blocks = [name for name in cells if any(isinstance(m, Merge) for m in net.get_submodule(name).children())]
        return cls(f"{arch}, {batch} x {side} px", net, torch.randn(batch, 3, side, side), tuple(blocks), tuple(points))


def hooked(case: Case, stack: ExitStack) -> None:
    """The same by hand: a hook a module that keeps what it was given and what it gave."""
    kept: dict[str, Any] = {}

    def look(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, given: tuple[Any, ...], output: Tensor) -> None:
            kept[name] = (given, output)

        return hook

    for name in case.points:
        stack.callback(case.net.get_submodule(name).register_forward_hook(look(name)).remove)


def extractor(case: Case) -> Way:
    from torchvision.models.feature_extraction import create_feature_extractor

    made = create_feature_extractor(case.net, list(case.points)).eval()
    return lambda: made(case.pictures)


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

    return lambda: torchlens.trace(case.net, case.pictures)


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
        return case.net(case.pictures)

    def probed() -> float:
        with probe(case.net, case.points):
            return settled(bare)

    def opened() -> object:
        with probe(case.net, case.points) as seen:
            case.net(case.pictures)
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


def by_lens(case: Case) -> float:
    """One full trace of TorchLens; then the caches are warmed again for who comes next."""
    with lensed():
        trace = traced(case)
        kept = trace()
        found = seconds(trace)
        del kept
    gc.collect()
    case.net(case.pictures)
    return found


def measured(case: Case, rounds: int) -> dict[str, Any]:
    """Milliseconds by way, and ratios to the bare pass; of TorchLens, or why there are none."""
    turns, note = ways(case), "" if find_spec("torchlens") else "not installed"
    times: dict[str, list[float]] = {name: [] for name in turns}
    lens, against = list[float](), list[float]()
    order, dice = list(turns), random.Random(0)  # noqa: S311
    for turn in range(-1, rounds):  # the first round warms up
        dice.shuffle(order)
        for name in order:
            once = turns[name]()
            if turn >= 0:
                times[name].append(once)
        if turn % SHARE == 0 and not note:
            try:
                lens.append(by_lens(case))
                against.append(turns["bare"]())
            except Exception as error:  # noqa: BLE001 - whatever it is goes into the row
                note = f"fails: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
    ratios: dict[str, Any] = {name: _ratio(found, times["bare"]) for name, found in times.items()}
    milliseconds: dict[str, Any] = {name: 1000 * statistics.median(found) for name, found in times.items()}
    ratios["TorchLens"] = note or _ratio(lens, against)
    milliseconds["TorchLens"] = note or 1000 * statistics.median(lens)
    least = {name: min(found) / min(times["bare"]) for name, found in times.items()}
    return {"milliseconds": milliseconds, "ratios": ratios, "ratios_of_the_least": least, "rounds": rounds}


def _ratio(one: list[float], other: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(one, other, strict=True))


def swept(case: Case, rounds: int) -> dict[str, float]:
    """Seconds to drop each block once, by a sweep and by a whole pass each."""
    changes = [Drop(block) for block in case.blocks]
    followed = follow(case.net, tuple(case.pictures.shape[1:]))  # type: ignore[arg-type]

    def naive() -> None:
        for change in changes:
            with operate(case.net, change):
                case.net(case.pictures)

    def once() -> None:
        for _ in sweep(case.net, case.pictures, changes, followed):
            pass

    pairs = [(seconds(once), seconds(naive)) for _ in range(max(1, rounds // SHARE))]
    one, other = ([pair[i] for pair in pairs] for i in (0, 1))
    found = {"changes": len(changes), "sweep": statistics.median(one), "naive": statistics.median(other)}
    return found | {"sweep_over_naive": _ratio(one, other)}


def remembered(case: Case, pictures: int) -> dict[str, int]:
    """Tensors alive and the largest memory of the process (KiB), after the first picture and after so many."""

    def alive() -> int:
        gc.collect()
        return sum(issubclass(type(thing), Tensor) for thing in gc.get_objects())

    with probe(case.net, case.points):
        case.net(case.pictures)
        first, least = alive(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(pictures - 1):
            case.net(case.pictures)
        last, most = alive(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"pictures": pictures, "tensors_after_one": first, "tensors_after_all": last, "growth_kib": most - least}


def show(name: str, figures: dict[str, Any]) -> None:
    print(name)
    for way, ratio in figures["ratios"].items():
        time_of, least = figures["milliseconds"][way], figures["ratios_of_the_least"].get(way)
        text = f"{time_of:9.2f} ms, {ratio:7.3f} of the bare pass" if isinstance(ratio, float) else ratio
        print(f"  {way:<24}{text}" + (f" ({least:.3f} at the least)" if least else ""), flush=True)


def report(rounds: int, pictures: int) -> dict[str, Any]:
    """Everything measured, printed on the way."""
    found: dict[str, Any] = {
        "rounds": {}, "milliseconds": {}, "ratios": {}, "ratios_of_the_least": {}, "sweep": {}
    }  # fmt: skip
    with torch.inference_mode():
        found["memory"] = remembered(Case.of(*CASES[0]), pictures)  # first: the largest memory is that of the process
        print(f"memory: {found['memory']}")
        for arch, batch, side in CASES:
            case = Case.of(arch, batch, side)
            figures = measured(case, max(1, rounds // SHARE) if (arch, batch, side) in LONG else rounds)
            for part, values in figures.items():
                found[part][case.name] = values
            show(case.name, figures)
            if (arch, batch) in SWEPT:
                found["sweep"][case.name] = line = swept(case, rounds)
                print(f"  sweep of {line['changes']} blocks       {line['sweep_over_naive']:.2f} of the naive way")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.seeing", description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--pictures", type=int, default=500, help="for the row on memory")
    outputs(parser)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = report(given.rounds, given.pictures)
    found = {"machine": machine(torch.device("cpu"))} | found
    finish("seeing", found, given)


if __name__ == "__main__":
    main()
