"""Running a net step by step with memory: after an edit only what lies behind it is computed again."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, fx, nn

from lightning_resnets.graph import Followed
from lightning_resnets.points import PointError, submodule, within
from lightning_resnets.probe import Recording
from lightning_resnets.surgery.edits import Op, Touch
from lightning_resnets.surgery.exchange import exchanged
from lightning_resnets.surgery.steps import Steps, Work


class Replay(Steps):
    """A net, the last picture, and every value on the way; equal to the bit to `operate` and `probe` on the net.

    The net must be in evaluation and without in-place operations. Not for use from two threads at once.
    """

    def __init__(self, model: nn.Module, followed: Followed) -> None:
        super().__init__(model, followed)
        self.parts: dict[fx.Node, tuple[Tensor, ...]] = {}  # what met at each merge, after the edits
        self.between: dict[fx.Node, list[tuple[str, Any]]] = {}  # by point, what a step gave before that was changed
        self.picture: Tensor | None = None
        self.computed = 0  # steps of the last pass, for tests

    def look(self, picture: Tensor, points: Iterable[str], ops: Iterable[Op]) -> tuple[Tensor, Recording]:
        """The net's output for a picture (1, C, H, W) and what passed the points, with the operations in force."""
        nodes = {point: self.node(point) for point in points}
        work = self.planned(ops)
        try:
            output = self.again(picture, work)
        except BaseException:
            self.picture = None  # what is kept may be half old and half new
            raise
        recording = Recording({point: self.value(point, node) for point, node in nodes.items()})
        merges = [point for point, node in nodes.items() if node in self.parts and self.path.get(point) == node.target]
        recording.operands.update({point: self.parts[nodes[point]] for point in merges})
        return output, recording

    def again(self, picture: Tensor, work: Work) -> Tensor:
        known = self.picture is not None and torch.equal(picture, self.picture)
        before, self.work = self.work, work
        changed = {node for node in {*before.all, *work.all} if before.all.get(node) != work.all.get(node)}
        self.picture = picture
        self.given(picture)
        fresh: set[fx.Node] = set()
        with exchanged(self.net, work.swaps):
            for node in self.nodes:
                if known and node not in changed and fresh.isdisjoint(node.all_input_nodes):
                    continue
                self.between.pop(node, None)
                self.env[node] = self.run_node(node)
                fresh.add(node)
        self.computed = len(fresh)
        return self.env[self.nodes[-1]]

    def node(self, point: str) -> fx.Node:
        path = self.path.get(point, point)
        if path not in self.followed.named:
            submodule(self.net, point)
            raise PointError(f"'{point}' gives no single tensor to look at: choose a part inside it.")
        return self.followed.named[path]

    def value(self, point: str, node: fx.Node) -> Any:
        """What the point gave: a step's value before what was done to it behind a module further out."""
        for outer, before in () if self.revealed else self.between.get(node, ()):
            if not within(self.path.get(outer, outer), self.path.get(point, point)):
                return before
        return self.env[node]

    def met(self, node: fx.Node, parts: tuple[Tensor, ...]) -> None:
        self.parts[node] = parts

    def touch(self, node: fx.Node, value: Any, touch: Touch) -> Tensor:
        self.between.setdefault(node, []).append((touch.point, value))
        return super().touch(node, value, touch)
