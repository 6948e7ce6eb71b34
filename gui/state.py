"""What the user wants (Wish), what the engine saw (Sight), what to paint (Screen): plain frozen data, one pure step.

Only numpy and the standard library live here, so views, controller, worker and engine can all speak of these.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from gui.diagram import Diagram as Diagram
from gui.diagram import Edit as Edit
from gui.diagram import EditKind as EditKind
from gui.diagram import Link as Link
from gui.diagram import MergeKind as MergeKind
from gui.diagram import Node as Node
from gui.diagram import NodeKind as NodeKind
from gui.diagram import SkipLine as SkipLine
from gui.diagram import edit_words as edit_words
from gui.diagram import find_edit as find_edit
from gui.diagram import short as short
from gui.diagram import tail as tail
from gui.diagram import with_edit as with_edit
from gui.diagram import without_edit as without_edit

Contrast = Literal["channel", "layer"]
Order = Literal["channel", "weight"]


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A picture as it was given: a file's path, its bytes, or pixels (H, W, 3) uint8; equal only to itself."""

    label: str
    path: str | None = None
    data: bytes | None = None
    pixels: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class Wish:
    """Everything the user has asked for; the whole of it is what undo, worker and screen look at.

    `own` is the `module:function` that he gave himself for a net of his own.
    """

    net: str | None = None
    own: str | None = None
    picture: Picture | None = None
    selected: str | None = None
    edits: tuple[Edit, ...] = ()
    contrast: Contrast = "channel"
    order: Order = "channel"


@dataclass(frozen=True, slots=True)
class Net:
    """An opened checkpoint: `key` is what was asked for, `facts` are (label, value) pairs to show."""

    key: str
    title: str
    arch: str
    classes: tuple[str, ...]
    diagram: Diagram
    facts: tuple[tuple[str, str], ...] = ()
    warning: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Maps:
    """The output of one block, (C, H, W) float32; a vector is (K, 1, 1)."""

    name: str
    values: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Residual:
    """The three tensors of an Add, each (C, H, W): shortcut + branch = total."""

    name: str
    shortcut: np.ndarray
    branch: np.ndarray
    total: np.ndarray


@dataclass(frozen=True, slots=True)
class Part:
    """Channels start to stop of a concatenation, made by `source`, the `place`th of `places` that its block has."""

    source: str
    start: int
    stop: int
    place: int
    places: int


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """The output of a Concat, (C, H, W), and who made which channels."""

    name: str
    values: np.ndarray
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Gates:
    """A Gate: one weight a channel (C,), the maps before and after it, each (C, H, W)."""

    name: str
    weight: np.ndarray
    before: np.ndarray
    after: np.ndarray


Detail = Maps | Residual | Parts | Gates


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """What the engine saw of one wish; `before` are the probabilities without any edit.

    `refused` says in a sentence why the wished picture could not be read; then there is the net alone. `asks` is the
    `module:function` that the wished file names and the user has to give himself; then there is nothing.
    """

    net: Net | None = None
    picture: Picture | None = None
    seen: np.ndarray | None = None
    probabilities: np.ndarray | None = None
    before: np.ndarray | None = None
    edits: tuple[Edit, ...] = ()
    detail: Detail | None = None
    changes: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    refused: str = ""
    asks: str = ""


@dataclass(frozen=True, slots=True)
class Shipped:
    """A net of the gallery."""

    key: str
    title: str
    detail: str


@dataclass(frozen=True, slots=True)
class Shelf:
    """What the start page and the gallery offer: nets that ship and sample pictures."""

    nets: tuple[Shipped, ...] = ()
    samples: tuple[Picture, ...] = ()
    note: str = ""

    def place(self, picture: Picture | None) -> int | None:
        """Which of the samples a picture is; None where it came from elsewhere."""
        return next((i for i, sample in enumerate(self.samples) if sample is picture), None)


@dataclass(frozen=True, slots=True)
class Bar:
    """One class of the prediction: its share now, and before the edits where there are any."""

    label: str
    share: float
    before: float | None


@dataclass(frozen=True, slots=True)
class Chip:
    """One active edit in words."""

    key: tuple[str, str, int]
    text: str
    kind: MergeKind | Literal["block"]


@dataclass(frozen=True, slots=True, eq=False)
class Screen:
    """All that is on the screen; the views are given only what differs from the last one."""

    page: Literal["start", "net"] = "start"
    title: str = "Lightning ResNets"
    facts: tuple[tuple[str, str], ...] = ()
    warning: str = ""
    diagram: Diagram = field(default_factory=Diagram)
    selected: str | None = None
    node: Node | None = None
    edits: tuple[Edit, ...] = ()
    chips: tuple[Chip, ...] = ()
    changes: dict[str, float] = field(default_factory=dict)
    picture: str = ""
    seen: np.ndarray | None = None
    bars: tuple[Bar, ...] = ()
    detail: Detail | None = None
    contrast: Contrast = "channel"
    order: Order = "channel"
    status: str = ""


def fallback(wish: Wish, good: Wish, sight: Sight) -> Wish:
    """The wish to go back to where the net of `wish` could not be opened: the last `good` one, or the start page.

    The start page keeps a picture that was named with a net: no net was there to try it on.
    """
    untried = sight.net is None and wish.net is not None and good.net is None
    standing = good if sight.net else Wish(picture=wish.picture if untried else good.picture)
    return replace(standing, contrast=wish.contrast, order=wish.order)


def another_picture(wish: Wish, good: Wish, shelf: Shelf) -> Wish:
    """The wish without its picture, which was refused: with the last good one, or else the first sample."""
    others = (good.picture if good.net else None, *shelf.samples[:1])
    return replace(wish, picture=next((one for one in others if one and one is not wish.picture), None))


def resolve(wish: Wish, sight: Sight) -> Screen:
    """What to paint: choices come from the wish at once, values from the newest sight."""
    net = sight.net
    if net is None:
        return Screen(status="Opening…" if wish.net else "")
    fresh = net.key == wish.net
    return Screen(
        page="net",
        title=net.title,
        facts=net.facts,
        warning=net.warning,
        diagram=net.diagram,
        selected=wish.selected,
        node=net.diagram.node(sight.detail.name if sight.detail else wish.selected),
        edits=wish.edits if fresh else (),
        chips=tuple(chip(edit, net.diagram) for edit in wish.edits) if fresh else (),
        changes=sight.changes,
        picture=sight.picture.label if sight.picture else "",
        seen=sight.seen,
        bars=bars(sight, net.classes),
        detail=sight.detail,
        contrast=wish.contrast,
        order=wish.order,
        status="" if fresh else "Opening…",
    )


def bars(sight: Sight, classes: Sequence[str], count: int = 5) -> tuple[Bar, ...]:
    """The `count` likeliest classes, best first; with edits, what each was before, and the former best in any case."""
    if sight.probabilities is None:
        return ()
    best = [int(i) for i in np.argsort(-sight.probabilities, kind="stable")[:count]]
    before = sight.before if sight.edits else None
    if before is not None and (former := int(np.argmax(before))) not in best:
        best[-1] = former
    return tuple(
        Bar(classes[i], float(sight.probabilities[i]), None if before is None else float(before[i])) for i in best
    )


def chip(edit: Edit, diagram: Diagram) -> Chip:
    """An edit in words, with the kind of merge that it changes."""
    node = diagram.node(edit.target)
    kind = node.kind if node and node.kind in ("add", "concat", "gate") else "block"
    return Chip(edit.key, edit_words(edit, diagram), kind)
