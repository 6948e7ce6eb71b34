"""Write the results of analyses: tables as CSV and JSON, and figures."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

from lightning_resnets.analysis.result import Result, Table
from lightning_resnets.errors import AnalysisError
from lightning_resnets.utils.atomic_write import atomic_write, atomic_write_text

FIGURE_SIZE_INCHES = (10.0, 6.5)

FIGURE_DPI = 150

RESULT_SUFFIXES = (".csv", ".json", ".png", ".svg", ".pdf")


def save_result(result: Result, name: str, folder: Path, figure_format: str) -> list[Path]:
    """Write the tables of a result as CSV and JSON, and its figure.

    Args:
        result: return value of `run_analysis`.
        name: name of the analysis, the beginning of the file names.
        folder: output folder, created if missing.
        figure_format: "png", "svg", "pdf", or "none".

    Returns:
        The files written; empty tables are left out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    for table_name, table in result.tables().items():
        if table.rows:
            stem = name if table_name == name else f"{name}-{table_name}"
            paths.extend(_save_table(table, folder, stem))
    if figure_format != "none":
        path = folder / f"{name}.{figure_format}"
        save_figure(result, path)
        paths.append(path)
    return paths


def _save_table(table: Table, folder: Path, stem: str) -> Iterator[Path]:
    """Write a table in both formats and yield the files."""
    for suffix, text in ((".csv", table.csv()), (".json", table.json() + "\n")):
        path = folder / f"{stem}{suffix}"
        atomic_write_text(path, text)
        yield path


def require_matplotlib() -> None:
    """Raise AnalysisError if matplotlib is not installed."""
    if find_spec("matplotlib") is None:
        raise AnalysisError(
            "Figures need matplotlib, which is not installed. "
            "Run pip install 'lightning-resnets[plots]', or add --figure-format none."
        )


def save_figure(result: Result, path: Path) -> None:
    """Draw the figure of a result.

    Args:
        result: return value of `run_analysis`.
        path: file to write; its ending selects the format.
    """
    # matplotlib is optional, and takes a second to import.
    from matplotlib.figure import Figure

    figure = Figure(FIGURE_SIZE_INCHES, layout="compressed")
    result.draw(figure)
    with atomic_write(path) as part:
        figure.savefig(part, dpi=FIGURE_DPI, bbox_inches="tight")


def _existing_results(folder: Path, names: tuple[str, ...]) -> list[Path]:
    """Find the tables and figures that earlier runs of analyses wrote, sorted."""
    if not folder.is_dir():
        return []
    found = list[Path]()
    for path in sorted(folder.iterdir()):
        # Further tables of an analysis are called NAME-TABLE.
        analysis = path.stem.partition("-")[0]
        if analysis in names and path.suffix in RESULT_SUFFIXES:
            found.append(path)
    return found


def check_results(folder: Path, names: tuple[str, ...], overwrite: bool) -> None:
    """Raise AnalysisError if files of an earlier run would be replaced.

    Args:
        folder: output folder.
        names: analyses to run.
        overwrite: whether they may be replaced.

    Raises:
        AnalysisError: there are such files.
    """
    existing = [] if overwrite else _existing_results(folder, names)
    if existing:
        raise AnalysisError(
            f"'{existing[0]}' already exists. Choose another folder with --out, or add --overwrite."
        )


@contextmanager
def output_dir(folder: Path) -> Iterator[None]:
    """Create an output folder, and remove it again if it stays empty.

    Args:
        folder: the folder; missing parents are created and removed with it.

    Raises:
        AnalysisError: the folder cannot be created or written to.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise AnalysisError(
            f"Cannot write to '{folder}' ({error.strerror}). Choose another folder with --out."
        ) from error
    finally:
        for path in missing:
            # rmdir removes empty folders only.
            with suppress(OSError):
                path.rmdir()
