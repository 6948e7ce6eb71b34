"""From a net to its graph: torch.fx or the recorder follows it, merges are found by class, skips by dominators.

The rules by which a path is called a skip are those of the papers: the lighter way round to an Add (He et al. 2015,
arXiv:1512.03385), every earlier layer at a Concat (Huang et al. 2017, arXiv:1608.06993), the tensor that a Gate weighs
(Hu et al. 2018, arXiv:1709.01507).
"""

import operator
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, fx, nn
from torch.fx.node import map_arg

from lightning_resnets.blocks import Block, BlockGraph, Skip
from lightning_resnets.graph.cells import Cells
from lightning_resnets.graph.costs import Product, function_products, module_products
from lightning_resnets.graph.naming import name_joins, shortcuts_first
from lightning_resnets.graph.operations import function_op, module_op
from lightning_resnets.graph.phantom import Values, blank, phantom, plain
from lightning_resnets.graph.recorded import answered
from lightning_resnets.graph.recorder import record
from lightning_resnets.graph.skips import find_skips
from lightning_resnets.graph.tracer import Places, Tracer, refuse_overwriting
from lightning_resnets.merge import Concat, Merge

__all__ = ["Block", "BlockGraph", "Followed", "Skip", "TraceError", "follow", "trace"]

By = Literal["torch.fx", "recorder"]


class TraceError(ValueError):
    """A net whose forward pass cannot be followed; its text is one plain sentence."""


@dataclass(frozen=True, slots=True)
class Followed:
    """A traced net: its graph, the steps that compute it, and which step makes what a module or a block gives.

    `products` are what steps multiply with weights, of those that the graph counts, in order of execution.
    """

    blocks: BlockGraph
    steps: fx.Graph
    named: dict[str, fx.Node]
    products: dict[fx.Node, tuple[Product, ...]]


def trace(model: nn.Module, size: tuple[int, int, int] = (3, 32, 32)) -> BlockGraph:
    """The unfolded graph of a net for pictures of size (C, H, W), as in evaluation.

    Where a net joins paths by functions (`+`, `torch.cat`), as torchvision's and timm's do, the joins have the names
    that `reveal` gives them, and `named` says so: they are for use with the revealed net, `operate(reveal(net, size),
    Scale("layer1.0.add", ...))`. The net itself is not run and not touched: a copy of its structure is, so mode,
    device, dtype and hooks do not matter. By torch.fx, and where that refuses the net by the recorder: `followed` says
    which. Raises TraceError where neither can follow, or the size does not fit.
    """
    return _traced(model, size, None, naming=True).blocks


def follow(model: nn.Module, size: tuple[int, int, int] = (3, 32, 32), by: By | None = None) -> Followed:
    """The graph with the steps behind its blocks, for who runs them one by one on this very net.

    Joins by functions stay as they are: `reveal` the net first to have them named. `by` allows one way only.
    """
    return _traced(model, size, by, naming=False)


def _traced(model: nn.Module, size: tuple[int, int, int], by: By | None, naming: bool) -> Followed:
    checked(size)
    joins = 0
    try:
        ghost, picture = phantom(plain(model)), blank(torch.empty(1, *size))
        if isinstance(model, fx.GraphModule) and by is None:
            way, places = model.meta.get("followed", "torch.fx"), Places()
            steps = places.again(model.graph)
            values = Values(ghost, steps).of(picture)
        else:
            steps, places, values, way = _followed(ghost, picture, by)
            joins = name_joins(ghost, steps, values, places) if naming else 0
    except Exception as error:
        sides = "×".join(map(str, size))
        raise TraceError(f"This net cannot be followed for a picture of {sides}: {reason(error)}.") from error
    builder = _Builder(ghost, places.inner, values)
    blocks = builder.build(steps, way)
    if joins:
        if shortcuts_first(builder.steps, blocks.skips):
            builder = _Builder(ghost, places.inner, values)
            blocks = builder.build(steps, way)
        blocks = replace(blocks, named="by reveal")
    return Followed(blocks, steps, {**builder.steps, **places.outputs}, builder.counts())


def checked(size: object) -> None:
    """Raises TraceError for what is no size (C, H, W) of a picture."""
    sides: Sequence[object] = size if isinstance(size, (tuple, list)) else ()
    if len(sides) != 3 or not all(isinstance(side, int) and side > 0 for side in sides):
        raise TraceError(f"The size of a picture is (C, H, W), e.g. (3, 32, 32), and {size!r} is none.")


def _followed(ghost: nn.Module, picture: Tensor, by: By | None) -> tuple[fx.Graph, Places, dict[fx.Node, Any], By]:
    if by != "recorder":
        try:
            tracer = Tracer()
            steps = tracer.trace(ghost)
            values = Values(ghost, steps).of(picture)
            refuse_overwriting(steps, ghost, values)
            return steps, tracer.places, values, "torch.fx"
        except Exception:
            if by:
                raise
    steps, places = record(ghost, picture)
    return steps, places, Values(ghost, steps).of(picture), "recorder"


def reason(error: Exception) -> str:
    """The first line of what an exception says."""
    lines = str(error).strip().splitlines()
    return lines[0].removesuffix(".") if lines else type(error).__name__


def values_of(model: nn.Module, steps: fx.Graph, size: tuple[int, int, int]) -> dict[fx.Node, Any]:
    """What every step gives for a picture of (C, H, W), as blanks: shapes and no memory."""
    return Values(phantom(plain(model)), steps).of(blank(torch.empty(1, *size)))


def products(
    node: fx.Node, modules: Mapping[str, nn.Module], values: Mapping[fx.Node, Any], seen: Container[fx.Node]
) -> tuple[Product, ...]:
    """What a step multiplies with weights; `seen` holds the steps that depend on the picture."""
    made = values.get(node)
    if isinstance(made, (tuple, list)):
        made = next((part for part in made if isinstance(part, Tensor)), None)
    if node.op not in ("call_module", "call_function", "call_method") or not isinstance(made, Tensor):
        return ()
    args, kwargs = map_arg((node.args, node.kwargs), values.get)
    if node.op == "call_module":
        return module_products(modules[str(node.target)], args, kwargs, made)
    learned = [i for i, factor in enumerate(node.args[:2]) if isinstance(factor, fx.Node) and factor not in seen]
    return function_products(node.target, args, kwargs, made, learned[0] if len(learned) == 1 else None)


class _Builder:
    """Turns fx nodes into blocks: only tensors that depend on the picture are blocks and flow."""

    def __init__(self, model: nn.Module, inner: dict[fx.Node, str], values: dict[fx.Node, Any]) -> None:
        self.inner, self.values = inner, values
        self.modules = dict(model.named_modules(remove_duplicate=False))
        self.cells = Cells(model)
        self.sources: dict[fx.Node, list[str]] = {}  # the blocks whose value a node carries
        self.weights: dict[fx.Node, dict[int, Tensor]] = {}  # parameters that reach a node directly
        self.fixed: dict[fx.Node, dict[fx.Node, int]] = {}  # multiply-adds on the way, of steps without the picture
        self.counted: set[int] = set()
        self.spent: set[fx.Node] = set()
        self.found: dict[fx.Node, tuple[Product, ...]] = {}
        self.names: Counter[str] = Counter()
        self.blocks: list[Block] = []
        self.steps: dict[str, fx.Node] = {}
        self.flow: list[tuple[str, str, int]] = []

    def build(self, graph: fx.Graph, way: By) -> BlockGraph:
        calls = Counter(node.target for node in graph.nodes if node.op == "call_module")
        self.reused = {target for target, count in calls.items() if count > 1}
        for node in graph.nodes:
            self.add(node)
        asks = any(node.target is answered for node in graph.nodes)
        followed = "recorder, one way of several" if asks else way
        return BlockGraph(tuple(self.blocks), tuple(self.flow), find_skips(self.blocks, self.flow), followed)

    def add(self, node: fx.Node) -> None:
        value, operands = self.values.get(node), self.operands(node)
        given = [(i, name) for i, operand in enumerate(operands) for name in self.sources.get(operand, ())]
        self.weights[node] = {key: w for operand in operands for key, w in self.weights.get(operand, {}).items()}
        self.fixed[node] = {key: n for operand in operands for key, n in self.fixed.get(operand, {}).items()}
        if node.op == "get_attr":
            self.weights[node] = {id(value): value} if isinstance(value, nn.Parameter) else {}
        elif not given and not (node.op == "placeholder" and not self.blocks):
            self.constant(node)  # or an argument that is not the picture
        elif self.passes(node, value, given):
            self.sources[node] = [name for _, name in given]
        elif (made := self.made(node)) is not None:
            block = self.block(node, made, len(given))
            self.blocks.append(block)
            self.steps[block.name] = node
            self.flow += [(source, block.name, operand) for operand, source in given]
            self.sources[node], self.weights[node], self.fixed[node] = [block.name], {}, {}

    def constant(self, node: fx.Node) -> None:
        """A step that depends on no picture (a position code's convolution): it is counted where it meets one."""
        if node.op == "call_module":
            self.weights[node] |= {id(weight): weight for weight in self.modules[str(node.target)].parameters()}
        if macs := self.products(node):
            self.fixed[node][node] = macs

    def made(self, node: fx.Node) -> Tensor | None:
        """The tensor that a step gives; of a layer that gives several (attention, LSTM) the first."""
        value = self.values.get(node)
        if isinstance(value, (tuple, list)) and node.op == "call_module":
            module = self.modules[str(node.target)]
            if type(module).__module__.startswith("torch.nn") or next(module.parameters(), None) is not None:
                return next((part for part in value if isinstance(part, Tensor)), None)
        return value if isinstance(value, Tensor) else None

    def first(self, node: fx.Node) -> bool:
        """True for the step that takes the first tensor out of what such a layer gives."""
        given = node.args[0] if node.target is operator.getitem else None
        values = self.values.get(given) if isinstance(given, fx.Node) else None
        if not isinstance(given, fx.Node) or not isinstance(values, tuple):
            return False
        index = node.args[1]
        return isinstance(index, int) and values[index] is self.made(given)

    def products(self, node: fx.Node) -> int:
        """What a step multiplies with weights, noted for all who count; the multiply-adds."""
        self.found[node] = products(node, self.modules, self.values, self.sources)
        return sum(product.macs for product in self.found[node])

    def counts(self) -> dict[fx.Node, tuple[Product, ...]]:
        """The products of blocks and of the steps that they count besides."""
        counted = self.spent.union(self.steps.values())
        return {node: found for node, found in self.found.items() if found and node in counted}

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
            parts = any(isinstance(part, Tensor) for part in value) and node.op != "output"
            return parts and self.made(node) is None
        if self.first(node):
            return True
        return isinstance(module, nn.Identity) or (isinstance(module, Concat) and len(given) == 1)

    def block(self, node: fx.Node, value: Tensor, given: int) -> Block:
        path, op, kind = Places.scope(node), node.op, None
        if node.op == "call_module":
            module = self.modules[str(node.target)]
            path, op = str(node.target), module_op(module)
            kind = module.kind if isinstance(module, Merge) and given > 1 else None
            weights = [*module.parameters(), *self.weights[node].values()]
            name = path
        else:
            op = {"placeholder": "input"}.get(op) or (op if op == "output" else function_op(node.target))
            weights = self.weights[node].values()
            name = f"{path}.{op.replace(' ', '_')}" if path else op.replace(" ", "_")
        cell = self.cells.cell(path)
        own = node.op == "call_module" and name not in self.steps
        name, output = name if own else self.unique(name), "" if node.target in self.reused else self.output(node)
        stage, macs, shape, count = self.cells.stage(cell), self.macs(node), tuple(value.shape[1:]), self.count(weights)
        return Block(name, op, shape, count, macs, kind, stage, cell, output, (name,), module=own)

    def output(self, node: fx.Node) -> str:
        """The module that gives what the step gives, or the first of several."""
        shown = node if isinstance(self.values[node], Tensor) else next(filter(self.first, node.users), None)
        return self.inner.get(shown, "") if shown else ""

    def macs(self, node: fx.Node) -> int:
        """Multiply-adds of a step and of those before it that depend on no picture and that no block has counted."""
        new = {step: count for step, count in self.fixed[node].items() if step not in self.spent}
        self.spent |= set(new)
        return sum(new.values()) + self.products(node)

    def count(self, weights: Iterable[Tensor]) -> int:
        """Parameters that no block before has counted: shared weights count once."""
        new = {id(weight): weight.numel() for weight in weights if id(weight) not in self.counted}
        self.counted |= set(new)
        return sum(new.values())

    def unique(self, name: str) -> str:
        """The name with a number, such as neither a module nor a step has; without one where it is free."""
        count = self.names[name]
        found = f"{name}_{count}" if count else name
        while found in self.steps or found in self.modules:
            found, count = f"{name}_{count + 1}", count + 1
        self.names[name] = count + 1
        return found
