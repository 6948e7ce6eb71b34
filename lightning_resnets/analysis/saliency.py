"""Where a model looks: CAM, Grad-CAM and Layer-CAM at the end of every block, all of one backward pass.

CAM: Zhou et al. 2016, arXiv:1512.04150, section 2; Grad-CAM: Selvaraju et al. 2017, arXiv:1610.02391, section 3;
Layer-CAM: Jiang et al. 2021, IEEE TIP 30, doi:10.1109/TIP.2021.3089943.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_resnets.analysis.block_outputs import (
    BlockOutput,
    block_outputs,
    device_of,
    evenly_spaced,
    hook_point_of,
    select_blocks,
)
from lightning_resnets.analysis.plotting import (
    TICK_SIZE,
    figure_title,
    finish_figure,
    shorten_names,
)
from lightning_resnets.analysis.result import (
    Cell,
    LabeledImages,
    ProgressCallback,
    Table,
    display_name,
    no_progress,
)
from lightning_resnets.errors import AnalysisError
from lightning_resnets.graph import TracedModel, trace_nodes
from lightning_resnets.interventions.record import Recording, record_activations

if TYPE_CHECKING:
    from matplotlib.figure import Figure


BLOCKS_SHOWN, IMAGES_SHOWN = 4, 6  # blocks in the figure, evenly from first to last; images


KINDS = ("Grad-CAM", "Layer-CAM")


HEAD_OPS = (
    "flatten",
    "dropout",
    "view",
    "reshape",
    "squeeze",
)  # what may lie between a global mean and the last layer


@dataclass(frozen=True, slots=True, eq=False)
class SaliencyResult:
    """What speaks for a class, by place: raw maps (N, H, W) at each block's own size, after the ReLU, not normalized.

    `classes` (N,) says which class the maps are of, `scores` (N,) its logit, `probabilities` (N,) its softmax. `cam` is
    the last map weighed by the class's weights (N, H, W), without a ReLU, None where the model's head is not a global
    mean and one linear layer.
    """

    images: Tensor
    target_classes: Tensor
    logits: Tensor
    probabilities: Tensor
    grad_cam: dict[str, Tensor]
    layer_cam: dict[str, Tensor]
    cam: Tensor | None
    class_names: tuple[str, ...] = ()
    name: str = "model"

    def tables(self) -> dict[str, Table]:
        """A row an image and block: how strong the map is, how much of the image holds half of it, its peak."""
        rows: list[tuple[Cell, ...]] = []
        for kind, maps in zip(KINDS, (self.grad_cam, self.layer_cam), strict=True):
            for block, stack in maps.items():
                rows += [self._row(i, kind, block, one) for i, one in enumerate(stack)]
        for i, one in enumerate(self.cam if self.cam is not None else ()):
            rows.append(self._row(i, "CAM", list(self.grad_cam)[-1], one.clamp(min=0)))
        columns = (
            "model",
            "image",
            "class",
            "probability",
            "method",
            "block",
            "height",
            "width",
            "largest",
            "mean",
            "half_area",
            "peak_row",
            "peak_column",
        )
        return {"saliency": Table(columns, tuple(rows))}

    def _row(self, image: int, kind: str, block: str, one: Tensor) -> tuple[Cell, ...]:
        height, width = one.shape
        row, column = divmod(int(one.argmax()), width)
        peak = (
            half_max_area(one),
            (row + 0.5) / height,
            (column + 0.5) / width,
        )  # shares of the image
        known = (
            self.name,
            image,
            self.class_name(image),
            float(self.probabilities[image]),
            kind,
            block,
        )
        measures = (height, width, float(one.max()), float(one.mean()))
        return (*known, *measures, *(peak if one.max() > 0 else (None, None, None)))

    def class_name(self, image: int) -> str:
        """The class that an image's maps are of, by its name where names are known."""
        number = int(self.target_classes[image])
        return self.class_names[number] if number < len(self.class_names) else str(number)

    def draw(self, figure: "Figure") -> None:
        """A row an image: the maps of some blocks laid over it, each scaled to its own largest, and CAM."""
        blocks, count = (
            evenly_spaced(list(self.grad_cam), BLOCKS_SHOWN),
            min(len(self.images), IMAGES_SHOWN),
        )
        names = dict(zip(self.grad_cam, shorten_names(list(self.grad_cam)), strict=True))
        columns = [
            (f"{kind}\n{names[block]}", maps[block])
            for kind, maps in zip(KINDS, (self.grad_cam, self.layer_cam), strict=True)
            for block in blocks
        ]
        if self.cam is not None:
            columns.append(("CAM\nlast map", self.cam.clamp(min=0)))
        grid = figure.subplots(count, len(columns) + 1, squeeze=False)
        for row, panels in enumerate(grid):
            image = to_displayable(self.images[row])
            panels[0].imshow(image)
            panels[0].set_ylabel(f"{self.class_name(row)}\n{float(self.probabilities[row]):.0%}")
            for axes, (words, maps) in zip(panels[1:], columns, strict=True):
                over = resize_maps(maps[row : row + 1], self.images.shape[2:])[0]
                axes.imshow(image.mean(2), cmap="gray")
                axes.imshow(over.numpy(), cmap="inferno", vmin=0, vmax=1, alpha=0.6)
                axes.set_title(f"{words}\n{maps.shape[1]}×{maps.shape[2]}" if not row else "")
            for axes in panels:
                axes.set_xticks([])
                axes.set_yticks([])
        some = f", {count} of them shown" if count < len(self.images) else ""
        text = figure_title(
            "what speaks for the class named (each map by its own scale)",
            (self.name,),
            len(self.images),
        )
        finish_figure(figure, text + some, layout="compressed")
        for axes in grid[0]:
            axes.title.set_fontsize(TICK_SIZE)


def saliency(
    model: nn.Module,
    images: LabeledImages,
    target: int | Sequence[int] | None = None,
    blocks: Iterable[str] | None = None,
    class_names: Sequence[str] = (),
    name: str = "",
    progress: ProgressCallback = no_progress,
) -> SaliencyResult:
    """Maps of what speaks for a class at the end of every block (or of those named), by one backward pass.

    CAM: Zhou, Khosla, Lapedriza, Oliva, Torralba (2016): Learning Deep Features for Discriminative Localization.
    Grad-CAM: Selvaraju, Cogswell, Das, Vedantam, Parikh, Batra (2017): Grad-CAM: Visual Explanations from Deep Networks
    via Gradient-based Localization. Layer-CAM: Jiang, Zhang, Hou, Cheng, Wei (2021): LayerCAM: Exploring Hierarchical
    Class Activation Maps for Localization. `target` is the class, one for all images or one each; None for what the
    model itself predicts. `classes` names the classes, `name` the model, in tables and figure. `tell(done, total)` hears of
    the start and the end; it may raise Cancelled, and the model is left as it was. The weights get no gradients. Returns
    raw maps by block; raises AnalysisError for a class or a block that the model does not have.
    """
    batch = images.images.to(device_of(model))
    followed = trace_nodes(model, tuple(batch.shape[1:]))  # pyright: ignore[reportArgumentType]
    found = select_blocks(block_outputs(model, followed), blocks)
    if not found:
        raise AnalysisError(
            "This model has no block that gives a map: saliency needs a convolutional model."
        )
    modes = {module: module.training for module in model.modules()}
    progress(0, 1)
    try:
        model.eval()
        with (
            torch.enable_grad(),
            record_activations(model, [place.hook_point for place in found]) as seen,
        ):
            logits = model(batch.detach().requires_grad_())
        chosen_classes = target_classes(logits, target)
        gradients = backward_to_blocks(logits, chosen_classes, seen, found)
        cam = class_activation_map(model, followed, batch, chosen_classes)
    finally:
        for module, mode in modes.items():
            module.training = mode
    maps = {place.block: seen.outputs[place.hook_point].detach() for place in found}
    result = SaliencyResult(
        images.images,
        chosen_classes.cpu(),
        logits.detach().gather(1, chosen_classes[:, None])[:, 0].cpu(),
        logits.detach().softmax(1).gather(1, chosen_classes[:, None])[:, 0].cpu(),
        {name: grad_cam(maps[name], gradients[name]).cpu() for name in maps},
        {name: layer_cam(maps[name], gradients[name]).cpu() for name in maps},
        None if cam is None else cam.cpu(),
        tuple(class_names),
        display_name(model, name),
    )
    progress(1, 1)
    return result


def grad_cam(maps: Tensor, gradients: Tensor) -> Tensor:
    """Maps (N, C, H, W) weighed by their gradients' mean over the positions, summed, without what speaks against."""
    return (gradients.mean((2, 3), keepdim=True) * maps).sum(1).relu()  # (N, H, W)


def layer_cam(maps: Tensor, gradients: Tensor) -> Tensor:
    """The same with every position weighed by its own gradient, where that is above zero."""
    return (gradients.relu() * maps).sum(1).relu()  # (N, H, W)


def resize_maps(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Maps (N, h, w) at an image's (H, W), each from 0 to 1."""
    large = F.interpolate(maps[:, None], tuple(size), mode="bilinear", align_corners=False)[:, 0]
    least = large.amin((1, 2), keepdim=True)
    return (large - least) / (large.amax((1, 2), keepdim=True) - least).clamp(min=1e-12)


def target_classes(logits: Tensor, target: int | Sequence[int] | None) -> Tensor:
    """The class of each image, (N,) int64."""
    if logits.dim() != 2:
        raise AnalysisError(
            f"This model answers with a tensor of {logits.dim()} axes: saliency needs a score a class."
        )
    if target is None:
        return logits.argmax(1)
    classes = torch.as_tensor(target, device=logits.device).expand(len(logits))
    if classes.min() < 0 or classes.max() >= logits.shape[1]:
        raise AnalysisError(
            f"There is no class {target}: this model tells {logits.shape[1]} apart, numbered from 0."
        )
    return classes


def backward_to_blocks(
    logits: Tensor, targets: Tensor, seen: Recording, found: Sequence[BlockOutput]
) -> dict[str, Tensor]:
    """The gradient of each image's own score at every place; zero where nothing leads on to the score."""
    score = logits.gather(1, targets[:, None]).sum()  # images do not see one another in evaluation
    at = [seen.outputs[place.hook_point] for place in found]
    gradients = torch.autograd.grad(score, at, allow_unused=True, materialize_grads=True)
    return {place.block: gradient for place, gradient in zip(found, gradients, strict=True)}


def class_activation_map(
    model: nn.Module, followed: TracedModel, images: Tensor, targets: Tensor
) -> Tensor | None:
    """CAM (N, H, W): the map before the global mean weighed by the class's weights in the last layer."""
    point, linear = find_linear_head(model, followed) or ("", None)
    if linear is None:
        return None
    with torch.no_grad(), record_activations(model, [point]) as seen:
        model(images)
    return torch.einsum("nchw,nc->nhw", seen.outputs[point], linear.weight.detach()[targets])


def find_linear_head(model: nn.Module, followed: TracedModel) -> tuple[str, nn.Linear] | None:
    """The module whose map a global mean and then one linear layer turn into the scores, and that layer."""
    graph = followed.graph
    behind = [graph.node(name) for name in graph.inputs(graph.nodes[-1].name)]
    if len(behind) != 1 or not isinstance(
        linear := dict(model.named_modules()).get(behind[0].name), nn.Linear
    ):
        return None
    pooled = False
    block = behind[0]
    while len(given := graph.inputs(block.name)) == 1:
        block = graph.node(given[0])
        if pooled and len(block.shape) == 3:
            point = hook_point_of(
                model, followed, block.hook_point, followed.node_by_name[block.name]
            )
            return (point, linear) if point and block.shape[0] == linear.in_features else None
        if block.op.startswith(("avg pool", "mean")):
            pooled = all(side == 1 for side in block.shape[1:])
        elif not block.op.startswith(HEAD_OPS):
            return None
    return None


def half_max_area(one: Tensor) -> float:
    """The least share of the positions that holds half of the map's sum; 0 for an empty map."""
    values = one.flatten().sort(descending=True).values.cumsum(0)
    return float((values < values[-1] / 2).sum() + 1) / one.numel() if values[-1] > 0 else 0.0


def to_displayable(image: Tensor) -> NDArray[np.float32]:
    """A model's input (C, H, W) as an image (H, W, 3) from 0 to 1."""
    low, high = image.min(), image.max()
    scaled = (image - low) / (high - low).clamp(min=1e-12)
    colored = scaled if len(scaled) == 3 else scaled.mean(0, keepdim=True).expand(3, -1, -1)
    return colored.permute(1, 2, 0).cpu().numpy()
