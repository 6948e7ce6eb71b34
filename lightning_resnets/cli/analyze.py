"""`lightning-resnets analyze NAME FILE`: the experiments of `lightning_resnets.analysis`, as tables and figures."""

import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lightning_resnets.analysis.registry import ANALYSES, AnalysisInputs, run_analysis
from lightning_resnets.analysis.result import LabeledImages, Result
from lightning_resnets.checkpoint.load import LoadedCheckpoint
from lightning_resnets.cli.args import ModelArgumentParser
from lightning_resnets.cli.evaluate import clear_progress_line, parse_positive_int
from lightning_resnets.cli.open_model import (
    load_analysis_images,
    make_analysis_inputs,
    open_baseline,
    open_model,
)
from lightning_resnets.errors import AnalysisError, HookPointError, InterventionError
from lightning_resnets.evaluation import DATASETS
from lightning_resnets.graph import TraceError

DEFAULT_IMAGES = 1000  # images, where nobody says how many


FIGURE_SIZE_INCHES = (10.0, 6.5)  # of a figure


FIGURE_FORMATS = ("png", "svg", "pdf")


def save_result(result: Result, name: str, folder: Path, form: str) -> list[Path]:
    """Write a result's tables, as CSV and JSON, and its figure; the files written."""
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    tables = {table: rows for table, rows in result.tables().items() if rows.rows}
    for table, rows in tables.items():
        stem = name if table == name else f"{name}-{table}"
        for ending, text in (("csv", rows.csv()), ("json", rows.json() + "\n")):
            written.append(folder / f"{stem}.{ending}")
            written[-1].write_text(text, encoding="utf-8", newline="\n")
    if form != "none":
        written.append(folder / f"{name}.{form}")
        save_figure(result, written[-1])
    return written


def save_figure(result: Result, path: Path) -> None:
    """Draw a result into a file, whose ending says how."""
    from matplotlib.figure import Figure

    figure = Figure(FIGURE_SIZE_INCHES, layout="compressed")
    result.draw(figure)
    figure.savefig(path, dpi=150, bbox_inches="tight")


def progress_line(name: str) -> Callable[[int, int], None]:
    """Progress on one line of the error stream; nothing where that is no terminal."""

    def progress(done: int, total: int) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{name}: {done:,} of {total:,} ")
            sys.stderr.flush()

    return progress


def select_analyses(name: str) -> tuple[str, ...]:
    """The analyzes that a word of the command line asks for."""
    if name == "all":
        return tuple(ANALYSES)
    if name not in ANALYSES:
        raise AnalysisError(
            f"There is no analysis called '{name}': there are {', '.join(ANALYSES)}, and all."
        )
    return (name,)


def run_analyses(
    asked: tuple[str, ...], given: AnalysisInputs, folder: Path, form: str, header: str
) -> int:
    """Do the analyzes one after another, saying what each wrote; how many were done.

    Of several, one that does not fit the model is passed over with its sentence; a single one raises it.
    """
    done = 0
    for name in asked:
        start = time.perf_counter()
        try:
            result = run_analysis(name, given, progress_line(name))
        except (AnalysisError, InterventionError, HookPointError, TraceError) as error:
            if len(asked) == 1:
                raise
            clear_progress_line()
            print(f"{name:<12}not done: {error}", flush=True)
            continue
        clear_progress_line()
        files = save_result(result, name, folder, form)
        if len(asked) == 1:
            print(header)
        done += 1
        print(
            f"{name:<12}{time.perf_counter() - start:5.1f} s  {', '.join(path.name for path in files)}",
            flush=True,
        )
    return done


@contextmanager
def output_dir(folder: Path) -> Iterator[None]:
    """The folder is there, or one sentence says why not; nothing of it stays behind where nothing was written."""
    made = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise AnalysisError(
            f"Nothing can be written to '{folder}' ({error.strerror}): choose another --out."
        ) from error
    finally:
        for one in made:
            with suppress(OSError):
                one.rmdir()  # an empty one alone


def require_matplotlib() -> None:
    try:
        import matplotlib as _  # noqa: F401 - only whether it is there
    except ImportError:
        raise AnalysisError(
            "Figures need matplotlib, which is not installed: pip install 'lightning-resnets[plots]', or leave them "
            "out with --figure none."
        ) from None


def list_analyses() -> str:
    return "\n".join(f"  {name:<12}{analysis.description}" for name, analysis in ANALYSES.items())


def build_parser() -> ModelArgumentParser:
    made = ModelArgumentParser(
        "analyze",
        "What skips, concatenations and gates do in a model: tables (CSV, JSON) and a figure for each analysis.\n\n"
        f"{list_analyses()}\n  {'all':<12}each of them that the model allows\n\n"
        "FILE may be a model's name too, which is then untrained: one of `lightning-resnets models`, torchvision/NAME,\n"
        "timm/NAME, or module:function of your own.",
        before=("name",),
    )
    made.add_argument("--out", type=Path, metavar="DIR", help="where the files go (analysis/FILE)")
    made.add_argument(
        "--data",
        choices=DATASETS,
        help="what the images are (CIFAR-10 models: the sample that ships)",
    )
    made.add_argument("--root", type=Path, metavar="DIR", help="where they lie")
    made.add_argument(
        "--images",
        type=parse_positive_int,
        default=DEFAULT_IMAGES,
        metavar="N",
        help=f"no more than N, evenly from all ({DEFAULT_IMAGES})",
    )
    made.add_argument(
        "--twin",
        metavar="FILE",
        help="a model to see beside it (the plain twin that ships), or none",
    )
    made.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of everything that is drawn at random (0)"
    )
    made.add_argument(
        "--figure",
        choices=(*FIGURE_FORMATS, "none"),
        default="png",
        help="how figures are saved (png)",
    )
    return made


def main(args: list[str]) -> None:
    """`lightning-resnets analyze NAME FILE [--out DIR] [--data D --root DIR] [--images N] [--twin FILE] ...`."""
    given = build_parser().parse_args(args)
    asked = select_analyses(given.name)
    if given.figure != "none":
        require_matplotlib()
    imaged = any(ANALYSES[name].needs_images for name in asked)
    folder_name, found, baseline, images = load_inputs(given, asked, imaged)
    folder = given.out.expanduser() if given.out else Path("analysis", folder_name)
    names = (folder_name, Path(given.baseline).stem if given.baseline else "")
    looked = make_analysis_inputs(found, baseline, images, given.seed, names)
    beside = f" beside {looked.baseline_name}" if baseline and imaged else ""
    counted = f" on {len(images):,} images" if images and imaged else ""
    header = f"{looked.model_name}{beside}{counted}; files in {folder}"
    if len(asked) > 1:
        print(header, flush=True)
    try:
        with output_dir(folder):
            done = run_analyses(asked, looked, folder, given.figure, header)
    except KeyboardInterrupt:
        clear_progress_line()
        raise AnalysisError(f"Stopped; what was done by then is in {folder}.") from None
    if not done:
        raise AnalysisError("This model allows none of the analyzes.")


def load_inputs(
    given: Namespace, asked: tuple[str, ...], imaged: bool
) -> tuple[str, LoadedCheckpoint, LoadedCheckpoint | None, LabeledImages | None]:
    """The word for the model's files, the model, its twin, and the images, which some analyzes do without."""
    found, word = open_model(given.file, given.model, given.seed)
    baseline = open_baseline(found.card, given.baseline)
    notes = [*found.notes, *(baseline.notes if baseline else ())]
    images = None
    if imaged:
        try:
            images = load_analysis_images(found.card, given.data, given.root, given.images)
        except AnalysisError as error:
            if len(asked) == 1 or given.data:
                raise
            notes.append(str(error))
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    return word, found, baseline, images
