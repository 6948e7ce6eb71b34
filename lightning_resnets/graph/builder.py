"""Build graph data from traced nodes."""

import operator
from collections import Counter
from collections.abc import Iterable
from typing import Any

from torch import Tensor, fx, nn
from torch.fx.node import map_arg

from lightning_resnets.graph.data import Node, TraceBackend
from lightning_resnets.graph.fx_tracer import ModuleOutputs
from lightning_resnets.graph.grouping import NodeGrouping
from lightning_resnets.graph.macs import WeightProduct, weight_products
from lightning_resnets.graph.model_graph import ModelGraph
from lightning_resnets.graph.ops import function_label, module_label
from lightning_resnets.graph.recorded_ops import check_branch
from lightning_resnets.graph.skip_connections import find_skip_connections
from lightning_resnets.merges import Concat, Merge


class GraphBuilder:
    """Turns fx nodes into blocks: only tensors that depend on the image are blocks and flow."""

    def __init__(
        self, model: nn.Module, inner: dict[fx.Node, str], values: dict[fx.Node, Any]
    ) -> None:
        self.inner, self.values = inner, values
        self.modules = dict(model.named_modules(remove_duplicate=False))
        self.cells = NodeGrouping(model)
        self.sources: dict[fx.Node, list[str]] = {}  # the blocks whose value a node carries
        self.weights: dict[fx.Node, dict[int, Tensor]] = {}  # parameters that reach a node directly
        self.fixed: dict[
            fx.Node, dict[fx.Node, int]
        ] = {}  # multiply-adds on the way, of steps without the image
        self.counted: set[int] = set()
        self.spent: set[fx.Node] = set()
        self.found: dict[fx.Node, tuple[WeightProduct, ...]] = {}
        self.names: Counter[str] = Counter()
        self.blocks: list[Node] = []
        self.steps: dict[str, fx.Node] = {}
        self.flow: list[tuple[str, str, int]] = []

    def build(self, graph: fx.Graph, way: TraceBackend) -> ModelGraph:
        calls = Counter(node.target for node in graph.nodes if node.op == "call_module")
        self.reused = {target for target, count in calls.items() if count > 1}
        for node in graph.nodes:
            self.add(node)
        asks = any(node.target is check_branch for node in graph.nodes)
        followed = "recorder, one way of several" if asks else way
        return ModelGraph(
            tuple(self.blocks),
            tuple(self.flow),
            find_skip_connections(self.blocks, self.flow),
            followed,
        )

    def add(self, node: fx.Node) -> None:
        value, operands = self.values.get(node), self.operands(node)
        given = [
            (i, name)
            for i, operand in enumerate(operands)
            for name in self.sources.get(operand, ())
        ]
        self.weights[node] = {
            key: w for operand in operands for key, w in self.weights.get(operand, {}).items()
        }
        self.fixed[node] = {
            key: n for operand in operands for key, n in self.fixed.get(operand, {}).items()
        }
        if node.op == "get_attr":
            self.weights[node] = {id(value): value} if isinstance(value, nn.Parameter) else {}
        elif not given and not (node.op == "placeholder" and not self.blocks):
            self.constant(node)  # or an argument that is not the image
        elif self.passes(node, value, given):
            self.sources[node] = [name for _, name in given]
        elif (made := self.made(node)) is not None:
            block = self.block(node, made, len(given))
            self.blocks.append(block)
            self.steps[block.name] = node
            self.flow += [(source, block.name, operand) for operand, source in given]
            self.sources[node], self.weights[node], self.fixed[node] = [block.name], {}, {}

    def constant(self, node: fx.Node) -> None:
        """A step that depends on no image (a position code's convolution): it is counted where it meets one."""
        if node.op == "call_module":
            self.weights[node] |= {
                id(weight): weight for weight in self.modules[str(node.target)].parameters()
            }
        if macs := self.products(node):
            self.fixed[node][node] = macs

    def made(self, node: fx.Node) -> Tensor | None:
        """The tensor that a step gives; of a layer that gives several (attention, LSTM) the first."""
        value = self.values.get(node)
        if isinstance(value, (tuple, list)) and node.op == "call_module":
            module = self.modules[str(node.target)]
            if (
                type(module).__module__.startswith("torch.nn")
                or next(module.parameters(), None) is not None
            ):
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
        self.found[node] = weight_products(node, self.modules, self.values, self.sources)
        return sum(product.macs for product in self.found[node])

    def counts(self) -> dict[fx.Node, tuple[WeightProduct, ...]]:
        """The products of blocks and of the steps that they count besides."""
        counted = self.spent.union(self.steps.values())
        return {node: found for node, found in self.found.items() if found and node in counted}

    def operands(self, node: fx.Node) -> list[fx.Node]:
        """Every argument that is a node, in order; a merge's named arguments in its own order."""
        module = self.modules.get(str(node.target)) if node.op == "call_module" else None
        order = module.operands if isinstance(module, Merge) else ()
        named = sorted(
            node.kwargs, key=lambda name: order.index(name) if name in order else len(order)
        )
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

    def block(self, node: fx.Node, value: Tensor, given: int) -> Node:
        path, op, kind = ModuleOutputs.module_path(node), node.op, None
        if node.op == "call_module":
            module = self.modules[str(node.target)]
            path, op = str(node.target), module_label(module)
            kind = module.kind if isinstance(module, Merge) and given > 1 else None
            weights = [*module.parameters(), *self.weights[node].values()]
            name = path
        else:
            op = {"placeholder": "input"}.get(op) or (
                op if op == "output" else function_label(node.target)
            )
            weights = self.weights[node].values()
            name = f"{path}.{op.replace(' ', '_')}" if path else op.replace(" ", "_")
        cell = self.cells.cell(path)
        own = node.op == "call_module" and name not in self.steps
        name, output = (
            name if own else self.unique(name),
            "" if node.target in self.reused else self.output(node),
        )
        stage, macs, shape, count = (
            self.cells.stage(cell),
            self.macs(node),
            tuple(value.shape[1:]),
            self.count(weights),
        )
        return Node(name, op, shape, count, macs, kind, stage, cell, output, (name,), is_module=own)

    def output(self, node: fx.Node) -> str:
        """The module that gives what the step gives, or the first of several."""
        shown = (
            node
            if isinstance(self.values[node], Tensor)
            else next(filter(self.first, node.users), None)
        )
        return self.inner.get(shown, "") if shown else ""

    def macs(self, node: fx.Node) -> int:
        """Multiply-adds of a step and of those before it that depend on no image and that no block has counted."""
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
