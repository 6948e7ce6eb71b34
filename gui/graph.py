"""Graph as it is drawn, edits made to it, and short names of nodes: plain frozen data."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

NodeKind = Literal["input", "block", "add", "concat", "gate", "output", "head"]
MergeKind = Literal["add", "concat", "gate"]
EditKind = Literal["scale", "hold", "drop", "zero"]
EditKey = tuple[EditKind, str, int]


@dataclass(frozen=True, slots=True)
class Node:
    """One drawn node of the folded graph.

    Attributes:
        name: its path in the model.
        label: the name as it is drawn.
        kind: decides its shape.
        op: its operation in words, "2 conv 3x3".
        shape: of its output, without the batch dimension.
        parameters: how many it has.
        macs: multiply-adds of one image.
        hook_point: the module whose output it stands for, "" for input and output.
    """

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
    """A path around something, from `source` to operand `operand` of `merge`.

    `projection` describes the operation on it, None for an identity.
    """

    kind: MergeKind
    source: str
    merge: str
    operand: int
    projection: str | None


@dataclass(frozen=True, slots=True)
class Graph:
    """All that is drawn of a model; nodes are in execution order."""

    nodes: tuple[Node, ...] = ()
    edges: tuple[Edge, ...] = ()
    skips: tuple[SkipConnection, ...] = ()
    # A search through the tuples would make layouts of a thousand nodes take seconds.
    _nodes: dict[str, Node] = field(init=False, repr=False, compare=False)
    _skips: dict[tuple[str, int], SkipConnection] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Reversed, so that of equal names the first one counts, as in a search.
        nodes = {node.name: node for node in reversed(self.nodes)}
        skips = {(skip.merge, skip.operand): skip for skip in reversed(self.skips)}
        # The dataclass is frozen for everybody else.
        object.__setattr__(self, "_nodes", nodes)
        object.__setattr__(self, "_skips", skips)

    def node(self, name: str | None) -> Node | None:
        """Find a node.

        Args:
            name: its name.

        Returns:
            The node, None for an unknown name.
        """
        if name is None:
            return None
        return self._nodes.get(name)

    def skip(self, merge: str, operand: int) -> SkipConnection | None:
        """Find a skip connection.

        Args:
            merge: the merge where it ends.
            operand: the operand that it is.

        Returns:
            The skip connection, None if that operand is not one.
        """
        return self._skips.get((merge, operand))


@dataclass(frozen=True, slots=True)
class Edit:
    """One intervention. Edits of one `key` replace each other.

    Attributes:
        kind: "scale" multiplies an operand of a merge by `value`, "hold" sets it to `value`,
            "drop" removes a block, "zero" sets channels of an output to zero.
        target: name of the node.
        operand: number of the operand; 0 for "drop" and "zero".
        value: factor or constant; 0 for "drop" and "zero".
        channels: numbers of the channels for "zero", in ascending order.
    """

    kind: EditKind
    target: str
    operand: int
    value: float
    channels: tuple[int, ...] = ()

    @property
    def key(self) -> EditKey:
        """Return kind, target and operand."""
        return self.kind, self.target, self.operand

    @property
    def is_cut(self) -> bool:
        """Return True if nothing passes: a scale by zero."""
        return self.kind == "scale" and self.value == 0.0


def with_edit(edits: Sequence[Edit], edit: Edit) -> tuple[Edit, ...]:
    """Add an edit in place of the one with its key.

    Args:
        edits: the active edits.
        edit: the edit to add; a scale by 1 changes nothing and is left out.

    Returns:
        The new edits.
    """
    kept = without_edit(edits, edit.key)
    has_no_effect = edit.kind == "scale" and edit.value == 1.0
    if has_no_effect:
        return kept
    return (*kept, edit)


def toggle_channel(edits: Sequence[Edit], target: str, channel: int) -> tuple[Edit, ...]:
    """Set a channel of a node to zero, or restore it.

    Args:
        edits: the active edits.
        target: name of the node.
        channel: number of the channel.

    Returns:
        The new edits; all channels of one node are in one edit.
    """
    edit = find_edit(edits, ("zero", target, 0))
    # A symmetric difference adds what is missing and removes what is there.
    channels = {channel} ^ set(edit.channels if edit else ())
    if not channels:
        return without_edit(edits, ("zero", target, 0))
    return with_edit(edits, Edit("zero", target, 0, 0.0, tuple(sorted(channels))))


def without_edit(edits: Sequence[Edit], key: EditKey) -> tuple[Edit, ...]:
    """Remove the edit with a key.

    Args:
        edits: the active edits.
        key: kind, target and operand.

    Returns:
        The other edits.
    """
    return tuple(edit for edit in edits if edit.key != key)


def find_edit(edits: Sequence[Edit], key: EditKey) -> Edit | None:
    """Find the edit with a key.

    Args:
        edits: the active edits.
        key: kind, target and operand.

    Returns:
        The edit, None without one.
    """
    return next((edit for edit in edits if edit.key == key), None)


def short_name(name: str) -> str:
    """Shorten the path of a module by the parts that a reader can guess.

    Args:
        name: the path, "features.denseblock1" or "layer1.0.add".

    Returns:
        The path without "features." and the name of the merge: "denseblock1", "layer1.0".
    """
    # torchvision's DenseNet keeps all of its layers in `features`.
    parts = name.removeprefix("features.").split(".")
    # A merge is known by the name of its block.
    if len(parts) > 1 and parts[-1] in ("add", "concat", "gate"):
        parts = parts[:-1]
    return ".".join(parts)


def name_suffix(name: str) -> str:
    """Return the end of a node's name that tells it from its neighbors.

    Args:
        name: the path, "denseblock1.denselayer3".

    Returns:
        Its last part, "layer3"; the last two where the last is a number.
    """
    parts = short_name(name).split(".")
    # A bare number says little, so it keeps the name of its stage.
    if parts[-1].isdigit():
        return ".".join(parts[-2:])
    # torchvision's "denselayer3" becomes "layer3".
    return parts[-1].removeprefix("dense")
