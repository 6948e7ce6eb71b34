"""`lightning-resnets analyse NAME FILE`: the experiments of `lightning_resnets.analysis`, as tables and figures."""

import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from lightning_resnets.analysis.every import ANALYSES, Subject, analyse
from lightning_resnets.analysis.result import AnalysisError, Pictures, Result
from lightning_resnets.checkpoint.card import Card, CheckpointError
from lightning_resnets.checkpoint.command import Arguments
from lightning_resnets.checkpoint.read import Opened, open_checkpoint
from lightning_resnets.checkpoint.shipped import find, shipped
from lightning_resnets.data.folder import batches
from lightning_resnets.evaluate import DATA, clear, number, rooted, thinned
from lightning_resnets.graph import TraceError
from lightning_resnets.zoo import build, names

MOST = 1000  # pictures, where nobody says how many
INCHES = (10.0, 6.5)  # of a figure
FORMATS = ("png", "svg", "pdf")


def subject(opened: Opened, twin: Opened | None, pictures: Pictures, seed: int = 0) -> Subject:
    """What the analyses look at: the net, its plain twin, and both at initialisation where they can be built."""
    card = opened.card
    beside = twin.card.arch if twin else plain_twin(card.arch)
    return Subject(
        net=fast(opened.net),
        size=card.size,
        classes=card.classes,
        pictures=pictures,
        twin=fast(twin.net) if twin else None,
        fresh=fresh(card, card.arch, seed),
        fresh_twin=fresh(card, beside, seed) if beside else None,
        seed=seed,
    )


def fresh(card: Card, arch: str, seed: int) -> nn.Module | None:
    """A net of that name as it is before its first step; None for one that is not the zoo's."""
    if arch not in names():
        return None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = build(arch, len(card.classes), **(card.options if arch == card.arch else {}))
    return net.eval().requires_grad_(False)


def plain_twin(arch: str) -> str | None:
    """The plain net of the same depth, as plain20 is seresnet20's; None where there is none."""
    depth = re.fullmatch(r"(?:se|pre|sepre)?resnet(\d+)", arch)
    name = f"plain{depth[1]}" if depth else ""
    return name if name in names() else None


def opened_twin(card: Card, asked: str | None) -> Opened | None:
    """The net to see beside this one: the file asked for, else the plain twin that ships for the same data."""
    if asked == "none":
        return None
    if asked is None:
        name = plain_twin(card.arch)
        path = shipped().get(f"{name}-{card.data}") if name else None
        if path is None:
            return None
        asked = str(path)
    twin = open_checkpoint(find(asked))
    if (len(twin.card.classes), twin.card.size) != (len(card.classes), card.size):
        raise CheckpointError(
            f"'{asked}' tells {len(twin.card.classes)} classes apart in pictures of {sides(twin.card)} and this net "
            f"{len(card.classes)} in {sides(card)}: a twin sees the same pictures (--twin FILE, or --twin none)."
        )
    return twin


def fast(net: nn.Module) -> nn.Module:
    """The net with its weights in the layout of `looked_at`'s pictures."""
    return net.to(memory_format=torch.channels_last)  # type: ignore[call-overload] - its stubs know tensors alone


def sides(card: Card) -> str:
    return "×".join(map(str, card.size))


def looked_at(card: Card, data: str | None, root: Path | None, limit: int) -> Pictures:
    """Pictures as the net takes them; of themselves those of the CIFAR-10 sample that ships."""
    if data is None and card.data != "cifar10":
        raise AnalysisError(
            f"The pictures that ship are CIFAR-10's and this net was trained on {card.data or 'others'}: say which to "
            "look at, with --data imagenet|folder --root DIR."
        )
    name = data or "sample"
    pictures, labels = thinned(DATA[name](rooted(name, root), card), limit)
    images = torch.cat(list(batches(pictures, card, 64)))
    return Pictures(images.contiguous(memory_format=torch.channels_last), torch.tensor(labels))  # the faster layout


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


def performed(asked: tuple[str, ...], given: Subject, folder: Path, form: str) -> int:
    """Do the analyses one after another, saying what each wrote; how many were done.

    Of several, one that does not fit the net is passed over with its sentence; a single one raises it.
    """
    done = 0
    for name in asked:
        start = time.perf_counter()
        try:
            result = analyse(name, given, teller(name))
        except (AnalysisError, TraceError) as error:
            if len(asked) == 1:
                raise
            wipe()
            print(f"{name:<12}not done: {error}")
            continue
        wipe()
        files = save(result, name, folder, form)
        done += 1
        print(f"{name:<12}{time.perf_counter() - start:5.1f} s  {', '.join(path.name for path in files)}", flush=True)
    return done


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
        f"{listing()}\n  {'all':<12}each of them that the net allows",
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
    path = find(given.file)
    opened = open_checkpoint(path, **({"net": given.net} if given.net else {}))
    twin = opened_twin(opened.card, given.twin)
    for note in (*opened.notes, *(twin.notes if twin else ())):
        print(f"note: {note}", file=sys.stderr)
    pictures = looked_at(opened.card, given.data, given.root, given.pictures)
    folder = given.out or Path("analysis", path.stem)
    beside = f", beside {twin.card.arch}" if twin else ""
    print(f"{opened.card.arch} on {len(pictures):,} pictures{beside}; files in {folder}", flush=True)
    try:
        done = performed(asked, subject(opened, twin, pictures, given.seed), folder, given.figure)
    except KeyboardInterrupt:
        wipe()
        raise AnalysisError(f"Stopped; what was done by then is in {folder}.") from None
    if not done:
        raise AnalysisError("This net allows none of the analyses.")
