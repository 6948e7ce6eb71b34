"""A residual model as a set of paths: how many there are of each length, and which of them carry gradient.

Veit, Wilber, Belongie: Residual Networks Behave Like Ensembles of Relatively Shallow Networks, arXiv:1605.06431,
sections 3 (the unravelled view), 5 and Fig. 6.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import combinations, zip_longest
from math import comb, log10
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_resnets.analysis.ablation_targets import dense_layers, residual_blocks
from lightning_resnets.analysis.eval_context import (
    eval_mode_with_batch_stats,
    image_size,
    to_model_device,
    with_merges,
)
from lightning_resnets.analysis.plotting import (
    BLUE,
    SERIES_1,
    figure_title,
    finish_figure,
    set_integer_ticks,
)
from lightning_resnets.analysis.result import (
    LabeledImages,
    ProgressCallback,
    Table,
    check_labels,
    display_name,
    no_progress,
    track_progress,
)
from lightning_resnets.errors import AnalysisError
from lightning_resnets.graph import trace
from lightning_resnets.graph.data import SkipConnection
from lightning_resnets.graph.model_graph import ModelGraph
from lightning_resnets.interventions.record import bind_operands
from lightning_resnets.merges import Add, MergeKind

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


SAMPLED_LENGTHS = 12  # how many lengths are sampled in a deep model


@dataclass(frozen=True, slots=True)
class PathsResult:
    """`counts[k]` paths pass k blocks; `gradients[k]` has the norm of a path's gradient at the input for each draw.

    A norm is the mean over so many `images` of that of one image's own loss. A model that only concatenates has none.
    """

    counts: tuple[int, ...]
    gradients: dict[int, tuple[float, ...]]
    num_images: int | None = None
    name: str = "model"

    @property
    def total(self) -> int:
        return sum(self.counts)

    def shares(self) -> dict[int, float]:
        """How much gradient comes by paths of each length sampled: their number times the mean norm, as a share."""
        parts = {k: self.counts[k] * sum(norms) / len(norms) for k, norms in self.gradients.items()}
        whole = sum(parts.values())
        return {k: part / whole if whole else 0.0 for k, part in parts.items()}

    def tables(self) -> dict[str, Table]:
        """`paths`: a row a length; `gradients`: a row a path that was sampled."""
        shares = self.shares()
        rows = tuple(
            (self.name, k, count, count / self.total, shares.get(k))
            for k, count in enumerate(self.counts)
        )
        drawn = tuple(
            (self.name, k, i, norm)
            for k, norms in self.gradients.items()
            for i, norm in enumerate(norms)
        )
        return {
            "paths": Table(
                ("model", "length", "paths", "share_of_paths", "share_of_gradient"), rows
            ),
            "gradients": Table(("model", "length", "draw", "norm"), drawn),
        }

    def draw(self, figure: "Figure") -> None:
        """How many paths of each length; a path's gradient by its length; both multiplied."""
        panels = figure.subplots(1, 3 if self.gradients else 1, squeeze=False)[0]
        self._counted(panels[0])
        if self.gradients:
            self._norms(panels[1])
            self._carried(panels[2])
        for axes in panels:
            axes.set_xlabel("path length (blocks)")
            set_integer_ticks(axes, len(self.counts) - 1)
        many = f"{self.total:,}" if self.total < 10**9 else f"about 10^{log10(self.total):.1f}"
        finish_figure(
            figure,
            figure_title(
                f"{many} paths", (self.name,), self.num_images if self.gradients else None
            ),
        )

    def _counted(self, axes: "Axes") -> None:
        axes.bar(
            range(len(self.counts)), [100 * count / self.total for count in self.counts], color=BLUE
        )
        axes.set_title("all paths")
        axes.set_ylabel("share of the paths (%)")

    def _norms(self, axes: "Axes") -> None:
        for k, norms in self.gradients.items():
            axes.plot([k] * len(norms), norms, ".", color="0.6", markersize=4)
        middle = [sum(norms) / len(norms) for norms in self.gradients.values()]
        axes.plot(list(self.gradients), middle, **SERIES_1)
        if min(middle) > 0:
            axes.set_yscale("log")
        axes.set_title("one path (dots: each, line: mean)")
        axes.set_ylabel("gradient norm at the input")

    def _carried(self, axes: "Axes") -> None:
        shares = self.shares()
        axes.bar(list(shares), [100 * share for share in shares.values()], color=BLUE)
        axes.set_title("all paths of a length")
        axes.set_ylabel("share of the gradient (%)")


def paths(
    model: nn.Module,
    images: LabeledImages,
    *,
    lengths: Sequence[int] | None = None,
    draws: int = 16,
    most: int = 32,
    seed: int = 0,
    name: str = "",
    progress: ProgressCallback = no_progress,
) -> PathsResult:
    """Count the paths from image to answer by how many blocks they pass; measure the gradient along some.

    The unravelled view of Veit, Wilber, Belongie (2016): Residual Networks Behave Like Ensembles of Relatively Shallow
    Networks, sections 3 and 5. A block is passed where a path takes the branch of a residual Add or goes through a
    layer whose output is concatenated; a model of n residual blocks has C(n, k) paths of length k. For the gradient the
    model runs as it is, and backward goes through the branch of k blocks drawn at random and through the shortcut of all
    others, for the first `most` images: along `draws` different paths of a length, or along all where there are no
    more. `lengths` are those k, of themselves twelve from 0 to all. `name` is what the model is called in tables and
    figure (its class). `tell(done, total)` hears of every path; it may raise Cancelled, and the model is left as it was.
    Returns exact counts and mean norms by length and draw; raises AnalysisError where there is no skip.
    """
    model = with_merges(model, image_size(images))
    graph = trace(model, image_size(images))
    counts, skips = count_paths(graph), list(residual_blocks(graph).values())
    some, drawn = (
        to_model_device(images, model, most),
        _drawn(skips, lengths, draws, random.Random(seed)),
    )  # noqa: S311
    norms: dict[int, tuple[float, ...]] = {}
    with eval_mode_with_batch_stats(model):
        for k, chosen in track_progress(drawn, progress):
            norms[k] = (
                *norms.get(k, ()),
                float(path_gradient_norm(model, some, skips, chosen).flatten(1).norm(dim=1).mean()),
            )
    return PathsResult(counts, norms, len(some), display_name(model, name))


def path_gradient_norm(
    model: nn.Module,
    images: LabeledImages,
    skips: Sequence[SkipConnection],
    chosen: Sequence[SkipConnection],
) -> Tensor:
    """The gradient of each image's loss at the input (N, C, H, W), along one path."""
    batch = images.images.clone().requires_grad_()
    with (
        torch.enable_grad(),
        restrict_to_path(model, {skip.merge: skip.operand ^ (skip in chosen) for skip in skips}),
    ):
        loss = F.cross_entropy(*check_labels(model(batch), images.labels), reduction="sum")
        return torch.autograd.grad(loss, batch)[0]


@contextmanager
def restrict_to_path(model: nn.Module, ways: Mapping[str, int]) -> Iterator[None]:
    """Gradients pass each of these Adds by one operand only; what the model computes stays the same to the bit."""

    def hook(way: int) -> Callable[..., Any]:
        def part(
            add: Add, args: tuple[Tensor, ...], kwargs: Mapping[str, Tensor]
        ) -> tuple[Any, dict[str, Any]]:
            given = bind_operands(add, args, kwargs)
            return tuple(one if i == way else one.detach() for i, one in enumerate(given)), {}

        return part

    with ExitStack() as stack:
        for name, way in ways.items():
            handle = model.get_submodule(name).register_forward_pre_hook(
                hook(way), with_kwargs=True
            )  # type: ignore[arg-type]
            stack.callback(handle.remove)
        yield


def _drawn(
    skips: Sequence[SkipConnection], lengths: Sequence[int] | None, draws: int, dice: random.Random
) -> list[tuple[int, list[SkipConnection]]]:
    """The blocks whose branch each path takes, no path twice."""
    n = len(skips)
    if lengths is None:
        step = max(1, -(-n // (SAMPLED_LENGTHS - 1)))
        lengths = sorted({*range(0, n, step), n}) if n else []
    if wrong := [k for k in lengths if not 0 <= k <= n]:
        raise AnalysisError(
            f"No path takes {wrong[0]} branches: this model has {n} residual blocks."
        )
    return [
        (k, [skips[i] for i in chosen])
        for k in lengths
        for chosen in sample_distinct(n, k, draws, dice)
    ]


def sample_distinct(n: int, k: int, draws: int, dice: random.Random) -> list[tuple[int, ...]]:
    """So many different sets of k of n things, each drawn alike; all of them where there are no more."""
    if comb(n, k) <= draws:
        return list(combinations(range(n), k))
    found: dict[tuple[int, ...], None] = {}
    while len(found) < draws:
        found[tuple(sorted(dice.sample(range(n), k)))] = None
    return list(found)


def count_paths(graph: ModelGraph) -> tuple[int, ...]:
    """How many paths pass 0, 1, 2 ... blocks, exactly.

    Every way through even branches (Inception) is a path of its own; the weight of a Gate is none. Raises AnalysisError
    where no path goes round another.
    """
    if not any(skip.kind in (MergeKind.ADD, MergeKind.CONCAT) for skip in graph.skips):
        raise AnalysisError(
            "This model has no skip, so it is one path: take one with residual or dense blocks."
        )
    adds = {skip.merge: skip.operand for skip in graph.skips if skip.kind is MergeKind.ADD}
    layers, given = (
        set(dense_layers(graph).values()),
        {block.name: list[tuple[int, str]]() for block in graph.nodes},
    )
    for source, target, operand in graph.edges:
        given[target].append((operand, source))
    ways: dict[str, tuple[int, ...]] = {}
    for block in graph.nodes:
        sources = [
            one for one in given[block.name] if block.kind is not MergeKind.GATE or one[0] == 0
        ]
        found: tuple[int, ...] = () if sources else (1,)
        for operand, source in sources:
            longer = block.name in adds and operand != adds[block.name]
            found = _sum(found, (0, *ways[source]) if longer else ways[source])
        ways[block.name] = (0, *found) if block.name in layers else found
    return ways[graph.nodes[-1].name]


def _sum(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(a + b for a, b in zip_longest(one, other, fillvalue=0))
