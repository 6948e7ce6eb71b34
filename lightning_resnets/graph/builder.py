"""Build the model graph of traced torch.fx nodes."""

import operator
from collections import Counter
from collections.abc import Iterable
from typing import Any

from torch import Tensor, fx, nn
from torch.fx.node import map_arg

from lightning_resnets.graph.data import Edge, Node, TraceBackend
from lightning_resnets.graph.grouping import NodeGrouping
from lightning_resnets.graph.macs import WeightProduct, weight_products
from lightning_resnets.graph.model_graph import ModelGraph
from lightning_resnets.graph.node_label import label_node
from lightning_resnets.graph.nonlinearities import count_nonlinearities
from lightning_resnets.graph.recorded_ops import check_branch
from lightning_resnets.graph.skip_connections import find_skip_connections
from lightning_resnets.merges import Concat, Merge, MergeKind

GraphInput = tuple[int, str]  # operand index, name of the source node


class GraphBuilder:
    """Turns fx nodes into graph nodes: only tensors that depend on the image become nodes.

    Attributes:
        fx_nodes: the fx node of each graph node.
    """

    def __init__(
        self, model: nn.Module, inner: dict[fx.Node, str], values: dict[fx.Node, Any]
    ) -> None:
        self.inner = inner
        self.values = values
        # A shared module has a path for each of its places.
        self.modules = dict(model.named_modules(remove_duplicate=False))
        self.grouping = NodeGrouping(model)
        self.sources: dict[fx.Node, list[str]] = {}  # graph nodes whose value an fx node carries
        self.weights: dict[fx.Node, dict[int, Tensor]] = {}  # parameters that reach a node directly
        # MACs of nodes before this one that do not depend on the image.
        self.constant_macs: dict[fx.Node, dict[fx.Node, int]] = {}
        # By identity, so that shared weights count once.
        self.counted_weights: set[int] = set()
        self.counted_constants: set[fx.Node] = set()
        self.products: dict[fx.Node, tuple[WeightProduct, ...]] = {}
        self.name_counts: Counter[str] = Counter()
        self.nodes: list[Node] = []
        self.fx_nodes: dict[str, fx.Node] = {}
        self.edges: list[Edge] = []
        self.reused: set[Any] = set()

    def build(self, graph: fx.Graph, backend: TraceBackend) -> ModelGraph:
        """Build the graph.

        Args:
            graph: traced nodes.
            backend: the backend that traced them.

        Returns:
            The unfolded graph with its skip connections.
        """
        # Before the nodes: the first call must know of the second.
        calls = Counter(node.target for node in graph.nodes if node.op == "call_module")
        self.reused = {target for target, count in calls.items() if count > 1}
        for node in graph.nodes:
            self._add(node)
        traced_by = backend
        if any(node.target is check_branch for node in graph.nodes):
            traced_by = "recorder, one way of several"
        skips = find_skip_connections(self.nodes, self.edges)
        return ModelGraph(
            tuple(self.nodes),
            tuple(self.edges),
            skips,
            traced_by,
            nonlinearities=count_nonlinearities(self.nodes, self.edges),
        )

    def counted_products(self) -> dict[fx.Node, tuple[WeightProduct, ...]]:
        """Return the products with weights that the graph's MACs include.

        Returns:
            The products of each fx node that has any.
        """
        # Products of nodes that were left out of the graph do not count.
        counted = self.counted_constants.union(self.fx_nodes.values())
        return {
            node: products
            for node, products in self.products.items()
            if products and node in counted
        }

    def _add(self, node: fx.Node) -> None:
        """Add one fx node: as a node, as a constant, or not at all."""
        value = self.values.get(node)
        operands = self._operands(node)
        inputs = self._graph_inputs(operands)
        self._collect_constants(node, operands)
        # The first argument is the image, also in a graph without values.
        is_image = node.op == "placeholder" and (not self.nodes or isinstance(value, Tensor))
        if node.op == "get_attr":
            # A buffer is no parameter, so it counts nowhere.
            if isinstance(value, nn.Parameter):
                self.weights[node] = {id(value): value}
        elif not inputs and not is_image:
            # Also an argument of the model that is a number.
            self._add_constant(node)
        elif self._passes_through(node, value, inputs):
            self.sources[node] = [name for _, name in inputs]
        else:
            self._add_node(node, inputs)

    def _graph_inputs(self, operands: list[fx.Node]) -> list[GraphInput]:
        """Return the graph nodes that the operands carry."""
        inputs: list[GraphInput] = []
        for index, operand in enumerate(operands):
            inputs += [(index, name) for name in self.sources.get(operand, ())]
        return inputs

    def _collect_constants(self, node: fx.Node, operands: list[fx.Node]) -> None:
        """Pass on the weights and the uncounted MACs of the operands."""
        self.weights[node] = {}
        self.constant_macs[node] = {}
        for operand in operands:
            self.weights[node] |= self.weights.get(operand, {})
            self.constant_macs[node] |= self.constant_macs.get(operand, {})

    def _add_node(self, node: fx.Node, inputs: list[GraphInput]) -> None:
        """Add a node and its edges, if the fx node returns a tensor."""
        tensor = self._output_tensor(node)
        if tensor is None:
            return
        added = self._make_node(node, tensor, len(inputs))
        self.nodes.append(added)
        self.fx_nodes[added.name] = node
        self.edges += [(source, added.name, operand) for operand, source in inputs]
        # From here on the weights and the constants are those of this node.
        self.sources[node] = [added.name]
        self.weights[node] = {}
        self.constant_macs[node] = {}

    def _add_constant(self, node: fx.Node) -> None:
        """Note a node that does not depend on the image: it counts where it meets one that does.

        An example is the convolution of a position code.
        """
        if node.op == "call_module":
            for weight in self.modules[str(node.target)].parameters():
                self.weights[node][id(weight)] = weight
        macs = self._count_products(node)
        if macs:
            self.constant_macs[node][node] = macs

    def _output_tensor(self, node: fx.Node) -> Tensor | None:
        """Return a node's tensor; of a layer with several outputs (attention, LSTM) the first."""
        value = self.values.get(node)
        if isinstance(value, (tuple, list)) and node.op == "call_module":
            module = self.modules[str(node.target)]
            # A layer of others without weights returns parts of equal rank, such as a split.
            is_torch = type(module).__module__.startswith("torch.nn")
            if is_torch or next(module.parameters(), None) is not None:
                return next((part for part in value if isinstance(part, Tensor)), None)
        if not isinstance(value, Tensor):
            return None
        return value

    def _takes_first_output(self, node: fx.Node) -> bool:
        """Return True for a node that takes the first tensor of a layer with several outputs."""
        if node.target is not operator.getitem:
            return False
        source = node.args[0]
        if not isinstance(source, fx.Node):
            return False
        values = self.values.get(source)
        index = node.args[1]
        if not isinstance(values, tuple) or not isinstance(index, int):
            return False
        return values[index] is self._output_tensor(source)

    def _count_products(self, node: fx.Node) -> int:
        """Note the products of a node with weights and return their MACs."""
        self.products[node] = weight_products(node, self.modules, self.values, self.sources)
        return sum(product.macs for product in self.products[node])

    def _operands(self, node: fx.Node) -> list[fx.Node]:
        """Return the arguments that are nodes; a merge's keyword arguments in its own order."""
        module = self._module_of(node)
        order = module.operands if isinstance(module, Merge) else ()

        def position(name: str) -> int:
            """Return the place of an operand; other arguments come last."""
            return order.index(name) if name in order else len(order)

        keywords = [node.kwargs[name] for name in sorted(node.kwargs, key=position)]
        found: list[fx.Node] = []
        map_arg((node.args, keywords), lambda item: found.append(item) or item)
        return found

    def _module_of(self, node: fx.Node) -> nn.Module | None:
        """Return the module that a node calls."""
        if node.op != "call_module":
            return None
        return self.modules.get(str(node.target))

    def _passes_through(self, node: fx.Node, value: object, inputs: list[GraphInput]) -> bool:
        """Return True for a node that changes nothing.

        These are the identity, a Concat of one part, and a tuple that later nodes take apart.
        """
        if isinstance(value, (tuple, list)):
            # The output stays a node, also of a model that returns a tuple.
            has_tensors = any(isinstance(part, Tensor) for part in value) and node.op != "output"
            return has_tensors and self._output_tensor(node) is None
        if self._takes_first_output(node):
            return True
        module = self._module_of(node)
        # The first layer of a DenseNet block concatenates one part.
        is_single = isinstance(module, Concat) and len(inputs) == 1
        return isinstance(module, nn.Identity) or is_single

    def _make_node(self, node: fx.Node, tensor: Tensor, input_count: int) -> Node:
        """Make the graph node of an fx node."""
        module = self._module_of(node)
        path, op, name = label_node(node, module)
        # The second call of a module gets a number.
        is_module = module is not None and name not in self.fx_nodes
        unique = name if is_module else self._unique_name(name)
        block = self.grouping.block(path)
        return Node(
            unique,
            op,
            tuple(tensor.shape[1:]),
            self._count_parameters(self._own_weights(node, module)),
            self._count_macs(node),
            _merge_kind(module, input_count),
            self.grouping.stage(block),
            block,
            self._hook_point(node),
            (unique,),
            is_module=is_module,
        )

    def _own_weights(self, node: fx.Node, module: nn.Module | None) -> Iterable[Tensor]:
        """Return the module's parameters and those that reach the node directly."""
        weights = list(self.weights[node].values())
        if module is None:
            return weights
        return [*module.parameters(), *weights]

    def _hook_point(self, node: fx.Node) -> str:
        """Return the module that returns the node's output, or the first of several outputs."""
        # A hook on a module that is called twice could not tell its calls apart.
        if node.target in self.reused:
            return ""
        returned: fx.Node | None = node
        # The module returned a part, which a later node takes out.
        if not isinstance(self.values[node], Tensor):
            returned = next(filter(self._takes_first_output, node.users), None)
        if returned is None:
            return ""
        return self.inner.get(returned, "")

    def _count_macs(self, node: fx.Node) -> int:
        """Return the MACs of a node and of uncounted constants before it."""
        constants = self.constant_macs[node]
        new = {key: macs for key, macs in constants.items() if key not in self.counted_constants}
        self.counted_constants |= set(new)
        return sum(new.values()) + self._count_products(node)

    def _count_parameters(self, weights: Iterable[Tensor]) -> int:
        """Return the number of parameters that no node before has: shared ones count once."""
        new = {id(weight): weight.numel() for weight in weights}
        new = {key: numel for key, numel in new.items() if key not in self.counted_weights}
        self.counted_weights |= set(new)
        return sum(new.values())

    def _unique_name(self, name: str) -> str:
        """Append a number to a name that a module or another node has."""
        count = self.name_counts[name]
        unique = f"{name}_{count}" if count else name
        # A module may have the very name, such as `add_1`.
        while unique in self.fx_nodes or unique in self.modules:
            count += 1
            unique = f"{name}_{count}"
        self.name_counts[name] = count + 1
        return unique


def _merge_kind(module: nn.Module | None, input_count: int) -> MergeKind | None:
    """Return the kind of a merge; one with a single input that depends on the image is none."""
    if not isinstance(module, Merge) or input_count < 2:
        return None
    return module.kind
