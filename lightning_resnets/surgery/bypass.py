"""What a block is given, where nothing calls the block itself: in steps, and in a revealed net while it runs."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import fx, nn

from lightning_resnets import points
from lightning_resnets.graph.tracer import Places
from lightning_resnets.surgery.edits import SurgeryError


def within(node: fx.Node, block: str) -> bool:
    """Whether a step is one of a module's own."""
    return points.within(str(node.target) if node.op in ("call_module", "get_attr") else Places.scope(node), block)


def read_by(steps: fx.Graph, block: str) -> list[fx.Node]:
    """The values from outside that the steps of a block read."""
    inner = [node for node in steps.nodes if within(node, block)]
    return list(dict.fromkeys(one for node in inner for one in node.all_input_nodes if not within(one, block)))


@contextmanager
def entered(model: nn.Module, block: str) -> Iterator[list[Any]]:
    """A list that holds what a block of a revealed net is given, while it runs: the first of its parts tells.

    Raises SurgeryError where the block is given several tensors, or no part of it that is called once is given it.
    """
    assert isinstance(model, fx.GraphModule)
    caught: list[Any] = []
    part, operand = _first(model, block)

    def catch(module: nn.Module, args: tuple[Any, ...]) -> None:
        caught[:] = [args[operand]]

    handle = model.get_submodule(part).register_forward_pre_hook(catch, prepend=True)  # before what changes it
    try:
        yield caught
    finally:
        handle.remove()
        caught.clear()


def _first(model: fx.GraphModule, block: str) -> tuple[str, int]:
    given = read_by(model.graph, block)
    if len(given) != 1:
        raise SurgeryError(f"'{block}' cannot be passed by: it is not given one tensor, once.")
    calls = Counter(node.target for node in model.graph.nodes if node.op == "call_module")
    users = (node for node in model.graph.nodes if node.op == "call_module" and given[0] in node.args)
    for node in users:
        if within(node, block) and calls[node.target] == 1:
            return str(node.target), node.args.index(given[0])
    raise SurgeryError(
        f"'{block}' cannot be passed by here: no module in it is given what it is given; `sweep` passes it by, and so "
        "does `operate` on the net as it was before it was revealed."
    )
