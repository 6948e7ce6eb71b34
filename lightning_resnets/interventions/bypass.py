"""Find the input of a block that nothing calls: among nodes, and while a model runs.

A model of `insert_merges` calls only its innermost modules, so a block has no call of its own.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import fx, nn

from lightning_resnets.errors import InterventionError
from lightning_resnets.graph.fx_tracer import ModuleOutputs
from lightning_resnets.interventions import hook_points
from lightning_resnets.interventions.hook_scope import ScopedHook


def node_is_inside(node: fx.Node, block: str) -> bool:
    """Return whether a node belongs to a module.

    Args:
        node: node of a traced model.
        block: name of the module.

    Returns:
        True for calls of the module, of its submodules and of functions inside it.
    """
    # Calls of functions carry the path of the module whose code contains them.
    if node.op in ("call_module", "get_attr"):
        return hook_points.is_inside(str(node.target), block)
    return hook_points.is_inside(ModuleOutputs.module_path(node), block)


def block_input_nodes(fx_graph: fx.Graph, block: str) -> list[fx.Node]:
    """Find the nodes outside a block whose values the block reads.

    Args:
        fx_graph: graph of a traced model.
        block: name of the block.

    Returns:
        The nodes without repetition, in the order in which they are read.
    """
    # A dict as an ordered set.
    found: dict[fx.Node, None] = {}
    for node in fx_graph.nodes:
        if node_is_inside(node, block):
            outside = (one for one in node.all_input_nodes if not node_is_inside(one, block))
            found.update(dict.fromkeys(outside))
    return list(found)


@contextmanager
def capture_block_input(model: nn.Module, block: str) -> Iterator[list[Any]]:
    """Capture the input of a block in every forward pass inside the `with` block.

    Args:
        model: a model of `insert_merges`.
        block: name of the block.

    Yields:
        A list that holds the input of the current pass.

    Raises:
        InterventionError: the block has several inputs, or no module in it reads its input.
    """
    # In every other model a block is called itself.
    assert isinstance(model, fx.GraphModule)
    captured: list[Any] = []
    name, operand = _find_input_reader(model, block)

    def capture(module: nn.Module, args: tuple[Any, ...]) -> None:
        """Keep the input of this pass only."""
        # In place: the output hook holds this very list.
        captured[:] = [args[operand]]

    # Other hooks may change the input, so this one must be the first.
    reader = model.get_submodule(name)
    handle = reader.register_forward_pre_hook(ScopedHook(reader, capture), prepend=True)
    try:
        yield captured
    finally:
        handle.remove()
        # Otherwise the list would keep a feature map alive.
        captured.clear()


def _find_input_reader(model: fx.GraphModule, block: str) -> tuple[str, int]:
    """Return a module in a block that reads its input, called once, and the argument's number."""
    inputs = block_input_nodes(model.graph, block)
    if len(inputs) != 1:
        raise InterventionError(f"'{block}' cannot be bypassed: it does not have a single input.")
    calls = [node for node in model.graph.nodes if node.op == "call_module"]
    # A module that is called twice would report the input of its last call.
    counts = Counter(node.target for node in calls)
    for node in calls:
        # Merges of `insert_merges` take positional arguments only.
        if inputs[0] in node.args and node_is_inside(node, block) and counts[node.target] == 1:
            return str(node.target), node.args.index(inputs[0])
    raise InterventionError(
        f"'{block}' cannot be bypassed here: no module in it reads its input. Use `sweep`, "
        "or `intervene` on the model from before `insert_merges`."
    )
