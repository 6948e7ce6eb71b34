"""Label the nodes of a graph after the modules and functions that they call."""

from typing import NamedTuple

from torch import fx, nn

from lightning_resnets.graph.fx_tracer import ModuleOutputs
from lightning_resnets.graph.ops import function_label, module_label


class NodeLabel(NamedTuple):
    """Words for one node.

    Attributes:
        path: name of the module that is called, or whose code calls the function.
        op: the operation, such as "conv 3x3 /2".
        name: name of the node; several calls may have the same.
    """

    path: str
    op: str
    name: str


def label_node(node: fx.Node, module: nn.Module | None) -> NodeLabel:
    """Label a node.

    Args:
        node: the node.
        module: the module that it calls; None for a function, an input and the output.

    Returns:
        The words.
    """
    if module is not None:
        path = str(node.target)
        return NodeLabel(path, module_label(module), path)
    path = ModuleOutputs.module_path(node)
    op = _op_label(node)
    # A function has no name of its own, so it gets one inside its module.
    name = ".".join(filter(None, (path, op.replace(" ", "_"))))
    return NodeLabel(path, op, name)


def _op_label(node: fx.Node) -> str:
    """Return the label of a node that is not a module."""
    if node.op == "placeholder":
        return "input"
    if node.op == "output":
        return node.op
    return function_label(node.target)
