"""Equal neighbors as one: counted as a slow second way does, nothing lost, and only what is
equal.
"""

from functools import cache

import networkx
import pytest
import torch
from torch import Tensor, nn

from lightning_resnets.graph import trace
from lightning_resnets.graph.data import FoldDepth, Node
from lightning_resnets.graph.insert_merges import insert_merges
from lightning_resnets.graph.model_graph import ModelGraph
from lightning_resnets.merges import Add, Concat
from lightning_resnets.models.registry import create_model
from lightning_resnets.utils.skip_init import skip_init

MODELS = (
    "resnet20",
    "seresnet20",
    "resnet101",
    "densenet_bc_40_12",
    "inception_resnet_v2",
    "preresnet164",
)


@cache
def graph(name: str) -> ModelGraph:
    with skip_init():
        model = create_model(name, 10)
    return trace(model, (3, 96, 96) if name == "inception_resnet_v2" else (3, 32, 32))


def operation(name: str, member: str) -> tuple[object, ...]:
    block = graph(name).node(member)
    return block.op, block.shape, block.parameters, block.macs, block.kind


def unfolded(folded: ModelGraph) -> list[tuple[str, int]]:
    """Each operation with the number of times that its block counts for."""
    return [(member, block.repeat_count) for block in folded.nodes for member in block.members]


def test_a_resnet_101_as_its_paper_writes_it() -> None:
    """3, 4, 23 and 3 blocks (arXiv:1512.03385, table 1); the first of each stage has a projection
    of its own.
    """
    folded = graph("resnet101").fold("block", collapse_repeats=True)
    assert [block.repeat_count for block in folded.nodes if block.kind] == [1, 2, 1, 3, 1, 22, 1, 2]
    assert (
        len(folded.node("layer3.7.conv1").members) == 22 * 8
    )  # conv, norm, relu; conv, norm, relu; conv, norm
    lines = str(folded).splitlines()
    assert "  1 ×22         conv 1x1, conv 3x3, conv 1x1" in "\n".join(lines)
    assert lines[-3:-1] == [
        "33 skips: 33 add (4 projected)",
        "non-linearities: 100 on the longest path, 34 on the shortest",
    ]


@pytest.mark.parametrize("depth", ["stage", "block", "module"])
@pytest.mark.parametrize("name", MODELS)
def test_nothing_is_lost(name: str, depth: FoldDepth) -> None:
    whole = graph(name)
    plain, folded = whole.fold(depth), whole.fold(depth, collapse_repeats=True)
    assert (folded.parameters, folded.macs) == (whole.parameters, whole.macs)
    assert sorted(member for member, _ in unfolded(folded)) == sorted(
        block.name for block in whole.nodes
    )
    assert sum(block.repeat_count for block in folded.nodes) == len(plain.nodes)
    assert sum(block.repeat_count for block in folded.merges) == len(plain.merges)
    times = {block.name: block.repeat_count for block in folded.nodes}
    assert sum(times[skip.merge] for skip in folded.skips) == len(plain.skips)
    assert sum(times[target] for _, target, _ in folded.edges) == len(plain.edges)
    assert str(folded).splitlines()[-2:] == str(plain).splitlines()[-2:]
    assert networkx.is_directed_acyclic_graph(folded.to_networkx())
    order = {block.name: place for place, block in enumerate(folded.nodes)}
    assert all(order[source] < order[target] for source, target, _ in folded.edges)


@pytest.mark.parametrize("name", MODELS)
def test_collapsed_units_are_equal_in_every_count(name: str) -> None:
    plain, folded = graph(name).fold("block"), graph(name).fold("block", collapse_repeats=True)
    for block in folded.nodes:
        equal = {plain.node(member).name for member in block.members}
        alike = [plain.node(one) for one in equal]
        assert len({(one.op, one.shape, one.parameters, one.macs, one.kind) for one in alike}) == 1
        assert (len(equal), block.shape, block.op) == (
            block.repeat_count,
            alike[0].shape,
            alike[0].op,
        )
        inside = {tuple(operation(name, member) for member in one.members) for one in alike}
        assert len(inside) == 1
        shapes = {tuple(plain.node(source).shape for source in plain.inputs(one)) for one in equal}
        assert len(shapes) == 1


@pytest.mark.parametrize("name", ["densenet_bc_40_12", "densenet_40_12"])
def test_dense_layers_are_never_equal(name: str) -> None:
    assert graph(name).fold(collapse_repeats=True) == graph(name).fold()


class Chain(nn.Module):
    """Equal residual cells, and one thing that is not as in the others."""

    def __init__(self, cells: int, odd: str = "") -> None:
        super().__init__()
        self.stage = nn.Sequential(*(Cell() for _ in range(cells)))
        self.concat, self.odd = Concat(), odd

    def forward(self, x: Tensor) -> Tensor:
        first = x
        for place, cell in enumerate(self.stage):
            x = cell(first if (self.odd, place) == ("reads the first again", 2) else x)
            first = x if place == (1 if self.odd == "is read later" else 0) else first
        return self.concat(x, first) if self.odd == "is read later" else x


class Cell(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.add = nn.Conv2d(4, 4, 3, padding=1), Add()

    def forward(self, x: Tensor) -> Tensor:
        return self.add(x, torch.relu(self.conv(x)))


@pytest.mark.parametrize(
    ("odd", "times"),
    [
        ("", [4]),  # input, four cells, output
        ("reads the first again", [1, 1, 2]),  # in place of the second
        ("is read later", [2, 2]),  # the second's output goes on to the end
    ],
)
def test_only_a_plain_chain_of_equals_is_one(odd: str, times: list[int]) -> None:
    folded = trace(Chain(4, odd), (4, 8, 8)).fold(collapse_repeats=True)
    assert [block.repeat_count for block in folded.merges if block.kind == "add"] == times


class Wide(nn.Module):
    """Several cells in a container and an Add around them, as MobileNetV3's; the last may end
    without a ReLU.
    """

    def __init__(self, last: bool) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Conv2d(4, 4, 1), Cell(), nn.Conv2d(4, 4, 1, bias=False))
        self.add, self.last = Add(), last

    def forward(self, x: Tensor) -> Tensor:
        x = self.add(x, self.block(x))
        return x if self.last else torch.relu(x)


def chained(*parts: nn.Module) -> ModelGraph:
    return trace(nn.Sequential(nn.Conv2d(3, 4, 1), *parts, nn.AdaptiveAvgPool2d(1)), (3, 8, 8))


def test_a_unit_may_have_several_cells() -> None:
    made = trace(
        nn.Sequential(
            nn.Conv2d(3, 4, 1), *(Wide(False) for _ in range(3)), nn.AdaptiveAvgPool2d(1)
        ),
        (3, 8, 8),
    )
    folded = made.fold(collapse_repeats=True)
    assert [(block.name, block.repeat_count) for block in folded.merges] == [
        ("1.block.1.add", 3),
        ("1.add", 3),
    ]
    assert len({block.block for block in made.fold().nodes if block.name.startswith("1.")}) > 2
    assert {block.block for block in folded.nodes if block.repeat_count > 1} == {"1"}
    assert (folded.parameters, folded.macs) == (made.parameters, made.macs)
    assert {block.repeat_count for block in folded.nodes} == {1, 3}
    assert folded.inputs("1.add")[0] == "0"


class Stage(nn.Module):
    """Blocks and a downsampling in one module, which is then one cell (timm's ConvNeXt,
    torchvision's ViT).
    """

    def __init__(self) -> None:
        super().__init__()
        self.downsample = nn.Conv2d(4, 4, 2, stride=2)
        self.blocks = nn.Sequential(*(Cell() for _ in range(5)))

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(self.downsample(x))


def test_equal_blocks_inside_of_a_cell() -> None:
    made = chained(Stage(), Stage())
    assert {block.block for block in made.fold().nodes if "blocks" in block.name} == {"1", "2"}
    for depth in ("block", "module"):
        folded = made.fold(depth, collapse_repeats=True)  # type: ignore[arg-type]
        assert [(block.name, block.repeat_count) for block in folded.merges] == [
            ("1.blocks.0.add", 5),
            ("2.blocks.0.add", 5),
        ]
        assert folded.node("1.downsample").repeat_count == 1


@pytest.mark.slow  # imports torchvision
def test_the_twelve_layers_of_vit_b() -> None:
    """Dosovitskiy et al. 2021, arXiv:2010.11929, table 1."""
    with skip_init():
        model = insert_merges(create_model("torchvision/vit_b_16", 10))
    folded = trace(model, (3, 224, 224)).fold(collapse_repeats=True)
    assert [block.repeat_count for block in folded.merges if block.kind == "add"] == [12, 12]


def test_units_with_equal_counts_but_other_operations_differ() -> None:
    """Inception-ResNet-v2's last block has no activation behind its sum."""
    made = trace(
        nn.Sequential(
            nn.Conv2d(3, 4, 1), Wide(False), Wide(False), Wide(True), nn.AdaptiveAvgPool2d(1)
        ),
        (3, 8, 8),
    )
    assert [block.repeat_count for block in made.fold(collapse_repeats=True).merges] == [2, 2, 1, 1]
    adds = [
        block
        for block in graph("inception_resnet_v2").fold(collapse_repeats=True).merges
        if block.kind == "add"
    ]
    assert [block.repeat_count for block in adds] == [10, 20, 9, 1]


def test_folded_twice_is_folded_once() -> None:
    once = graph("resnet101").fold(collapse_repeats=True)
    assert once.fold(collapse_repeats=True) == once
    assert once.fold("stage").parameters == once.parameters


def test_depths_have_names() -> None:
    whole = graph("resnet20")
    assert (whole.fold("stage"), whole.fold("block"), whole.fold("module")) == (
        whole.fold(1),
        whole.fold(2),
        whole,
    )
    with pytest.raises(ValueError, match="got 'cell'"):
        whole.fold("cell")  # type: ignore[arg-type]
    assert Node("a", "relu", (1,), 0, 0).repeat_count == 1
