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


class Chain(nn.Module):
    """Any number of residual blocks with a nonlinearity."""

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.maps = nn.ModuleList(nn.Conv2d(4, 4, 1, bias=False) for _ in range(blocks))
        self.adds = nn.ModuleList(Add() for _ in range(blocks))

    def forward(self, x: Tensor) -> Tensor:
        for conv, add in zip(self.maps, self.adds, strict=True):
            x = add(x, torch.tanh(conv(x)))
        return torch.flatten(x, 1)  # (N, 4)

    def forward_along(self, x: Tensor, chosen: tuple[int, ...]) -> Tensor:
        """Compute the same output, with a gradient along one path only."""
        for index, conv in enumerate(self.maps):
            branch = torch.tanh(conv(x))
            x = x.detach() + branch if index in chosen else x + branch.detach()
        return torch.flatten(x, 1)


def reference_norms(model: Chain, some: LabeledImages) -> dict[tuple[int, ...], Tensor]:
    """Return the norm of each image's gradient along every path."""
    blocks = len(model.maps)
    norms: dict[tuple[int, ...], Tensor] = {}
    for k in range(blocks + 1):
        for chosen in itertools.combinations(range(blocks), k):
            images = some.images.clone().requires_grad_()
            logits = model.forward_along(images, chosen)
            F.cross_entropy(logits, some.labels, reduction="sum").backward()
            assert images.grad is not None
            norms[chosen] = images.grad.flatten(1).norm(dim=1)
    return norms


def reference_shares(model: Chain, some: LabeledImages) -> list[float]:
    """Return the share of each length in the sum over all paths."""
    parts = [0.0] * (len(model.maps) + 1)
    for chosen, norms in reference_norms(model, some).items():
        parts[len(chosen)] += float(norms.double().sum())
    return [part / sum(parts) for part in parts]


def test_shares_are_those_of_all_paths() -> None:
    torch.manual_seed(0)
    model, some = Chain(6), make_images(8, 4, 1, 1)
    found = paths(model, some, num_draws=comb(6, 3))
    shares = found.shares()
    assert list(shares) == list(range(7))
    assert list(shares.values()) == pytest.approx(reference_shares(model, some), rel=1e-5)
    assert set(found.share_errors().values()) == {0.0}


def test_drawn_shares_are_within_their_errors() -> None:
    torch.manual_seed(0)
    model, some = Chain(6), make_images(8, 4, 1, 1)
    found = paths(model, some, num_draws=5)
    expected = reference_shares(model, some)
    errors = found.share_errors()
    assert all(error > 0 for error in errors.values())
    assert all(abs(found.shares()[k] - expected[k]) < 4 * errors[k] for k in range(7))


def test_every_image_takes_its_own_path() -> None:
    torch.manual_seed(0)
    model, some = Chain(5), make_images(3, 4, 1, 1)
    norms = reference_norms(model, some)
    drawn = paths(model, some, lengths=[2], num_draws=4, seed=3).gradients[2]
    pairs = list(itertools.combinations(range(5), 2))
    means = {
        round(sum(float(norms[pair][image]) for image, pair in enumerate(own)) / 3, 5)
        for own in itertools.product(pairs, repeat=3)
    }
    assert {round(norm, 5) for norm in drawn} <= means


@pytest.mark.parametrize(("blocks", "measured"), [(27, 28), (64, 65), (100, 26)])
def test_every_length_has_a_share(blocks: int, measured: int) -> None:
    torch.manual_seed(0)
    found = paths(Chain(blocks), make_images(2, 4, 1, 1), num_draws=2)
    assert len(found.gradients) == measured
    assert list(found.shares()) == list(range(blocks + 1))
    assert sum(found.shares().values()) == pytest.approx(1)


def test_lengths_between_measured_ones_are_interpolated() -> None:
    found = PathsResult((1, 4, 6, 4, 1), {0: (8.0,), 4: (0.5,)})
    parts = [1 * 8.0, 4 * 4.0, 6 * 2.0, 4 * 1.0, 1 * 0.5]
    assert list(found.shares().values()) == pytest.approx([part / sum(parts) for part in parts])
    assert [row[-1] for row in found.tables()["paths"].rows] == [1, 0, 0, 0, 1]


def test_shares_are_unknown_beyond_the_measured_lengths() -> None:
    found = PathsResult((1, 2, 1), {1: (1.0, 2.0)})
    assert found.shares() == found.share_errors() == {}
    assert [row[4] for row in found.tables()["paths"].rows] == [None, None, None]


def test_batch_statistics_are_measured_with_one_path_for_all_images() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(create_model("resnet20").get_submodule("layer2"), nn.Flatten())
    some = make_images(3, 16, 4, 4)
    one, other = (paths(model, some, lengths=[1], num_draws=n).gradients[1] for n in (3, 3))
    skips = list(residual_blocks(trace(model, (16, 4, 4))).values())
    assert len(one) == len(skips) == 3
    assert one == other


def test_panels_show_the_same_lengths() -> None:
    from matplotlib.figure import Figure

    figure = Figure((10, 5))
    paths(Chain(9), make_images(2, 4, 1, 1), lengths=[0, 3, 9], num_draws=2).draw(figure)
    counts, norms, shares = figure.axes
    assert counts.get_xlim() == norms.get_xlim() == shares.get_xlim()
    assert len(counts.patches) == len(shares.patches) == 10
    assert "partly interpolated" in shares.get_title()


def test_tables_and_figure() -> None:
    from matplotlib.figure import Figure

    found = PathsResult((1, 2, 1), {0: (4.0,), 1: (1.0, 3.0), 2: (0.0,)}, 5, "line")
    assert found.tables()["paths"].csv() == (
        "model,length,paths,share_of_paths,share_of_gradient,standard_error,draws\n"
        "line,0,1,0.25,0.5,0.0,1\nline,1,2,0.5,0.5,0.0,2\nline,2,1,0.25,0.0,0.0,1\n"
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
