"""How an answer grows: the head of a net applied to what each block of its last stage gives, not the last one alone.

Greff, Srivastava, Schmidhuber 2017, arXiv:1612.07771 (blocks of a stage refine one estimate); Jastrzebski et al. 2018,
arXiv:1710.04773, section 4 (the head behind every block).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from lightning_resnets.analysis.names import called, scored
from lightning_resnets.analysis.places import Place, Tail, device_of, places
from lightning_resnets.analysis.result import AnalysisError, Cell, Pictures, Table, Tell, silent, told
from lightning_resnets.analysis.style import FIRST, LINE, SECOND, THIRD, finish, legend, title
from lightning_resnets.analysis.ticks import by_depth
from lightning_resnets.graph import Followed, follow
from lightning_resnets.points import some
from lightning_resnets.probe import probe

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BATCH = 50


@dataclass(frozen=True, slots=True, eq=False)
class RefinementResult:
    """By block of the last stage, in order.

    `accuracy` is the share of pictures that the head gets right behind the block, `probability` and `logit` the mean
    probability and the mean score that it gives the true class, `agreement` the share of pictures where it predicts
    what the whole net does. `step` is how far the block moves its map, |out - in| / |in|, `cosine` that between what it
    adds and the direction in which the loss falls fastest; None for the first.
    """

    blocks: tuple[str, ...]
    accuracy: tuple[float, ...]
    probability: tuple[float, ...]
    logit: tuple[float, ...]
    agreement: tuple[float, ...]
    step: tuple[float | None, ...]
    cosine: tuple[float | None, ...]
    count: int
    name: str = "net"

    def tables(self) -> dict[str, Table]:
        columns = ("net", "block", "accuracy", "probability", "logit", "agreement", "step", "cosine", "pictures")
        values = (self.blocks, self.accuracy, self.probability, self.logit, self.agreement, self.step, self.cosine)
        rows: list[tuple[Cell, ...]] = [(self.name, *row, self.count) for row in zip(*values, strict=True)]
        return {"refinement": Table(columns, tuple(rows))}

    def draw(self, figure: "Figure") -> None:
        """Left what the head answers behind each block, right how far each block goes and whether downhill."""
        left, right = figure.subplots(1, 2)
        for label, look, values in (
            ("agreement with the final prediction", THIRD, self.agreement),
            ("accuracy", FIRST, self.accuracy),
            ("probability of the true class", SECOND, self.probability),
        ):
            left.plot([100 * value for value in values], label=label, **look)
        left.set_ylim(0, 104)
        left.set_ylabel("mean over the pictures (%)")
        left.set_title("the head behind every block")
        for label, look, values in (
            ("relative step |out − in| / |in|", FIRST, self.step),
            ("cosine of step and −gradient", SECOND, self.cosine),
        ):
            known = [(i, value) for i, value in enumerate(values) if value is not None]
            right.plot(*zip(*known, strict=True), label=label, **look)
        right.axhline(0, **LINE)
        right.set_title("what each block does to the map")
        right.set_ylabel("mean over the pictures")
        for axes in (left, right):
            by_depth(axes, self.blocks)
            axes.set_xlabel("block of the last stage")
            legend(axes)
        finish(figure, title("refinement in the last stage", (self.name,), self.count))


@dataclass(slots=True)
class Sums:
    """What is added up over pictures for one block."""

    right: float = 0.0
    share: float = 0.0
    logit: float = 0.0
    same: float = 0.0
    step: float = 0.0
    cosine: float = 0.0


def refinement(
    net: nn.Module, pictures: Pictures, batch: int = BATCH, name: str = "", tell: Tell = silent
) -> RefinementResult:
    """The net's own head behind every block of the last stage whose map has the shape of the last one.

    After Greff, Srivastava, Schmidhuber (2017): Highway and Residual Networks Learn Unrolled Iterative Estimation, and
    Jastrzebski, Arpit, Ballas, Verma, Che, Bengio (2018): Residual Connections Encourage Iterative Inference. Nothing
    is trained: where blocks refine one estimate, the head can read it behind each. `name` is what the net is called in
    tables and figure (its class). `tell(done, total)` hears of every batch; it may raise Cancelled, and the net is left
    as it was. Returns means over the pictures by block; raises AnalysisError for a net whose last stage holds fewer
    than two blocks of one shape, or whose head sees more than the last block.
    """
    size = tuple(pictures.images.shape[1:])
    followed = follow(net, size)  # pyright: ignore[reportArgumentType]
    found = last_stage(net, followed)
    tail = Tail(net, followed, found[-1])
    modes = {module: module.training for module in net.modules()}
    sums = [Sums() for _ in found]
    try:
        net.eval()
        for images, labels in told(list(pictures.batches(batch)), tell):
            _count(net, tail, found, images.to(device_of(net)), labels.to(device_of(net)), sums)
    finally:
        for module, mode in modes.items():
            module.training = mode
    total = len(pictures)

    def mean(field: str) -> tuple[float, ...]:
        return tuple(getattr(one, field) / total for one in sums)

    return RefinementResult(
        tuple(place.block for place in found), mean("right"), mean("share"), mean("logit"), mean("same"),
        (None, *mean("step")[1:]), (None, *mean("cosine")[1:]), total, called(net, name),
    )  # fmt: skip


def last_stage(net: nn.Module, followed: Followed) -> list[Place]:
    """The blocks at the end of the last stage that give maps of one shape, in order."""
    known = places(net, followed)
    whole = [place for place in known if place.whole]
    found: list[Place] = []
    for place in reversed(whole):
        if place.shape != whole[-1].shape or place.stage != whole[-1].stage:
            break
        found.insert(0, place)
    if len(found) < 2:
        shapes = some(f"{place.block} {'×'.join(map(str, place.shape))}" for place in (whole or known)[-4:])
        raise AnalysisError(
            "Refinement needs a last stage of two or more blocks that give maps of one shape, for the head to stand "
            f"behind each: this net ends with {shapes or 'no block that gives a map'}."
        )
    return found


def _count(net: nn.Module, tail: Tail, found: list[Place], images: Tensor, labels: Tensor, sums: list[Sums]) -> None:
    with torch.no_grad(), probe(net, [place.point for place in found]) as seen:
        answers = net(images).argmax(1)
    before: tuple[Tensor, Tensor] | None = None  # a map, and where the loss falls fastest from it
    for place, one in zip(found, sums, strict=True):
        value = seen.outputs[place.point].detach().requires_grad_()
        with torch.enable_grad():
            logits, labels = scored(tail(value), labels)
            loss = nn.functional.cross_entropy(logits, labels, reduction="sum")
            (gradient,) = torch.autograd.grad(loss, value)
        own = labels[:, None]
        one.right += float((logits.argmax(1) == labels).sum())
        one.same += float((logits.argmax(1) == answers).sum())
        one.share += float(logits.detach().softmax(1).gather(1, own).sum())
        one.logit += float(logits.detach().gather(1, own).sum())
        if before is not None:
            moved = (value.detach() - before[0]).flatten(1)
            one.step += float((moved.norm(dim=1) / before[0].flatten(1).norm(dim=1).clamp(min=1e-12)).sum())
            one.cosine += float(nn.functional.cosine_similarity(moved, before[1].flatten(1)).sum())
        before = value.detach(), -gradient
