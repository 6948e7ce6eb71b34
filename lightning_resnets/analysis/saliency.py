"""Where a net looks: CAM, Grad-CAM and Layer-CAM at the end of every block, all of one backward pass.

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

from lightning_resnets.analysis.names import called
from lightning_resnets.analysis.places import Place, chosen, device_of, places, point_of, spread
from lightning_resnets.analysis.result import AnalysisError, Cell, Pictures, Table, Tell, silent
from lightning_resnets.analysis.style import SMALL, finish, title
from lightning_resnets.analysis.ticks import short
from lightning_resnets.graph import Followed, follow
from lightning_resnets.probe import Recording, probe

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN, PICTURES = 4, 6  # blocks in the figure, evenly from first to last; pictures
KINDS = ("Grad-CAM", "Layer-CAM")
WAY = ("flatten", "dropout", "view", "reshape", "squeeze")  # what may lie between a global mean and the last layer


@dataclass(frozen=True, slots=True, eq=False)
class SaliencyResult:
    """What speaks for a class, by place: raw maps (N, H, W) at each block's own size, after the ReLU, not normalised.

    `classes` (N,) says which class the maps are of, `scores` (N,) its logit, `probabilities` (N,) its softmax. `cam` is
    the last map weighed by the class's weights (N, H, W), without a ReLU, None where the net's head is not a global
    mean and one linear layer.
    """

    images: Tensor
    classes: Tensor
    scores: Tensor
    probabilities: Tensor
    grad_cam: dict[str, Tensor]
    layer_cam: dict[str, Tensor]
    cam: Tensor | None
    class_names: tuple[str, ...] = ()
    name: str = "net"

    def tables(self) -> dict[str, Table]:
        """A row a picture and block: how strong the map is, how much of the picture holds half of it, its peak."""
        rows: list[tuple[Cell, ...]] = []
        for kind, maps in zip(KINDS, (self.grad_cam, self.layer_cam), strict=True):
            for block, stack in maps.items():
                rows += [self._row(i, kind, block, one) for i, one in enumerate(stack)]
        for i, one in enumerate(self.cam if self.cam is not None else ()):
            rows.append(self._row(i, "CAM", list(self.grad_cam)[-1], one.clamp(min=0)))
        columns = (
            "net", "picture", "class", "probability", "method", "block", "height", "width", "largest", "mean",
            "half_area", "peak_row", "peak_column",
        )  # fmt: skip
        return {"saliency": Table(columns, tuple(rows))}

    def _row(self, picture: int, kind: str, block: str, one: Tensor) -> tuple[Cell, ...]:
        height, width = one.shape
        row, column = divmod(int(one.argmax()), width)
        peak = (half_area(one), (row + 0.5) / height, (column + 0.5) / width)  # shares of the picture
        known = (self.name, picture, self.called(picture), float(self.probabilities[picture]), kind, block)
        measures = (height, width, float(one.max()), float(one.mean()))
        return (*known, *measures, *(peak if one.max() > 0 else (None, None, None)))

    def called(self, picture: int) -> str:
        """The class that a picture's maps are of, by its name where names are known."""
        number = int(self.classes[picture])
        return self.class_names[number] if number < len(self.class_names) else str(number)

    def draw(self, figure: "Figure") -> None:
        """A row a picture: the maps of some blocks laid over it, each scaled to its own largest, and CAM."""
        blocks, count = spread(list(self.grad_cam), SHOWN), min(len(self.images), PICTURES)
        names = dict(zip(self.grad_cam, short(list(self.grad_cam)), strict=True))
        columns = [(f"{kind}\n{names[block]}", maps[block]) for kind, maps in
                   zip(KINDS, (self.grad_cam, self.layer_cam), strict=True) for block in blocks]  # fmt: skip
        if self.cam is not None:
            columns.append(("CAM\nlast map", self.cam.clamp(min=0)))
        grid = figure.subplots(count, len(columns) + 1, squeeze=False)
        for row, panels in enumerate(grid):
            image = shown(self.images[row])
            panels[0].imshow(image)
            panels[0].set_ylabel(f"{self.called(row)}\n{float(self.probabilities[row]):.0%}")
            for axes, (words, maps) in zip(panels[1:], columns, strict=True):
                over = resized(maps[row : row + 1], self.images.shape[2:])[0]
                axes.imshow(image.mean(2), cmap="gray")
                axes.imshow(over.numpy(), cmap="inferno", vmin=0, vmax=1, alpha=0.6)
                axes.set_title(f"{words}\n{maps.shape[1]}×{maps.shape[2]}" if not row else "")
            for axes in panels:
                axes.set_xticks([])
                axes.set_yticks([])
        some = f", {count} of them shown" if count < len(self.images) else ""
        text = title("what speaks for the class named (each map by its own scale)", (self.name,), len(self.images))
        finish(figure, text + some, layout="compressed")
        for axes in grid[0]:
            axes.title.set_fontsize(SMALL)


def saliency(
    net: nn.Module, pictures: Pictures, target: int | Sequence[int] | None = None, blocks: Iterable[str] | None = None,
    classes: Sequence[str] = (), name: str = "", tell: Tell = silent,
) -> SaliencyResult:  # fmt: skip
    """Maps of what speaks for a class at the end of every block (or of those named), by one backward pass.

    CAM: Zhou, Khosla, Lapedriza, Oliva, Torralba (2016): Learning Deep Features for Discriminative Localization.
    Grad-CAM: Selvaraju, Cogswell, Das, Vedantam, Parikh, Batra (2017): Grad-CAM: Visual Explanations from Deep Networks
    via Gradient-based Localization. Layer-CAM: Jiang, Zhang, Hou, Cheng, Wei (2021): LayerCAM: Exploring Hierarchical
    Class Activation Maps for Localization. `target` is the class, one for all pictures or one each; None for what the
    net itself predicts. `classes` names the classes, `name` the net, in tables and figure. `tell(done, total)` hears of
    the start and the end; it may raise Cancelled, and the net is left as it was. The weights get no gradients. Returns
    raw maps by block; raises AnalysisError for a class or a block that the net does not have.
    """
    images = pictures.images.to(device_of(net))
    followed = follow(net, tuple(images.shape[1:]))  # pyright: ignore[reportArgumentType]
    found = chosen(places(net, followed), blocks)
    if not found:
        raise AnalysisError("This net has no block that gives a map: saliency needs a convolutional net.")
    modes = {module: module.training for module in net.modules()}
    tell(0, 1)
    try:
        net.eval()
        with torch.enable_grad(), probe(net, [place.point for place in found]) as seen:
            logits = net(images.detach().requires_grad_())
        chosen_classes = targets(logits, target)
        gradients = backward(logits, chosen_classes, seen, found)
        cam = class_map(net, followed, images, chosen_classes)
    finally:
        for module, mode in modes.items():
            module.training = mode
    maps = {place.block: seen.outputs[place.point].detach() for place in found}
    result = SaliencyResult(
        pictures.images,
        chosen_classes.cpu(),
        logits.detach().gather(1, chosen_classes[:, None])[:, 0].cpu(),
        logits.detach().softmax(1).gather(1, chosen_classes[:, None])[:, 0].cpu(),
        {name: grad_cam(maps[name], gradients[name]).cpu() for name in maps},
        {name: layer_cam(maps[name], gradients[name]).cpu() for name in maps},
        None if cam is None else cam.cpu(),
        tuple(classes),
        called(net, name),
    )
    tell(1, 1)
    return result


def grad_cam(maps: Tensor, gradients: Tensor) -> Tensor:
    """Maps (N, C, H, W) weighed by their gradients' mean over the positions, summed, without what speaks against."""
    return (gradients.mean((2, 3), keepdim=True) * maps).sum(1).relu()  # (N, H, W)


def layer_cam(maps: Tensor, gradients: Tensor) -> Tensor:
    """The same with every position weighed by its own gradient, where that is above zero."""
    return (gradients.relu() * maps).sum(1).relu()  # (N, H, W)


def resized(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Maps (N, h, w) at a picture's (H, W), each from 0 to 1."""
    large = F.interpolate(maps[:, None], tuple(size), mode="bilinear", align_corners=False)[:, 0]
    least = large.amin((1, 2), keepdim=True)
    return (large - least) / (large.amax((1, 2), keepdim=True) - least).clamp(min=1e-12)


def targets(logits: Tensor, target: int | Sequence[int] | None) -> Tensor:
    """The class of each picture, (N,) int64."""
    if logits.dim() != 2:
        raise AnalysisError(f"This net answers with a tensor of {logits.dim()} axes: saliency needs a score a class.")
    if target is None:
        return logits.argmax(1)
    classes = torch.as_tensor(target, device=logits.device).expand(len(logits))
    if classes.min() < 0 or classes.max() >= logits.shape[1]:
        raise AnalysisError(f"There is no class {target}: this net tells {logits.shape[1]} apart, numbered from 0.")
    return classes


def backward(logits: Tensor, classes: Tensor, seen: Recording, found: Sequence[Place]) -> dict[str, Tensor]:
    """The gradient of each picture's own score at every place; zero where nothing leads on to the score."""
    score = logits.gather(1, classes[:, None]).sum()  # pictures do not see one another in evaluation
    at = [seen.outputs[place.point] for place in found]
    gradients = torch.autograd.grad(score, at, allow_unused=True, materialize_grads=True)
    return {place.block: gradient for place, gradient in zip(found, gradients, strict=True)}


def class_map(net: nn.Module, followed: Followed, images: Tensor, classes: Tensor) -> Tensor | None:
    """CAM (N, H, W): the map before the global mean weighed by the class's weights in the last layer."""
    point, linear = head(net, followed) or ("", None)
    if linear is None:
        return None
    with torch.no_grad(), probe(net, [point]) as seen:
        net(images)
    return torch.einsum("nchw,nc->nhw", seen.outputs[point], linear.weight.detach()[classes])


def head(net: nn.Module, followed: Followed) -> tuple[str, nn.Linear] | None:
    """The module whose map a global mean and then one linear layer turn into the scores, and that layer."""
    graph = followed.blocks
    behind = [graph.block(name) for name in graph.operands(graph.blocks[-1].name)]
    if len(behind) != 1 or not isinstance(linear := dict(net.named_modules()).get(behind[0].name), nn.Linear):
        return None
    pooled = False
    block = behind[0]
    while len(given := graph.operands(block.name)) == 1:
        block = graph.block(given[0])
        if pooled and len(block.shape) == 3:
            point = point_of(net, followed, block.output, followed.named[block.name])
            return (point, linear) if point and block.shape[0] == linear.in_features else None
        if block.op.startswith(("avg pool", "mean")):
            pooled = all(side == 1 for side in block.shape[1:])
        elif not block.op.startswith(WAY):
            return None
    return None


def half_area(one: Tensor) -> float:
    """The least share of the positions that holds half of the map's sum; 0 for an empty map."""
    values = one.flatten().sort(descending=True).values.cumsum(0)
    return float((values < values[-1] / 2).sum() + 1) / one.numel() if values[-1] > 0 else 0.0


def shown(image: Tensor) -> NDArray[np.float32]:
    """A net's input (C, H, W) as a picture (H, W, 3) from 0 to 1."""
    low, high = image.min(), image.max()
    scaled = (image - low) / (high - low).clamp(min=1e-12)
    coloured = scaled if len(scaled) == 3 else scaled.mean(0, keepdim=True).expand(3, -1, -1)
    return coloured.permute(1, 2, 0).cpu().numpy()
