"""Many changes of one net on the same pictures: each starts from what the whole net had where the change begins."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from torch import Tensor, fx, nn

from lightning_resnets.graph import Followed, follow
from lightning_resnets.surgery.edits import Op, SurgeryError
from lightning_resnets.surgery.steps import Env, Walker, Work, evaluating

Change = Op | tuple[Op, ...] | list[Op]
C = TypeVar("C", bound=Change)


def sweep(
    model: nn.Module, pictures: Tensor, changes: Iterable[C] | Op, followed: Followed | None = None
) -> Iterator[tuple[C, Tensor]]:
    """Yield each change and the net's output (N, K) under it, for pictures (N, C, H, W).

    A change is an operation of surgery or a tuple of them, () the net as it is; one alone may be given too. They come
    in order of depth, those that change nothing last. Equal to the bit to a forward pass for each change inside
    `operate`, in half the time where changes are spread evenly: what lies before a change is computed once for all. Of
    the whole net's values only those are kept that a step to come will read, so memory is that of two passes at most,
    however many the changes.

    The net runs in evaluation and has its own mode again in between; what it does in place is done to copies. Whether
    gradients are kept is the caller's choice. `followed` saves tracing the net again. Raises TraceError, SurgeryError
    and PointError before the first pass.
    """
    if pictures.dim() != 4:
        shape = tuple(pictures.shape)
        raise SurgeryError(f"A sweep takes pictures (N, C, H, W), not {shape}: one picture alone is `picture[None]`.")
    channels, height, width = pictures.shape[1:]
    several: Any = [changes] if isinstance(changes, (Op, str)) else changes
    return Sweep[C](model, followed or follow(model, (channels, height, width)), several).run(pictures)


class Sweep(Generic[C]):
    """The same for batch after batch: the changes are planned once."""

    def __init__(self, model: nn.Module, followed: Followed, changes: Iterable[C]) -> None:
        self.walker = Walker(model, followed)
        self.jobs: dict[fx.Node | None, list[tuple[C, Work]]] = {}  # by the first step that each touches
        kept: dict[fx.Node, fx.Node | None] = {}
        for change in changes:
            work = self.walker.planned((change,))
            first = min(work.all, key=lambda node: self.walker.place[node], default=None)
            self.jobs.setdefault(first, []).append((change, work))
            kept |= self._read_late(work, kept)
        self.walker.keep(kept)

    def run(self, pictures: Tensor) -> Iterator[tuple[C, Tensor]]:
        """Each change and the output (N, K) under it."""
        found = self._run(pictures)
        while True:
            with evaluating(self.walker.net):
                one = next(found, None)
            if one is None:
                return
            yield one

    def _run(self, pictures: Tensor) -> Iterator[tuple[C, Tensor]]:
        walker, env = self.walker, Env()
        walker.given(pictures)
        for node in walker.walk(env):
            for change, work in self.jobs.get(node, ()):
                yield change, walker.rest(env, walker.place[node], work)
        for change, _ in self.jobs.get(None, ()):
            yield change, env[walker.nodes[-1]]

    def _read_late(self, work: Work, kept: Mapping[fx.Node, fx.Node | None]) -> dict[fx.Node, fx.Node | None]:
        """What a block that is passed by was given is read once more at its end."""
        place, found = self.walker.place, dict[fx.Node, fx.Node | None]()
        for node, touches in work.points.items():
            for given in (work.given[touch.point] for touch in touches if touch.point in work.given):
                known = kept.get(given)
                found[given] = known if known and place[known] > place[node] else node
        return found
