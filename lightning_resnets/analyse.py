"""`lightning-resnets analyse NAME FILE`: the experiments of `lightning_resnets.analysis`, as tables and figures."""

import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lightning_resnets.analysis.every import ANALYSES, Subject, analyse
from lightning_resnets.analysis.result import AnalysisError, Pictures, Result
from lightning_resnets.checkpoint.command import Arguments
from lightning_resnets.checkpoint.read import Opened
from lightning_resnets.evaluate import DATA, clear, number
from lightning_resnets.graph import TraceError
from lightning_resnets.points import PointError
from lightning_resnets.subjects import looked_at, opened, opened_twin, subject
from lightning_resnets.surgery.edits import SurgeryError

MOST = 1000  # pictures, where nobody says how many
INCHES = (10.0, 6.5)  # of a figure
FORMATS = ("png", "svg", "pdf")


def save(result: Result, name: str, folder: Path, form: str) -> list[Path]:
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
        picture(result, written[-1])
    return written


def picture(result: Result, path: Path) -> None:
    """Draw a result into a file, whose ending says how."""
    from matplotlib.figure import Figure

    figure = Figure(INCHES, layout="compressed")
    result.draw(figure)
    figure.savefig(path, dpi=150, bbox_inches="tight")


def teller(name: str) -> Callable[[int, int], None]:
    """Progress on one line of the error stream; nothing where that is no terminal."""

    def tell(done: int, total: int) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{name}: {done:,} of {total:,} ")
            sys.stderr.flush()

    return tell


def wipe() -> None:
    if sys.stderr.isatty():
        clear()


def chosen(name: str) -> tuple[str, ...]:
    """The analyses that a word of the command line asks for."""
    if name == "all":
        return tuple(ANALYSES)
    if name not in ANALYSES:
        raise AnalysisError(f"There is no analysis called '{name}': there are {', '.join(ANALYSES)}, and all.")
    return (name,)


def performed(asked: tuple[str, ...], given: Subject, folder: Path, form: str, header: str) -> int:
    """Do the analyses one after another, saying what each wrote; how many were done.

    Of several, one that does not fit the net is passed over with its sentence; a single one raises it.
    """
    done = 0
    for name in asked:
        start = time.perf_counter()
        try:
            result = analyse(name, given, teller(name))
        except (AnalysisError, SurgeryError, PointError, TraceError) as error:
            if len(asked) == 1:
                raise
            wipe()
            print(f"{name:<12}not done: {error}", flush=True)
            continue
        wipe()
        files = save(result, name, folder, form)
        if len(asked) == 1:
            print(header)
        done += 1
        print(f"{name:<12}{time.perf_counter() - start:5.1f} s  {', '.join(path.name for path in files)}", flush=True)
    return done


@contextmanager
def written_to(folder: Path) -> Iterator[None]:
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


def need_matplotlib() -> None:
    try:
        import matplotlib as _  # noqa: F401 - only whether it is there
    except ImportError:
        raise AnalysisError(
            "Figures need matplotlib, which is not installed: pip install 'lightning-resnets[plots]', or leave them "
            "out with --figure none."
        ) from None


def listing() -> str:
    return "\n".join(f"  {name:<12}{analysis.words}" for name, analysis in ANALYSES.items())


def parser() -> Arguments:
    made = Arguments(
        "analyse",
        "What skips, concatenations and gates do in a net: tables (CSV, JSON) and a figure for each analysis.\n\n"
        f"{listing()}\n  {'all':<12}each of them that the net allows\n\n"
        "FILE may be a net's name too, which is then untrained: one of `lightning-resnets models`, torchvision/NAME,\n"
        "timm/NAME, or module:function of your own.",
        before=("name",),
    )
    made.add_argument("--out", type=Path, metavar="DIR", help="where the files go (analysis/FILE)")
    made.add_argument("--data", choices=DATA, help="what the pictures are (CIFAR-10 nets: the sample that ships)")
    made.add_argument("--root", type=Path, metavar="DIR", help="where they lie")
    made.add_argument(
        "--pictures", type=number, default=MOST, metavar="N", help=f"no more than N, evenly from all ({MOST})"
    )
    made.add_argument("--twin", metavar="FILE", help="a net to see beside it (the plain twin that ships), or none")
    made.add_argument("--seed", type=int, default=0, metavar="N", help="of everything that is drawn at random (0)")
    made.add_argument("--figure", choices=(*FORMATS, "none"), default="png", help="how figures are saved (png)")
    return made


def main(args: list[str]) -> None:
    """`lightning-resnets analyse NAME FILE [--out DIR] [--data D --root DIR] [--pictures N] [--twin FILE] ...`."""
    given = parser().parse_args(args)
    asked = chosen(given.name)
    if given.figure != "none":
        need_matplotlib()
    pictured = any(ANALYSES[name].needs_pictures for name in asked)
    folder_name, found, twin, pictures = opened_all(given, asked, pictured)
    folder = given.out.expanduser() if given.out else Path("analysis", folder_name)
    names = (folder_name, Path(given.twin).stem if given.twin else "")
    looked = subject(found, twin, pictures, given.seed, names)
    beside = f" beside {looked.twin_name}" if twin and pictured else ""
    counted = f" on {len(pictures):,} pictures" if pictures and pictured else ""
    header = f"{looked.name}{beside}{counted}; files in {folder}"
    if len(asked) > 1:
        print(header, flush=True)
    try:
        with written_to(folder):
            done = performed(asked, looked, folder, given.figure, header)
    except KeyboardInterrupt:
        wipe()
        raise AnalysisError(f"Stopped; what was done by then is in {folder}.") from None
    if not done:
        raise AnalysisError("This net allows none of the analyses.")


def opened_all(
    given: Namespace, asked: tuple[str, ...], pictured: bool
) -> tuple[str, Opened, Opened | None, Pictures | None]:
    """The word for the net's files, the net, its twin, and the pictures, which some analyses do without."""
    found, word = opened(given.file, given.net, given.seed)
    twin = opened_twin(found.card, given.twin)
    notes = [*found.notes, *(twin.notes if twin else ())]
    pictures = None
    if pictured:
        try:
            pictures = looked_at(found.card, given.data, given.root, given.pictures)
        except AnalysisError as error:
            if len(asked) == 1 or given.data:
                raise
            notes.append(str(error))
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    return word, found, twin, pictures
