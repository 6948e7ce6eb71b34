"""Run a model node by node with memory: after an edit only downstream nodes are recomputed."""

import threading
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn

from lightning_resnets.errors import HookPointError
from lightning_resnets.graph import TracedModel
from lightning_resnets.interventions.edits import Intervention, OutputEdit
from lightning_resnets.interventions.executor import NodeExecutor
from lightning_resnets.interventions.hook_points import get_submodule, is_inside
from lightning_resnets.interventions.node_plan import NodePlan
from lightning_resnets.interventions.record import Recording
from lightning_resnets.interventions.swap_blocks import swapped
from lightning_resnets.utils.arguments import check_names


class IncrementalRunner(NodeExecutor):
    """Run one image after the other and keep all values of the last pass.

    Results are equal to the bit to `intervene` and `record_activations` on the model, which must
    be in evaluation mode. Passes of several threads follow one another.

    Args:
        model: the model.
        traced: its trace, for the size of the images.

    Attributes:
        num_computed: number of nodes that the last pass computed.
    """

    def __init__(self, model: nn.Module, traced: TracedModel) -> None:
        # Values of the last pass are in `env`, by node.
        super().__init__(model, traced)
        # Operands of each merge, after the edits.
        self.operands: dict[fx.Node, tuple[Tensor, ...]] = {}
        # Names of hook points with the output of a node before their edit.
        self.before_edit: dict[fx.Node, list[tuple[str, Any]]] = {}
        self.image: Tensor | None = None
        self.num_computed = 0
        # The values of a pass must be read before another thread begins the next.
        self.lock = threading.RLock()

    def run_image(
        self, image: Tensor, hook_points: Iterable[str], interventions: Iterable[Intervention]
    ) -> tuple[Tensor, Recording]:
        """Run the model on an image.

        Args:
            image: (1, C, H, W).
            hook_points: modules to record, or nodes of the graph.
            interventions: interventions in force.

        Returns:
            The output of the model, and the recording.

        Raises:
            HookPointError: there is no such hook point.
            InterventionError: an intervention does not fit the model.
        """
        names = check_names("hook_points", hook_points)
        # Before the pass, so that a wrong name costs no time.
        nodes = {name: self.node_for_point(name) for name in names}
        plan = self.plan(interventions)
        with self.lock:
            output = self._recompute_or_forget(image, plan)
            return output, self._read_recording(nodes)

    def _recompute_or_forget(self, image: Tensor, plan: NodePlan) -> Tensor:
        """Run the changed nodes; after an error the next pass runs all of them."""
        try:
            return self.recompute(image, plan)
        except BaseException:
            # The kept values may be partly of the last pass and partly new.
            self.image = None
            raise

    def _read_recording(self, nodes: Mapping[str, fx.Node]) -> Recording:
        """Return the values of the last pass at some hook points."""
        recording = Recording({name: self.value(name, node) for name, node in nodes.items()})
        for name, node in nodes.items():
            # Only a merge under its own name has operands.
            if node in self.operands and self.first_name.get(name) == node.target:
                recording.operands[name] = self.operands[node]
        return recording

    def recompute(self, image: Tensor, plan: NodePlan) -> Tensor:
        """Run the nodes whose inputs or interventions have changed.

        Args:
            image: (1, C, H, W).
            plan: interventions in force.

        Returns:
            The output of the model.
        """
        # Compared with the last plan, so before it is replaced.
        changed = self._changed_nodes(image, plan)
        self.current_plan = plan
        self.image = image
        self.set_images(image)
        with swapped(self.model, plan.swaps):
            self.num_computed = self._run_downstream(changed)
        return self.env[self.nodes[-1]]

    def _run_downstream(self, changed: set[fx.Node]) -> int:
        """Run the changed nodes and all that depend on them; return their number."""
        computed: set[fx.Node] = set()
        for node in self.nodes:
            # A node with the same inputs and the same edits has the same value.
            if node not in changed and computed.isdisjoint(node.all_input_nodes):
                continue
            # `on_output` appends to it while the node runs.
            self.before_edit.pop(node, None)
            self.env[node] = self.run_node(node)
            computed.add(node)
        return len(computed)

    def node_for_point(self, name: str) -> fx.Node:
        """Find the node that computes the output of a hook point.

        Args:
            name: name of a module or of a node of the graph.

        Returns:
            The node.

        Raises:
            HookPointError: there is no such module, or it does not return a single tensor.
        """
        path = self.first_name.get(name, name)
        if path not in self.traced.node_by_name:
            # Raises with similar names if there is no such module at all.
            get_submodule(self.model, name)
            raise HookPointError(
                f"'{name}' does not return a single tensor. Use one of its submodules."
            )
        return self.traced.node_by_name[path]

    def value(self, name: str, node: fx.Node) -> Any:
        """Return the output of a hook point, without edits of modules around it.

        Args:
            name: name of the hook point.
            node: its node.

        Returns:
            The value.
        """
        # In a model of `insert_merges` hooks of all modules act on one innermost module, so an
        # outer module's edit shows inside as well.
        if not self.is_graph_module:
            path = self.first_name.get(name, name)
            for edited, before in self.before_edit.get(node, ()):
                if not is_inside(self.first_name.get(edited, edited), path):
                    return before
        return self.env[node]

    def on_merge(self, node: fx.Node, operands: tuple[Tensor, ...]) -> None:
        """Keep the operands of a merge.

        Args:
            node: call of the merge.
            operands: its operands, after the edits.
        """
        self.operands[node] = operands

    def on_output(self, node: fx.Node, value: Any, edit: OutputEdit) -> Tensor:
        """Keep the value and apply the edit.

        Args:
            node: the node.
            value: its value so far.
            edit: the edit.

        Returns:
            The new value.
        """
        self.before_edit.setdefault(node, []).append((edit.hook_point, value))
        return super().on_output(node, value, edit)

    def _changed_nodes(self, image: Tensor, plan: NodePlan) -> set[fx.Node]:
        """Return the nodes whose interventions differ from the last pass; all for a new image."""
        if self.image is None or not torch.equal(image, self.image):
            return set(self.nodes)
        before = self.current_plan.by_node
        # An edit that was taken back changes a node too.
        nodes = {*before, *plan.by_node}
        return {node for node in nodes if before.get(node) != plan.by_node.get(node)}
