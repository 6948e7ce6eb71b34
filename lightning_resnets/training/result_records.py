"""Run records that count as results: complete runs of the bundled recipes."""

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from lightning_resnets.recipes import list_recipes
from lightning_resnets.training.run_record import RunRecord

# Number of training and test images; a result must use all of them.
DATASET_SIZES = {
    "cifar10": (50_000, 10_000),
    "imagenet": (1_281_167, 50_000),
}

# Records by recipe, then by what tells rows apart: command, hardware, precision, versions.
RunGroups = dict[str, dict[tuple[str, ...], list[RunRecord]]]


def read_records(folder: Path) -> list[RunRecord]:
    """Read and check all records of a folder.

    Args:
        folder: folder of JSON files.

    Returns:
        The records, sorted by recipe, epochs and seed.

    Raises:
        ValueError: a file is not a record, a run does not count as a result, or two records have
            the same command and seed.
    """
    records = [RunRecord.read(path) for path in sorted(folder.glob("*.json"))]
    for record in records:
        check_record(record)
    if len({(record.command, record.seed) for record in records}) < len(records):
        raise ValueError("Two records have the same command and seed. Remove one of them.")
    return sorted(records, key=lambda record: (record.recipe, record.epochs, record.seed))


def check_record(record: RunRecord) -> None:
    """Check that a run counts as a result: a bundled recipe, unchanged model, all images.

    Args:
        record: record of the run.

    Raises:
        ValueError: the run does not count as a result.
    """
    _check_images(record)
    if record.recipe not in list_recipes():
        raise ValueError(f"Unknown recipe '{record.recipe}'. A result needs a bundled recipe.")
    # --model.arch may have replaced the recipe's model.
    arch = read_recipe(record.recipe)["model"]["arch"]
    if record.arch != arch:
        raise ValueError(
            f"The run trained {record.arch}, but its recipe {record.recipe} trains {arch}. "
            "Add a recipe for the model."
        )


def _check_images(record: RunRecord) -> None:
    """Raise ValueError unless a run used all images of a known dataset."""
    expected = DATASET_SIZES.get(record.dataset)
    if expected is None:
        raise ValueError(
            f"Unknown dataset '{record.dataset}'. Datasets: {', '.join(DATASET_SIZES)}."
        )
    # A float, as all metrics; it equals an int of the same value.
    num_test = record.metrics.get("test_images")
    if (record.train_images, num_test) != expected:
        raise ValueError(
            f"The run of {record.recipe} used {record.train_images:,} training and {num_test} test "
            f"images of {record.dataset}; a result needs {expected[0]:,} and {expected[1]:,}."
        )


def read_recipe(name: str) -> dict[str, Any]:
    """Read the settings of a bundled recipe.

    Args:
        name: name of the recipe.

    Returns:
        The parsed YAML file.
    """
    return yaml.safe_load(list_recipes()[name].read_text())


def group_runs(records: Iterable[RunRecord]) -> RunGroups:
    """Group the records that differ only in their seed.

    Args:
        records: records of any recipes.

    Returns:
        The records by recipe and by row of the table.
    """
    groups: RunGroups = defaultdict(lambda: defaultdict(list))
    for record in records:
        key = (
            command_without_seed(record.command),
            record.hardware,
            record.precision,
            *record.versions.values(),
        )
        groups[record.recipe][key].append(record)
    return groups


def command_without_seed(command: str) -> str:
    """Remove the seed from a command, so that runs that differ only in it share a row.

    Args:
        command: command of a record.

    Returns:
        The command without `--seed_everything`.
    """
    return re.sub(r" --seed_everything \S+", "", command)
