"""The steps of a net run one by one under surgery: from any step on, and equal to the bit to `operate` on the net."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from torch import Tensor, fx, nn

from lightning_resnets import points
from lightning_resnets.graph import Followed
from lightning_resnets.graph.joins import word
from lightning_resnets.merge import Merge
from lightning_resnets.probe import operands
from lightning_resnets.surgery.bypass import read_by
from lightning_resnets.surgery.bypass import within as within
from lightning_resnets.surgery.edits import Bypass, Edit, Op, SurgeryError, Swap, Touch, altered, touched
from lightning_resnets.surgery.exchange import exchanged
from lightning_resnets.surgery.operation import plan
from lightning_resnets.surgery.sources import Origins, origins_of

Env = dict[fx.Node, Any]


@dataclass(frozen=True, slots=True)
class Work:
    """Operations by the steps that they change: what meets at one, what it gives, whose weights it uses."""

    merges: Mapping[fx.Node, tuple[Edit, ...]] = field(default_factory=dict[fx.Node, tuple[Edit, ...]])
    points: Mapping[fx.Node, tuple[Touch, ...]] = field(default_factory=dict[fx.Node, tuple[Touch, ...]])
    given: Mapping[str, fx.Node] = field(default_factory=dict[str, fx.Node])  # what a block that is passed by is given
    swaps: tuple[Swap, ...] = ()
    all: Mapping[fx.Node, tuple[Op, ...]] = field(default_factory=dict[fx.Node, tuple[Op, ...]])


@contextmanager
def evaluating(net: nn.Module) -> Iterator[nn.Module]:
    """The net in evaluation inside the `with` block, every module in its own mode again behind it."""
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    try:
        yield net
    finally:
        for module, mode in modes:
            module.training = mode


class Steps(fx.Interpreter):
    """A net and its steps; `work` is what is done to them at present.

    The net is to be in evaluation. What it does in place is done to copies. Not for use from two threads at once.
    """

    def __init__(self, net: nn.Module, followed: Followed) -> None:
        super().__init__(net, garbage_collect_values=False, graph=followed.steps)
        self.net, self.followed = net, followed
        self.nodes = list(followed.steps.nodes)
        self.place = {node: i for i, node in enumerate(self.nodes)}
        self.revealed = isinstance(net, fx.GraphModule)
        self.work = Work()
        first: dict[int, str] = {}
        modules = dict(net.named_modules(remove_duplicate=False))
        self.path = {name: first.setdefault(id(module), name) for name, module in modules.items()}

    def given(self, pictures: Tensor) -> None:
        """The pictures (N, C, H, W) of the next pass."""
        self.pictures, self.args_iter = pictures, iter(())  # other arguments of the net's have their defaults

    def planned(self, ops: Iterable[Op | Sequence[Op]]) -> Work:
        """Operations for this net; raises SurgeryError and PointError for those that do not fit."""
        ops = tuple(ops)
        found = plan(self.net, ops, self._table if ops else None, self.followed.named)
        merges = {node: edits for name, edits in found.merges.items() for node in self._calls(name)}
        behind: dict[fx.Node, list[Touch]] = {}
        for name in sorted(found.points, key=len, reverse=True):  # what an inner module gives is changed first
            for node in self._ends(name):
                behind.setdefault(node, []).extend(found.points[name])
        touches = {node: tuple(some) for node, some in behind.items()}
        passed = {touch.point for some in touches.values() for touch in some if isinstance(touch, Bypass)}
        everything: dict[fx.Node, tuple[Op, ...]] = {}
        for node in self.nodes:
            moved = _moved(node, found.swaps)
            if changes := (*merges.get(node, ()), *touches.get(node, ()), *moved):
                everything[node] = changes
        return Work(merges, touches, {name: self._entrance(name) for name in passed}, found.swaps, everything)

    def run_node(self, n: fx.Node) -> Any:
        module = self.fetch_attr(str(n.target)) if n.op == "call_module" else None
        if isinstance(module, Merge):
            args, kwargs = self.fetch_args_kwargs_from_env(n)
            parts = altered(operands(module, args, kwargs), self.work.merges.get(n, ()))
            self.met(n, parts)
            value = module(*parts)
        else:
            value = self.apart(n, module) if self.place[n] else self.pictures
        for touch in self.work.points.get(n, ()):
            value = self.touch(n, value, touch)
        return value

    def apart(self, node: fx.Node, module: Any) -> Any:
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

    def met(self, node: fx.Node, parts: tuple[Tensor, ...]) -> None:
        """Hears what meets at a merge, after the edits."""

    def touch(self, node: fx.Node, value: Any, touch: Touch) -> Tensor:
        given = self.work.given.get(touch.point)
        return touched(value, touch, None if given is None else self.env[given])

    @cached_property
    def _table(self) -> Origins:
        return origins_of(self.net, self.followed)

    @cached_property
    def _repeated(self) -> set[str]:
        return points.repeated(self.followed.steps)

    def _calls(self, name: str) -> list[fx.Node]:
        path = self.path.get(name, name)
        return [node for node in self.nodes if node.op == "call_module" and node.target == path]

    def _ends(self, name: str) -> list[fx.Node]:
        """The steps that give what the point gives."""
        if calls := self._calls(name):
            return calls
        path = self.path.get(name, name)
        node = self.followed.named.get(path)
        if node is None or path in self._repeated or (name in self.path and not within(node, path)):
            raise SurgeryError(f"'{name}' gives no single tensor to take hold of: choose a part inside it.")
        return [node]

    def _entrance(self, name: str) -> fx.Node:
        path = self.path.get(name, name)
        found = [call.all_input_nodes for call in self._calls(name)] or [entrances(self.followed, path)]
        if len(found) > 1 or len(found[0]) != 1:
            raise SurgeryError(f"'{name}' cannot be passed by: it is not given one tensor, once.")
        return found[0][0]


class Walker(Steps):
    """Steps that may start anywhere, and let go of what nobody needs again.

    `kept` lists values that must outlive their last use, and until which step (None: for good).
    """

    def __init__(
        self, net: nn.Module, followed: Followed, kept: Mapping[fx.Node, fx.Node | None] | None = None
    ) -> None:
        super().__init__(net, followed)
        self.ran = 0  # steps in all, for tests
        self.keep(kept or {})

    def keep(self, kept: Mapping[fx.Node, fx.Node | None]) -> None:
        last: dict[fx.Node, int] = {}
        for i, node in enumerate(self.nodes):
            last |= dict.fromkeys(node.all_input_nodes, i)
        for node, until in kept.items():
            last[node] = max(last[node], self.place[until]) if until else len(self.nodes)
        self.dead: list[list[fx.Node]] = [[] for _ in range(len(self.nodes) + 1)]
        for node, i in last.items():
            self.dead[i].append(node)

    def walk(self, env: Env, start: int = 0) -> Iterator[fx.Node]:
        """Run the steps from `start` on in `env`; yields each step before it is run. The last one is the output."""
        for node in self.nodes[start:]:
            yield node
            self.env = env
            env[node] = self.run_node(node)
            self.ran += 1
            for old in self.dead[self.place[node]]:
                env.pop(old, None)

    def rest(self, env: Env, start: int, work: Work) -> Any:
        """The output where the steps from `start` on are run with this work done; `env` stays as it was."""
        env, self.work = dict(env), work
        try:
            with exchanged(self.net, work.swaps):
                for _ in self.walk(env, start):
                    pass
        finally:
            self.work = Work()
        return env[self.nodes[-1]]


def _in_place(node: fx.Node, module: Any) -> bool:
    if node.op == "call_module":
        return vars(module).get("inplace") is True
    name = word(node)
    return node.kwargs.get("inplace") is True or (name.endswith("_") and not name.endswith("__"))


def _moved(node: fx.Node, swaps: tuple[Swap, ...]) -> tuple[Swap, ...]:
    """The swaps that decide whose weights a step uses: those of its block, and of whoever came there from elsewhere."""
    reached = [swap for swap in swaps if within(node, swap.one) or within(node, swap.other)]
    while more := [swap for swap in swaps if swap not in reached and any(_meet(swap, other) for other in reached)]:
        reached += more
    return tuple(swap for swap in swaps if swap in reached)


def _meet(swap: Swap, other: Swap) -> bool:
    pairs = [(one, two) for one in (swap.one, swap.other) for two in (other.one, other.other)]
    return any(points.within(one, two) or points.within(two, one) for one, two in pairs)


def entrances(followed: Followed, block: str) -> list[fx.Node]:
    """The values from outside that the steps of a block read."""
    return read_by(followed.steps, block)
