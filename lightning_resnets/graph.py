"""From a net to its graph: torch.fx follows the forward pass, merges are found by their class, skips by dominators.

The rules by which a path is called a skip are those of the papers: the lighter way round to an Add (He et al. 2015,
arXiv:1512.03385), every earlier layer at a Concat (Huang et al. 2017, arXiv:1608.06993), the tensor that a Gate weighs
(Hu et al. 2018, arXiv:1709.01507).
"""

import copy
import re
from collections import Counter, OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.node import map_arg

from lightning_resnets.blocks import Block, BlockGraph, Skip
from lightning_resnets.cells import Cells
from lightning_resnets.merge import Concat, Merge
from lightning_resnets.operations import LAYERS, SHAPES, function_macs, function_op, module_macs, module_op
from lightning_resnets.skips import find_skips

__all__ = ["Block", "BlockGraph", "Followed", "Skip", "TraceError", "follow", "trace"]


MOST_VALUES = 10**9  # numbers that pass through a net for one picture: who looks at it keeps them all


class TraceError(ValueError):
    """A net whose forward pass cannot be followed; its text is one plain sentence."""


@dataclass(frozen=True, slots=True)
class Followed:
    """A traced net: its graph, the steps that compute it, and which step makes what a module or a block gives."""

    blocks: BlockGraph
    steps: fx.Graph
    named: dict[str, fx.Node]


def trace(model: nn.Module, size: tuple[int, int, int] = (3, 32, 32)) -> BlockGraph:
    """The unfolded graph of a net for pictures of size (C, H, W), as in evaluation.

    The net itself is not run and not touched: a copy of its structure is, so mode, device, dtype and hooks do not
    matter. Raises TraceError where the forward pass depends on values or the size does not fit.
    """
    return follow(model, size).blocks


def follow(model: nn.Module, size: tuple[int, int, int] = (3, 32, 32)) -> Followed:
    """The same together with the steps behind the blocks, for who runs them one by one."""
    tracer = Tracer()
    try:
        phantom = _phantom(_plain(model))
        graph = tracer.again(model.graph) if isinstance(model, fx.GraphModule) else tracer.trace(phantom)
        values = _Values(phantom, graph).of(torch.zeros(()).expand(1, *size))
    except Exception as error:
        reason = str(error).strip().splitlines()
        raise TraceError(
            f"This net cannot be followed for a picture of {'×'.join(map(str, size))}: "
            f"{reason[0] if reason else type(error).__name__}."
        ) from error
    builder = _Builder(phantom, tracer.inner, values)
    return Followed(builder.build(graph), graph, {**builder.steps, **tracer.outputs})


def values_of(model: nn.Module, steps: fx.Graph, size: tuple[int, int, int]) -> dict[fx.Node, Any]:
    """What every step gives for a picture of (C, H, W), as blanks: shapes and no memory."""
    return _Values(_phantom(_plain(model)), steps).of(torch.zeros(()).expand(1, *size))


class Tracer(fx.Tracer):
    """Stops at single operations, and notes which module returned which value."""

    def __init__(self) -> None:
        super().__init__()
        self.outputs: dict[str, fx.Node] = {}  # what each module returned last
        self.inner: dict[fx.Node, str] = {}  # the innermost module that returned a value
        self._function = False

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return self._function or isinstance(m, LAYERS) or super().is_leaf_module(m, module_qualified_name)

    def call_module(self, m: nn.Module, forward: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        bare = next(chain(m.children(), m.parameters(recurse=False), m.buffers(recurse=False)), None) is None
        # A module without children and weights that is given one tensor (Pad) is one operation: no paths meet in it.
        self._function = bare and len(args) == 1 and not kwargs and not isinstance(m, nn.Sequential)
        value = super().call_module(m, forward, args, kwargs)
        if isinstance(value, fx.Proxy):
            self.outputs[self.path_of_module(m)] = value.node
            self.inner.setdefault(value.node, self.path_of_module(m))
        return value

    def replaced(self, old: fx.Node, new: fx.Node) -> None:
        """A step that has taken the place of another."""
        self.outputs = {path: new if node is old else node for path, node in self.outputs.items()}
        if new is not old and old in self.inner:
            self.inner[new] = self.inner.pop(old)

    def note(self) -> None:
        """Leave what is known with the steps, for `again`."""
        for node, path in self.inner.items():
            node.meta["inner"] = path
        for path, node in self.outputs.items():
            node.meta.setdefault("gives", []).append(path)

    def again(self, graph: fx.Graph) -> fx.Graph:
        """The steps of a net that was traced before."""
        self.inner = {node: node.meta["inner"] for node in graph.nodes if "inner" in node.meta}
        self.outputs = {path: node for node in graph.nodes for path in node.meta.get("gives", ())}
        return graph

    @staticmethod
    def scope(node: fx.Node) -> str:
        """The module whose forward pass the step is in; fx writes `name@1` for a module's second call."""
        return re.sub(r"@\d+", "", list(node.meta.get("nn_module_stack") or [""])[-1])


class _Values(fx.Interpreter):
    """Runs the graph once on blanks and keeps every value as a blank: shapes, no memory, next to no arithmetic.

    torch's own way, the meta device, imports its compiler at the first operation (3 s); a blank is one zero, expanded.
    """

    def __init__(self, model: nn.Module, steps: fx.Graph) -> None:
        super().__init__(model, graph=steps)
        self.steps = steps

    def of(self, picture: Tensor) -> dict[fx.Node, Any]:
        self.kept: dict[fx.Node, Any] = {}
        self.total = 0
        self.args_iter = iter([picture])
        with torch.no_grad():
            for node in self.steps.nodes:  # not self.run: it makes a progress bar, whose thread stays
                self.env[node] = self.run_node(node)
        return self.kept

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        self.total += value.numel() if isinstance(value, Tensor) else 0
        if self.total > MOST_VALUES:
            raise ValueError(f"more than {MOST_VALUES * 4 / 2**30:.1f} GB pass through it")
        self.kept[n] = _blank(value) if isinstance(value, Tensor) and not isinstance(value, nn.Parameter) else value
        return value

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        kept = {**kwargs, "inplace": False} if kwargs.get("inplace") else kwargs  # a blank cannot be written to
        return super().call_function(target, args, kept)

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        module = self.fetch_attr(target)
        if type(module) in SHAPES and len(args) == 1 and (shape := SHAPES[type(module)](module, args[0])):
            return torch.zeros(()).expand(shape)
        return super().call_module(target, args, kwargs)


class _Builder:
    """Turns fx nodes into blocks: only tensors that depend on the picture are blocks and flow."""

    def __init__(self, model: nn.Module, inner: dict[fx.Node, str], values: dict[fx.Node, Any]) -> None:
        self.inner, self.values = inner, values
        self.modules = dict(model.named_modules(remove_duplicate=False))
        self.cells = Cells(model)
        self.sources: dict[fx.Node, list[str]] = {}  # the blocks whose value a node carries
        self.weights: dict[fx.Node, list[Tensor]] = {}  # parameters that reach a node directly
        self.counted: set[int] = set()
        self.names: Counter[str] = Counter()
        self.blocks: list[Block] = []
        self.steps: dict[str, fx.Node] = {}
        self.flow: list[tuple[str, str, int]] = []

    def build(self, graph: fx.Graph) -> BlockGraph:
        calls = Counter(node.target for node in graph.nodes if node.op == "call_module")
        self.reused = {target for target, count in calls.items() if count > 1}
        for node in graph.nodes:
            self.add(node)
        return BlockGraph(tuple(self.blocks), tuple(self.flow), find_skips(self.blocks, self.flow))

    def add(self, node: fx.Node) -> None:
        value, operands = self.values.get(node), self.operands(node)
        given = [(i, name) for i, operand in enumerate(operands) for name in self.sources.get(operand, ())]
        self.weights[node] = [weight for operand in operands for weight in self.weights.get(operand, ())]
        if node.op == "get_attr":
            self.weights[node] = [value] if isinstance(value, nn.Parameter) else []
        elif not given and not (node.op == "placeholder" and not self.blocks):
            return  # a constant, or an argument that is not the picture
        elif self.passes(node, value, given):
            self.sources[node] = [name for _, name in given]
        elif isinstance(value, Tensor):
            block = self.block(node, value, len(given))
            self.blocks.append(block)
            self.steps[block.name] = node
            self.flow += [(source, block.name, operand) for operand, source in given]
            self.sources[node], self.weights[node] = [block.name], []

    def operands(self, node: fx.Node) -> list[fx.Node]:
        """Every argument that is a node, in order; a merge's named arguments in its own order."""
        module = self.modules.get(str(node.target)) if node.op == "call_module" else None
        order = module.operands if isinstance(module, Merge) else ()
        named = sorted(node.kwargs, key=lambda name: order.index(name) if name in order else len(order))
        found: list[fx.Node] = []
        map_arg((node.args, [node.kwargs[name] for name in named]), lambda n: found.append(n) or n)
        return found

    def passes(self, node: fx.Node, value: object, given: list[tuple[int, str]]) -> bool:
        """True for what changes nothing: the identity, a Concat of one part, a tuple that is taken apart later."""
        module = self.modules.get(str(node.target)) if node.op == "call_module" else None
        if isinstance(value, (tuple, list)):
            return any(isinstance(part, Tensor) for part in value) and node.op != "output"
        return isinstance(module, nn.Identity) or (isinstance(module, Concat) and len(given) == 1)

    def block(self, node: fx.Node, value: Tensor, given: int) -> Block:
        path, op, kind, macs = Tracer.scope(node), node.op, None, 0
        if node.op == "call_module":
            module = self.modules[str(node.target)]
            path, op = str(node.target), module_op(module)
            kind = module.kind if isinstance(module, Merge) and given > 1 else None
            macs = module_macs(module, self.values[node.all_input_nodes[0]], value)
            weights = list(module.parameters())
            name = path
        else:
            op = {"placeholder": "input"}.get(op) or (op if op == "output" else function_op(node.target))
            weights = self.weights[node]
            macs = function_macs(op, weights[0] if weights else None, value)
            name = f"{path}.{op.replace(' ', '_')}" if path else op.replace(" ", "_")
        cell = self.cells.cell(path)
        name, output = self.unique(name), "" if node.target in self.reused else self.inner.get(node, "")
        stage = self.cells.stage(cell)
        return Block(name, op, tuple(value.shape[1:]), self.count(weights), macs, kind, stage, cell, output, (name,))

    def count(self, weights: Iterable[Tensor]) -> int:
        """Parameters that no block before has counted: shared weights count once."""
        new = {id(weight): weight.numel() for weight in weights if id(weight) not in self.counted}
        self.counted |= set(new)
        return sum(new.values())

    def unique(self, name: str) -> str:
        self.names[name] += 1
        count = self.names[name]
        return name if count == 1 else self.unique(f"{name}_{count - 1}")


def _plain(model: nn.Module) -> nn.Module:
    """A revealed net without its steps, which a copy would tear out of their modules."""
    if not isinstance(model, fx.GraphModule):
        return model
    shell = nn.Module()
    kept = {name for name in vars(model) if name.startswith("_tensor_constant")}
    vars(shell).update({name: vars(model)[name] for name in {*kept, "_modules", "_parameters", "_buffers"}})
    return shell


def _phantom(model: nn.Module) -> nn.Module:
    """A copy of the net's structure, filled with blanks, on the CPU: no weight is copied and no hook comes along."""
    none = OrderedDict[int, Any]()  # one for all: ten new ones a module are half of the time that a copy takes
    kept = (value for module in model.modules() for name, value in vars(module).items() if "_hooks" in name)
    memo: dict[int, Any] = {id(hooks): none for hooks in kept if isinstance(hooks, dict)}
    memo |= {id(weight): nn.Parameter(_blank(weight), requires_grad=False) for weight in model.parameters()}
    memo |= {id(buffer): _blank(buffer) for buffer in model.buffers()}
    return copy.deepcopy(model, memo).eval()


def _blank(tensor: Tensor) -> Tensor:
    dtype = torch.float32 if tensor.is_floating_point() else tensor.dtype
    return torch.zeros((), dtype=dtype).expand(tensor.shape)
