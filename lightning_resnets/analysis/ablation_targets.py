"""What of a model can be dropped, and which neighbors can change places: found in its graph, said as surgery."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from torch import Tensor, fx, nn

from lightning_resnets.errors import AnalysisError, HookPointError, InterventionError
from lightning_resnets.graph import TracedModel
from lightning_resnets.graph.data import SkipConnection
from lightning_resnets.graph.model_graph import ModelGraph
from lightning_resnets.graph.trace import propagate_shapes
from lightning_resnets.interventions.edits import (
    BypassBlock,
    Intervention,
    KeepChannels,
    ScaleInput,
    SwapBlocks,
)
from lightning_resnets.interventions.executor import PartialExecutor, block_inputs, node_is_inside
from lightning_resnets.interventions.swap_blocks import check_swap
from lightning_resnets.merges import MergeKind

ImageSize = tuple[int, int, int]


def ablation_targets(
    model: nn.Module, followed: TracedModel, size: ImageSize
) -> dict[str, Intervention]:
    """What drops each residual block of a model; where it has none, what it concatenates; else what keeps its shape."""
    found = _branches(followed) or _parts(followed) or _plain(model, followed, size)
    if not found:
        raise AnalysisError(
            "This model has no block to drop: no residual block, no dense layer, and none whose input has its output's "
            "shape."
        )
    return found


def supported_targets(
    model: nn.Module, followed: TracedModel, found: dict[str, Intervention]
) -> tuple[dict[str, Intervention], dict[str, str]]:
    """Those of the operations that this model allows, and of the others, and of layers not tried, a sentence why not."""
    walker, kept, left_out = (
        PartialExecutor(model, followed),
        dict[str, Intervention](),
        dict[str, str](),
    )
    for name, op in found.items():
        try:
            walker.plan((op,))
        except (InterventionError, HookPointError) as error:
            left_out[name] = str(error)
        else:
            kept[name] = op
    if not kept:
        raise AnalysisError(
            f"No block of this model can be dropped: {next(iter(left_out.values()))}"
        )
    if residual_blocks(followed.graph):
        why = "A layer whose output is concatenated stays where the model has residual blocks, which are dropped instead."
        left_out |= {name: why for name in dense_layers(followed.graph) if name not in found}
    return kept, left_out


def residual_blocks(graph: ModelGraph) -> dict[str, SkipConnection]:
    """The skips that end in an Add, by the block that owns it, or by the Add's name where a block owns several."""
    skips = [skip for skip in graph.skips if skip.kind is MergeKind.ADD]
    owners = Counter(skip.merge.rpartition(".")[0] for skip in skips)
    names = [(skip.merge.rpartition(".")[0], skip) for skip in skips]
    return {name if name and owners[name] == 1 else skip.merge: skip for name, skip in names}


def dense_layers(graph: ModelGraph) -> dict[str, str]:
    """The layers whose output is concatenated with what they were made of: by cell, the block that is the part."""
    skipped = {(skip.merge, skip.operand) for skip in graph.skips if skip.kind is MergeKind.CONCAT}
    merges = {merge for merge, _ in skipped}
    parts = [
        source for source, merge, i in graph.edges if merge in merges and (merge, i) not in skipped
    ]
    kept = [name for name in dict.fromkeys(parts) if not graph.node(name).kind]
    cells = Counter(graph.node(name).block for name in kept)
    return {
        cell if (cell := graph.node(name).block) and cells[cell] == 1 else name: name
        for name in kept
    }


def _branches(followed: TracedModel) -> dict[str, Intervention]:
    return {
        name: ScaleInput(skip.merge, 1 - skip.operand, 0.0)
        for name, skip in residual_blocks(followed.graph).items()
    }


def _parts(followed: TracedModel) -> dict[str, Intervention]:
    return {name: KeepChannels(block, ()) for name, block in dense_layers(followed.graph).items()}


def _plain(model: nn.Module, followed: TracedModel, size: ImageSize) -> dict[str, Intervention]:
    values, found = propagate_shapes(model, followed.fx_graph, size), dict[str, Intervention]()
    for cell in dict.fromkeys(
        block.block for block in followed.graph.nodes if block.macs and len(block.shape) == 3
    ):
        end, given = followed.node_by_name.get(cell), block_inputs(followed, cell)
        if end is None or len(given) != 1 or not node_is_inside(end, cell):
            continue
        if _shape(values[given[0]]) == _shape(values[end]):
            found[cell] = BypassBlock(cell)
    return found


def _shape(value: Any) -> tuple[int, ...]:
    return tuple(value.shape) if isinstance(value, Tensor) else ()


def swappable_neighbors(
    model: nn.Module, followed: TracedModel, names: Iterable[str], size: ImageSize
) -> tuple[SwapBlocks, ...]:
    """Blocks behind one another, of those named, that do the same steps on the same shapes."""
    known, forms = dict(model.named_modules()), dict[str, list[object]]()
    values = propagate_shapes(model, followed.fx_graph, size)
    for name in names:
        if name in known:
            forms[name] = _form(model, followed, name, values)
    pairs = zip(forms, list(forms)[1:], strict=False)
    return tuple(
        SwapBlocks(*pair)
        for pair in pairs
        if forms[pair[0]] == forms[pair[1]] and _alike(model, SwapBlocks(*pair))
    )


def _alike(model: nn.Module, swap: SwapBlocks) -> bool:
    try:
        check_swap(model, swap)
    except InterventionError:
        return False
    return True


def _form(
    model: nn.Module, followed: TracedModel, block: str, values: dict[fx.Node, Any]
) -> list[object]:
    steps = [node for node in followed.fx_graph.nodes if node_is_inside(node, block)]
    form: list[object] = [tuple(weight.shape) for weight in model.get_submodule(block).parameters()]
    form += [_shape(values[node]) for node in block_inputs(followed, block)]
    return [
        *form,
        *((node.op, str(node.target).removeprefix(block), _shape(values[node])) for node in steps),
    ]
