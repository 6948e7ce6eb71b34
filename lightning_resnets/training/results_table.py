"""Rows of the results page: one for each recipe, or for each command, hardware and version."""

import statistics
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from lightning_resnets.models.published_results import PUBLISHED_RESULTS
from lightning_resnets.models.registry import create_model
from lightning_resnets.training.result_records import command_without_seed, read_recipe
from lightning_resnets.training.run_record import RunRecord
from lightning_resnets.utils.parameters import count_parameters
from lightning_resnets.utils.skip_init import skip_init

COLUMNS = (
    "model",
    "parameters",
    "published error",
    "error",
    "flip TTA",
    "seeds",
    "epochs",
    "training time (s)",
    "hardware",
    "versions",
    "command",
)


def format_rows(
    recipe: str, runs: dict[tuple[str, ...], list[RunRecord]], sources: list[str]
) -> Iterator[Sequence[str]]:
    """Format one row for each group of runs of a recipe, or a row that says "not run".

    Args:
        recipe: name of the recipe.
        runs: groups of `group_runs` for this recipe.
        sources: sources of published errors until now; a new one is appended.

    Yields:
        The cells of a row, in the order of `COLUMNS`.
    """
    settings = read_recipe(recipe)
    arch = settings["model"]["arch"]
    published = format_published_error(arch, sources)
    for records in runs.values():
        yield arch, f"{records[0].parameters:,}", published, *format_measured(records)
    if not runs:
        epochs = str(settings["trainer"]["max_epochs"])
        parameters = f"{count_recipe_parameters(settings):,}"
        command = f"`{fit_command(recipe)}`"
        yield arch, parameters, published, "not run", "", "", epochs, "", "", "", command


def format_published_error(arch: str, sources: list[str]) -> str:
    """Format the published error of a model with the number of its footnote.

    Args:
        arch: name of the model.
        sources: sources until now; a new one is appended.

    Returns:
        For example "8.75[^1]"; "–" if there is none.
    """
    result = PUBLISHED_RESULTS.get(arch)
    if result is None:
        return "–"
    source = result.source
    # Best, median and single runs must not be compared without a word.
    if result.note:
        source = f"{source}: {result.note}"
    if source not in sources:
        sources.append(source)
    # Footnotes are numbered from 1, in the order in which they are first used.
    return f"{result.error:.2f}[^{sources.index(source) + 1}]"


def count_recipe_parameters(settings: dict[str, Any]) -> int:
    """Count the parameters of the model that a recipe trains.

    Args:
        settings: parsed recipe.

    Returns:
        The number of parameters.
    """
    is_imagenet = "imagenet" in str(settings["data"]["class_path"]).lower()
    num_classes = 1_000 if is_imagenet else 10
    model_kwargs = settings["model"].get("model_kwargs") or {}
    # The values of the weights do not matter here.
    with skip_init():
        model = create_model(settings["model"]["arch"], num_classes, **model_kwargs)
    return count_parameters(model)


def format_measured(records: Sequence[RunRecord]) -> tuple[str, ...]:
    """Format the cells from "error" on, for runs that differ only in their seed.

    Args:
        records: at least one record.

    Returns:
        The cells.
    """
    # Apart from seed, seconds and metrics, all records of a group say the same.
    last = records[-1]
    versions = [
        f"{name} {number}" for name, number in last.versions.items() if name != "lightning-resnets"
    ]
    return (
        # Records store fractions; the table shows percent.
        format_mean_std([100 * record.metrics["test_error"] for record in records]),
        format_mean_std([100 * record.metrics["test_error_flip_tta"] for record in records]),
        str(len(records)),
        str(last.epochs),
        f"{statistics.mean(record.seconds for record in records):,.0f}",
        f"{last.hardware}, {last.precision}",
        ", ".join(versions),
        f"`{command_without_seed(last.command)}`",
    )


def format_mean_std(values: Sequence[float]) -> str:
    """Format the mean, and the standard deviation if there are several values.

    Args:
        values: at least one value.

    Returns:
        For example "7.90" or "7.90 ± 0.12".
    """
    mean = f"{statistics.mean(values):.2f}"
    # One value has no deviation.
    if len(values) == 1:
        return mean
    return f"{mean} ± {statistics.stdev(values):.2f}"


def fit_command(recipe: str) -> str:
    """Return the command that trains a recipe.

    Args:
        recipe: name of the recipe.

    Returns:
        The command; `DIR` stands for the folder of the dataset.
    """
    return f"lightning-resnets fit --config {recipe} --data.data_dir DIR"


def format_table(rows: Iterable[Sequence[str]]) -> str:
    """Format a Markdown table with the columns of the results page.

    Args:
        rows: cells of each row, in the order of `COLUMNS`.

    Returns:
        The table.
    """
    lines = [COLUMNS, ["---"] * len(COLUMNS), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
