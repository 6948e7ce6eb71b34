"""Run the nodes of a traced model one by one under interventions, from any node on.

Results are equal to the bit to `intervene` on the model.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from torch import Tensor, fx, nn

from lightning_resnets.errors import InterventionError
from lightning_resnets.graph import TracedModel
from lightning_resnets.graph.gate_rules import target_name
from lightning_resnets.interventions.apply_edits import apply_merge_edits, apply_output_edit
from lightning_resnets.interventions.bypass import block_input_nodes, node_is_inside
from lightning_resnets.interventions.edits import (
    BypassBlock,
    Intervention,
    MergeEdit,
    OutputEdit,
    flatten_interventions,
)
from lightning_resnets.interventions.hook_points import modules_called_twice
from lightning_resnets.interventions.intervene import InterventionPlan, plan_interventions
from lightning_resnets.interventions.merge_inputs import MergeInputs, merge_inputs_of
from lightning_resnets.interventions.node_plan import NodePlan, swaps_of_node
from lightning_resnets.interventions.record import bind_operands, summands
from lightning_resnets.merges import Merge


@contextmanager
def eval_mode(model: nn.Module) -> Iterator[nn.Module]:
    """Put a model in evaluation mode inside the `with` block; restore each module's mode after it.

    Args:
        model: the model.

    Yields:
        The same model.
    """
    # Submodules may differ, for example frozen batch norms.
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield model
    finally:
        for module, mode in modes:
            module.training = mode


class NodeExecutor(fx.Interpreter):
    """Run a traced model node by node.

    The model must be in evaluation mode. In-place operations are done on copies. Not for use from
    two threads at once.

    Args:
        model: the model.
        traced: its trace.

    Attributes:
        nodes: nodes in order of execution.
        position: number of each node in this order.
        current_plan: interventions in force.
        first_name: first name of every module, which torch.fx uses for its calls.
    """

    def __init__(self, model: nn.Module, traced: TracedModel) -> None:
        # Values are kept: subclasses read them after the pass.
        super().__init__(model, garbage_collect_values=False, graph=traced.fx_graph)
        self.model = model
        self.traced = traced
        self.nodes = list(traced.fx_graph.nodes)
        self.position = {node: i for i, node in enumerate(self.nodes)}
        # Models of insert_merges are graph modules.
        self.is_graph_module = isinstance(model, fx.GraphModule)
        self.current_plan = NodePlan()
        first: dict[int, str] = {}
        modules = dict(model.named_modules(remove_duplicate=False))
        self.first_name = {
            name: first.setdefault(id(module), name) for name, module in modules.items()
        }

    def set_images(self, images: Tensor) -> None:
        """Set the images of the next pass.

        Args:
            images: (N, C, H, W).
        """
        self.images = images
        # fx.Interpreter reads arguments of the model from here.
        # Other arguments of the model keep their defaults.
        self.args_iter = iter(())

    def plan(self, interventions: Iterable[Intervention | Sequence[Intervention]]) -> NodePlan:
        """Assign interventions to the nodes that they change.

        Args:
            interventions: interventions and lists of them.

        Returns:
            The plan.

        Raises:
            InterventionError: an intervention does not fit the model.
            HookPointError: there is no such module.
        """
        plan = self._plan_by_name(tuple(flatten_interventions(interventions)))
        merges = self._merge_edits(plan)
        outputs = self._output_edits(plan)
        bypass_inputs = self._bypass_inputs(plan)
        by_node: dict[fx.Node, tuple[Intervention, ...]] = {}
        for node in self.nodes:
            swaps = swaps_of_node(node, plan.swaps)
            # Nodes without changes are left out, so that plans compare quickly.
            if changes := (*merges.get(node, ()), *outputs.get(node, ()), *swaps):
                by_node[node] = changes
        return NodePlan(merges, outputs, bypass_inputs, plan.swaps, by_node)

    def run_node(self, n: fx.Node) -> Any:
        """Run one node with its edits; called by torch.fx too.

        Args:
            n: the node.

        Returns:
            Its value.
        """
        module: Any = None
        if n.op == "call_module":
            module = self.fetch_attr(str(n.target))
        # Merges have named operands, which edits address by number.
        if isinstance(module, Merge):
            value = self._run_merge(n, module)
        elif self.position[n] == 0:  # the placeholder of the images
            value = self.images
        else:
            value = self.run_out_of_place(n, module)
        for edit in self.current_plan.outputs.get(n, ()):
            value = self.on_output(n, value, edit)
        return value

    def _run_merge(self, node: fx.Node, merge: Merge) -> Tensor:
        """Run the call of a merge on its edited operands."""
        args, kwargs = self.fetch_args_kwargs_from_env(node)
        edits = self.current_plan.merges.get(node, ())
        operands = apply_merge_edits(bind_operands(merge, args, kwargs), edits)
        # After the edits: a recording shows what the merge received.
        self.on_merge(node, summands(merge, operands))
        return merge(*operands)

    def run_out_of_place(self, node: fx.Node, module: Any) -> Any:
        """Run a node on a copy of its input if it works in place, so that the input is kept.

        Args:
            node: the node.
            module: the module that it calls, if any.

        Returns:
            Its value.
        """
        source = next(iter(node.args), None)
        # A later edit may need the input again.
        if not (isinstance(source, fx.Node) and _is_inplace(node, module)):
            return super().run_node(node)
        before = self.env[source]
        if isinstance(before, Tensor):
            self.env[source] = before.clone()
        try:
            return super().run_node(node)
        # The copy holds overwritten values, which no other node may read.
        finally:
            self.env[source] = before

    def on_merge(self, node: fx.Node, operands: tuple[Tensor, ...]) -> None:
        """Receive the operands of a merge, after the edits; does nothing here.

        Args:
            node: call of the merge.
            operands: its operands.
        """

    def on_output(self, node: fx.Node, value: Any, edit: OutputEdit) -> Tensor:
        """Apply an edit to the value of a node.

        Args:
            node: the node.
            value: its value so far.
            edit: the edit.

        Returns:
            The new value.
        """
        source = self.current_plan.bypass_inputs.get(edit.hook_point)
        block_input = None
        # Only a BypassBlock has an entry; other edits do not read the input.
        if source is not None:
            block_input = self.env[source]
        return apply_output_edit(value, edit, block_input)

    @cached_property
    def _merge_inputs(self) -> MergeInputs:
        return merge_inputs_of(self.model, self.traced)

    @cached_property
    def _called_twice(self) -> set[str]:
        return modules_called_twice(self.traced.fx_graph)

    def _plan_by_name(
        self, interventions: tuple[Intervention | Sequence[Intervention], ...]
    ) -> InterventionPlan:
        """Sort interventions by the names of merges and hook points."""
        # The inputs of merges take time to find and are not needed for an unchanged model.
        inputs = None
        if interventions:
            inputs = self._merge_inputs
        return plan_interventions(self.model, interventions, inputs, self.traced.node_by_name)

    def _bypass_inputs(self, plan: InterventionPlan) -> dict[str, fx.Node]:
        """Find the input of every block that is bypassed."""
        inputs: dict[str, fx.Node] = {}
        for name, edits in plan.points.items():
            if any(isinstance(edit, BypassBlock) for edit in edits):
                # An error is raised here, before anything runs.
                inputs[name] = self._input_node(name)
        return inputs

    def _merge_edits(self, plan: InterventionPlan) -> dict[fx.Node, tuple[MergeEdit, ...]]:
        """Assign the edits of operands to the calls of their merges."""
        merges: dict[fx.Node, tuple[MergeEdit, ...]] = {}
        for name, edits in plan.merges.items():
            # A merge that is called twice is edited in both calls, as a hook does.
            merges.update(dict.fromkeys(self._calls(name), edits))
        return merges

    def _output_edits(self, plan: InterventionPlan) -> dict[fx.Node, tuple[OutputEdit, ...]]:
        """Collect the output edits of each node, those of inner modules first."""
        edits: dict[fx.Node, list[OutputEdit]] = {}
        # An inner name is longer than that of the block around it.
        for name in sorted(plan.points, key=len, reverse=True):
            for node in self._output_nodes(name):
                edits.setdefault(node, []).extend(plan.points[name])
        return {node: tuple(listed) for node, listed in edits.items()}

    def _calls(self, name: str) -> list[fx.Node]:
        """Return the nodes that call a module."""
        path = self.first_name.get(name, name)
        return [node for node in self.nodes if node.op == "call_module" and node.target == path]

    def _output_nodes(self, name: str) -> list[fx.Node]:
        """Return the nodes whose value is the output of a hook point."""
        if calls := self._calls(name):
            return calls
        path = self.first_name.get(name, name)
        node = self.traced.node_by_name.get(path)
        is_outside = node is not None and name in self.first_name and not node_is_inside(node, path)
        # A block called twice has two outputs; one that returns its input has none of its own.
        if node is None or path in self._called_twice or is_outside:
            raise InterventionError(
                f"'{name}' does not return a single tensor. Use one of its submodules."
            )
        return [node]

    def _input_node(self, name: str) -> fx.Node:
        """Return the only input of a block."""
        path = self.first_name.get(name, name)
        inputs = [call.all_input_nodes for call in self._calls(name)]
        if not inputs:
            # A block that is not called itself is found by the nodes inside.
            inputs = [block_input_nodes(self.traced.fx_graph, path)]
        if len(inputs) > 1 or len(inputs[0]) != 1:
            raise InterventionError(
                f"'{name}' cannot be bypassed: it does not have a single input."
            )
        return inputs[0][0]


def block_inputs(traced: TracedModel, block: str) -> list[fx.Node]:
    """Find the nodes outside a block whose values the block reads.

    Args:
        traced: a traced model.
        block: name of the block.

    Returns:
        The nodes without repetition.
    """
    return block_input_nodes(traced.fx_graph, block)


def _is_inplace(node: fx.Node, module: Any) -> bool:
    """Return whether a node writes to its first argument."""
    if node.op == "call_module":
        return vars(module).get("inplace") is True
    name = target_name(node)
    return node.kwargs.get("inplace") is True or (name.endswith("_") and not name.endswith("__"))
