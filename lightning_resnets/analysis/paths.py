"""Count the paths through a residual model by length, and measure the gradient along some of them.

Veit, Wilber, Belongie: Residual Networks Behave Like Ensembles of Relatively Shallow Networks,
arXiv:1605.06431, sections 3 (the unraveled view), 5 and Fig. 6.
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
from lightning_resnets.graph.data import Node, SkipConnection
from lightning_resnets.graph.model_graph import ModelGraph
from lightning_resnets.interventions.record import bind_operands
from lightning_resnets.merges import Add, MergeKind

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PathCounts = tuple[int, ...]  # at index k the number of paths through k blocks

SAMPLED_LENGTHS = 12  # number of lengths sampled in a deep model


@dataclass(frozen=True, slots=True)
class PathsResult:
    """Number of paths and gradient norms by path length.

    Attributes:
        counts: at index k the number of paths through k blocks.
        gradients: by length k, for each sampled path, the norm of the gradient at the input:
            the mean over images of the norm for that image's own loss. Empty for a model without
            residual blocks.
        num_images: number of images behind the norms.
        model_name: name of the model.
    """

    counts: PathCounts
    gradients: dict[int, tuple[float, ...]]
    num_images: int | None = None
    model_name: str = "model"

    @property
    def total(self) -> int:
        """Return the number of all paths."""
        return sum(self.counts)

    def shares(self) -> dict[int, float]:
        """Estimate how the gradient is distributed over path lengths.

        Returns:
            By sampled length, the number of paths times their mean gradient norm, as a fraction of
            the sum over all sampled lengths.
        """
        parts = {k: self.counts[k] * sum(norms) / len(norms) for k, norms in self.gradients.items()}
        total = sum(parts.values())
        return {k: part / total if total else 0.0 for k, part in parts.items()}

    def tables(self) -> dict[str, Table]:
        """Return counts and gradient norms.

        Returns:
            `paths`: one row per length; `gradients`: one row per sampled path.
        """
        shares = self.shares()
        by_length = tuple(
            (self.model_name, k, count, count / self.total, shares.get(k))
            for k, count in enumerate(self.counts)
        )
        by_path: list[tuple[str, int, int, float]] = []
        for k, norms in self.gradients.items():
            by_path += [(self.model_name, k, draw, norm) for draw, norm in enumerate(norms)]
        length_columns = ("model", "length", "paths", "share_of_paths", "share_of_gradient")
        return {
            "paths": Table(length_columns, by_length),
            "gradients": Table(("model", "length", "draw", "norm"), tuple(by_path)),
        }

    def draw(self, figure: "Figure") -> None:
        """Draw the number of paths by length, the gradient of one path, and both multiplied.

        Args:
            figure: an empty matplotlib figure.
        """
        panels = figure.subplots(1, 3 if self.gradients else 1, squeeze=False)[0]
        self._draw_counts(panels[0])
        if self.gradients:
            self._draw_norms(panels[1])
            self._draw_shares(panels[2])
        for axes in panels:
            axes.set_xlabel("path length (blocks)")
            set_integer_ticks(axes, len(self.counts) - 1)
        total = f"{self.total:,}" if self.total < 10**9 else f"about 10^{log10(self.total):.1f}"
        num_images = self.num_images if self.gradients else None
        finish_figure(figure, figure_title(f"{total} paths", (self.model_name,), num_images))

    def _draw_counts(self, axes: "Axes") -> None:
        """Draw the distribution of path lengths."""
        shares = [100 * count / self.total for count in self.counts]
        axes.bar(range(len(self.counts)), shares, color=BLUE)
        axes.set_title("all paths")
        axes.set_ylabel("share of paths (%)")

    def _draw_norms(self, axes: "Axes") -> None:
        """Draw the gradient norm of each sampled path and the mean by length."""
        for k, norms in self.gradients.items():
            axes.plot([k] * len(norms), norms, ".", color="0.6", markersize=4)
        means = [sum(norms) / len(norms) for norms in self.gradients.values()]
        axes.plot(list(self.gradients), means, **SERIES_1)
        if min(means) > 0:
            axes.set_yscale("log")
        axes.set_title("one path (dots: samples, line: mean)")
        axes.set_ylabel("gradient norm at the input")

    def _draw_shares(self, axes: "Axes") -> None:
        """Draw the share of the gradient by length."""
        shares = self.shares()
        axes.bar(list(shares), [100 * share for share in shares.values()], color=BLUE)
        axes.set_title("all paths of a length")
        axes.set_ylabel("share of the gradient (%)")


def paths(
    model: nn.Module,
    images: LabeledImages,
    *,
    lengths: Sequence[int] | None = None,
    num_draws: int = 16,
    max_images: int = 32,
    seed: int = 0,
    model_name: str = "",
    progress: ProgressCallback = no_progress,
) -> PathsResult:
    """Count the paths from input to output by length, and measure the gradient along some.

    The unraveled view of Veit, Wilber, Belongie (2016): Residual Networks Behave Like Ensembles of
    Relatively Shallow Networks, sections 3 and 5. The length of a path is the number of blocks
    that it passes: branches of residual Adds, and layers whose output is concatenated. A model of
    n residual blocks has C(n, k) paths of length k.

    For the gradient the forward pass is unchanged. The backward pass goes through the branch of k
    randomly drawn blocks and through the shortcut of all others.

    Args:
        model: a model with skip connections.
        images: images and labels.
        lengths: lengths k to sample; None for about twelve from 0 to all.
        num_draws: distinct paths per length; all of them if there are no more.
        max_images: number of images to take from the start.
        seed: seed of the random draws.
        model_name: name in tables and figures; the class name if empty.
        progress: called after every path; it may raise AnalysisCancelled.

    Returns:
        Exact path counts, and mean gradient norms by length and draw.

    Raises:
        AnalysisError: the model has no skip connection, or a length exceeds its blocks.
    """
    model = with_merges(model, image_size(images))
    graph = trace(model, image_size(images))
    counts = count_paths(graph)
    skips = list(residual_blocks(graph).values())
    images = to_model_device(images, model, max_images)
    rng = random.Random(seed)  # noqa: S311
    samples = _sample_paths(skips, lengths, num_draws, rng)
    norms: dict[int, tuple[float, ...]] = {}
    with eval_mode_with_batch_stats(model):
        for k, branches in track_progress(samples, progress):
            gradient = path_input_gradient(model, images, skips, branches)
            norm = float(gradient.flatten(1).norm(dim=1).mean())
            norms[k] = (*norms.get(k, ()), norm)
    return PathsResult(counts, norms, len(images), display_name(model, model_name))


def path_input_gradient(
    model: nn.Module,
    images: LabeledImages,
    skips: Sequence[SkipConnection],
    branches: Sequence[SkipConnection],
) -> Tensor:
    """Compute the gradient of each image's loss at the input along one path.

    Args:
        model: a model in evaluation mode.
        images: images and labels on the model's device.
        skips: all residual skip connections.
        branches: those of whose blocks the path takes the branch.

    Returns:
        Gradients (N, C, H, W).
    """
    batch = images.images.clone().requires_grad_()
    operands = {skip.merge: skip.operand ^ (skip in branches) for skip in skips}
    with torch.enable_grad(), restrict_to_path(model, operands):
        logits, labels = check_labels(model(batch), images.labels)
        loss = F.cross_entropy(logits, labels, reduction="sum")
        return torch.autograd.grad(loss, batch)[0]


@contextmanager
def restrict_to_path(model: nn.Module, operands: Mapping[str, int]) -> Iterator[None]:
    """Let gradients pass through one operand of each Add; the forward pass is unchanged.

    Args:
        model: the model.
        operands: index of the operand by name of the Add.

    Yields:
        None; the hooks are removed at the end of the block.
    """
    with ExitStack() as stack:
        for name, operand in operands.items():
            module = model.get_submodule(name)
            hook = _detach_others(operand)
            handle = module.register_forward_pre_hook(hook, with_kwargs=True)  # type: ignore[arg-type]
            stack.callback(handle.remove)
        yield


def _detach_others(operand: int) -> Callable[..., Any]:
    """Return a forward pre-hook that detaches all operands of an Add but one."""

    def hook(
        add: Add, args: tuple[Tensor, ...], kwargs: Mapping[str, Tensor]
    ) -> tuple[Any, dict[str, Any]]:
        operands = bind_operands(add, args, kwargs)
        kept = tuple(value if i == operand else value.detach() for i, value in enumerate(operands))
        return kept, {}

    return hook


def _sample_paths(
    skips: Sequence[SkipConnection],
    lengths: Sequence[int] | None,
    num_draws: int,
    rng: random.Random,
) -> list[tuple[int, list[SkipConnection]]]:
    """Draw distinct paths: their length, and the skips whose branch they take."""
    num_blocks = len(skips)
    if lengths is None:
        lengths = _default_lengths(num_blocks)
    invalid = [k for k in lengths if not 0 <= k <= num_blocks]
    if invalid:
        raise AnalysisError(
            f"lengths must be between 0 and the model's {num_blocks} residual blocks, "
            f"got {invalid[0]}."
        )
    samples: list[tuple[int, list[SkipConnection]]] = []
    for k in lengths:
        for chosen in sample_distinct(num_blocks, k, num_draws, rng):
            branches = [skips[i] for i in chosen]
            samples.append((k, branches))
    return samples


def _default_lengths(num_blocks: int) -> list[int]:
    """Return about SAMPLED_LENGTHS lengths from 0 to all blocks."""
    if not num_blocks:
        return []
    step = max(1, -(-num_blocks // (SAMPLED_LENGTHS - 1)))
    return sorted({*range(0, num_blocks, step), num_blocks})


def sample_distinct(n: int, k: int, num_draws: int, rng: random.Random) -> list[tuple[int, ...]]:
    """Draw distinct subsets of k out of n indices, uniformly.

    Args:
        n: number of indices.
        k: size of a subset.
        num_draws: number of subsets.
        rng: source of randomness.

    Returns:
        Sorted tuples of indices; all subsets if there are no more than `num_draws`.
    """
    if comb(n, k) <= num_draws:
        return list(combinations(range(n), k))
    found: dict[tuple[int, ...], None] = {}  # a dict keeps the order of the draws
    while len(found) < num_draws:
        found[tuple(sorted(rng.sample(range(n), k)))] = None
    return list(found)


def count_paths(graph: ModelGraph) -> PathCounts:
    """Count the paths from input to output by the number of blocks that they pass.

    Parallel branches without a skip connection (Inception) are paths of their own. The weight of
    a Gate is not a path.

    Args:
        graph: the model's graph.

    Returns:
        At index k the exact number of paths through k blocks.

    Raises:
        AnalysisError: the model has no residual or dense skip connection.
    """
    if not any(skip.kind in (MergeKind.ADD, MergeKind.CONCAT) for skip in graph.skips):
        raise AnalysisError(
            "The model has no skip connection, so it has only one path. Use a model with residual "
            "or dense blocks."
        )
    shortcuts = {skip.merge: skip.operand for skip in graph.skips if skip.kind is MergeKind.ADD}
    layers = set(dense_layers(graph).values())
    inputs = _inputs_by_node(graph)
    counts: dict[str, PathCounts] = {}
    for node in graph.nodes:
        # Merges sum the counts of their inputs; a branch or dense layer makes paths longer by 1.
        total: PathCounts = () if inputs[node.name] else (1,)
        for operand, source in inputs[node.name]:
            is_branch = operand != shortcuts.get(node.name, operand)
            total = _add_counts(total, (0, *counts[source]) if is_branch else counts[source])
        counts[node.name] = (0, *total) if node.name in layers else total
    return counts[graph.nodes[-1].name]


def _inputs_by_node(graph: ModelGraph) -> dict[str, list[tuple[int, str]]]:
    """Return by node the operand index and source of each input that a path can take."""
    nodes: dict[str, Node] = {node.name: node for node in graph.nodes}
    inputs: dict[str, list[tuple[int, str]]] = {name: [] for name in nodes}
    for source, target, operand in graph.edges:
        is_gate_weight = nodes[target].kind is MergeKind.GATE and operand != 0
        if not is_gate_weight:
            inputs[target].append((operand, source))
    return inputs


def _add_counts(first: PathCounts, second: PathCounts) -> PathCounts:
    """Add path counts length by length."""
    return tuple(a + b for a, b in zip_longest(first, second, fillvalue=0))
