"""Compute the gradient of one class's score at every node of a model, under interventions."""

from collections.abc import Iterable

import torch
from torch import Tensor, fx

from lightning_resnets.interventions.edits import Intervention
from lightning_resnets.interventions.executor import NodeExecutor
from lightning_resnets.interventions.swap_blocks import swapped


class GradientRunner(NodeExecutor):
    """Run a model forward and backward on one image and keep the values of its nodes.

    The model must be in evaluation mode. Its parameters get no gradients. Not for use from two
    threads at once.

    Args:
        model: the model.
        traced: its trace, for the size of the image.
    """

    def run_image(
        self,
        image: Tensor,
        nodes: Iterable[fx.Node],
        interventions: Iterable[Intervention],
        class_index: int | None = None,
    ) -> tuple[int, dict[fx.Node, tuple[Tensor, Tensor]]]:
        """Compute values of nodes and the gradient of a class's score with respect to them.

        Args:
            image: (1, C, H, W).
            nodes: nodes of the graph.
            interventions: interventions in force.
            class_index: the class; None for the predicted one.

        Returns:
            The class, and for each node its value and the gradient of the class's logit, both of
            shape (1, ...). The gradient is zero where the score does not depend on the node.
            Nodes whose value is not a floating-point tensor are left out.

        Raises:
            InterventionError: an intervention does not fit the model.
            HookPointError: there is no such module.
        """
        # Outside of `try`: a wrong intervention leaves nothing to clean up.
        plan = self.plan(interventions)
        self.current_plan = plan
        try:
            # `inference_mode(False)`: the caller may be inside it, where no gradient is recorded.
            with torch.inference_mode(False), torch.enable_grad(), swapped(self.model, plan.swaps):
                # The clone is no inference tensor.
                self.set_images(image.clone().requires_grad_())
                for node in self.nodes:
                    self.env[node] = self.run_node(node)
                logits = self.env[self.nodes[-1]][0]
                index = class_index
                # The prediction under the interventions, not that of the plain model.
                if index is None:
                    index = int(logits.argmax())
                return index, self._gradients(logits[index], nodes)
        finally:
            # The values hold the whole graph of the pass.
            self.env = {}

    def _gradients(
        self, score: Tensor, nodes: Iterable[fx.Node]
    ) -> dict[fx.Node, tuple[Tensor, Tensor]]:
        """Return value and gradient of each node that the image reaches."""
        values: dict[fx.Node, Tensor] = {}
        for node in nodes:
            value = self.env[node]
            # A value that does not depend on the image, such as a constant, has no gradient.
            if isinstance(value, Tensor) and value.requires_grad:
                values[node] = value
        # Not `backward`, which would fill the gradients of the parameters.
        gradients = torch.autograd.grad(
            score, list(values.values()), allow_unused=True, materialize_grads=True
        )
        found = zip(values.items(), gradients, strict=True)
        return {node: (value.detach(), gradient) for (node, value), gradient in found}
