"""The graph of a model: shapes, costs and skips against second implementations; folding; the text
form.

`python -m tests.graph.test_trace` writes the golden texts anew; read what differs before you
keep it.
"""

import argparse
import random
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

import networkx
import pytest
import torch
from torch import Tensor, nn

from lightning_resnets.graph import ModelGraph, SkipConnection, TraceError, trace, trace_nodes
from lightning_resnets.graph.dominators import immediate_dominators
from lightning_resnets.graph.insert_merges import insert_merges
from lightning_resnets.merges import Add, Concat, Gate, Merge, MergeKind
from lightning_resnets.models.registry import create_model

GOLDEN = Path(__file__).parents[1] / "golden"
SMALL = ("resnet20", "plain20", "seresnet20", "densenet_bc_40_12", "densenet_40_12")
LARGE = ("resnet18", "seresnet50", "densenet121")
MODELS = (*SMALL, *LARGE)
TEXTS: dict[str, Callable[[], ModelGraph]] = {
    "resnet20": lambda: graph("resnet20"),
    "resnet20-stages": lambda: graph("resnet20").fold(1),
    "plain20-cells": lambda: graph("plain20").fold(),
    "seresnet20-cells": lambda: graph("seresnet20").fold(),
    "densenet_bc_40_12-cells": lambda: graph("densenet_bc_40_12").fold(),
}


@cache
def make_model(name: str) -> nn.Module:
    return create_model(name, num_classes=10).eval()


@cache
def graph(name: str) -> ModelGraph:
    return trace(make_model(name), size(name))


def size(name: str) -> tuple[int, int, int]:
    return (3, 64, 64) if name in LARGE else (3, 32, 32)


@cache
def observed(name: str) -> dict[str, tuple[Tensor, Tensor | None]]:
    """Return each leaf's output and first input in a real pass."""
    seen: dict[str, tuple[Tensor, Tensor | None]] = {}
    handles = [
        module.register_forward_hook(
            lambda _, given, made, path=path: seen.__setitem__(path, (made, given[0]))
        )
        for path, module in make_model(name).named_modules()
        if not list(module.children())
    ]
    with torch.no_grad():
        make_model(name)(torch.zeros(1, *size(name)))
    for handle in handles:
        handle.remove()
    return seen


@pytest.mark.parametrize("name", MODELS)
def test_every_called_module_is_a_node_with_its_real_output_shape(name: str) -> None:
    lone = {
        path for path in observed(name) if path.endswith("denselayer1.concat")
    }  # one part: nothing merges
    blocks = {block.name: block for block in graph(name).nodes}
    assert observed(name).keys() - lone == {
        block.hook_point for block in graph(name).nodes if block.hook_point
    }
    for path in observed(name).keys() - lone:
        assert blocks[path].shape == tuple(observed(name)[path][0].shape[1:]), path


@pytest.mark.parametrize("name", MODELS)
def test_parameters_and_multiply_adds_against_a_count_in_loops(name: str) -> None:
    macs = 0
    for path, module in make_model(name).named_modules():
        made = observed(name)[path][0] if path in observed(name) else torch.empty(0)
        if isinstance(module, nn.Conv2d):
            high, wide = module.kernel_size
            inputs = module.in_channels // module.groups
            macs += made.shape[1] * made.shape[2] * made.shape[3] * inputs * high * wide
        elif isinstance(module, nn.Linear):
            macs += module.in_features * module.out_features
    assert graph(name).macs == macs
    assert graph(name).parameters == sum(weight.numel() for weight in make_model(name).parameters())


@pytest.mark.parametrize(
    ("name", "parameters", "macs"),
    [
        ("resnet20", 269_722, 40_551_040),
        ("seresnet20", 272_095, 40_553_056),
        ("densenet_bc_40_12", 176_122, 72_365_352),  # torch.utils.flop_counter counts twice this
    ],
)
def test_known_numbers(name: str, parameters: int, macs: int) -> None:
    assert (graph(name).parameters, graph(name).macs) == (parameters, macs)


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("densenet_bc_40_12", (6, 6, 6)),
        ("densenet_40_12", (12, 12, 12)),
        ("densenet121", (6, 12, 24, 16)),
    ],
)
def test_a_dense_block_of_n_layers_has_the_papers_number_of_skips(
    name: str, layers: tuple[int, ...]
) -> None:
    skips = graph(name).skips
    assert {skip.kind for skip in skips} == {MergeKind.CONCAT}
    assert len(skips) == sum(n * (n + 1) // 2 for n in layers)
    assert f"{len(skips)} skips: {len(skips)} concat" in str(graph(name)).splitlines()


def test_dense_skips_are_every_layer_but_the_one_directly_before() -> None:
    block = "features.denseblock2"
    layers = ["features.transition1.pool", *(f"{block}.denselayer{i}.conv2" for i in range(1, 7))]
    merges = [*(f"{block}.denselayer{i}.concat" for i in range(2, 7)), f"{block}.concat"]
    expected = {(layers[i], merge, i) for n, merge in enumerate(merges) for i in range(n + 1)}
    found = [skip for skip in graph("densenet_bc_40_12").skips if skip.merge.startswith(block)]
    assert {(skip.source, skip.merge, skip.operand) for skip in found} == expected
    assert len(found) == len(expected) == 21


@pytest.mark.parametrize(
    ("name", "identities", "projections"), [("resnet20", 7, 2), ("resnet18", 5, 3)]
)
def test_residual_skips(name: str, identities: int, projections: int) -> None:
    skips = graph(name).skips
    assert Counter(skip.projection is None for skip in skips) == {
        True: identities,
        False: projections,
    }
    assert all(skip.operand == 0 and skip.kind is MergeKind.ADD for skip in skips)


def test_projections_in_words() -> None:
    words = [skip.projection for skip in graph("resnet20").skips if skip.projection]
    assert words == ["16→32 /2, pad", "32→64 /2, pad"]
    words = [skip.projection for skip in graph("seresnet50").skips if skip.projection]
    assert words == ["64→256, conv 1x1", *(f"{n}→{2 * n} /2, conv 1x1" for n in (256, 512, 1024))]


def test_a_gate_has_one_skip_and_leaves_that_of_the_add_around_it() -> None:
    count = Counter(skip.kind for skip in graph("seresnet20").skips)
    assert count == {MergeKind.ADD: 9, MergeKind.GATE: 9}
    gate = next(skip for skip in graph("seresnet20").skips if skip.kind is MergeKind.GATE)
    assert gate == SkipConnection(MergeKind.GATE, "layer1.0.bn2", "layer1.0.se.gate", 0)
    assert graph("plain20").skips == ()


@pytest.mark.parametrize("seed", range(30))
def test_dominators_equal_those_of_networkx(seed: int) -> None:
    chance = random.Random(seed)
    sources = [
        [],
        *([chance.randrange(i) for _ in range(chance.randint(1, 3))] for i in range(1, 40)),
    ]
    other = networkx.DiGraph(
        (source, node) for node, given in enumerate(sources) for source in given
    )
    expected = networkx.immediate_dominators(other, 0)
    assert immediate_dominators(sources)[1:] == [expected[node] for node in range(1, 40)]


class Model(nn.Module):
    """A model made of parts and a function of (parts, image)."""

    def __init__(self, run: Callable[[nn.ModuleDict, Tensor], Tensor], **parts: nn.Module) -> None:
        super().__init__()
        self.run, self.parts = run, nn.ModuleDict(parts)

    def forward(self, x: Tensor) -> Tensor:
        return self.run(self.parts, x)


def conv(kernel: int = 3) -> nn.Conv2d:
    return nn.Conv2d(3, 3, kernel, padding=kernel // 2)


@pytest.mark.parametrize(
    ("made", "merges", "skips"),
    [
        (
            Model(lambda p, x: p["add"](p["a"](x), p["b"](x)), a=conv(), b=conv(), add=Add()),
            1,
            0,
        ),  # two parallel branches
        (Model(lambda p, x: p["add"](x, x), add=Add()), 1, 0),
        (Model(lambda p, x: p["add"](x, torch.ones(1, 3, 1, 1)), add=Add()), 0, 0),  # a bias
        (
            Model(lambda p, x: p["cat"](p["a"](x), p["b"](x)), a=conv(), b=conv(), cat=Concat()),
            1,
            0,
        ),  # Inception
        (Model(lambda p, x: p["cat"](x, p["a"](x)), a=conv(), cat=Concat()), 1, 1),
        (Model(lambda p, x: p["cat"](p["a"](x), x), a=conv(), cat=Concat()), 1, 1),
        (
            Model(lambda p, x: p["add"](y := p["a"](x), p["b"](y)), a=conv(), b=conv(), add=Add()),
            1,
            1,
        ),
        (
            Model(
                lambda p, x: p["add"](p["a"](x), p["b"](p["b"](x))), a=conv(), b=conv(), add=Add()
            ),
            1,
            0,
        ),
        (
            Model(
                lambda p, x: p["add"](p["a"](x), p["b"](p["b"](x))), a=conv(1), b=conv(), add=Add()
            ),
            1,
            1,
        ),
        (Model(lambda p, x: p["add"](branch=p["a"](x), shortcut=x), a=conv(), add=Add()), 1, 1),
        (
            Model(lambda p, x: p["gate"](weight=p["a"](x).sigmoid(), x=x), a=conv(), gate=Gate()),
            1,
            1,
        ),
    ],
)
def test_merges_and_skips_of_small_models(made: Model, merges: int, skips: int) -> None:
    followed = trace(made, (3, 8, 8))
    assert (len(followed.merges), len(followed.skips)) == (merges, skips)


def test_shortcut_operand_is_found_in_either_order() -> None:
    turned = Model(lambda p, x: p["add"](p["a"](x), x), a=conv(), add=Add())
    assert [skip.operand for skip in trace(turned, (3, 8, 8)).skips] == [1]
    named = Model(lambda p, x: p["add"](branch=p["a"](x), shortcut=x), a=conv(), add=Add())
    assert trace(named, (3, 8, 8)).inputs("parts.add") == ("input", "parts.a")


def test_names_are_unique_and_readable() -> None:
    def run(p: nn.ModuleDict, x: Tensor) -> Tensor:
        x = p["relu"](p["a"](p["relu"](p["a"](x))))
        return torch.flatten(torch.relu(torch.relu(x)).mean((2, 3), keepdim=True), 1)

    followed = trace(Model(run, a=conv(), relu=nn.ReLU()), (3, 8, 8))
    names = [block.name for block in followed.nodes]
    calls = [
        "parts.a",
        "parts.relu",
        "parts.a_1",
        "parts.relu_1",
        "relu",
        "relu_1",
        "mean",
        "flatten",
    ]
    assert names == ["input", *calls, "output"]
    assert followed.parameters == 3 * 3 * 9 + 3  # a weight used twice counts once
    assert followed.node("parts.a").hook_point == ""  # a hook would see two calls


def test_model_is_unchanged() -> None:
    model, expected = create_model("seresnet20").half().train(), graph("seresnet20")
    seen: list[object] = []
    handle = model.layer1.register_forward_hook(lambda *_: seen.append(1))  # type: ignore[union-attr]
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    random_state = torch.get_rng_state()
    assert trace(model) == expected
    assert model.training
    assert all(module.training for module in model.modules())
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random_state)
    assert seen == []
    assert handle.id in model.get_submodule("layer1")._forward_hooks


def test_untraceable_models_raise() -> None:
    valued = Model(lambda p, x: p["a"](x) * float(x.sum()), a=conv())
    with pytest.raises(
        TraceError,
        match=r"this model for an input of 3×8×8: its operations depend on values: 'float'",
    ):
        trace(valued, (3, 8, 8))
    with pytest.raises(TraceError, match="3 input channels got 1"):
        trace(make_model("resnet20"), (1, 32, 32))
    with pytest.raises(TraceError, match="Cannot trace this model for an input of 3×1×1"):
        trace(Model(lambda p, x: p["a"](x), a=nn.Conv2d(3, 3, 3)), (3, 1, 1))


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("name", MODELS)
def test_folding_loses_nothing_and_makes_no_cycle(name: str, depth: int) -> None:
    whole, folded = graph(name), graph(name).fold(depth)
    members = [member for block in folded.nodes for member in block.members]
    assert sorted(members) == sorted(block.name for block in whole.nodes)
    assert (folded.parameters, folded.macs) == (whole.parameters, whole.macs)
    assert networkx.is_directed_acyclic_graph(folded.to_networkx())
    order = {block.name: i for i, block in enumerate(folded.nodes)}
    assert len(order) == len(folded.nodes)
    assert all(order[source] < order[target] for source, target, _ in folded.edges)
    assert folded.fold(depth) == folded
    modules = dict(make_model(name).named_modules())
    assert all(
        block.hook_point in modules for block in folded.nodes if block.op not in ("input", "output")
    )


@pytest.mark.parametrize("name", MODELS)
def test_folded_to_cells_the_merges_and_skips_stay(name: str) -> None:
    whole, folded = graph(name), graph(name).fold()
    assert [merge.name for merge in folded.merges] == [merge.name for merge in whole.merges]
    assert len(folded.skips) == len(whole.skips)
    names = {block.name for block in folded.nodes}
    for before, behind in zip(whole.skips, folded.skips, strict=True):
        assert (behind.merge, behind.operand, behind.projection) == (
            before.merge,
            before.operand,
            before.projection,
        )
        assert behind.source in names
        assert before.source in folded.node(behind.source).members
    for merge in folded.merges:
        sources = folded.inputs(merge.name)
        assert len(sources) == len(whole.inputs(merge.name))
        assert all(source in names for source in sources)


@pytest.mark.parametrize("name", SMALL)
def test_a_folded_block_has_its_outputs_shape(name: str) -> None:
    for block in graph(name).fold().nodes:
        if block.hook_point in observed(name) and "flatten" not in block.op:
            assert block.shape == tuple(observed(name)[block.hook_point][0].shape[1:])


def test_a_block_with_projection_and_gate_folds_to_five() -> None:
    folded = graph("seresnet20").fold()
    cell = [
        (block.name, block.op, block.hook_point)
        for block in folded.nodes
        if block.block == "layer2.0"
    ]
    assert cell == [
        ("layer2.0", "conv 3x3 /2, conv 3x3", "layer2.0.bn2"),
        ("layer2.0.se", "2 × conv 1x1", "layer2.0.se.sigmoid"),
        ("layer2.0.se.gate", "gate", "layer2.0.se.gate"),
        ("layer2.0.downsample", "pad", "layer2.0.downsample"),
        ("layer2.0.add", "add", "layer2.0.add"),
    ]
    assert folded.node("layer2.0.add").members == ("layer2.0.add", "layer2.0.relu2")
    assert {edge for edge in folded.edges if edge[1].startswith("layer2.0")} == {
        ("layer1.2.add", "layer2.0", 0),
        ("layer2.0", "layer2.0.se", 0),
        ("layer2.0", "layer2.0.se.gate", 0),
        ("layer2.0.se", "layer2.0.se.gate", 1),
        ("layer1.2.add", "layer2.0.downsample", 0),
        ("layer2.0.downsample", "layer2.0.add", 0),
        ("layer2.0.se.gate", "layer2.0.add", 1),
    }


def test_stem_and_stages() -> None:
    assert graph("resnet20").fold().node("bn1").name == "conv1"
    names = [block.name for block in graph("resnet20").fold(1).nodes]
    assert names == ["input", "conv1", "layer1", "layer2", "layer3", "avgpool", "fc", "output"]
    dense = {block.stage for block in graph("densenet_bc_40_12").merges}
    assert dense == {f"features.denseblock{i}" for i in (1, 2, 3)}
    with pytest.raises(ValueError, match="got 3"):
        graph("resnet20").fold(3)
    assert graph("resnet20").fold(None) is graph("resnet20")


def test_block_is_found_by_name_and_by_member() -> None:
    with pytest.raises(KeyError, match="no node 'layer9'"):
        graph("resnet20").node("layer9")
    assert graph("resnet20").node("layer1.0.conv1").op == "conv 3x3"


def test_unknown_node_lists_similar_names() -> None:
    with pytest.raises(KeyError, match=r"has layer1\.0\.conv2, layer1\.0\.conv1"):
        graph("resnet20").node("layer1.0.conv3")
    with pytest.raises(KeyError, match="has input, conv1"):
        graph("resnet20").node("9")


@pytest.mark.parametrize(
    "wrong", [32, (32, 32), (1, 3, 32, 32), "3x32", (3, 32, 0), (3, 32.0, 32), None]
)
def test_invalid_input_sizes_raise(wrong: object) -> None:
    for call in (trace, trace_nodes, insert_merges):
        with pytest.raises(
            TraceError,
            match=r"^input_size must be \(C, H, W\), e\.g\. \(3, 32, 32\), got .*\.$",
        ):
            call(make_model("resnet20"), wrong)  # type: ignore[arg-type]


def test_fold_depths_have_names_and_numbers() -> None:
    whole = graph("resnet20")
    for words in (
        ("stage", "stages", 1),
        ("block", "blocks", 2),
        ("module", "modules", "none", None),
    ):
        assert len({str(whole.fold(depth)) for depth in words}) == 1  # type: ignore[arg-type]


@pytest.mark.parametrize("name", MODELS)
def test_skips_hidden_by_folding_to_stages_are_counted(name: str) -> None:
    whole = graph(name)
    for folded in (
        whole.fold(1),
        whole.fold(1).fold(1),
        whole.fold(2).fold(1),
        whole.fold(collapse_repeats=True).fold(1),
    ):
        assert Counter(skip.kind for skip in (*folded.skips, *folded.hidden_skips)) == Counter(
            s.kind for s in whole.skips
        )
        line = next(line for line in str(folded).splitlines() if "skip" in line)
        expected = next(line for line in str(whole).splitlines() if "skip" in line)
        assert line == expected + (", inside the stages" if whole.skips else "")


def test_merges_without_skips_are_counted_inside_stages() -> None:
    run = lambda p, x: p["inner"](x)  # noqa: E731
    even = Model(lambda p, x: p["cat"](p["a"](x), p["b"](x)), a=conv(), b=conv(), cat=Concat())
    assert (
        "1 merge of parallel branches (no skip)"
        in str(trace(Model(run, inner=even), (3, 8, 8)).fold("stage")).splitlines()
    )


def test_names_of_functions_stand_in_parentheses() -> None:
    class Head(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.relu = conv(), nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            x = torch.relu(self.conv(x))  # a function of the same name as a module
            return self.conv(self.relu(x)).mean((2, 3))

    made = Head()
    for found in (
        trace(made, (3, 8, 8)),
        trace(made, (3, 8, 8)).fold(),
        trace(made, (3, 8, 8)).fold(1),
    ):
        modules = dict(made.named_modules())
        assert all(block.is_module == (block.name in modules) for block in found.nodes)
        words = str(found).split()
        for block in found.nodes:
            assert (f"({block.name.rpartition('.')[2]})" in words) is not block.is_module
        assert "names in parentheses are functions" in str(found)
    assert "in parentheses" not in str(graph("resnet20").fold())


@pytest.mark.parametrize("name", MODELS)
def test_names_without_parentheses_can_be_hooked(name: str) -> None:
    for folded in (
        graph(name),
        graph(name).fold(),
        graph(name).fold(1),
        graph(name).fold(collapse_repeats=True),
    ):
        assert all(
            (block.name in dict(make_model(name).named_modules())) == block.is_module
            for block in folded.nodes
        )


def test_repr_is_one_line() -> None:
    assert repr(graph("resnet20")) == (
        "<ModelGraph: 73 nodes, 9 skips: 9 add (2 projected); 269,722 parameters, 40.55 M MACs>"
    )


class Layer(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm, self.conv = nn.BatchNorm2d(channels), nn.Conv2d(channels, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(torch.relu(self.norm(x)))


class Dense(nn.Module):
    """A dense block by functions, and a highway layer, as people write them."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([Layer(3), Layer(6)])
        self.lone = nn.ModuleList([conv(), nn.Conv2d(6, 3, 1)])
        self.gate = nn.Conv2d(3, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        parts = [x]
        for layer in self.layers:
            parts.append(layer(torch.cat(parts, 1)))
        x, weight = parts[-1], torch.sigmoid(self.gate(parts[-1]))
        x = torch.relu(self.lone[0](x)) * weight + x * (1 - weight)
        return torch.relu(self.lone[1](torch.cat([x, parts[0]], 1)))


def test_rows_of_one_module_among_functions_have_its_name() -> None:
    held = Model(lambda p, x: p["block"](x), block=Dense())
    names = {
        block.name.removeprefix("parts.block."): block.op
        for block in trace(held, (3, 8, 8)).fold().nodes
    }
    heavy = [name for name, op in names.items() if op.startswith("conv")]
    assert heavy == ["layers.0", "layers.1", "gate", "lone.0", "lone.1"]
    assert [name for name, op in names.items() if op == "concat"] == ["concat", "concat_1"]


def test_networkx_graph_has_the_same_edges() -> None:
    made = graph("seresnet20").to_networkx()
    assert made.nodes["layer1.0.add"]["kind"] is MergeKind.ADD
    assert made.edges["relu", "layer1.0.add"] == {"operands": (0,), "skip": MergeKind.ADD}
    assert made.number_of_edges() == len(graph("seresnet20").edges)
    twice = trace(Model(lambda p, x: p["add"](x, x), add=Add()), (3, 8, 8)).to_networkx()
    assert twice.edges["input", "parts.add"]["operands"] == (0, 1)


def test_every_merge_of_the_model_is_in_the_graph() -> None:
    for name in SMALL:
        merges = [
            path for path, module in make_model(name).named_modules() if isinstance(module, Merge)
        ]
        lone = [path for path in merges if path.endswith("denselayer1.concat")]
        assert {merge.name for merge in graph(name).merges} == set(merges) - set(lone)


@pytest.mark.parametrize("name", TEXTS)
def test_text(name: str) -> None:
    assert str(TEXTS[name]()) + "\n" == (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")


if __name__ == "__main__":
    argparse.ArgumentParser(description="Write the golden texts.").parse_args()
    for golden, make in TEXTS.items():
        (GOLDEN / f"{golden}.txt").write_text(str(make()) + "\n", encoding="utf-8")
