"""`RESULTS.md` of a checkout, made of the records of its runs: `python -m lightning_resnets.training.results_page`.

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

from lightning_resnets.models.published_results import PUBLISHED_RESULTS
from lightning_resnets.models.registry import create_model
from lightning_resnets.recipes import list_recipes
from lightning_resnets.training.run_record import RunRecord
from lightning_resnets.utils.skip_init import skip_init

ROOT = Path(__file__).resolve().parents[2]


DATASET_SIZES = {
    "cifar10": (50_000, 10_000),
    "imagenet": (1_281_167, 50_000),
}  # images to train on, and to test on


INTRO = """# Results

Every run trains on all training images and is tested once, on all test images, in float32, with the weights of the
last epoch: the test set chooses nothing. *error* is the answer to the image itself, *with mirror* that of the mean
probability for the image and its mirror image. ± is the standard deviation over seeds. Seconds are those of the
training, on a machine that may have been shared. *not run* is said of a recipe that ships and has no record yet.
Made by `python -m lightning_resnets.training.results_page` of the records in `records/`; DIR is where the data lies.
"""


COLUMNS = (
    "model",
    "parameters",
    "paper's error",
    "error",
    "with mirror",
    "seeds",
    "epochs",
    "seconds",
    "hardware",
    "versions",
    "command",
)


TITLES = {
    "cifar10": "CIFAR-10, test error",
    "imagenet": "ImageNet, top-1 error on the validation images",
}


def read_records(folder: Path) -> list[RunRecord]:
    """All records, by recipe and seed; raises ValueError, one sentence, for one that is no result."""
    found = [RunRecord.read(path) for path in sorted(folder.glob("*.json"))]
    for record in found:
        check_record(record)
    if len({(record.command, record.seed) for record in found}) < len(found):
        raise ValueError("Two records are of the same command and seed: keep one of them.")
    return sorted(found, key=lambda record: (record.recipe, record.epochs, record.seed))


def check_record(record: RunRecord) -> None:
    """Raises ValueError where a run was not that of a recipe that ships, on all images."""
    tested = record.metrics.get("test_images")
    if (record.train_images, tested) != DATASET_SIZES.get(record.dataset):
        raise ValueError(
            f"The run of {record.recipe} saw {record.train_images:,} images of {record.dataset} and was tested on "
            f"{tested}: a result needs all."
        )
    if record.recipe not in list_recipes():
        raise ValueError(
            f"There is no recipe called {record.recipe}: a result needs one that ships."
        )
    model = yaml.safe_load(list_recipes()[record.recipe].read_text())["model"]["arch"]
    if record.arch != model:
        raise ValueError(
            f"The run of {record.recipe} trained {record.arch} in place of {model}: give it its own recipe."
        )


def render_page(records: Iterable[RunRecord]) -> str:
    """The whole of RESULTS.md."""
    runs = defaultdict[str, dict[tuple[str, ...], list[RunRecord]]](lambda: defaultdict(list))
    for record in records:
        alike = (
            command_without_seed(record.command),
            record.hardware,
            record.precision,
            *record.versions.values(),
        )
        runs[record.recipe][alike].append(record)
    parts = [INTRO]
    for data, title in TITLES.items():
        names = [name for name in list_recipes() if f"-{data}" in name]
        lines = [line for name in names for line in format_rows(name, runs[name])]
        parts.append(f"## {title}\n\n{format_table(lines)}")
    return "\n".join(parts)


def format_rows(
    recipe: str, runs: dict[tuple[str, ...], list[RunRecord]]
) -> Iterator[Sequence[str]]:
    """A line for each way in which a recipe was run, or one that says that it was not."""
    settings = yaml.safe_load(list_recipes()[recipe].read_text())
    model, options = settings["model"]["arch"], settings["model"].get("model_kwargs") or {}
    paper = PUBLISHED_RESULTS.get(model)
    first = (
        model,
        f"{count_parameters(model, options, settings):,}",
        f"{paper.error:.2f}" if paper else "–",
    )
    if not runs:
        yield (
            *first,
            "not run",
            "",
            "",
            str(settings["trainer"]["max_epochs"]),
            "",
            "",
            "",
            f"`{fit_command(recipe)}`",
        )
    for records in runs.values():
        yield *first[:1], f"{records[0].parameters:,}", first[2], *format_measured(records)


def count_parameters(model: str, options: dict[str, Any], settings: dict[str, Any]) -> int:
    with skip_init():
        held = create_model(
            model, 1000 if "imagenet" in str(settings["data"]["class_path"]) else 10, **options
        )
    return sum(weight.numel() for weight in held.parameters())


def format_measured(records: Sequence[RunRecord]) -> tuple[str, ...]:
    """What the runs of one command with several seeds show."""
    last = records[-1]
    versions = ", ".join(
        f"{name} {number}" for name, number in last.versions.items() if name != "lightning-resnets"
    )
    return (
        format_mean_std([100 * record.metrics["test_error"] for record in records]),
        format_mean_std([100 * record.metrics["test_error_flip_tta"] for record in records]),
        str(len(records)),
        str(last.epochs),
        f"{statistics.mean(record.seconds for record in records):,.0f}",
        f"{last.hardware}, {last.precision}",
        versions,
        f"`{command_without_seed(last.command)}`",
    )


def format_mean_std(values: Sequence[float]) -> str:
    """The mean, with the standard deviation where there are several."""
    mean = f"{statistics.mean(values):.2f}"
    return f"{mean} ± {statistics.stdev(values):.2f}" if len(values) > 1 else mean


def command_without_seed(command: str) -> str:
    """The command without its seed: runs that differ in that alone are one line."""
    return re.sub(r" --seed_everything \S+", "", command)


def fit_command(recipe: str) -> str:
    return f"lightning-resnets fit --config {recipe} --data.data_dir DIR"


def format_table(lines: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    return "".join(
        f"| {' | '.join(line)} |\n" for line in (COLUMNS, ["---"] * len(COLUMNS), *lines)
    )


def main() -> None:
    """Write the page, or with `--check` say whether it is up to date."""
    target, records = ROOT / "docs" / "results.md", read_records(ROOT / "checkpoints" / "records")
    text = render_page(records)
    if "--check" in sys.argv[1:]:
        sys.exit(
            0
            if target.is_file() and target.read_text() == text
            else f"{target} is not what the records say."
        )
    target.write_text(text)
    print(f"{target}: {len(records)} runs")


if __name__ == "__main__":
    main()
