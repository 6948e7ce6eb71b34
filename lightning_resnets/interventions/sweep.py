"""Try many interventions on the same images; each reuses the values before its first change."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from torch import Tensor, fx, nn

from lightning_resnets.errors import InterventionError
from lightning_resnets.graph import TracedModel, trace_nodes
from lightning_resnets.interventions.edits import Intervention
from lightning_resnets.interventions.executor import eval_mode
from lightning_resnets.interventions.node_plan import NodePlan
from lightning_resnets.interventions.partial_executor import NodeValues, PartialExecutor
from lightning_resnets.utils.arguments import check_type
from lightning_resnets.utils.format import format_value
from lightning_resnets.utils.model_arguments import check_images, check_model

SweepItem = Intervention | tuple[Intervention, ...] | list[Intervention]

C = TypeVar("C", bound=SweepItem)


def sweep(
    model: nn.Module,
    images: Tensor,
    items: Iterable[C] | Intervention,
    traced: TracedModel | None = None,
) -> Iterator[tuple[C, Tensor]]:
    """Run a model under each of many interventions.

    Results are equal to the bit to one forward pass per item inside `intervene`, in half the time
    if the changes are spread evenly: nodes in front of a change are computed once for all. Values
    are kept only as long as a later node reads them, so memory is at most that of two passes.

    The model runs in evaluation mode and has its own mode again between two results. In-place
    operations are done on copies. The caller chooses whether gradients are kept.

    Args:
        model: the model.
        images: (N, C, H, W).
        items: interventions, or tuples of them that act together; () is the unchanged model. A
            single intervention may be passed alone.
        traced: the model's trace, to avoid tracing it again.

    Yields:
        Each item and the output (N, K) under it, in order of depth; items that change nothing
        come last.

    Raises:
        InterventionError: an intervention does not fit the model, or `images` is not a batch.
        HookPointError: there is no such module.
        TraceError: the model cannot be traced.
    """
    check_model(model)
    check_images(images, model, InterventionError)
    if traced is not None:
        check_type("traced", traced, TracedModel, "a TracedModel of trace_nodes")
    # A wrong item is named when it is planned.
    if not isinstance(items, (Iterable, Intervention)):
        raise InterventionError(f"items must be interventions, got {format_value(items)}.")
    channels, height, width = images.shape[1:]
    several: Any = items
    # A string is iterable too; the planner rejects it with a message.
    if isinstance(items, (Intervention, str)):
        several = [items]
    # The batch size does not matter for the trace.
    traced = traced or trace_nodes(model, (channels, height, width))
    return SweepRunner[C](model, traced, several).run(images)


class SweepRunner(Generic[C]):
    """Sweep over batch after batch with interventions that are planned once.

    Args:
        model: the model.
        traced: its trace.
        items: see `sweep`.

    Raises:
        InterventionError: an intervention does not fit the model.
        HookPointError: there is no such module.
    """

    def __init__(self, model: nn.Module, traced: TracedModel, items: Iterable[C]) -> None:
        self.executor = PartialExecutor(model, traced)
        # Items by the first node that they change.
        self.items_by_node: dict[fx.Node | None, list[tuple[C, NodePlan]]] = {}
        # Values that a bypass reads again, after their last reader in the unchanged model.
        retained: dict[fx.Node, fx.Node | None] = {}
        for item in items:
            plan = self.executor.plan((item,))
            # None for an item that changes no node.
            first = min(plan.by_node, key=self.executor.position.__getitem__, default=None)
            self.items_by_node.setdefault(first, []).append((item, plan))
            # Kept for all items: they share the values of one pass.
            retained |= self._find_late_reads(plan, retained)
        self.executor.set_retained(retained)

    def run(self, images: Tensor) -> Iterator[tuple[C, Tensor]]:
        """Run one batch.

        Args:
            images: (N, C, H, W).

        Yields:
            Each item and the output (N, K) under it.
        """
        results = self._run(images)
        while True:
            # The caller may train the model between two results.
            with eval_mode(self.executor.model):
                result = next(results, None)
            if result is None:
                return
            yield result

    def _run(self, images: Tensor) -> Iterator[tuple[C, Tensor]]:
        """Run the unchanged model and branch off before the first change of every item."""
        executor = self.executor
        values = NodeValues()
        executor.set_images(images)
        for node in executor.run_from(values):
            # `run_from` yields before it runs the node, so its inputs are known and unchanged.
            for item, plan in self.items_by_node.get(node, ()):
                yield item, executor.run_rest(values, executor.position[node], plan)
        # These items change nothing.
        for item, _ in self.items_by_node.get(None, ()):
            yield item, values[executor.nodes[-1]]

    def _find_late_reads(
        self, plan: NodePlan, retained: Mapping[fx.Node, fx.Node | None]
    ) -> dict[fx.Node, fx.Node | None]:
        """Return the inputs of bypassed blocks, which are read again at the end of the block."""
        position = self.executor.position
        found: dict[fx.Node, fx.Node | None] = {}
        for node, edits in plan.outputs.items():
            for edit in edits:
                source = plan.bypass_inputs.get(edit.hook_point)
                # Other edits than a bypass read no earlier value.
                if source is None:
                    continue
                found[source] = node
                known = retained.get(source)
                # Several bypasses may read one input: the last of them decides.
                if known and position[known] > position[node]:
                    found[source] = known
        return found
