"""Compute CAM, Grad-CAM and Layer-CAM at the end of every block, with one backward pass.

CAM: Zhou et al. 2016, arXiv:1512.04150, section 2; Grad-CAM: Selvaraju et al. 2017,
arXiv:1610.02391, section 3; Layer-CAM: Jiang et al. 2021, IEEE TIP 30,
doi:10.1109/TIP.2021.3089943.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from lightning_resnets.analysis.block_outputs import (
    BlockOutput,
    block_outputs,
    hook_point_of,
    select_blocks,
)
from lightning_resnets.analysis.eval_context import device_of, eval_mode
from lightning_resnets.analysis.result import (
    LabeledImages,
    ProgressCallback,
    display_name,
    no_progress,
)
from lightning_resnets.analysis.saliency_result import SaliencyResult as SaliencyResult
from lightning_resnets.analysis.saliency_result import half_max_area as half_max_area
from lightning_resnets.analysis.saliency_result import resize_maps as resize_maps
from lightning_resnets.analysis.saliency_result import to_displayable as to_displayable
from lightning_resnets.errors import AnalysisError
from lightning_resnets.graph import TracedModel, trace_nodes
from lightning_resnets.graph.data import Node
from lightning_resnets.interventions.record import Recording, record_activations

# Operations that may stand between global average pooling and the last layer.
HEAD_OPS = ("flatten", "dropout", "view", "reshape", "squeeze")
POOL_OPS = ("avg pool", "mean")


def saliency(
    model: nn.Module,
    images: LabeledImages,
    target: int | Sequence[int] | None = None,
    blocks: Iterable[str] | None = None,
    class_names: Sequence[str] = (),
    model_name: str = "",
    progress: ProgressCallback = no_progress,
) -> SaliencyResult:
    """Compute maps of the evidence for a class at the end of every block.

    CAM: Zhou, Khosla, Lapedriza, Oliva, Torralba (2016): Learning Deep Features for Discriminative
    Localization. Grad-CAM: Selvaraju, Cogswell, Das, Vedantam, Parikh, Batra (2017): Grad-CAM:
    Visual Explanations from Deep Networks via Gradient-based Localization. Layer-CAM: Jiang, Zhang,
    Hou, Cheng, Wei (2021): LayerCAM: Exploring Hierarchical Class Activation Maps for Localization.
    The weights get no gradients.

    Args:
        model: a convolutional classifier.
        images: images; labels are not used.
        target: class of the maps, one for all images or one each; None for the predicted class.
        blocks: names of blocks; None for all.
        class_names: names of the classes.
        model_name: name in tables and figures; the class name if empty.
        progress: called at the start and the end; it may raise AnalysisCancelled.

    Returns:
        Raw maps by block.

    Raises:
        AnalysisError: the model does not have such a class or block, or no block outputs a map.
    """
    batch = images.images.to(device_of(model))
    traced = trace_nodes(model, tuple(batch.shape[1:]))  # pyright: ignore[reportArgumentType]
    outputs = select_blocks(block_outputs(model, traced), blocks)
    if not outputs:
        raise AnalysisError(
            "No block of the model outputs a feature map. Use a convolutional model."
        )
    # One forward and one backward pass: there is nothing to report in between.
    progress(0, 1)
    hook_points = [output.hook_point for output in outputs]
    with eval_mode(model):
        with torch.enable_grad(), record_activations(model, hook_points) as recording:
            logits = model(batch.detach().requires_grad_())
        # The predicted classes are known only after the forward pass.
        classes = target_classes(logits, target)
        gradients = backward_to_blocks(logits, classes, recording, outputs)
        cam = class_activation_map(model, traced, batch, classes)
    maps = {output.block: recording.outputs[output.hook_point].detach() for output in outputs}
    # Results must not keep the graph, and with it all activations, alive.
    logits = logits.detach()
    # (N, 1), to gather one logit per image.
    index = classes[:, None]
    result = SaliencyResult(
        images.images,
        classes.cpu(),
        logits.gather(1, index)[:, 0].cpu(),
        logits.softmax(1).gather(1, index)[:, 0].cpu(),
        {block: grad_cam(maps[block], gradients[block]).cpu() for block in maps},
        {block: layer_cam(maps[block], gradients[block]).cpu() for block in maps},
        None if cam is None else cam.cpu(),
        tuple(class_names),
        display_name(model, model_name),
    )
    progress(1, 1)
    return result


def grad_cam(maps: Tensor, gradients: Tensor) -> Tensor:
    """Combine feature maps into Grad-CAM: channels weighted by their mean gradient.

    Args:
        maps: feature maps (N, C, h, w).
        gradients: gradients of the score at those maps, of the same shape.

    Returns:
        Maps (N, h, w) without negative values (Selvaraju et al., equations 1 and 2).
    """
    # ReLU: evidence against the class is left out.
    return (gradients.mean((2, 3), keepdim=True) * maps).sum(1).relu()


def layer_cam(maps: Tensor, gradients: Tensor) -> Tensor:
    """Combine feature maps into Layer-CAM: every position weighted by its positive gradient.

    Args:
        maps: feature maps (N, C, h, w).
        gradients: gradients of the score at those maps, of the same shape.

    Returns:
        Maps (N, h, w) without negative values.
    """
    return (gradients.relu() * maps).sum(1).relu()


def target_classes(logits: Tensor, target: int | Sequence[int] | None) -> Tensor:
    """Return the class of each image's maps.

    Args:
        logits: the model's output (N, K).
        target: one class for all images or one each; None for the predicted class.

    Returns:
        Classes (N,) int64.

    Raises:
        AnalysisError: the output is not (N, K), or a class is not below K.
    """
    if logits.dim() != 2:
        raise AnalysisError(
            "saliency requires a classifier with output (N, num_classes), got an output of shape "
            f"{tuple(logits.shape)}."
        )
    if target is None:
        return logits.argmax(1)
    num_classes = logits.shape[1]
    classes = torch.as_tensor(target, device=logits.device).expand(len(logits))
    if classes.min() < 0 or classes.max() >= num_classes:
        raise AnalysisError(f"target must be a class from 0 to {num_classes - 1}, got {target}.")
    return classes


def backward_to_blocks(
    logits: Tensor, targets: Tensor, recording: Recording, outputs: Sequence[BlockOutput]
) -> dict[str, Tensor]:
    """Compute the gradient of each image's own score at every block.

    Args:
        logits: the model's output (N, K).
        targets: class of each image (N,).
        recording: recorded block outputs, with their graph.
        outputs: the blocks.

    Returns:
        Gradients (N, C, h, w) by block; zeros where the score does not depend on the block.
    """
    # In evaluation mode images do not influence each other, so one sum serves all of them.
    score = logits.gather(1, targets[:, None]).sum()
    maps = [recording.outputs[output.hook_point] for output in outputs]
    # A block behind which the model stops, such as an auxiliary head, has no gradient.
    gradients = torch.autograd.grad(score, maps, allow_unused=True, materialize_grads=True)
    return {output.block: grad for output, grad in zip(outputs, gradients, strict=True)}


def class_activation_map(
    model: nn.Module, traced: TracedModel, images: Tensor, targets: Tensor
) -> Tensor | None:
    """Compute CAM: the last map weighted by the class's weights in the last layer.

    Args:
        model: a model in evaluation mode.
        traced: its traced graph.
        images: images (N, C, H, W).
        targets: class of each image (N,).

    Returns:
        Maps (N, h, w), or None unless the head is global average pooling and one linear layer.
    """
    head = find_linear_head(model, traced)
    if head is None:
        return None
    hook_point, linear = head
    with torch.no_grad(), record_activations(model, [hook_point]) as recording:
        model(images)
    # (N, C): the class's row of the last layer, for each image.
    weights = linear.weight.detach()[targets]
    return torch.einsum("nchw,nc->nhw", recording.outputs[hook_point], weights)


def find_linear_head(model: nn.Module, traced: TracedModel) -> tuple[str, nn.Linear] | None:
    """Find a head of global average pooling followed by one linear layer.

    Args:
        model: the model.
        traced: its traced graph.

    Returns:
        The hook point of the pooled map and the linear layer; None for another head.
    """
    graph = traced.graph
    inputs = graph.inputs(graph.nodes[-1].name)
    if len(inputs) != 1:
        return None
    # The last node before the output must be the linear layer itself.
    linear = dict(model.named_modules()).get(graph.node(inputs[0]).name)
    if not isinstance(linear, nn.Linear):
        return None
    node = _find_pooled_map(traced, inputs[0])
    # Several positions flattened would give the layer more inputs than there are channels.
    if node is None or node.shape[0] != linear.in_features:
        return None
    fx_node = traced.node_by_name[node.name]
    hook_point = hook_point_of(model, traced, node.hook_point, fx_node)
    return (hook_point, linear) if hook_point else None


def _find_pooled_map(traced: TracedModel, name: str) -> Node | None:
    """Walk upward from the last layer to the map before global average pooling."""
    graph = traced.graph
    is_pooled = False
    while len(inputs := graph.inputs(name)) == 1:
        node = graph.node(inputs[0])
        name = node.name
        if is_pooled and len(node.shape) == 3:
            return node
        if node.op.startswith(POOL_OPS):
            # Only a pool to one position makes CAM exact.
            is_pooled = all(side == 1 for side in node.shape[1:])
        elif not node.op.startswith(HEAD_OPS):
            return None
    return None
