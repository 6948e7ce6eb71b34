"""Running a model step by step with memory: after an edit only what lies behind it is computed again."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, fx, nn

from lightning_resnets.errors import HookPointError
from lightning_resnets.graph import TracedModel
from lightning_resnets.interventions.edits import Intervention, OutputEdit
from lightning_resnets.interventions.executor import NodeExecutor, NodePlan
from lightning_resnets.interventions.hook_points import get_submodule, is_inside
from lightning_resnets.interventions.record import Recording
from lightning_resnets.interventions.swap_blocks import swapped


class IncrementalRunner(NodeExecutor):
    """A model, the last image, and every value on the way; equal to the bit to `operate` and `probe` on the model.

    The model must be in evaluation and without in-place operations. Not for use from two threads at once.
    """

    def __init__(self, model: nn.Module, traced: TracedModel) -> None:
        super().__init__(model, traced)
        self.parts: dict[
            fx.Node, tuple[Tensor, ...]
        ] = {}  # what met at each merge, after the edits
        self.between: dict[
            fx.Node, list[tuple[str, Any]]
        ] = {}  # by point, what a step gave before that was changed
        self.image: Tensor | None = None
        self.computed = 0  # steps of the last pass, for tests

    def run_image(
        self, image: Tensor, hook_points: Iterable[str], interventions: Iterable[Intervention]
    ) -> tuple[Tensor, Recording]:
        """The model's output for an image (1, C, H, W) and what passed the points, with the operations in force."""
        nodes = {point: self.node_for_point(point) for point in hook_points}
        work = self.plan(interventions)
        try:
            output = self.recompute(image, work)
        except BaseException:
            self.image = None  # what is kept may be half old and half new
            raise
        recording = Recording({point: self.value(point, node) for point, node in nodes.items()})
        merges = [
            point
            for point, node in nodes.items()
            if node in self.parts and self.path.get(point) == node.target
        ]
        recording.operands.update({point: self.parts[nodes[point]] for point in merges})
        return output, recording

    def recompute(self, image: Tensor, work: NodePlan) -> Tensor:
        known = self.image is not None and torch.equal(image, self.image)
        before, self.work = self.work, work
        changed = {
            node
            for node in {*before.by_node, *work.by_node}
            if before.by_node.get(node) != work.by_node.get(node)
        }
        self.image = image
        self.set_images(image)
        fresh: set[fx.Node] = set()
        with swapped(self.model, work.swaps):
            for node in self.nodes:
                if known and node not in changed and fresh.isdisjoint(node.all_input_nodes):
                    continue
                self.between.pop(node, None)
                self.env[node] = self.run_node(node)
                fresh.add(node)
        self.computed = len(fresh)
        return self.env[self.nodes[-1]]

    def node_for_point(self, point: str) -> fx.Node:
        path = self.path.get(point, point)
        if path not in self.followed.node_by_name:
            get_submodule(self.model, point)
            raise HookPointError(
                f"'{point}' gives no single tensor to look at: choose a part inside it."
            )
        return self.followed.node_by_name[path]

    def value(self, point: str, node: fx.Node) -> Any:
        """What the point gave: a step's value before what was done to it behind a module further out."""
        for outer, before in () if self.revealed else self.between.get(node, ()):
            if not is_inside(self.path.get(outer, outer), self.path.get(point, point)):
                return before
        return self.env[node]

    def on_merge(self, node: fx.Node, parts: tuple[Tensor, ...]) -> None:
        self.parts[node] = parts

    def on_output(self, node: fx.Node, value: Any, touch: OutputEdit) -> Tensor:
        self.between.setdefault(node, []).append((touch.hook_point, value))
        return super().on_output(node, value, touch)
