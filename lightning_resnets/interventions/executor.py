"""The steps of a model run one by one under surgery: from any step on, and equal to the bit to `operate` on the model."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from torch import Tensor, fx, nn

from lightning_resnets.errors import InterventionError
from lightning_resnets.graph import TracedModel
from lightning_resnets.graph.functional_merges import target_name
from lightning_resnets.interventions import hook_points
from lightning_resnets.interventions.bypass import block_input_nodes
from lightning_resnets.interventions.bypass import node_is_inside as node_is_inside
from lightning_resnets.interventions.edits import (
    BypassBlock,
    Intervention,
    MergeEdit,
    OutputEdit,
    SwapBlocks,
    apply_merge_edits,
    apply_output_edit,
)
from lightning_resnets.interventions.intervene import plan_interventions
from lightning_resnets.interventions.merge_inputs import MergeInputs, merge_inputs_of
from lightning_resnets.interventions.record import bind_operands
from lightning_resnets.interventions.swap_blocks import swapped
from lightning_resnets.merges import Merge

NodeValues = dict[fx.Node, Any]


@dataclass(frozen=True, slots=True)
class NodePlan:
    """Operations by the steps that they change: what meets at one, what it gives, whose weights it uses."""

    merges: Mapping[fx.Node, tuple[MergeEdit, ...]] = field(
        default_factory=dict[fx.Node, tuple[MergeEdit, ...]]
    )
    outputs: Mapping[fx.Node, tuple[OutputEdit, ...]] = field(
        default_factory=dict[fx.Node, tuple[OutputEdit, ...]]
    )
    bypass_inputs: Mapping[str, fx.Node] = field(
        default_factory=dict[str, fx.Node]
    )  # what a block that is passed by is given
    swaps: tuple[SwapBlocks, ...] = ()
    by_node: Mapping[fx.Node, tuple[Intervention, ...]] = field(
        default_factory=dict[fx.Node, tuple[Intervention, ...]]
    )


@contextmanager
def eval_mode(model: nn.Module) -> Iterator[nn.Module]:
    """The model in evaluation inside the `with` block, every module in its own mode again behind it."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield model
    finally:
        for module, mode in modes:
            module.training = mode


class NodeExecutor(fx.Interpreter):
    """A model and its steps; `work` is what is done to them at present.

    The model is to be in evaluation. What it does in place is done to copies. Not for use from two threads at once.
    """

    def __init__(self, model: nn.Module, followed: TracedModel) -> None:
        super().__init__(model, garbage_collect_values=False, graph=followed.fx_graph)
        self.model, self.followed = model, followed
        self.nodes = list(followed.fx_graph.nodes)
        self.place = {node: i for i, node in enumerate(self.nodes)}
        self.revealed = isinstance(model, fx.GraphModule)
        self.work = NodePlan()
        first: dict[int, str] = {}
        modules = dict(model.named_modules(remove_duplicate=False))
        self.path = {name: first.setdefault(id(module), name) for name, module in modules.items()}

    def set_images(self, images: Tensor) -> None:
        """The images (N, C, H, W) of the next pass."""
        self.images, self.args_iter = (
            images,
            iter(()),
        )  # other arguments of the model's have their defaults

    def plan(self, ops: Iterable[Intervention | Sequence[Intervention]]) -> NodePlan:
        """Operations for this model; raises SurgeryError and PointError for those that do not fit."""
        ops = tuple(ops)
        found = plan_interventions(
            self.model, ops, self._table if ops else None, self.followed.node_by_name
        )
        merges = {node: edits for name, edits in found.merges.items() for node in self._calls(name)}
        behind: dict[fx.Node, list[OutputEdit]] = {}
        for name in sorted(
            found.points, key=len, reverse=True
        ):  # what an inner module gives is changed first
            for node in self._ends(name):
                behind.setdefault(node, []).extend(found.points[name])
        touches = {node: tuple(some) for node, some in behind.items()}
        passed = {
            touch.hook_point
            for some in touches.values()
            for touch in some
            if isinstance(touch, BypassBlock)
        }
        everything: dict[fx.Node, tuple[Intervention, ...]] = {}
        for node in self.nodes:
            moved = _moved(node, found.swaps)
            if changes := (*merges.get(node, ()), *touches.get(node, ()), *moved):
                everything[node] = changes
        return NodePlan(
            merges,
            touches,
            {name: self._entrance(name) for name in passed},
            found.swaps,
            everything,
        )

    def run_node(self, n: fx.Node) -> Any:
        module = self.fetch_attr(str(n.target)) if n.op == "call_module" else None
        if isinstance(module, Merge):
            args, kwargs = self.fetch_args_kwargs_from_env(n)
            parts = apply_merge_edits(
                bind_operands(module, args, kwargs), self.work.merges.get(n, ())
            )
            self.on_merge(n, parts)
            value = module(*parts)
        else:
            value = self.run_out_of_place(n, module) if self.place[n] else self.images
        for touch in self.work.outputs.get(n, ()):
            value = self.on_output(n, value, touch)
        return value

    def run_out_of_place(self, node: fx.Node, module: Any) -> Any:
        """What a step gives; a step that works in place is given a copy, for its value may be asked for again."""
        given = node.args[0] if node.args else None
        if not (isinstance(given, fx.Node) and _in_place(node, module)):
            return super().run_node(node)
        before = self.env[given]
        self.env[given] = before.clone() if isinstance(before, Tensor) else before
        try:
            return super().run_node(node)
        finally:
            self.env[given] = before

    def on_merge(self, node: fx.Node, parts: tuple[Tensor, ...]) -> None:
        """Hears what meets at a merge, after the edits."""

    def on_output(self, node: fx.Node, value: Any, touch: OutputEdit) -> Tensor:
        given = self.work.bypass_inputs.get(touch.hook_point)
        return apply_output_edit(value, touch, None if given is None else self.env[given])

    @cached_property
    def _table(self) -> MergeInputs:
        return merge_inputs_of(self.model, self.followed)

    @cached_property
    def _repeated(self) -> set[str]:
        return hook_points.modules_called_twice(self.followed.fx_graph)

    def _calls(self, name: str) -> list[fx.Node]:
        path = self.path.get(name, name)
        return [node for node in self.nodes if node.op == "call_module" and node.target == path]

    def _ends(self, name: str) -> list[fx.Node]:
        """The steps that give what the point gives."""
        if calls := self._calls(name):
            return calls
        path = self.path.get(name, name)
        node = self.followed.node_by_name.get(path)
        if (
            node is None
            or path in self._repeated
            or (name in self.path and not node_is_inside(node, path))
        ):
            raise InterventionError(
                f"'{name}' gives no single tensor to take hold of: choose a part inside it."
            )
        return [node]

    def _entrance(self, name: str) -> fx.Node:
        path = self.path.get(name, name)
        found = [call.all_input_nodes for call in self._calls(name)] or [
            block_inputs(self.followed, path)
        ]
        if len(found) > 1 or len(found[0]) != 1:
            raise InterventionError(
                f"'{name}' cannot be passed by: it is not given one tensor, once."
            )
        return found[0][0]


class PartialExecutor(NodeExecutor):
    """Steps that may start anywhere, and let go of what nobody needs again.

    `kept` lists values that must outlive their last use, and until which step (None: for good).
    """

    def __init__(
        self,
        model: nn.Module,
        followed: TracedModel,
        kept: Mapping[fx.Node, fx.Node | None] | None = None,
    ) -> None:
        super().__init__(model, followed)
        self.ran = 0  # steps in all, for tests
        self.set_retained(kept or {})

    def set_retained(self, kept: Mapping[fx.Node, fx.Node | None]) -> None:
        last: dict[fx.Node, int] = {}
        for i, node in enumerate(self.nodes):
            last |= dict.fromkeys(node.all_input_nodes, i)
        for node, until in kept.items():
            last[node] = max(last[node], self.place[until]) if until else len(self.nodes)
        self.dead: list[list[fx.Node]] = [[] for _ in range(len(self.nodes) + 1)]
        for node, i in last.items():
            self.dead[i].append(node)

    def run_from(self, env: NodeValues, start: int = 0) -> Iterator[fx.Node]:
        """Run the steps from `start` on in `env`; yields each step before it is run. The last one is the output."""
        for node in self.nodes[start:]:
            yield node
            self.env = env
            env[node] = self.run_node(node)
            self.ran += 1
            for old in self.dead[self.place[node]]:
                env.pop(old, None)

    def run_rest(self, env: NodeValues, start: int, work: NodePlan) -> Any:
        """The output where the steps from `start` on are run with this work done; `env` stays as it was."""
        env, self.work = dict(env), work
        try:
            with swapped(self.model, work.swaps):
                for _ in self.run_from(env, start):
                    pass
        finally:
            self.work = NodePlan()
        return env[self.nodes[-1]]


def _in_place(node: fx.Node, module: Any) -> bool:
    if node.op == "call_module":
        return vars(module).get("inplace") is True
    name = target_name(node)
    return node.kwargs.get("inplace") is True or (name.endswith("_") and not name.endswith("__"))


def _moved(node: fx.Node, swaps: tuple[SwapBlocks, ...]) -> tuple[SwapBlocks, ...]:
    """The swaps that decide whose weights a step uses: those of its block, and of whoever came there from elsewhere."""
    reached = [
        swap
        for swap in swaps
        if node_is_inside(node, swap.first) or node_is_inside(node, swap.second)
    ]
    while more := [
        swap
        for swap in swaps
        if swap not in reached and any(_meet(swap, other) for other in reached)
    ]:
        reached += more
    return tuple(swap for swap in swaps if swap in reached)


def _meet(swap: SwapBlocks, other: SwapBlocks) -> bool:
    pairs = [(one, two) for one in (swap.first, swap.second) for two in (other.first, other.second)]
    return any(
        hook_points.is_inside(one, two) or hook_points.is_inside(two, one) for one, two in pairs
    )


def block_inputs(followed: TracedModel, block: str) -> list[fx.Node]:
    """The values from outside that the steps of a block read."""
    return block_input_nodes(followed.fx_graph, block)
