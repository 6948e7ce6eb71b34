"""The graph as it is drawn, and the edits made to it: plain frozen data, and the words for both."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

NodeKind = Literal["input", "block", "add", "concat", "gate", "output", "head"]


MergeKind = Literal["add", "concat", "gate"]


EditKind = Literal["scale", "hold", "drop"]


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
    hook_point: str


@dataclass(frozen=True, slots=True)
class Edge:
    """The output of `source` is operand number `operand` of `target`."""

    source: str
    target: str
    operand: int


@dataclass(frozen=True, slots=True)
class SkipConnection:
    """A path around something: from `source` to `merge`; `projected` says how it was made to fit,
    None for identity.
    """

    kind: MergeKind
    source: str
    merge: str
    operand: int
    projection: str | None


@dataclass(frozen=True, slots=True)
class Graph:
    """All that is drawn of a model; nodes in execution order."""

    nodes: tuple[Node, ...] = ()
    edges: tuple[Edge, ...] = ()
    skips: tuple[SkipConnection, ...] = ()

    def node(self, name: str | None) -> Node | None:
        return next((node for node in self.nodes if node.name == name), None)

    def skip(self, merge: str, operand: int) -> SkipConnection | None:
        return next(
            (skip for skip in self.skips if (skip.merge, skip.operand) == (merge, operand)), None
        )


@dataclass(frozen=True, slots=True)
class Edit:
    """One intervention: scale an operand of a merge, hold it at a value, or drop a block; unique by
    `key`.
    """

    kind: EditKind
    target: str
    operand: int
    value: float

    @property
    def key(self) -> tuple[str, str, int]:
        return self.kind, self.target, self.operand

    @property
    def is_cut(self) -> bool:
        """True where nothing comes through: a scale by zero."""
        return self.kind == "scale" and self.value == 0.0


def with_edit(edits: Sequence[Edit], edit: Edit) -> tuple[Edit, ...]:
    """`edits` with `edit` in place of the one of its key; a scale by 1 changes nothing and is left
    out.
    """
    kept = without_edit(edits, edit.key)
    return kept if edit.kind == "scale" and edit.value == 1.0 else (*kept, edit)


def without_edit(edits: Sequence[Edit], key: tuple[str, str, int]) -> tuple[Edit, ...]:
    return tuple(edit for edit in edits if edit.key != key)


def find_edit(edits: Sequence[Edit], key: tuple[str, str, int]) -> Edit | None:
    return next((edit for edit in edits if edit.key == key), None)


def short_name(name: str) -> str:
    """A module path without what every reader knows: `layer1.0.add` is `layer1.0`, `features.`
    falls off the front.
    """
    parts = name.removeprefix("features.").split(".")
    if len(parts) > 1 and parts[-1] in ("add", "concat", "gate"):
        parts = parts[:-1]
    return ".".join(parts)


def name_suffix(name: str) -> str:
    """The end of a block's name that tells it from its neighbors: `denseblock1.denselayer3` is
    `layer3`.
    """
    parts = short_name(name).split(".")
    return ".".join(parts[-2:]) if parts[-1].isdigit() else parts[-1].removeprefix("dense")
