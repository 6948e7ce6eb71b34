"""The list of all models, with parameters and multiply-adds counted on the spot and the papers' errors beside them."""

import fnmatch
from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from lightning_resnets.graph import trace
from lightning_resnets.models.published_results import PUBLISHED_RESULTS, PublishedResult
from lightning_resnets.models.registry import MODELS, create_model
from lightning_resnets.utils.skip_init import skip_init

COLUMNS = ("model", "parameters", "mult-adds", "image", "error", "source of the error")


COLUMN_WIDTHS = (max(map(len, MODELS)), 11, 9, 9, 7)


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """A model of the zoo: what it costs for one image of `size`, counted, and what its paper says of it."""

    name: str
    parameters: int
    macs: int
    input_size: tuple[int, int, int]
    published: PublishedResult | None


def build_uninitialized(name: str) -> nn.Module:
    """The model in its paper's form, its weights not filled."""
    with skip_init():
        return create_model(name, MODELS[name].num_classes)


def summarize_model(name: str) -> ModelSummary:
    """Builds and follows the model, without computing or filling anything."""
    model = build_uninitialized(name)
    count = sum(weight.numel() for weight in model.parameters())
    return ModelSummary(
        name,
        count,
        trace(model, MODELS[name].input_size).macs,
        MODELS[name].input_size,
        PUBLISHED_RESULTS.get(name),
    )


def match_names(pattern: str = "") -> list[str]:
    """Names that contain the pattern, or fit it where it has *, ? or []; ValueError where none does."""
    wild = any(mark in pattern for mark in "*?[")
    found = [
        name for name in MODELS if fnmatch.fnmatchcase(name, pattern if wild else f"*{pattern}*")
    ]
    if not found:
        raise ValueError(
            f"No model's name fits {pattern!r}: `lightning-resnets models` lists them all."
        )
    return found


def format_table(pattern: str = "") -> Iterator[str]:
    """The table as text, a line a model, each as soon as it is counted."""
    found = match_names(pattern)
    yield align_columns(COLUMNS)
    for name in found:
        yield align_columns(format_row(summarize_model(name)))


def format_row(row: ModelSummary) -> tuple[str, ...]:
    published = row.published
    error = (f"{published.error:.2f} %", published.source) if published else ("–", "")
    return (
        row.name,
        f"{row.parameters:,}",
        format_macs(row.macs),
        "×".join(map(str, row.input_size)),
        *error,
    )


def format_macs(macs: int) -> str:
    """Multiply-adds in millions, from 10 G on in thousands of them."""
    return f"{macs / 1e6:,.1f} M" if macs < 1e10 else f"{macs / 1e9:,.2f} G"


def align_columns(cells: tuple[str, ...]) -> str:
    pairs = enumerate(zip(cells, COLUMN_WIDTHS, strict=False))
    aligned = [
        cell.ljust(width) if i in (0, 3) else cell.rjust(width) for i, (cell, width) in pairs
    ]
    return "  ".join([*aligned, cells[-1]]).rstrip()


def main(args: list[str]) -> None:
    """`lightning-resnets models [PATTERN]`."""
    if args[:1] in (["-h"], ["--help"]):
        print(
            "usage: lightning-resnets models [PATTERN]\n\nAll models, or those whose name contains PATTERN or fits it."
        )
        return
    if len(args) > 1:
        raise ValueError(
            "`lightning-resnets models` takes one pattern at most: seresnet, 'densenet_bc_*'."
        )
    for line in format_table(*args):
        print(line, flush=True)
