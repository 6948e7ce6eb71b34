"""Count the paths through a residual model by length, and measure the gradient along some of them.

Veit, Wilber, Belongie: Residual Networks Behave Like Ensembles of Relatively Shallow Networks,
arXiv:1605.06431, sections 3 (the unraveled view), 5 and Fig. 6.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import combinations, zip_longest
from math import comb
from typing import Any

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
from lightning_resnets.analysis.paths_result import PathCounts
from lightning_resnets.analysis.paths_result import PathsResult as PathsResult
from lightning_resnets.analysis.result import (
    LabeledImages,
    ProgressCallback,
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

NO_SKIPS = (
    "The model has no skip connection, so it has only one path. Use a model with residual or dense "
    "blocks."
)
SAMPLED_LENGTHS = 12  # number of lengths sampled in a deep model


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
    # The graph of the merged model: its Adds can be hooked by name.
    graph = trace(model, image_size(images))
    counts = count_paths(graph)
    skips = list(residual_blocks(graph).values())
    images = to_model_device(images, model, max_images)
    rng = random.Random(seed)  # noqa: S311
    samples = _sample_paths(skips, lengths, num_draws, rng)
    norms: dict[int, tuple[float, ...]] = {}
    with eval_mode_with_batch_stats(model):
        for k, branches in track_progress(samples, progress):
            # One image's loss does not depend on the others, so one backward pass serves all.
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
    # XOR: the shortcut's operand, or the other one where the path takes the branch.
    operands = {skip.merge: skip.operand ^ (skip in branches) for skip in skips}
    with torch.enable_grad(), restrict_to_path(model, operands):
        logits, labels = check_labels(model(batch), images.labels)
        # A sum, not a mean: each image's gradient must not depend on the batch size.
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
        # A detached operand enters the sum but stops the gradient.
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
    # Rounded up, so that there are at most SAMPLED_LENGTHS lengths.
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
    # Few subsets: list them all instead of drawing until each has come up.
    if comb(n, k) <= num_draws:
        return list(combinations(range(n), k))
    found: dict[tuple[int, ...], None] = {}  # a dict keeps the order of the draws
    while len(found) < num_draws:
        found[tuple(sorted(rng.sample(range(n), k)))] = None
    return list(found)


def count_paths(graph: ModelGraph) -> PathCounts:
    """Count the paths from input to output by length, the number of blocks that they pass.

    Args:
        graph: the model's graph.

    Returns:
        At index k the exact number of paths through k blocks.

    Raises:
        AnalysisError: the model has no residual or dense skip connection.
    """
    if not any(skip.kind in (MergeKind.ADD, MergeKind.CONCAT) for skip in graph.skips):
        raise AnalysisError(NO_SKIPS)
    shortcuts = {skip.merge: skip.operand for skip in graph.skips if skip.kind is MergeKind.ADD}
    layers = set(dense_layers(graph).values())  # a path may read their output or skip it
    inputs = _inputs_by_node(graph)
    counts: dict[str, PathCounts] = {}  # added at merges; a branch or layer adds 1 to the length
    for node in graph.nodes:
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
        # A gate multiplies its first operand; the second is a weight, not a path.
        is_gate_weight = nodes[target].kind is MergeKind.GATE and operand != 0
        if not is_gate_weight:
            inputs[target].append((operand, source))
    return inputs


def _add_counts(first: PathCounts, second: PathCounts) -> PathCounts:
    """Add path counts length by length."""
    return tuple(a + b for a, b in zip_longest(first, second, fillvalue=0))
