"""What a block is given, where nothing calls the block itself: in steps, and in a revealed model while it runs."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import fx, nn

from lightning_resnets.errors import InterventionError
from lightning_resnets.graph.fx_tracer import ModuleOutputs
from lightning_resnets.interventions import hook_points


def node_is_inside(node: fx.Node, block: str) -> bool:
    """Whether a step is one of a module's own."""
    return hook_points.is_inside(
        str(node.target)
        if node.op in ("call_module", "get_attr")
        else ModuleOutputs.module_path(node),
        block,
    )


def block_input_nodes(steps: fx.Graph, block: str) -> list[fx.Node]:
    """The values from outside that the steps of a block read."""
    inner = [node for node in steps.nodes if node_is_inside(node, block)]
    return list(
        dict.fromkeys(
            one for node in inner for one in node.all_input_nodes if not node_is_inside(one, block)
        )
    )


@contextmanager
def capture_block_input(model: nn.Module, block: str) -> Iterator[list[Any]]:
    """A list that holds what a block of a revealed model is given, while it runs: the first of its parts tells.

    Raises SurgeryError where the block is given several tensors, or no part of it that is called once is given it.
    """
    assert isinstance(model, fx.GraphModule)
    caught: list[Any] = []
    part, operand = _first(model, block)

    def catch(module: nn.Module, args: tuple[Any, ...]) -> None:
        caught[:] = [args[operand]]

    handle = model.get_submodule(part).register_forward_pre_hook(
        catch, prepend=True
    )  # before what changes it
    try:
        yield caught
    finally:
        handle.remove()
        caught.clear()


def _first(model: fx.GraphModule, block: str) -> tuple[str, int]:
    given = block_input_nodes(model.graph, block)
    if len(given) != 1:
        raise InterventionError(f"'{block}' cannot be passed by: it is not given one tensor, once.")
    calls = Counter(node.target for node in model.graph.nodes if node.op == "call_module")
    users = (
        node for node in model.graph.nodes if node.op == "call_module" and given[0] in node.args
    )
    for node in users:
        if node_is_inside(node, block) and calls[node.target] == 1:
            return str(node.target), node.args.index(given[0])
    raise InterventionError(
        f"'{block}' cannot be passed by here: no module in it is given what it is given; `sweep` passes it by, and so "
        "does `operate` on the model as it was before it was revealed."
    )
