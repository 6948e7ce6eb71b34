"""Plain data of a model graph: nodes, edges and skip connections. No methods that need other modules."""

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from lightning_resnets.merges import MergeKind

TraceBackend = Literal["torch.fx", "recorder"]


FoldDepth = Literal["stage", "stages", "block", "blocks", "module", "modules", "none", 1, 2] | None


FOLD_DEPTHS: dict[object, int | None] = {
    **dict.fromkeys(("stage", "stages", 1), 1),
    **dict.fromkeys(("block", "blocks", 2), 2),
    **dict.fromkeys(("module", "modules", "none", None)),
}


MERGE_SYMBOLS = {MergeKind.ADD: "⊕", MergeKind.CONCAT: "⧺", MergeKind.GATE: "⊗"}


@dataclass(frozen=True, slots=True)
class Node:
    """One operation, or several folded into one.

    `shape` is the output's without the batch, `macs` the multiply-adds of one image. `kind` is set for a merge.
    `stage` and `cell` are the modules that it belongs to. `output` is the module whose output is the block's (a point
    for `probe`), empty where no module has it. `members` are the unfolded operations in order. `times` is more than 1
    where the block stands for equal ones that follow one another; its counts are then those of all together. `module`
    is false for a name that no module of the model has (`relu`, of a function): it is no point for a probe.
    """

    name: str
    op: str
    shape: tuple[int, ...]
    parameters: int
    macs: int
    kind: MergeKind | None = None
    stage: str = ""
    block: str = ""
    hook_point: str = ""
    members: tuple[str, ...] = ()
    repeat_count: int = 1
    is_module: bool = True


@dataclass(frozen=True, slots=True)
class SkipConnection:
    """A path that goes round others and meets them again at `merge`, as its operand number `operand`.

    `source` is the block where it forks off. `projected` says what is done to it on the way (`64→128 /2, conv 1x1`,
    `64, norm`, `116→58, slice`), None for the identity.
    """

    kind: MergeKind
    source: str
    merge: str
    operand: int
    projection: str | None = None


@dataclass(frozen=True, slots=True, repr=False)
class GraphData:
    """A model as blocks in order of execution, `flow` as (source, target, operand index), and its skips.

    `followed` says by what the forward pass was followed: torch.fx, or the recorder, whose steps hold for one size,
    and where the model decides by its values are one way of several. `named` says whose the names of the merges are: the
    model's own modules', or those that `reveal` gives to joins by functions. `inside` are skips that a fold has taken
    into a block, named as before it, and `even` counts the merges of even branches there.
    """

    nodes: tuple[Node, ...]
    edges: tuple[tuple[str, str, int], ...]
    skips: tuple[SkipConnection, ...]
    traced_by: Literal["torch.fx", "recorder", "recorder, one way of several"] = "torch.fx"
    merges_inserted: Literal["by the model", "by insert_merges"] = "by the model"
    hidden_skips: tuple[SkipConnection, ...] = ()
    non_skip_merges: int = 0

    @property
    def parameters(self) -> int:
        """All parameters that the forward pass uses."""
        return sum(block.parameters for block in self.nodes)

    @property
    def macs(self) -> int:
        """Multiply-adds of one image, convolutions and linear layers only."""
        return sum(block.macs for block in self.nodes)

    @property
    def merges(self) -> tuple[Node, ...]:
        """The blocks where paths meet, skips or not."""
        return tuple(block for block in self.nodes if block.kind)

    def node(self, name: str) -> Node:
        """The block of that name, or the folded block that holds the operation.

        Raises KeyError where there is none, with the nearest names.
        """
        for block in self.nodes:
            if block.name == name or name in block.members:
                return block
        every = dict.fromkeys(one for block in self.nodes for one in (block.name, *block.members))
        near = get_close_matches(name, every, n=3) or [block.name for block in self.nodes[:5]]
        raise KeyError(
            f"This graph has no block called '{name}': it has {', '.join(near)} and others."
        )

    def inputs(self, name: str) -> tuple[str, ...]:
        """The names of the blocks that flow into this one, in the order of its operands."""
        found = sorted(
            (operand, source) for source, target, operand in self.edges if target == name
        )
        return tuple(source for _, source in found)


def group_by_stage(graph: GraphData) -> dict[str, list[str]]:
    """The names of the blocks in each stage that holds more than one."""
    held: dict[str, list[str]] = {}
    for block in graph.nodes:
        held.setdefault(block.stage, []).append(block.name)
    return {stage: names for stage, names in held.items() if stage and len(names) > 1}
