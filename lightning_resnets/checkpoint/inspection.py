"""`lightning-resnets inspect FILE`: which net a file holds, how sure that is, and what does not fit."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lightning_resnets.checkpoint.card import Card, printable
from lightning_resnets.checkpoint.command import Arguments
from lightning_resnets.checkpoint.forms.contents import Contents, contents
from lightning_resnets.checkpoint.origin.finding import Finding
from lightning_resnets.checkpoint.read import blank, card_of, doubts, fill, ours, recognised, unfinished
from lightning_resnets.checkpoint.shipped import find

LISTED = 10  # names of a list that are printed; --json has all
OWN = "the file's own card"


@dataclass(frozen=True, slots=True)
class Report:
    """All that can be said of a file without running anything of it; `finding` is None where it has a card."""

    path: Path
    bytes: int
    held: Contents
    card: Card
    finding: Finding | None
    parameters: int
    burst: tuple[str, ...] = ()  # a sentence where weights are not finite

    @property
    def fits(self) -> bool:
        return self.finding is None or self.finding.fits

    def to_dict(self) -> dict[str, Any]:
        """The report in JSON types."""
        found = self.finding
        return {
            "file": self.path.name,
            "bytes": self.bytes,
            "form": self.held.form,
            "wrapper": self.held.wrapper,
            "net": self.card.arch,
            "parameters": self.parameters,
            "dialect": found.dialect if found else "lightning_resnets",
            "sure": found.sure if found else "certain",
            "why": found.why if found else OWN,
            "alternatives": list(found.alternatives) if found else [],
            "fits": self.fits,
            "missing": list(found.missing) if found else [],
            "unexpected": list(found.unexpected) if found else [],
            "reshaped": [[name, list(file), list(net)] for name, file, net in found.reshaped] if found else [],
            "dropped": list(found.dropped) if found else [],
            "changes": list(found.changes) if found else [],
            "notes": list(self.notes()),
            "card": self.card.to_dict(),
        }

    def notes(self) -> tuple[str, ...]:
        """Sentences worth showing beside the report."""
        taken = doubts(self.finding, self.card) if self.finding and self.fits else ()
        return (*self.held.notes, *taken, *self.burst)


def inspect(path: str | Path, net: str | None = None) -> Report:
    """Read a file and say what it holds; raises CheckpointError where it is like no known net or does not fit its card

    `net` is a name that you give yourself, as in `read.load`.
    """
    path = Path(path)
    held = contents(path)
    finding = recognised(held, path.name, net) if held.card is None else None
    card = card_of(finding) if finding else Card.from_dict(held.card or {})
    if finding:
        count = sum(weight.numel() for weight in parameters(finding.state))
    else:
        built = blank(card, path.name, net)
        fill(
            built,
            ours(held),
            card.arch,
            path.name,
        )
        count = sum(weight.numel() for weight in built.parameters())
    burst = unfinished(held.weights, path.name)
    return Report(path, path.stat().st_size, held, card, finding, count, burst)


def parameters(state: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    """The weights that were trained, without batch norm's statistics."""
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    return [weight for name, weight in state.items() if not name.endswith(statistics)]


def lines(report: Report) -> list[str]:
    """The report as a person reads it."""
    card, found, held = report.card, report.finding, report.held
    options = f" with {', '.join(f'{name}={value!r}' for name, value in card.options.items())}" if card.options else ""
    classes = f"{len(card.classes):,} classes" + (f" of {card.data_name}" if card.data else "")
    inside = f", weights under '{held.wrapper}'" if held.wrapper else ""
    fits = report.fits
    rows = [
        ("file", f"{report.path.name}: {held.form}, {report.bytes / 1e6:.1f} MB{inside}"),
        ("net" if fits else "nearest", f"{card.arch}{options}"),
        ("", f"{report.parameters:,} parameters{f', {classes}' if fits else ' of it in the file'}"),
        ("names", f"{found.dialect}; {found.sure}: {found.why}" if found else OWN),
    ]
    if found and not fits:
        rows.append(("verdict", "does not fit: cannot be opened as this net"))
    if fits:
        rows.append(("picture", picture(card)))
    if found:
        if found.alternatives:
            rows.append(("or", ", ".join(found.alternatives[:LISTED])))
        rows += [("done", change) for change in found.changes]
        rows += listed("left out", found.dropped)
        rows += listed("missing", found.missing)
        rows += listed("unexpected", found.unexpected)
        rows += listed(
            "reshaped", [f"{name} {sides(here)}, the net has {sides(there)}" for name, here, there in found.reshaped]
        )
        if fits:
            rows.append(("verdict", "every weight has its place"))
    for name, value in card.metrics.items():
        rows.append(("measured", f"{name} {value:.4f}"))
    said = doubts(found, card) if found and found.sure != "certain" else ()  # the first says what `names` says
    rows += [("note", note) for note in report.notes() if note not in said[:1]]
    return [printable(f"{label:<11}{text}".rstrip()) for label, text in rows]


def listed(label: str, names: Any) -> list[tuple[str, str]]:
    """One row a name, at most LISTED of them, the label on the first."""
    names = list(names)
    rows = [(f"{label}" if not place else "", name) for place, name in enumerate(names[:LISTED])]
    return rows + ([("", f"and {len(names) - LISTED:,} more")] if len(names) > LISTED else [])


def picture(card: Card) -> str:
    """How a picture becomes the net's input, in one line."""
    _, height, width = card.size
    cut = f" cut from {round(height / card.crop)} ({card.resample})" if card.crop < 1 else ""
    whole = all(abs(255 * value - 1) < 1e-6 for value in card.std)
    scale = 255 if whole else 1
    mean = ", ".join(f"{scale * value:.5g}" for value in card.mean)
    std = "" if whole else f", std {', '.join(f'{value:.5g}' for value in card.std)}"
    epsilon = f"; batch norm epsilon {card.epsilon:g}" if card.epsilon else ""
    return f"{width}×{height}{cut}, {card.channels} {'0..255' if whole else '0..1'}, mean {mean}{std}{epsilon}"


def sides(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "one number"


def main(args: list[str]) -> None:
    """`lightning-resnets inspect FILE [--net NAME] [--json]`."""
    parser = Arguments("inspect", "Say which net a file holds, how sure that is, and what does not fit.")
    parser.add_argument("--json", action="store_true", help="print one JSON object, all lists whole")
    given = parser.parse_args(args)
    report = inspect(find(given.file), given.net)
    if given.json:
        print(json.dumps(report.to_dict()))
    else:
        print("\n".join(lines(report)))
    if not report.fits:
        sys.exit(1)
