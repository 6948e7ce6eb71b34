"""`RESULTS.md` of a checkout, made of the records of its runs: `python -m lightning_resnets.training.results`.

So no figure there is written by hand. A record comes in as the `record.json` that `fit` wrote, copied to `records/`.
"""

import re
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from lightning_resnets.blank import Blank
from lightning_resnets.facts import PUBLISHED
from lightning_resnets.training.cli import recipes
from lightning_resnets.training.record import Record
from lightning_resnets.zoo import build

ROOT = Path(__file__).resolve().parents[2]
WHOLE = {"cifar10": (50_000, 10_000), "imagenet": (1_281_167, 50_000)}  # pictures to train on, and to test on
HEAD = """# Results

Every run trains on all training pictures and is tested once, on all test pictures, in float32, with the weights of the
last epoch: the test set chooses nothing. *error* is the answer to the picture itself, *with mirror* that of the mean
probability for the picture and its mirror image. ± is the standard deviation over seeds. Seconds are those of the
training, on a machine that may have been shared. *not run* is said of a recipe that ships and has no record yet.
Made by `python -m lightning_resnets.training.results` of the records in `records/`; DIR is where the data lies.
"""
COLUMNS = (
    "net", "parameters", "paper's error", "error", "with mirror", "seeds", "epochs", "seconds", "hardware", "versions",
    "command",
)  # fmt: skip
TITLES = {"cifar10": "CIFAR-10, test error", "imagenet": "ImageNet, top-1 error on the validation pictures"}


def read(folder: Path) -> list[Record]:
    """All records, by recipe and seed; raises ValueError, one sentence, for one that is no result."""
    found = [Record.read(path) for path in sorted(folder.glob("*.json"))]
    for record in found:
        check(record)
    if len({(record.command, record.seed) for record in found}) < len(found):
        raise ValueError("Two records are of the same command and seed: keep one of them.")
    return sorted(found, key=lambda record: (record.recipe, record.epochs, record.seed))


def check(record: Record) -> None:
    """Raises ValueError where a run was not that of a recipe that ships, on all pictures."""
    tested = record.metrics.get("test_pictures")
    if (record.pictures, tested) != WHOLE.get(record.data):
        raise ValueError(
            f"The run of {record.recipe} saw {record.pictures:,} pictures of {record.data} and was tested on "
            f"{tested}: a result needs all."
        )
    if record.recipe not in recipes():
        raise ValueError(f"There is no recipe called {record.recipe}: a result needs one that ships.")
    net = yaml.safe_load(recipes()[record.recipe].read_text())["model"]["net"]
    if record.net != net:
        raise ValueError(f"The run of {record.recipe} trained {record.net} in place of {net}: give it its own recipe.")


def page(records: Iterable[Record]) -> str:
    """The whole of RESULTS.md."""
    runs = defaultdict[str, dict[tuple[str, ...], list[Record]]](lambda: defaultdict(list))
    for record in records:
        alike = (seedless(record.command), record.hardware, record.precision, *record.versions.values())
        runs[record.recipe][alike].append(record)
    parts = [HEAD]
    for data, title in TITLES.items():
        names = [name for name in recipes() if f"-{data}" in name]
        lines = [line for name in names for line in rows(name, runs[name])]
        parts.append(f"## {title}\n\n{table(lines)}")
    return "\n".join(parts)


def rows(recipe: str, runs: dict[tuple[str, ...], list[Record]]) -> Iterator[Sequence[str]]:
    """A line for each way in which a recipe was run, or one that says that it was not."""
    settings = yaml.safe_load(recipes()[recipe].read_text())
    net, options = settings["model"]["net"], settings["model"].get("options") or {}
    paper = PUBLISHED.get(net)
    first = (net, f"{size(net, options, settings):,}", f"{paper.error:.2f}" if paper else "–")
    if not runs:
        yield *first, "not run", "", "", str(settings["trainer"]["max_epochs"]), "", "", "", f"`{fit(recipe)}`"
    for records in runs.values():
        yield *first[:1], f"{records[0].parameters:,}", first[2], *measured(records)


def size(net: str, options: dict[str, Any], settings: dict[str, Any]) -> int:
    with Blank():
        held = build(net, 1000 if "imagenet" in str(settings["data"]["class_path"]) else 10, **options)
    return sum(weight.numel() for weight in held.parameters())


def measured(records: Sequence[Record]) -> tuple[str, ...]:
    """What the runs of one command with several seeds show."""
    last = records[-1]
    versions = ", ".join(f"{name} {number}" for name, number in last.versions.items() if name != "lightning-resnets")
    return (
        spread([100 * record.metrics["test_error"] for record in records]),
        spread([100 * record.metrics["test_error_mirror"] for record in records]),
        str(len(records)), str(last.epochs), f"{statistics.mean(record.seconds for record in records):,.0f}",
        f"{last.hardware}, {last.precision}", versions, f"`{seedless(last.command)}`",
    )  # fmt: skip


def spread(values: Sequence[float]) -> str:
    """The mean, with the standard deviation where there are several."""
    mean = f"{statistics.mean(values):.2f}"
    return f"{mean} ± {statistics.stdev(values):.2f}" if len(values) > 1 else mean


def seedless(command: str) -> str:
    """The command without its seed: runs that differ in that alone are one line."""
    return re.sub(r" --seed_everything \S+", "", command)


def fit(recipe: str) -> str:
    return f"lightning-resnets fit --config {recipe} --data.root DIR"


def table(lines: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    return "".join(f"| {' | '.join(line)} |\n" for line in (COLUMNS, ["---"] * len(COLUMNS), *lines))


def main() -> None:
    """Write the page, or with `--check` say whether it is up to date."""
    target, records = ROOT / "RESULTS.md", read(ROOT / "records")
    text = page(records)
    if "--check" in sys.argv[1:]:
        sys.exit(0 if target.is_file() and target.read_text() == text else f"{target} is not what the records say.")
    target.write_text(text)
    print(f"{target}: {len(records)} runs")


if __name__ == "__main__":
    main()
