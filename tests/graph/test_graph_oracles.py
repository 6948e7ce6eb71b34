"""Whole graphs against what others know of the same models: the papers' counts, other packages'
twins, files of ONNX.
"""

from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from lightning_resnets.graph import trace
from lightning_resnets.graph.insert_merges import insert_merges
from lightning_resnets.graph.model_graph import ModelGraph
from lightning_resnets.merges import MergeKind
from lightning_resnets.models.registry import create_model
from lightning_resnets.utils.skip_init import skip_init

SIZE = (3, 64, 64)
Plain = tuple[list[object], list[object], list[object]]


@cache
def graph(name: str) -> ModelGraph:
    with skip_init():
        model = create_model(name, 10)
    return trace(insert_merges(model, SIZE) if "/" in name else model, SIZE)


def kinds(name: str) -> Counter[MergeKind | None]:
    return Counter(block.kind for block in graph(name).merges)


def paths(found: ModelGraph) -> int:
    """All ways from the input to the output, counted one step at a time; a gate's weight leads no
    further.
    """
    ways = {found.nodes[0].name: 1}
    for block in found.nodes[1:]:
        sources = found.inputs(block.name)
        ways[block.name] = sum(
            ways[source] for source in (sources[:1] if block.kind is MergeKind.GATE else sources)
        )
    return ways[found.nodes[-1].name]


@pytest.mark.parametrize(
    ("name", "blocks"), [("resnet18", 8), ("resnet50", 16), ("seresnet50", 16), ("resnet20", 9)]
)
def test_n_residual_blocks_are_two_to_the_n_paths(name: str, blocks: int) -> None:
    """Veit et al. 2016, arXiv:1605.06431, section 3; folding to blocks leaves them as they are."""
    assert paths(graph(name)) == paths(graph(name).fold()) == 2**blocks


@pytest.mark.parametrize(
    ("name", "layers"), [("densenet169", (6, 12, 32, 32)), ("densenet201", (6, 12, 48, 32))]
)
def test_a_densenet_has_l_times_l_plus_1_half_skips_a_block(
    name: str, layers: tuple[int, ...]
) -> None:
    """Huang et al. 2017, arXiv:1608.06993, section 3: L(L+1)/2 connections in a block of L
    layers.
    """
    assert len(graph(name).skips) == sum(n * (n + 1) // 2 for n in layers)
    assert kinds(name) == {MergeKind.CONCAT: sum(layers)}


def test_se_resnet_50_has_16_gates_and_16_adds() -> None:
    """Hu et al. 2018, arXiv:1709.01507, table 1: one squeeze and excitation in each of ResNet-50's
    16 blocks.
    """
    assert kinds("seresnet50") == {MergeKind.ADD: 16, MergeKind.GATE: 16}
    assert Counter(skip.kind for skip in graph("seresnet50").skips) == {
        MergeKind.ADD: 16,
        MergeKind.GATE: 16,
    }


@pytest.mark.parametrize("name", ["googlenet", "bn_inception"])
def test_branches_of_an_inception_module_are_not_skips(name: str) -> None:
    assert graph(name).skips == ()
    assert kinds(name) == {MergeKind.CONCAT: {"googlenet": 9, "bn_inception": 10}[name]}


def nameless(found: ModelGraph) -> Plain:
    """A graph without names, and without concatenations of one part, with which torchvision's dense
    blocks begin.
    """
    into: dict[str, str] = {}
    for block in found.nodes:
        sources = found.inputs(block.name)
        lone = block.op == "join" and len(sources) == 1
        into[block.name] = into[sources[0]] if lone else block.name
    kept = [block for block in found.nodes if into[block.name] == block.name]
    at = {block.name: place for place, block in enumerate(kept)}
    flow = [
        (at[into[source]], at[target], operand)
        for source, target, operand in found.edges
        if target in at
    ]
    skips = [
        (s.kind, at[into[s.source]], at[s.merge], s.operand, s.projection) for s in found.skips
    ]
    return (
        [(b.op, b.shape, b.parameters, b.macs, b.kind, b.repeat_count) for b in kept],
        sorted(flow),
        sorted(skips),
    )


@pytest.mark.slow  # imports torchvision
@pytest.mark.parametrize("fold", ["module", "block", "repeats", "stage"])
@pytest.mark.parametrize(
    "name",
    ["resnet18", "resnet50", "resnext50_32x4d", "wide_resnet50_2", "densenet121", "googlenet"],
)
def test_graph_equals_that_of_torchvisions_model_up_to_names(name: str, fold: str) -> None:
    ours, theirs = graph(name), graph(f"torchvision/{name}")
    if fold == "module":
        assert len(ours.nodes) > 60
    elif fold == "repeats":
        ours, theirs = ours.fold(collapse_repeats=True), theirs.fold(collapse_repeats=True)
    else:
        ours, theirs = ours.fold(fold), theirs.fold(fold)  # type: ignore[arg-type]
    assert nameless(ours) == nameless(theirs)


@pytest.mark.slow
def test_graph_equals_that_of_timms_model_up_to_the_squeeze() -> None:
    pytest.importorskip("timm")
    assert kinds("timm/seresnet50") == kinds("seresnet50")
    ours, theirs = (nameless(graph(name).fold()) for name in ("seresnet50", "timm/seresnet50"))
    assert (ours[1], [skip[:4] for skip in ours[2]]) == (
        theirs[1],
        [skip[:4] for skip in theirs[2]],
    )


LIGHT = {  # the files that the onnx package ships without weights
    "resnet50": "resnet50",
    "densenet121": "densenet121",
    "inception_v1": "googlenet",
    "inception_v2": "bn_inception",
}


def joins(name: str) -> tuple[int, int, int, int]:
    """Adds, concatenations and layers with weights of an ONNX file; and all parts of all
    concatenations but one each.

    What does not depend on the image is no operand; a part that is itself a concatenation counts as
    its parts."""
    onnx = pytest.importorskip("onnx")
    folder = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
    model = onnx.load(folder / f"light_{name}.onnx").graph
    given = {tensor.name for tensor in model.initializer}
    seen = {tensor.name for tensor in model.input if tensor.name not in given}
    parts: dict[str, list[str]] = {}
    count = Counter[str]()
    for node in model.node:
        operands = [tensor for tensor in node.input if tensor in seen]
        seen |= set(node.output) if operands else set()
        if node.op_type in ("Add", "Sum") and len(operands) > 1:
            count["add"] += 1
        elif node.op_type == "Concat" and len(operands) > 1:
            count["concat"] += 1
            parts[node.output[0]] = [
                part for tensor in operands for part in parts.get(tensor, [tensor])
            ]
            count["parts"] += len(parts[node.output[0]]) - 1
        elif node.op_type in ("Conv", "Gemm"):
            count["layer"] += 1
    return count["add"], count["concat"], count["layer"], count["parts"]


@pytest.mark.parametrize("name", LIGHT)
def test_onnx_files_have_the_same_merges(name: str) -> None:
    ours = graph(LIGHT[name])
    parts = sum(
        len(ours.inputs(merge.name)) - 1 for merge in ours.merges if merge.kind is MergeKind.CONCAT
    )
    layers = sum(block.macs > 0 for block in ours.nodes)
    assert joins(name) == (
        kinds(LIGHT[name])[MergeKind.ADD],
        kinds(LIGHT[name])[MergeKind.CONCAT],
        layers,
        parts,
    )
    assert (
        joins(name)[:2]
        == {
            "resnet50": (16, 0),
            "densenet121": (0, 58),
            "inception_v1": (0, 9),
            "inception_v2": (0, 10),
        }[name]
    )
    assert (name == "densenet121") == (parts == 535)
