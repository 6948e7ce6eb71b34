"""Run the nodes of a traced model from any node on and free values after their last use."""

from collections.abc import Iterator, Mapping
from typing import Any

from torch import fx, nn

from lightning_resnets.graph import TracedModel
from lightning_resnets.interventions.executor import NodeExecutor
from lightning_resnets.interventions.node_plan import NodePlan
from lightning_resnets.interventions.swap_blocks import swapped

NodeValues = dict[fx.Node, Any]


class PartialExecutor(NodeExecutor):
    """Run nodes from anywhere and free values that no node needs any more.

    Args:
        model: the model.
        traced: its trace.
        retained: values that outlive their last use, until which node (None: to the end).

    Attributes:
        num_run: number of nodes run so far.
    """

    def __init__(
        self,
        model: nn.Module,
        traced: TracedModel,
        retained: Mapping[fx.Node, fx.Node | None] | None = None,
    ) -> None:
        super().__init__(model, traced)
        self.num_run = 0
        self.set_retained(retained or {})

    def set_retained(self, retained: Mapping[fx.Node, fx.Node | None]) -> None:
        """Choose the values to keep; see the class.

        Args:
            retained: node whose value is kept, and the node until which it is kept.
        """
        # Later readers overwrite earlier ones.
        last_use: dict[fx.Node, int] = {}
        for i, node in enumerate(self.nodes):
            last_use.update(dict.fromkeys(node.all_input_nodes, i))
        for node, until in retained.items():
            if until is None:
                last_use[node] = len(self.nodes)
            else:
                # A bypass may end before the last ordinary reader.
                last_use[node] = max(last_use[node], self.position[until])
        # One more than nodes: the last list is never freed.
        self.freed_after: list[list[fx.Node]] = [[] for _ in range(len(self.nodes) + 1)]
        for node, i in last_use.items():
            self.freed_after[i].append(node)

    def run_from(self, env: NodeValues, start: int = 0) -> Iterator[fx.Node]:
        """Run the nodes from `start` on.

        Args:
            env: values of earlier nodes; filled and freed by this function.
            start: number of the first node to run.

        Yields:
            Each node before it is run; the last one is the output.
        """
        for node in self.nodes[start:]:
            yield node
            # Set anew after each yield: another branch may have run in between.
            self.env = env
            env[node] = self.run_node(node)
            self.num_run += 1
            for old in self.freed_after[self.position[node]]:
                env.pop(old, None)

    def run_rest(self, env: NodeValues, start: int, plan: NodePlan) -> Any:
        """Run the nodes from `start` on under interventions.

        Args:
            env: values of earlier nodes, left as they are.
            start: number of the first node to run.
            plan: interventions.

        Returns:
            The output of the model.
        """
        # A shallow copy: tensors are shared, and no node writes to its inputs.
        env = dict(env)
        self.current_plan = plan
        try:
            with swapped(self.model, plan.swaps):
                for _ in self.run_from(env, start):
                    pass
        finally:
            # The shared pass goes on without the edits of this item.
            self.current_plan = NodePlan()
        return env[self.nodes[-1]]
