"""Skip connections of models small enough to know the right answer, and of timm's models beside
their papers.
"""

from collections import Counter
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from lightning_resnets.graph import trace
from lightning_resnets.graph.data import SkipConnection
from lightning_resnets.graph.insert_merges import insert_merges
from lightning_resnets.graph.model_graph import ModelGraph
from lightning_resnets.interventions import ScaleInput, intervene
from lightning_resnets.merges import MergeKind
from lightning_resnets.models.external import build_external
from lightning_resnets.utils.skip_init import skip_init

SIZE = (4, 8, 8)
Run = Callable[[nn.ModuleDict, Tensor], Tensor]


class Model(nn.Module):
    """A model of parts and a function of (parts, image)."""

    def __init__(self, run: Run, **parts: nn.Module) -> None:
        super().__init__()
        self.run, self.parts = run, nn.ModuleDict(parts)

    def forward(self, x: Tensor) -> Tensor:
        return self.run(self.parts, x)


def conv(kernel: int, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(4, 4, kernel, padding=kernel // 2, groups=groups)


def normed(*parts: nn.Module) -> nn.Sequential:
    """Each part with a norm of its own behind it."""
    return nn.Sequential(*(one for part in parts for one in (part, nn.BatchNorm2d(4))))


def found(run: Run, **parts: nn.Module) -> list[tuple[str, str, str | None]]:
    return [(str(s.kind), s.source, s.projection) for s in trace(Model(run, **parts), SIZE).skips]


def added(one: nn.Module, other: nn.Module) -> list[tuple[str, str, str | None]]:
    """The skips of one(x) + other(x), the same whichever comes first."""
    first = found(lambda p, x: p["one"](x) + p["other"](x), one=one, other=other)
    assert first == found(lambda p, x: p["other"](x) + p["one"](x), one=one, other=other)
    return first


def branch() -> nn.Module:
    return nn.Sequential(conv(3), nn.BatchNorm2d(4), nn.ReLU(), conv(3), nn.BatchNorm2d(4))


def test_a_norm_belongs_to_its_convolution() -> None:
    even = [
        (conv(3), conv(1)),
        (normed(conv(3)), conv(1)),
        (conv(3), normed(conv(1))),
        (normed(conv(3)), normed(conv(1))),
    ]
    assert [added(one, other) for one, other in even] == [[]] * 4
    before = nn.Sequential(nn.BatchNorm2d(4), conv(3))
    assert added(before, conv(1)) == []


def test_a_projection_with_or_without_its_norm_goes_round_two_convolutions() -> None:
    for shortcut in (conv(1), normed(conv(1))):
        assert added(shortcut, branch()) == [("add", "input", "4, conv 1x1")]


def test_a_norm_alone_is_not_a_projection() -> None:
    assert added(nn.BatchNorm2d(4), branch()) == [("add", "input", "4, norm")]
    text = str(
        trace(Model(lambda p, x: p["n"](x) + p["b"](x), n=nn.BatchNorm2d(4), b=branch()), SIZE)
    )
    assert "1 skip: 1 add (1 norm only)" in text.splitlines()
    assert added(nn.BatchNorm2d(4), nn.BatchNorm2d(4)) == []


def test_a_depthwise_convolution_and_the_1x1_after_it_are_one() -> None:
    for shortcut in (nn.Sequential(conv(3, 4), conv(1)), normed(conv(3, 4), conv(1))):
        assert added(shortcut, branch()) == [("add", "input", "4, conv 3x3 groups 4 + conv 1x1")]
    assert added(normed(conv(3, 4), conv(1)), conv(3)) == []  # one against one: even
    assert (
        added(nn.Sequential(conv(3, 2), conv(1)), nn.Sequential(conv(3), conv(3), conv(3))) == []
    )  # groups, no depth
    bent = nn.Sequential(conv(3, 4), nn.ReLU(), conv(1))
    assert (
        added(bent, nn.Sequential(branch(), conv(3))) == []
    )  # an activation on the way: it projects nothing


def test_a_part_that_goes_round_a_branch_by_a_slice() -> None:
    halves = {"b": nn.Conv2d(2, 2, 3, padding=1)}
    expected = [("concat", "input", "4→2, slice")]
    assert found(lambda p, x: torch.cat((x[:, :2], p["b"](x[:, 2:])), 1), **halves) == expected
    assert (
        found(lambda p, x: torch.cat((p["b"](x[:, 2:]), x[:, :2]), 1), **halves) == expected
    )  # sliced last
    assert (
        found(lambda p, x: torch.cat((x.chunk(2, 1)[0], p["b"](x.chunk(2, 1)[1])), 1), **halves)
        == expected
    )
    assert found(lambda p, x: torch.cat((x[:, 2:], x[:, :2]), 1)) == []  # channels in another order
    split = {
        "a": conv(3),
        "b": nn.Conv2d(4, 2, 1),
    }  # what is added to half of a branch, the other half goes round

    def rest(p: nn.ModuleDict, x: Tensor) -> Tensor:
        y = p["a"](x)
        return torch.cat((y[:, :2] + p["b"](x), y[:, 2:]), 1)

    assert [kind for kind, _, _ in found(rest, **split)] == []
    both = {"a": nn.Conv2d(2, 2, 1), "b": nn.Conv2d(2, 2, 3, padding=1)}
    assert found(lambda p, x: torch.cat((p["a"](x[:, :2]), p["b"](x[:, 2:])), 1), **both) == []


def test_parts_made_of_one_another_are_skips_in_any_order() -> None:
    def run(p: nn.ModuleDict, x: Tensor) -> Tensor:
        y = p["a"](x)
        return torch.cat((p["b"](y), x, y), 1)

    assert found(run, a=conv(3), b=conv(3)) == [
        ("concat", "input", None),
        ("concat", "parts.a", None),
    ]


def shown(name: str) -> ModelGraph:
    pytest.importorskip("timm")
    with skip_init():
        model = build_external(name, 10)
    return trace(model, (3, 128, 128))


def kinds(graph: ModelGraph) -> Counter[str]:
    return Counter(str(skip.kind) for skip in graph.skips)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "blocks"), [("timm/dpn48b", 16), ("timm/dpn68", 22)])
def test_a_dual_path_model_adds_and_concatenates(name: str, blocks: int) -> None:
    """Chen et al. 2017, arXiv:1707.01629, section 3.3: both paths in each block; four begin them by
    a 1x1.
    """
    graph = shown(name)
    assert kinds(graph) == {"add": blocks, "concat": blocks - 4}
    adds = f"{blocks} add (4 projected, {blocks - 4} sliced)"
    words = f"{adds}, {blocks - 4} concat ({blocks - 4} sliced)"
    assert f"{2 * blocks - 4} skips: {words}" in str(graph).splitlines()
    assert "4 merges of parallel branches (no skip)" in str(graph).splitlines()


@pytest.mark.slow
def test_half_of_a_shufflenet_passes_thirteen_of_sixteen_units_by() -> None:
    """Ma et al. 2018, arXiv:1807.11164, table 5: 4, 8 and 4 units, the first of each without a
    split.
    """
    graph = shown("torchvision/shufflenet_v2_x1_0")
    assert kinds(graph) == {"concat": 3 + 7 + 3}
    assert "3 merges of parallel branches (no skip)" in str(graph).splitlines()


@pytest.mark.slow
def test_every_bottleneck_of_a_ghostnet_has_a_shortcut() -> None:
    """Han et al. 2020, arXiv:1911.11907, table 1: 16 bottlenecks; those that change stride or width
    project.
    """
    graph = shown("timm/ghostnet_100")
    adds = [skip for skip in graph.skips if skip.kind is MergeKind.ADD]
    blocks = [
        module
        for name, module in build_external("timm/ghostnet_100", 10).named_modules()
        if name.count(".") == 2
    ]
    projecting = sum(bool(len(block.shortcut)) for block in blocks if hasattr(block, "shortcut"))  # type: ignore[arg-type]
    assert len(adds) == 16
    assert sum(skip.projection is not None for skip in adds) == projecting


@pytest.mark.slow
def test_the_identities_of_repvgg_go_through_a_norm() -> None:
    """Ding et al. 2021, arXiv:2101.03697, section 3.2 and table 2: 2, 4, 14 and 1 blocks and a
    stem, no identity where the stride is two."""
    graph = shown("timm/repvgg_a0")
    identities = (2 - 1) + (4 - 1) + (14 - 1) + (1 - 1)
    assert "17 skips: 17 add (17 norm only)" in str(graph).splitlines()
    assert len(graph.skips) == identities == 17


@pytest.mark.slow
def test_branches_of_googlenet_stay_even() -> None:
    graph = shown("torchvision/googlenet")
    assert (len(graph.merges), graph.skips) == (9, ())


def test_a_slice_is_cut_by_its_name_in_the_graph() -> None:
    torch.manual_seed(0)
    model = Model(
        lambda p, x: torch.cat((x[:, :2], p["b"](x[:, 2:])), 1), b=nn.Conv2d(2, 2, 3, padding=1)
    ).eval()
    skip = trace(model, SIZE).skips[0]
    assert skip == SkipConnection(MergeKind.CONCAT, "input", "concat", 0, "4→2, slice")
    image = torch.randn(1, *SIZE)
    with (
        torch.no_grad(),
        intervene(cut := insert_merges(model, SIZE), ScaleInput(skip.merge, skip.operand, 0.0)),
    ):
        given = cut(image)
    assert not given[:, :2].any()
    assert torch.equal(given[:, 2:], model(image)[:, 2:])
