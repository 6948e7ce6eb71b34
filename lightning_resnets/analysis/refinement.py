"""How an answer grows: the head of a net applied to what each block of its last stage gives, not the last one alone.

Greff, Srivastava, Schmidhuber 2017, arXiv:1612.07771 (blocks of a stage refine one estimate); Jastrzebski et al. 2018,
arXiv:1710.04773, section 4 (the head behind every block).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from lightning_resnets.analysis.places import Place, Tail, device_of, places
from lightning_resnets.analysis.result import AnalysisError, Cell, Pictures, Table, Tell, silent, told
from lightning_resnets.graph import Followed, follow
from lightning_resnets.points import some
from lightning_resnets.probe import probe

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BATCH = 50


@dataclass(frozen=True, slots=True, eq=False)
class RefinementResult:
    """By block of the last stage, in order.

    `accuracy` is the share of pictures that the head gets right behind the block, `probability` the mean share and
    `logit` the mean score that it gives the right class, `agreement` the share of pictures where it answers as the
    whole net. `step` is how far the block moves its map, |out - in| / |in|, `cosine` that between what it adds
    and the direction in which the loss falls fastest; None for the first.
    """

    blocks: tuple[str, ...]
    accuracy: tuple[float, ...]
    probability: tuple[float, ...]
    logit: tuple[float, ...]
    agreement: tuple[float, ...]
    step: tuple[float | None, ...]
    cosine: tuple[float | None, ...]
    count: int

    def tables(self) -> dict[str, Table]:
        columns = ("block", "accuracy", "probability", "logit", "agreement", "step", "cosine", "pictures")
        values = (self.blocks, self.accuracy, self.probability, self.logit, self.agreement, self.step, self.cosine)
        rows: list[tuple[Cell, ...]] = [(*row, self.count) for row in zip(*values, strict=True)]
        return {"refinement": Table(columns, tuple(rows))}

    def draw(self, figure: "Figure") -> None:
        """Left what the head answers behind each block, right how far each block goes and whether downhill."""
        left, right = figure.subplots(1, 2)
        at = range(len(self.blocks))
        for label, line, values in (
            ("right", "o-", self.accuracy),
            ("share of the right class", "s--", self.probability),
            ("answers as the whole net", "^:", self.agreement),
        ):
            left.plot(at, [100 * value for value in values], line, label=label, markersize=5)
        left.set_ylim(0, 102)
        left.set_ylabel(f"% of {self.count:,} pictures")
        left.set_title("the head behind every block", fontsize=10)
        for label, line, values in (("|step| / |map|", "o-", self.step), ("cosine with −gradient", "s--", self.cosine)):
            right.plot(list(at)[1:], [value for value in values if value is not None], line, label=label, markersize=5)
        right.set_xlim(left.get_xlim())
        right.axhline(0, color="grey", linewidth=0.8)
        right.set_title("what each block does to the map", fontsize=10)
        for axis in (left, right):
            step = max(1, len(self.blocks) // 10)
            axis.set_xticks(list(at)[::step], self.blocks[::step], rotation=35, ha="right", fontsize=8)
            axis.set_xlabel("block")
            axis.legend(fontsize=8)


@dataclass(slots=True)
class Sums:
    """What is added up over pictures for one block."""

    right: float = 0.0
    share: float = 0.0
    logit: float = 0.0
    same: float = 0.0
    step: float = 0.0
    cosine: float = 0.0


def refinement(net: nn.Module, pictures: Pictures, batch: int = BATCH, tell: Tell = silent) -> RefinementResult:
    """The net's own head behind every block of the last stage whose map has the shape of the last one.

    Nothing is trained: where blocks refine one estimate, the head can read it behind each. Raises AnalysisError for a
    net whose last stage holds fewer than two blocks of one shape, or whose head sees more than the last block.
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

    def mean(name: str) -> tuple[float, ...]:
        return tuple(getattr(one, name) / total for one in sums)

    return RefinementResult(
        tuple(place.block for place in found), mean("right"), mean("share"), mean("logit"), mean("same"),
        (None, *mean("step")[1:]), (None, *mean("cosine")[1:]), total,
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
            logits = tail(value)
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
