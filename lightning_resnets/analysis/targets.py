"""What of a net can be dropped, and which neighbours can change places: found in its graph, said as surgery."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from torch import Tensor, fx, nn

from lightning_resnets.analysis.result import AnalysisError
from lightning_resnets.blocks import BlockGraph, Skip
from lightning_resnets.graph import Followed
from lightning_resnets.graph.tracing import values_of
from lightning_resnets.merge import Kind
from lightning_resnets.points import PointError
from lightning_resnets.surgery.edits import Bypass, Keep, Op, Scale, SurgeryError, Swap
from lightning_resnets.surgery.exchange import check
from lightning_resnets.surgery.steps import Walker, entrances, within

Size = tuple[int, int, int]


def targets(net: nn.Module, followed: Followed, size: Size) -> dict[str, Op]:
    """What drops each residual block of a net; where it has none, what it concatenates; else what keeps its shape."""
    found = _branches(followed) or _parts(followed) or _plain(net, followed, size)
    if not found:
        raise AnalysisError(
            "This net has no block to drop: no residual block, no dense layer, and none whose input has its output's "
            "shape."
        )
    return found


def droppable(net: nn.Module, followed: Followed, found: dict[str, Op]) -> tuple[dict[str, Op], dict[str, str]]:
    """Those of the operations that this net allows, and of the others, and of layers not tried, a sentence why not."""
    walker, kept, left_out = Walker(net, followed), dict[str, Op](), dict[str, str]()
    for name, op in found.items():
        try:
            walker.planned((op,))
        except (SurgeryError, PointError) as error:
            left_out[name] = str(error)
        else:
            kept[name] = op
    if not kept:
        raise AnalysisError(f"No block of this net can be dropped: {next(iter(left_out.values()))}")
    if residual(followed.blocks):
        why = "A layer whose output is concatenated stays where the net has residual blocks, which are dropped instead."
        left_out |= {name: why for name in made(followed.blocks) if name not in found}
    return kept, left_out


def residual(graph: BlockGraph) -> dict[str, Skip]:
    """The skips that end in an Add, by the block that owns it, or by the Add's name where a block owns several."""
    skips = [skip for skip in graph.skips if skip.kind is Kind.ADD]
    owners = Counter(skip.merge.rpartition(".")[0] for skip in skips)
    names = [(skip.merge.rpartition(".")[0], skip) for skip in skips]
    return {name if name and owners[name] == 1 else skip.merge: skip for name, skip in names}


def made(graph: BlockGraph) -> dict[str, str]:
    """The layers whose output is concatenated with what they were made of: by cell, the block that is the part."""
    skipped = {(skip.merge, skip.operand) for skip in graph.skips if skip.kind is Kind.CONCAT}
    merges = {merge for merge, _ in skipped}
    parts = [source for source, merge, i in graph.flow if merge in merges and (merge, i) not in skipped]
    kept = [name for name in dict.fromkeys(parts) if not graph.block(name).kind]
    cells = Counter(graph.block(name).cell for name in kept)
    return {cell if (cell := graph.block(name).cell) and cells[cell] == 1 else name: name for name in kept}


def _branches(followed: Followed) -> dict[str, Op]:
    return {name: Scale(skip.merge, 1 - skip.operand, 0.0) for name, skip in residual(followed.blocks).items()}


def _parts(followed: Followed) -> dict[str, Op]:
    return {name: Keep(block, ()) for name, block in made(followed.blocks).items()}


def _plain(net: nn.Module, followed: Followed, size: Size) -> dict[str, Op]:
    values, found = values_of(net, followed.steps, size), dict[str, Op]()
    for cell in dict.fromkeys(block.cell for block in followed.blocks.blocks if block.macs and len(block.shape) == 3):
        end, given = followed.named.get(cell), entrances(followed, cell)
        if end is None or len(given) != 1 or not within(end, cell):
            continue
        if _shape(values[given[0]]) == _shape(values[end]):
            found[cell] = Bypass(cell)
    return found


def _shape(value: Any) -> tuple[int, ...]:
    return tuple(value.shape) if isinstance(value, Tensor) else ()


def neighbours(net: nn.Module, followed: Followed, names: Iterable[str], size: Size) -> tuple[Swap, ...]:
    """Blocks behind one another, of those named, that do the same steps on the same shapes."""
    known, forms = dict(net.named_modules()), dict[str, list[object]]()
    values = values_of(net, followed.steps, size)
    for name in names:
        if name in known:
            forms[name] = _form(net, followed, name, values)
    pairs = zip(forms, list(forms)[1:], strict=False)
    return tuple(Swap(*pair) for pair in pairs if forms[pair[0]] == forms[pair[1]] and _alike(net, Swap(*pair)))


def _alike(net: nn.Module, swap: Swap) -> bool:
    try:
        check(net, swap)
    except SurgeryError:
        return False
    return True


def _form(net: nn.Module, followed: Followed, block: str, values: dict[fx.Node, Any]) -> list[object]:
    steps = [node for node in followed.steps.nodes if within(node, block)]
    form: list[object] = [tuple(weight.shape) for weight in net.get_submodule(block).parameters()]
    form += [_shape(values[node]) for node in entrances(followed, block)]
    return [*form, *((node.op, str(node.target).removeprefix(block), _shape(values[node])) for node in steps)]
