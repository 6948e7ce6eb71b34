"""Apply the head of a model after every block, as if the blocks that follow added nothing.

A residual network adds to one stream, which the head reads at the end. With the branches of all
later blocks at zero, the head reads the stream as it is after one block (within the last stage
this is the experiment of Greff et al. 2017, arXiv:1612.07771). In a DenseNet the layers that
follow contribute zeros.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.conv import _ConvNd

from lightning_resnets.graph import TracedModel
from lightning_resnets.graph.shortcut_operands import shortcut_operands
from lightning_resnets.interventions.record import bind_operands
from lightning_resnets.merges import Add, Concat, MergeKind

Values = Mapping[fx.Node, Any]


class EarlyExit(fx.Interpreter):
    """Run a traced model from any node to the end without the branches that follow.

    Args:
        model: the model, in evaluation mode.
        traced: its trace.
    """

    def __init__(self, model: nn.Module, traced: TracedModel) -> None:
        super().__init__(model, garbage_collect_values=False, graph=traced.fx_graph)
        self.nodes = list(traced.fx_graph.nodes)
        self.position = {node: i for i, node in enumerate(self.nodes)}
        self.shortcuts = shortcut_operands(traced)
        # Concats of parallel branches (Inception) have no skip and are run in full.
        self.dense_concats = {
            traced.node_by_name[skip.merge]
            for skip in traced.graph.skips
            if skip.kind is MergeKind.CONCAT
        }

    @torch.inference_mode()
    def logits_after(self, start: fx.Node, values: Values) -> Tensor | None:
        """Compute the model's output as if no branch after a node added anything.

        Args:
            start: the node.
            values: values of all nodes in an ordinary pass.

        Returns:
            Logits (1, K); None if nothing after the node can be skipped but convolutions follow,
            as in a plain network.
        """
        # Later values belong to the branches that are left out.
        limit = self.position[start]
        self.env = {node: value for node, value in values.items() if self.position[node] <= limit}
        num_skipped, has_convolution = self._run_to_end(limit, values)
        if has_convolution and not num_skipped:
            return None
        return self.env[self.nodes[-1]]

    def _run_to_end(self, limit: int, values: Values) -> tuple[int, bool]:
        """Run what the output needs; return the number of skips, and if there is a convolution."""
        num_skipped = 0
        has_convolution = False
        # From the output backward, so that only what the head needs is computed.
        waiting = [self.nodes[-1]]
        while waiting:
            node = waiting[-1]
            needed = self._needed_inputs(node, limit)
            missing = [source for source in needed if source not in self.env]
            if node not in self.env and missing:
                # The node stays on the stack until its inputs are known.
                waiting += missing
                continue
            waiting.pop()
            if node in self.env:
                continue
            # Without a skip and with convolutions the head cannot read this map.
            num_skipped += len(needed) < len(node.all_input_nodes)
            has_convolution |= isinstance(self._module(node), _ConvNd)
            self.env[node] = self._run_on(node, needed, values)
        return num_skipped, has_convolution

    def _needed_inputs(self, node: fx.Node, limit: int) -> list[fx.Node]:
        """Return the inputs of a node without the branches that are skipped."""
        inputs = node.all_input_nodes
        module = self._module(node)
        if isinstance(module, Add) and str(node.target) in self.shortcuts:
            # Nodes stand where tensors are in a call.
            operands: tuple[Any, ...] = bind_operands(module, node.args, node.kwargs)
            return [operands[self.shortcuts[str(node.target)]]]
        if isinstance(module, Concat) and node in self.dense_concats:
            # The first operand is the input of the dense block.
            return [one for one in inputs if one is inputs[0] or self.position[one] <= limit]
        return inputs

    def _run_on(self, node: fx.Node, needed: list[fx.Node], values: Values) -> Any:
        """Run a node with zeros in place of the inputs that are not needed."""
        # Equal to the bit to adding zeros, but works without the shape of the branch.
        if isinstance(self._module(node), Add) and len(needed) == 1:
            return self.env[needed[0]]
        skipped = [one for one in node.all_input_nodes if one not in needed]
        for source in skipped:
            self.env[source] = torch.zeros_like(values[source])
        result = self.run_node(node)
        for source in skipped:
            # Another reader must not find the zeros.
            del self.env[source]
        return result

    def _module(self, node: fx.Node) -> nn.Module | None:
        """Return the module that a node calls, None for a function."""
        if node.op != "call_module":
            return None
        return self.fetch_attr(str(node.target))
