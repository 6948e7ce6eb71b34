"""Models that carry their nodes (fx.GraphModule): ours of `insert_merges`, and those of others."""

from typing import Any

from torch import Tensor, fx, nn
from torch.fx.node import Node as FxNode

from lightning_resnets.graph.fx_tracer import ModuleOutputs


def has_inserted_merges(model: nn.Module) -> bool:
    """Return True if a model's merges were inserted by `insert_merges`.

    Args:
        model: any model. Those of torch.fx, `fuse` and `create_feature_extractor` are graph
            modules too, but their merges are functions.
    """
    # Some graph modules of torchvision lack `meta`.
    return isinstance(model, fx.GraphModule) and "traced_by" in vars(model).get("meta", {})


def without_graph(model: nn.Module) -> nn.Module:
    """Return the modules of a traced model without its nodes, which a copy would detach.

    Args:
        model: any model.

    Returns:
        A plain module for an fx.GraphModule, else the model.
    """
    if not isinstance(model, fx.GraphModule):
        return model
    shell = nn.Module()
    attributes = vars(model)
    for name in ("_modules", "_parameters", "_buffers", "training"):
        # The dictionaries themselves: the weights are shared, not copied.
        vars(shell)[name] = attributes[name]
    for name, value in attributes.items():
        if isinstance(value, Tensor):
            vars(shell)[name] = value
    return shell


def copy_graph(model: fx.GraphModule) -> tuple[fx.Graph, ModuleOutputs]:
    """Copy the nodes of a graph module, which stay as they are.

    Args:
        model: the graph module.

    Returns:
        The copied nodes, and the module of each.
    """
    graph = fx.Graph()
    copied: dict[FxNode, FxNode] = {}
    for node in model.graph.nodes:
        # `node_copy` asks for the new node of each old one.
        copied[node] = graph.node_copy(node, copied.__getitem__)
    outputs = ModuleOutputs()
    if has_inserted_merges(model):
        outputs.load_from_meta(graph)
    for node in graph.nodes:
        # The lists in the metadata are still those of the model.
        for key in ("inner", "gives"):
            node.meta.pop(key, None)
        if node.op == "call_module" and node not in outputs.inner:
            outputs.record_output(str(node.target), node)
    return graph, outputs


def restore_owners(model: nn.Module, graph: fx.Graph) -> None:
    """Add empty modules where a graph module has lost the owner of a function: `layer1.0`.

    Args:
        model: modules of a graph module; changed in place.
        graph: its nodes.
    """
    for node in graph.nodes:
        if node.op not in ("call_function", "call_method"):
            continue
        # fx.GraphModule keeps only the modules that are called.
        owner: Any = model
        for name in filter(None, ModuleOutputs.module_path(node).split(".")):
            if not hasattr(owner, name):
                owner.add_module(name, nn.Module())
            owner = getattr(owner, name)
            if not isinstance(owner, nn.Module):
                # The path has another meaning here, so the function belongs to the model.
                node.meta.pop("nn_module_stack", None)
                break


def runnable(model: nn.Module, graph: fx.Graph, name: str = "GraphModule") -> fx.GraphModule:
    """Make nodes the forward pass of modules, which keep their classes and order.

    Args:
        model: the modules.
        graph: the nodes.
        name: name of its class.

    Returns:
        The graph module; it shares the modules and weights.
    """
    tensors = {name: value for name, value in vars(model).items() if isinstance(value, Tensor)}
    assembled = fx.GraphModule(model, graph, name)
    # GraphModule makes plain containers of its own.
    for name in ("_modules", "_parameters", "_buffers"):
        vars(assembled)[name] = vars(model)[name]
    vars(assembled).update(tensors)
    return assembled
