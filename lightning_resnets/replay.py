"""Running a net step by step with memory: after an edit only what lies behind it is computed again."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn

from lightning_resnets.graph import Followed
from lightning_resnets.merge import Merge
from lightning_resnets.probe import PointError, Recording, operands, submodule
from lightning_resnets.surgery import Edit, Op, altered, plan


class Replay(fx.Interpreter):
    """A net, the last picture, and every value on the way; equal to the bit to `operate` and `probe` on the net.

    The net must be in evaluation and without in-place operations. Not for use from two threads at once.
    """

    def __init__(self, model: nn.Module, followed: Followed) -> None:
        super().__init__(model, garbage_collect_values=False, graph=followed.steps)
        self.model, self.followed = model, followed
        self.edits: Mapping[str, tuple[Edit, ...]] = {}
        self.met: dict[fx.Node, tuple[Tensor, ...]] = {}  # what met at each merge, after the edits
        self.picture: Tensor | None = None
        self.computed = 0  # steps of the last pass, for tests

    def look(self, picture: Tensor, points: Iterable[str], ops: Iterable[Op]) -> tuple[Tensor, Recording]:
        """The net's output for a picture (1, C, H, W) and what passed the points, with the operations in force."""
        nodes = {point: self.node(point) for point in points}
        edits = plan(self.model, ops)
        try:
            output = self.again(picture, edits)
        except BaseException:
            self.picture = None  # what is kept may be half old and half new
            raise
        recording = Recording({point: self.env[node] for point, node in nodes.items()})
        recording.operands.update({point: self.met[node] for point, node in nodes.items() if node in self.met})
        return output, recording

    def again(self, picture: Tensor, edits: Mapping[str, tuple[Edit, ...]]) -> Tensor:
        known = self.picture is not None and torch.equal(picture, self.picture)
        changed = {name for name in {*edits, *self.edits} if edits.get(name) != self.edits.get(name)}
        self.picture, self.edits, self.args_iter = picture, edits, iter([picture])
        fresh: set[fx.Node] = set()
        for node in self.followed.steps.nodes:
            if known and node.target not in changed and fresh.isdisjoint(node.all_input_nodes):
                continue
            self.env[node] = self.run_node(node)
            fresh.add(node)
        self.computed = len(fresh)
        return self.env[node]  # pyright: ignore[reportPossiblyUnboundVariable]

    def node(self, point: str) -> fx.Node:
        if point not in self.followed.named:
            submodule(self.model, point)
            raise PointError(f"'{point}' gives no single tensor to look at: choose a part inside it.")
        return self.followed.named[point]

    def run_node(self, n: fx.Node) -> Any:
        if n.op != "call_module" or not isinstance(module := self.fetch_attr(str(n.target)), Merge):
            return super().run_node(n)
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        self.met[n] = altered(operands(module, args, kwargs), self.edits.get(str(n.target), ()))
        return module(*self.met[n])
