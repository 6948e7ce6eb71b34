"""What the user wants (Wish), what the engine saw (Sight), what to paint (Screen): plain frozen data, one pure step.

Only numpy and the standard library live here, so views, controller, worker and engine can all speak of these.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

NodeKind = Literal["input", "block", "add", "concat", "gate", "output", "head"]
MergeKind = Literal["add", "concat", "gate"]
EditKind = Literal["scale", "hold", "drop"]
Contrast = Literal["channel", "layer"]
Order = Literal["channel", "weight"]


# ---- the graph as it is drawn


@dataclass(frozen=True, slots=True)
class Node:
    """One drawn block of the folded graph; `output` names the module whose output it stands for."""

    name: str
    label: str
    kind: NodeKind
    op: str
    shape: tuple[int, ...]
    parameters: int
    macs: int
    output: str


@dataclass(frozen=True, slots=True)
class Link:
    """The output of `source` is operand number `operand` of `target`."""

    source: str
    target: str
    operand: int


@dataclass(frozen=True, slots=True)
class SkipLine:
    """A path around something: from `source` to `merge`; `projected` says how it was made to fit, None for identity."""

    kind: MergeKind
    source: str
    merge: str
    operand: int
    projected: str | None


@dataclass(frozen=True, slots=True)
class Diagram:
    """All that is drawn of a net; nodes in execution order."""

    nodes: tuple[Node, ...] = ()
    links: tuple[Link, ...] = ()
    skips: tuple[SkipLine, ...] = ()

    def node(self, name: str | None) -> Node | None:
        return next((node for node in self.nodes if node.name == name), None)

    def skip(self, merge: str, operand: int) -> SkipLine | None:
        return next((skip for skip in self.skips if (skip.merge, skip.operand) == (merge, operand)), None)


@dataclass(frozen=True, slots=True)
class Edit:
    """One intervention: scale an operand of a merge, hold it at a value, or drop a block; unique by `key`."""

    kind: EditKind
    target: str
    operand: int
    value: float

    @property
    def key(self) -> tuple[str, str, int]:
        return self.kind, self.target, self.operand

    @property
    def cut(self) -> bool:
        """True where nothing comes through: a scale by zero."""
        return self.kind == "scale" and self.value == 0.0


def with_edit(edits: Sequence[Edit], edit: Edit) -> tuple[Edit, ...]:
    """`edits` with `edit` in place of the one of its key; a scale by 1 changes nothing and is left out."""
    kept = without_edit(edits, edit.key)
    return kept if edit.kind == "scale" and edit.value == 1.0 else (*kept, edit)


def without_edit(edits: Sequence[Edit], key: tuple[str, str, int]) -> tuple[Edit, ...]:
    return tuple(edit for edit in edits if edit.key != key)


def find_edit(edits: Sequence[Edit], key: tuple[str, str, int]) -> Edit | None:
    return next((edit for edit in edits if edit.key == key), None)


# ---- what the user wants


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A picture as it was given: a file's path, its bytes, or pixels (H, W, 3) uint8; equal only to itself."""

    label: str
    path: str | None = None
    data: bytes | None = None
    pixels: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class Wish:
    """Everything the user has asked for; the whole of it is what undo, worker and screen look at."""

    net: str | None = None
    picture: Picture | None = None
    selected: str | None = None
    edits: tuple[Edit, ...] = ()
    contrast: Contrast = "channel"
    order: Order = "channel"


# ---- what the engine saw


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
    """Channels start to stop of a concatenation, made by `source`."""

    source: str
    start: int
    stop: int


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
    """What the engine saw of one wish; `before` are the probabilities without any edit."""

    net: Net | None = None
    picture: Picture | None = None
    seen: np.ndarray | None = None
    probabilities: np.ndarray | None = None
    before: np.ndarray | None = None
    edits: tuple[Edit, ...] = ()
    detail: Detail | None = None
    changes: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0


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


# ---- what to paint


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
    diagram: Diagram = Diagram()
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
    """The `count` likeliest classes, best first; `before` is set only where edits are active."""
    if sight.probabilities is None:
        return ()
    best = np.argsort(-sight.probabilities, kind="stable")[:count]
    before = sight.before if sight.edits else None
    return tuple(
        Bar(classes[i], float(sight.probabilities[i]), None if before is None else float(before[i])) for i in best
    )


def chip(edit: Edit, diagram: Diagram) -> Chip:
    """An edit in words: "cut shortcut of layer1.0", "fade branch of layer2.1 to 40 %"."""
    node = diagram.node(edit.target)
    kind = node.kind if node and node.kind in ("add", "concat", "gate") else "block"
    what = operand_words(edit, diagram)
    match edit.kind:
        case "drop":
            text = f"drop {edit.target}"
        case "hold":
            text = f"hold {what} at {edit.value:g}"
        case _:
            text = f"cut {what}" if edit.value == 0 else f"{what} × {edit.value:.2f}"
    return Chip(edit.key, text, kind)


def operand_words(edit: Edit, diagram: Diagram) -> str:
    """The operand of an edit in words, with the place it belongs to."""
    node, skip = diagram.node(edit.target), diagram.skip(edit.target, edit.operand)
    kind = node.kind if node else "block"
    place = short(edit.target)
    if kind == "add":
        return f"{('shortcut', 'branch')[min(edit.operand, 1)]} of {place}"
    if kind == "gate":
        return f"{('input', 'gate weights')[min(edit.operand, 1)]} of {place}"
    if kind == "concat":
        return f"{short(skip.source) if skip else f'part {edit.operand + 1}'} → {place}"
    return place


def short(name: str) -> str:
    """A module path without what every reader knows: `layer1.0.add` is `layer1.0`, `features.` falls off the front."""
    parts = name.removeprefix("features.").split(".")
    if len(parts) > 1 and parts[-1] in ("add", "concat", "gate"):
        parts = parts[:-1]
    return ".".join(parts)


def restored(wish: Wish) -> Wish:
    """The wish without its edits."""
    return replace(wish, edits=())
