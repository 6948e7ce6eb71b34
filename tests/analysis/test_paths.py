"""Compare paths with binomial coefficients, a walk, and the sum of all gradients."""

import itertools
import json
import random
from collections import Counter
from math import comb

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_resnets.analysis.ablation_targets import residual_blocks
from lightning_resnets.analysis.paths import (
    PathsResult,
    count_paths,
    path_input_gradient,
    paths,
    sample_distinct,
)
from lightning_resnets.analysis.result import LabeledImages
from lightning_resnets.errors import AnalysisCancelled, AnalysisError
from lightning_resnets.graph import trace
from lightning_resnets.merges import Add, MergeKind
from lightning_resnets.models.registry import create_model
from tests.helpers.hooks import has_hooks


class Line(nn.Module):
    """Three residual blocks of one matrix each: every path's gradient is a product of matrices."""

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.ModuleList(nn.Conv2d(4, 4, 1, bias=False) for _ in range(3))
        self.adds = nn.ModuleList(Add() for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        for conv, add in zip(self.maps, self.adds, strict=True):
            x = add(x, conv(x))
        return torch.flatten(x, 1)  # (N, 4)


def make_images(*shape: int) -> LabeledImages:
    count = shape[0]
    return LabeledImages(
        torch.randn(*shape, generator=torch.Generator().manual_seed(1)), torch.arange(count) % 4
    )


@pytest.mark.parametrize(
    ("name", "blocks"), [("resnet20", 9), ("seresnet50", 16), ("resnet152", 50), ("wrn_16_8", 6)]
)
def test_counts_of_residual_blocks_are_binomial(name: str, blocks: int) -> None:
    size = (3, 64, 64) if name in ("seresnet50", "resnet152") else (3, 32, 32)
    assert count_paths(trace(create_model(name), size)) == tuple(
        comb(blocks, k) for k in range(blocks + 1)
    )


def test_counts_of_dense_blocks_are_binomial() -> None:
    # A path is the layers that it passes, in order: any set of them.
    assert count_paths(trace(create_model("densenet_bc_40_12"))) == tuple(
        comb(18, k) for k in range(19)
    )


@pytest.mark.parametrize("name", ["resnet20", "seresnet20", "densenet_bc_40_12"])
def test_counts_match_a_walk_along_every_path(name: str) -> None:
    graph = trace(create_model(name))
    kinds = {block.name: block.kind for block in graph.nodes}
    sources = {block.name: graph.inputs(block.name) for block in graph.nodes}
    lengths: Counter[int] = Counter()
    waiting = [(graph.nodes[-1].name, 0)]
    while waiting:
        name, passed = waiting.pop()
        passed += name.endswith(".conv2")  # each block of these models has one
        before = sources[name][:1] if kinds[name] is MergeKind.GATE else sources[name]
        lengths.update([] if before else [passed])
        waiting += [(source, passed) for source in before]
    assert count_paths(graph) == tuple(lengths[k] for k in range(len(lengths)))


def test_path_gradient_is_a_product_of_matrices() -> None:
    torch.manual_seed(0)
    model, some = Line(), make_images(5, 4, 1, 1)
    skips = list(residual_blocks(trace(model, (4, 1, 1))).values())
    with torch.no_grad():
        logits = model(some.images)
        first = logits.softmax(1) - F.one_hot(some.labels, 4)  # the loss' gradient at the output
    matrices = [conv.weight.detach()[:, :, 0, 0] for conv in model.maps]  # type: ignore[union-attr, index]
    for chosen in itertools.chain.from_iterable(
        itertools.combinations(range(3), k) for k in range(4)
    ):
        product = torch.eye(4)
        for i in chosen:
            product = matrices[i] @ product
        found = path_input_gradient(model, some, skips, [skips[i] for i in chosen])
        torch.testing.assert_close(found.flatten(1), first @ product)


def check_all_together(model: nn.Module, some: LabeledImages) -> None:
    channels, height, width = some.images.shape[1:]
    skips = list(residual_blocks(trace(model, (channels, height, width))).values())
    images = some.images.clone().requires_grad_()
    F.cross_entropy(model(images), some.labels, reduction="sum").backward()
    subsets = itertools.chain.from_iterable(
        itertools.combinations(skips, k) for k in range(len(skips) + 1)
    )
    whole = sum(path_input_gradient(model, some, skips, chosen) for chosen in subsets)
    torch.testing.assert_close(whole, images.grad)


def test_path_gradients_add_up() -> None:
    torch.manual_seed(0)
    model, some = Line(), make_images(3, 4, 1, 1)
    check_all_together(model, some)


def test_path_gradients_of_a_resnet_stage_add_up() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        create_model("resnet20").get_submodule("layer2"), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    ).eval()
    some = make_images(2, 16, 8, 8)
    check_all_together(model, some)


def test_sampled_lengths_and_seed() -> None:
    torch.manual_seed(0)
    model, some = Line().train(), make_images(6, 4, 1, 1)
    one, other = (paths(model, some, num_draws=2, seed=4) for _ in range(2))
    assert one == other
    assert one.counts == (1, 3, 3, 1)
    assert {k: len(norms) for k, norms in one.gradients.items()} == {0: 1, 1: 2, 2: 2, 3: 1}
    assert {k: len(norms) for k, norms in paths(model, some).gradients.items()} == {
        0: 1,
        1: 3,
        2: 3,
        3: 1,
    }
    assert sum(one.shares().values()) == pytest.approx(1)
    assert model.training
    assert not has_hooks(model)
    assert all(weight.grad is None for weight in model.parameters())


@pytest.mark.parametrize(
    ("n", "k", "draws", "count"), [(9, 1, 16, 9), (9, 4, 16, 16), (6, 3, 20, 20), (50, 25, 16, 16)]
)
def test_draws_are_distinct(n: int, k: int, draws: int, count: int) -> None:
    found = sample_distinct(n, k, draws, random.Random(0))
    assert len(set(found)) == len(found) == count
    assert all(sorted(set(one)) == list(one) and len(one) == k for one in found)


def test_dense_model_has_counts_only() -> None:
    found = paths(create_model("densenet_bc_40_12"), make_images(2, 3, 32, 32))
    assert (found.total, found.gradients) == (2**18, {})


def test_cancel_leaves_the_model_unchanged() -> None:
    model = Line().train()

    def stop(done: int, total: int) -> None:
        if done == 2:
            raise AnalysisCancelled

    with pytest.raises(AnalysisCancelled):
        paths(model, make_images(2, 4, 1, 1), progress=stop)
    assert model.training
    assert not has_hooks(model)


def test_tables_and_figure() -> None:
    from matplotlib.figure import Figure

    found = PathsResult((1, 2, 1), {0: (4.0,), 1: (1.0, 3.0), 2: (0.0,)}, 5, "line")
    assert found.tables()["paths"].csv() == (
        "model,length,paths,share_of_paths,share_of_gradient\nline,0,1,0.25,0.5\nline,1,2,0.5,0.5\nline,2,1,0.25,0.0\n"
    )
    assert found.tables()["gradients"].csv() == (
        "model,length,draw,norm\nline,0,0,4.0\nline,1,0,1.0\nline,1,1,3.0\nline,2,0,0.0\n"
    )
    figure = Figure((8, 5))
    found.draw(figure)
    figure.canvas.draw()
    assert len(figure.axes) == 3
    assert figure.get_suptitle() == "line · 4 paths · 5 images"
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == ["0", "1", "2"]


def test_json_keeps_large_counts() -> None:
    counts = tuple(comb(90, k) for k in range(91))
    rows = json.loads(PathsResult(counts, {}).tables()["paths"].json())
    assert [row["paths"] for row in rows] == list(counts)


def test_invalid_input_raises() -> None:
    with pytest.raises(AnalysisError, match="no skip connection"):
        paths(create_model("plain20"), make_images(2, 3, 32, 32))
    with pytest.raises(
        AnalysisError,
        match=r"^lengths must be between 0 and the model's 3 residual blocks, got 4\.$",
    ):
        paths(Line(), make_images(2, 4, 1, 1), lengths=[4])
