"""Activation functions on the longest and shortest path: formulas, and every path one by one."""

import json
import random

import networkx
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_resnets.errors import GraphError
from lightning_resnets.graph import ModelGraph, Node, trace
from lightning_resnets.graph.data import Edge
from lightning_resnets.graph.export import to_json
from lightning_resnets.graph.nonlinearities import count_nonlinearities
from lightning_resnets.models.registry import create_model


@pytest.mark.parametrize(
    ("name", "longest", "shortest"),
    [
        ("resnet20", 6 * 3 + 1, 3 * 3 + 1),  # two a block; the shortcut bypasses one of them
        ("plain20", 6 * 3 + 1, 6 * 3 + 1),
        ("resnet50", 3 * 16 + 1, 16 + 1),  # three a bottleneck
        ("seresnet20", 2 * 9 + 6 * 3 + 1, 3 * 3 + 1),  # the SE path adds a ReLU and a sigmoid
        # The first block of each stage activates its shortcut too.
        ("preresnet164", 3 * 54 + 1, 3 + 1),
    ],
)
def test_counts_follow_from_the_number_of_blocks(name: str, longest: int, shortest: int) -> None:
    size = 64 if name == "resnet50" else 32
    assert trace(create_model(name), (3, size, size)).nonlinearities == (longest, shortest)


@pytest.mark.parametrize("seed", range(20))
def test_counts_equal_those_of_every_path_one_by_one(seed: int) -> None:
    chance = random.Random(seed)
    ops = ["input", *chance.choices(["conv 3x3", "leaky relu", "batch norm", "tanh"], k=10)]
    nodes = [Node(str(i), op, (1,), 0, 0) for i, op in enumerate(ops)]
    edges: list[Edge] = []
    for i in range(1, len(nodes)):
        sources = {chance.randrange(i) for _ in range(2)} | {i - 1}
        edges += [(str(source), str(i), operand) for operand, source in enumerate(sources)]
    graph = networkx.DiGraph([(source, target) for source, target, _ in edges])
    paths = networkx.all_simple_paths(graph, "0", str(len(nodes) - 1))
    counts = [sum(ops[int(name)] in ("leaky relu", "tanh") for name in path) for path in paths]
    assert count_nonlinearities(nodes, edges) == (max(counts), min(counts))


class Spellings(nn.Module):
    """The same number of activations as modules, functions, methods and by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.act = nn.LeakyReLU()

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(x)
        x = F.gelu(x)
        x = x.relu()
        x = torch.clamp(x, min=0)
        return x * torch.sigmoid(x)


def test_activations_count_however_they_are_written() -> None:
    counts = trace(nn.Sequential(nn.Conv2d(3, 3, 1), Spellings()), (3, 8, 8)).nonlinearities
    assert counts == (5, 5)


def test_a_norm_that_applies_an_activation_counts() -> None:
    timm_layers = pytest.importorskip("timm.layers")
    active = timm_layers.BatchNormAct2d(3)
    linear = timm_layers.BatchNormAct2d(3, apply_act=False)
    graph = trace(nn.Sequential(active, linear), (3, 8, 8))
    assert graph.nonlinearities == (1, 1)
    assert [node.op for node in graph.nodes] == ["input", "batch norm relu", "batch norm", "output"]


def test_counts_survive_folding_and_json() -> None:
    graph = trace(create_model("resnet20"))
    assert {graph.fold(depth).nonlinearities for depth in (1, 2)} == {(19, 10)}
    assert ModelGraph.from_json(to_json(graph)).nonlinearities == (19, 10)


@pytest.mark.parametrize("counts", [[1], [1, -1], ["1", 2], 7])
def test_invalid_counts_in_json_raise(counts: object) -> None:
    document = json.loads(to_json(trace(nn.Conv2d(3, 3, 1), (3, 8, 8))))
    document["nonlinearities"] = counts
    with pytest.raises(GraphError, match=r'"nonlinearities" must be \[longest, shortest\]'):
        ModelGraph.from_json(json.dumps(document))
