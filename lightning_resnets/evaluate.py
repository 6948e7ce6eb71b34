"""`lightning-resnets evaluate FILE --data cifar10|imagenet|folder|sample --root DIR`: how often a net is right."""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from lightning_resnets.checkpoint.card import Card
from lightning_resnets.checkpoint.command import Arguments
from lightning_resnets.checkpoint.read import Opened, open_checkpoint
from lightning_resnets.checkpoint.shipped import find
from lightning_resnets.data import folder, official
from lightning_resnets.data.folder import Picture
from lightning_resnets.data.official import DataError
from lightning_resnets.data.sample import CLASSES
from lightning_resnets.data.sample import pictures as sample_pictures

OWN = "lightning_resnets"  # the dialect of a file whose weights have our names
PIXELS = 16 * 224 * 224  # of one batch
Labelled = tuple[Sequence[Picture], list[int]]
Tell = Callable[[int, int, int], None]  # pictures done, of them right, all there are


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What an evaluation found: `correct` of `total` pictures right at first; `top1` and `top5` are shares in 0..1."""

    net: str
    dialect: str
    data: str
    correct: int
    total: int
    top1: float
    top5: float
    seconds: float

    def __str__(self) -> str:
        speed = f"{self.total / self.seconds:,.0f} a second" if self.seconds else ""
        rows = (
            ("net", f"{self.net} (weights named as in {self.dialect})"),
            ("data", self.data),
            ("top-1", f"{self.top1:8.2%} right at first"),
            ("top-5", f"{self.top5:8.2%} right among five"),
            ("pictures", f"{self.total:,}, {self.correct:,} of them right"),
            ("seconds", f"{self.seconds:,.1f}, {speed}"),
        )
        return "\n".join(f"{label:<10}{text}" for label, text in rows)


def ranks(logits: Tensor, labels: Tensor) -> Tensor:
    """How many classes come before the right one, (N,) int64, for logits (N, K); of equal ones the earlier comes first.

    A picture for which the net answers with something that is no number ranks last: K.
    """
    own = logits.gather(1, labels[:, None])  # (N, 1)
    earlier = torch.arange(logits.shape[1]) < labels[:, None]  # (N, K)
    before = ((logits > own) | ((logits == own) & earlier)).sum(1)
    return before.masked_fill(logits.isnan().any(1), logits.shape[1])


def silent(done: int, right: int, total: int) -> None:
    """Tells nobody."""


def count(net: nn.Module, batches: Iterable[Tensor], labels: Tensor, tell: Tell = silent) -> tuple[int, int]:
    """How many pictures a net gets right at first and among five; `tell` hears of it after each batch.

    `net` in evaluation, `batches` (N, C, H, W) in the order of `labels` (all,) int64.
    """
    done = first = five = 0
    net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    with torch.inference_mode():
        for batch in batches:
            logits = net(batch.contiguous(memory_format=torch.channels_last))
            places = ranks(logits, labels[done : done + len(batch)])
            done, first, five = done + len(batch), first + int((places < 1).sum()), five + int((places < 5).sum())
            tell(done, first, len(labels))
    assert done == len(labels), "a label for each picture"
    return first, five


def evaluate(
    opened: Opened, data: str, root: Path, batch_size: int | None = None, limit: int | None = None, threads: int = 1,
    tell: Tell = silent,
) -> Score:  # fmt: skip
    """Count what an opened net gets right of `data` (a name of DATA) in `root`; pictures are decoded in `threads`.

    `batch_size` pictures go through the net at once (None: as many as are fastest); `limit` takes that many pictures,
    evenly from all. Raises DataError and PictureError, one sentence each.
    """
    card = opened.card
    pictures, labels = thinned(DATA[data](root, card), limit)
    start = time.perf_counter()
    made = folder.batches(pictures, card, batch_size or fastest(card), threads)
    first, five = count(opened.net, made, torch.tensor(labels), tell)
    seconds, total = time.perf_counter() - start, len(labels)
    return Score(
        net=card.arch, dialect=card.dialect or OWN, data=data, correct=first, total=total, top1=first / total,
        top5=five / total, seconds=seconds,
    )  # fmt: skip


def fastest(card: Card) -> int:
    """Pictures at once: 16 of 224 pixels a side, up to 64 smaller ones; maps of more do not stay in the cache."""
    return max(1, min(64, PIXELS // (card.size[1] * card.size[2])))


def cifar10(root: Path, card: Card) -> Labelled:
    """The official test set."""
    place = official.layout(root)
    if place is None:
        raise DataError(
            f"There is no CIFAR-10 in '{root}': give the folder that holds cifar-10-batches-py or "
            "cifar-10-batches-bin (--root DIR)."
        )
    order = places_of_cifar10(card)
    images, labels = official.test(place)
    return list(images.permute(0, 2, 3, 1).contiguous().numpy()), [order[label] for label in labels.tolist()]


def sample(root: Path, card: Card) -> Labelled:
    """The 1,000 test pictures of CIFAR-10 that ship, wherever `root` is."""
    order = places_of_cifar10(card)
    images, labels = sample_pictures("test")
    return list(images), [order[label] for label in labels.tolist()]


def places_of_cifar10(card: Card) -> list[int]:
    """Which of the net's classes each of CIFAR-10's is."""
    if len(card.classes) != len(CLASSES):
        raise DataError(
            f"This net tells {len(card.classes):,} classes apart and CIFAR-10 has {len(CLASSES)}: take pictures of its "
            "own classes."
        )
    return [card.classes.index(name) for name in CLASSES] if set(CLASSES) == set(card.classes) else list(range(10))


def imagenet(root: Path, card: Card) -> Labelled:
    """Pictures in folders of WordNet numbers, in `root` or in `root/val`."""
    found = folder.pictures(root / "val" if (root / "val").is_dir() else root)
    places = folder.numbered({name for _, name in found}, card.classes)
    return [path for path, _ in found], [places[name] for _, name in found]


def pictures(root: Path, card: Card) -> Labelled:
    """Pictures in folders that are called as the net's classes."""
    found = folder.pictures(root)
    places = folder.matched({name for _, name in found}, card.classes)
    return [path for path, _ in found], [places[name] for _, name in found]


DATA: dict[str, Callable[[Path, Card], Labelled]] = {
    "cifar10": cifar10,
    "imagenet": imagenet,
    "folder": pictures,
    "sample": sample,
}


def thinned(given: Labelled, limit: int | None) -> Labelled:
    """At most `limit` of the pictures, evenly from all: the first ones would be of one class."""
    pictures, labels = given
    if limit is None or limit >= len(labels):
        return given
    chosen = [place * len(labels) // limit for place in range(limit)]
    return [pictures[place] for place in chosen], [labels[place] for place in chosen]


def rooted(data: str, root: Path | None) -> Path:
    """The folder of the pictures; raises DataError where it is not said."""
    if root is None and data != "sample":
        raise DataError(f"Say where the pictures lie: --data {data} --root DIR.")
    return root.expanduser() if root else Path()


def progress(done: int, right: int, total: int) -> None:
    """One line on the error stream that is written over again and again."""
    sys.stderr.write(f"\r{done:,} of {total:,} pictures, {right / done:.2%} right ")
    sys.stderr.flush()


def clear() -> None:
    sys.stderr.write(f"\r{'':60}\r")


def number(text: str) -> int:
    """A whole number from 1 on."""
    if not text.isascii() or not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number from 1 on")
    return int(text)


def main(args: list[str]) -> None:
    """`lightning-resnets evaluate FILE --data NAME --root DIR [--batch-size N] [--limit N] [--threads N] [--json]`."""
    parser = Arguments("evaluate", "Count how many pictures a net gets right, at first (top-1) and among five (top-5).")
    parser.add_argument("--data", required=True, choices=DATA, help="what the pictures are")
    parser.add_argument("--root", type=Path, metavar="DIR", help="where they lie (not for the sample, which ships)")
    parser.add_argument("--batch-size", type=number, metavar="N", help="pictures at once (what is fastest)")
    parser.add_argument("--limit", type=number, metavar="N", help="no more than N pictures, evenly from all")
    parser.add_argument(
        "--threads", type=number, default=os.cpu_count() or 1, metavar="N", help="that decode pictures (one a core)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args(args)
    root = rooted(given.data, given.root)
    opened = open_checkpoint(find(given.file), **({"net": given.net} if given.net else {}))
    for note in opened.notes:
        print(f"note: {note}", file=sys.stderr)
    shown = sys.stderr.isatty()
    try:
        score = evaluate(
            opened, given.data, root, given.batch_size, given.limit, given.threads,
            progress if shown else silent,
        )  # fmt: skip
    finally:
        if shown:
            clear()
    print(json.dumps(asdict(score)) if given.json else score)
