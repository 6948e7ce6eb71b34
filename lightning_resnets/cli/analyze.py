"""`lightning-resnets analyze`: run analyses on a model and write their tables and figures."""

import sys
import time
from argparse import Namespace
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lightning_resnets.analysis.labeled_images import LabeledImages
from lightning_resnets.analysis.registry import ANALYSES, AnalysisInputs, run_analysis
from lightning_resnets.checkpoint.load import LoadedCheckpoint
from lightning_resnets.checkpoint.open_checkpoint import NO_OVERRIDES
from lightning_resnets.cli.analysis_files import (
    check_results,
    output_dir,
    require_matplotlib,
    save_result,
)
from lightning_resnets.cli.analysis_inputs import (
    load_analysis_images,
    make_analysis_inputs,
    make_inputs_without_model,
    open_baseline,
)
from lightning_resnets.cli.analyze_options import NAME_WIDTH, build_parser
from lightning_resnets.cli.card_options import assumption_notes, read_overrides
from lightning_resnets.cli.open_model import open_model
from lightning_resnets.cli.progress import analysis_progress
from lightning_resnets.errors import AnalysisError, HookPointError, InterventionError, TraceError


@dataclass(frozen=True, slots=True)
class LoadedInputs:
    """Models and images of one command."""

    name: str  # for the output folder
    model: LoadedCheckpoint
    baseline: LoadedCheckpoint | None
    images: LabeledImages | None


def main(args: list[str]) -> None:
    """Run `lightning-resnets analyze NAME [MODEL_OR_CHECKPOINT] [options]`.

    Args:
        args: command-line arguments after the command.

    Raises:
        ValueError: an argument is wrong, or the model does not allow the analysis.
    """
    parser = build_parser()
    # Before Python 3.13 parse_args takes no optional argument behind an option.
    options = parser.parse_intermixed_args(args)
    names = select_analyses(options.name)
    if options.checkpoint is None and _needs_model(options, names):
        parser.error("the following arguments are required: MODEL_OR_CHECKPOINT")
    # An analysis takes minutes, and its figure comes last.
    if options.figure_format != "none":
        require_matplotlib()
    if options.out is not None:
        # Checked first: opening a model takes seconds.
        check_results(options.out.expanduser(), names, options.overwrite)
    inputs, name = _open_inputs(options, names)
    folder = options.out.expanduser() if options.out else Path("analysis", name)
    check_results(folder, names, options.overwrite)
    _run_into(folder, names, inputs, options.figure_format)


def _needs_model(options: Namespace, names: tuple[str, ...]) -> bool:
    """Return True if an analysis, or an option, is about a model of the user's."""
    has_options = options.model or options.select or read_overrides(options) != NO_OVERRIDES
    return bool(has_options) or any(ANALYSES[name].needs_model for name in names)


def _open_inputs(options: Namespace, names: tuple[str, ...]) -> tuple[AnalysisInputs, str]:
    """Return the inputs of the analyses, and a name for their folder."""
    if options.checkpoint is None:
        return make_inputs_without_model(options.dataset, options.seed), names[0]
    loaded = load_inputs(options, names)
    return _make_inputs(options, loaded), loaded.name


def _run_into(
    folder: Path, names: tuple[str, ...], inputs: AnalysisInputs, figure_format: str
) -> None:
    """Run analyses; raise AnalysisError if the user stops them or the model allows none."""
    header = format_header(inputs, names, folder)
    try:
        with output_dir(folder):
            num_done = run_analyses(names, inputs, folder, figure_format, header)
    # Each analysis writes its files at once, so the finished ones are complete.
    except KeyboardInterrupt:
        raise AnalysisError(f"Stopped. Finished analyses are in {folder}.") from None
    if not num_done:
        raise AnalysisError("The model does not allow any of the analyses.")


def select_analyses(name: str) -> tuple[str, ...]:
    """Return the analyses that a name stands for.

    Args:
        name: name of an analysis, or "all".

    Returns:
        Names of analyses.

    Raises:
        AnalysisError: there is no such analysis.
    """
    if name == "all":
        return tuple(ANALYSES)
    if name not in ANALYSES:
        raise AnalysisError(f"Unknown analysis '{name}'. Choose one of {', '.join(ANALYSES)}, all.")
    return (name,)


def load_inputs(options: Namespace, names: tuple[str, ...]) -> LoadedInputs:
    """Open the model, its baseline and the images, and print their notes.

    Args:
        options: arguments of `build_parser`.
        names: analyses to run; images are loaded only if one of them needs images.

    Returns:
        Models and images.

    Raises:
        ValueError: the model, the baseline or the images cannot be opened.
    """
    model, name = open_model(
        options.checkpoint, options.model, options.seed, read_overrides(options), options.select
    )
    _print_notes((*model.notes, *assumption_notes(model.card)))
    baseline = open_baseline(model.card, options.baseline)
    if baseline is not None:
        _print_notes(baseline.notes)
    # Some analyses only read weights or the graph.
    images = _load_images(options, names, model) if _needs_images(names) else None
    return LoadedInputs(name, model, baseline, images)


def _load_images(
    options: Namespace, names: tuple[str, ...], model: LoadedCheckpoint
) -> LabeledImages | None:
    """Load the images; of several analyses, those without images run even if there are none."""
    try:
        return load_analysis_images(
            model.card, options.dataset, options.data_dir, options.num_images
        )
    except AnalysisError as error:
        if len(names) == 1 or options.dataset:
            raise
        _print_notes((str(error),))
        return None


def _print_notes(notes: Iterable[str]) -> None:
    """Print notes on standard error, so that standard output stays a list of files."""
    for note in notes:
        print(f"note: {note}", file=sys.stderr)


def _make_inputs(options: Namespace, loaded: LoadedInputs) -> AnalysisInputs:
    """Combine models and images into the inputs of `run_analysis`."""
    # Two models of one architecture are called by the names of their files.
    baseline_name = Path(options.baseline).stem if options.baseline else ""
    return make_analysis_inputs(
        loaded.model, loaded.baseline, loaded.images, options.seed, (loaded.name, baseline_name)
    )


def _needs_images(names: tuple[str, ...]) -> bool:
    """Return True if an analysis needs images; for the others the input size is enough."""
    return any(ANALYSES[name].needs_images for name in names)


def format_header(inputs: AnalysisInputs, names: tuple[str, ...], folder: Path) -> str:
    """Format one line about the models, the images and the output folder.

    Args:
        inputs: models and images.
        names: analyses to run.
        folder: output folder.

    Returns:
        The line; baseline and images only if an analysis needs images.
    """
    parts = [inputs.model_name or "published models"]
    if _needs_images(names) and inputs.baseline is not None:
        parts.append(f"compared with {inputs.baseline_name}")
    if _needs_images(names) and inputs.images is not None:
        parts.append(f"on {len(inputs.images):,} images")
    return f"{' '.join(parts)}; files in {folder}"


def run_analyses(
    names: tuple[str, ...], inputs: AnalysisInputs, folder: Path, figure_format: str, header: str
) -> int:
    """Run analyses one after another and print a line with the files of each one.

    Args:
        names: analyses to run.
        inputs: models and images.
        folder: output folder.
        figure_format: one of `FIGURE_FORMATS`, or "none".
        header: line to print before them.

    Returns:
        The number of analyses that ran.

    Raises:
        AnalysisError: the model does not allow the only analysis.
    """
    if len(names) == 1:
        # Nothing is printed before an error that ends the command.
        line = _run_one(names[0], inputs, folder, figure_format)
        print(f"{header}\n{line}")
        return 1
    print(header, flush=True)
    return sum(_try_one(name, inputs, folder, figure_format) for name in names)


def _try_one(name: str, inputs: AnalysisInputs, folder: Path, figure_format: str) -> bool:
    """Run an analysis if the model allows it, and print a line in both cases."""
    # These errors say that the model does not fit; any other one is a fault of ours.
    try:
        line = _run_one(name, inputs, folder, figure_format)
    except (AnalysisError, InterventionError, HookPointError, TraceError) as error:
        print(f"{name:<{NAME_WIDTH}}not available: {error}", flush=True)
        return False
    print(line, flush=True)
    return True


def _run_one(name: str, inputs: AnalysisInputs, folder: Path, figure_format: str) -> str:
    """Run an analysis, write its files, and return a line with its time and their names."""
    start = time.perf_counter()
    with analysis_progress(name) as progress:
        result = run_analysis(name, inputs, progress)
    paths = save_result(result, name, folder, figure_format)
    seconds = time.perf_counter() - start
    files = ", ".join(path.name for path in paths)
    return f"{name:<{NAME_WIDTH}}{seconds:5.1f} s  {files}"
