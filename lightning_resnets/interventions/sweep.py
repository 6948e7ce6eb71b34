"""Many changes of one model on the same images: each starts from what the whole model had where the change begins."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from torch import Tensor, fx, nn

from lightning_resnets.errors import InterventionError
from lightning_resnets.graph import TracedModel, trace_nodes
from lightning_resnets.interventions.edits import Intervention
from lightning_resnets.interventions.executor import (
    NodePlan,
    NodeValues,
    PartialExecutor,
    eval_mode,
)

SweepItem = Intervention | tuple[Intervention, ...] | list[Intervention]


C = TypeVar("C", bound=SweepItem)


def sweep(
    model: nn.Module,
    images: Tensor,
    items: Iterable[C] | Intervention,
    traced: TracedModel | None = None,
) -> Iterator[tuple[C, Tensor]]:
    """Yield each change and the model's output (N, K) under it, for images (N, C, H, W).

    A change is an operation of surgery or a tuple of them, () the model as it is; one alone may be given too. They come
    in order of depth, those that change nothing last. Equal to the bit to a forward pass for each change inside
    `operate`, in half the time where changes are spread evenly: what lies before a change is computed once for all. Of
    the whole model's values only those are kept that a step to come will read, so memory is that of two passes at most,
    however many the changes.

    The model runs in evaluation and has its own mode again in between; what it does in place is done to copies. Whether
    gradients are kept is the caller's choice. `followed` saves tracing the model again. Raises TraceError, SurgeryError
    and PointError before the first pass.
    """
    if images.dim() != 4:
        shape = tuple(images.shape)
        raise InterventionError(
            f"A sweep takes images (N, C, H, W), not {shape}: one image alone is `image[None]`."
        )
    channels, height, width = images.shape[1:]
    several: Any = [items] if isinstance(items, (Intervention, str)) else items
    return SweepRunner[C](
        model, traced or trace_nodes(model, (channels, height, width)), several
    ).run(images)


class SweepRunner(Generic[C]):
    """The same for batch after batch: the changes are planned once."""

    def __init__(self, model: nn.Module, traced: TracedModel, items: Iterable[C]) -> None:
        self.walker = PartialExecutor(model, traced)
        self.jobs: dict[
            fx.Node | None, list[tuple[C, NodePlan]]
        ] = {}  # by the first step that each touches
        kept: dict[fx.Node, fx.Node | None] = {}
        for change in items:
            work = self.walker.plan((change,))
            first = min(work.by_node, key=lambda node: self.walker.place[node], default=None)
            self.jobs.setdefault(first, []).append((change, work))
            kept |= self._read_late(work, kept)
        self.walker.set_retained(kept)

    def run(self, images: Tensor) -> Iterator[tuple[C, Tensor]]:
        """Each change and the output (N, K) under it."""
        found = self._run(images)
        while True:
            with eval_mode(self.walker.model):
                one = next(found, None)
            if one is None:
                return
            yield one

    def _run(self, images: Tensor) -> Iterator[tuple[C, Tensor]]:
        walker, env = self.walker, NodeValues()
        walker.set_images(images)
        for node in walker.run_from(env):
            for change, work in self.jobs.get(node, ()):
                yield change, walker.run_rest(env, walker.place[node], work)
        for change, _ in self.jobs.get(None, ()):
            yield change, env[walker.nodes[-1]]

    def _read_late(
        self, work: NodePlan, kept: Mapping[fx.Node, fx.Node | None]
    ) -> dict[fx.Node, fx.Node | None]:
        """What a block that is passed by was given is read once more at its end."""
        place, found = self.walker.place, dict[fx.Node, fx.Node | None]()
        for node, touches in work.outputs.items():
            for given in (
                work.bypass_inputs[touch.hook_point]
                for touch in touches
                if touch.hook_point in work.bypass_inputs
            ):
                known = kept.get(given)
                found[given] = known if known and place[known] > place[node] else node
        return found
