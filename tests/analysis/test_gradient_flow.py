"""Compare gradients with the chain rule by hand and with a manual backward pass."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_resnets.analysis.gradient_flow import (
    GradientFlowResult,
    GradientNorms,
    gradient_flow,
)
from lightning_resnets.analysis.result import LabeledImages
from lightning_resnets.errors import AnalysisCancelled, AnalysisError
from lightning_resnets.graph.insert_merges import insert_merges
from lightning_resnets.merges import Add
from lightning_resnets.models.registry import create_model
from lightning_resnets.models.residual_blocks import BasicBlock
from tests.helpers.hooks import has_hooks

IMAGES = LabeledImages(
    torch.randn(6, 3, 16, 16, generator=torch.Generator().manual_seed(1)), torch.arange(6)
)


class Two(nn.Module):
    """A projection and an identity shortcut of 1x1 convolutions, whose Jacobians are matrices."""

    def __init__(self) -> None:
        super().__init__()
        sizes = ((3, 4), (4, 5), (3, 5), (5, 5))
        self.first, self.then, self.project, self.second = (
            nn.Conv2d(*io, 1, bias=False) for io in sizes
        )
        self.add, self.add2 = Add(), Add()

    def forward(self, x: Tensor) -> Tensor:
        x = self.add(self.project(x), self.then(self.first(x)))
        return torch.flatten(self.add2(x, self.second(x)), 1)  # (N, 5)


def test_norms_match_the_chain_rule() -> None:
    torch.manual_seed(0)
    model, some = Two(), LabeledImages(torch.randn(4, 3, 1, 1), torch.arange(4))
    with torch.no_grad():
        last = model(some.images).softmax(1) - F.one_hot(some.labels, 5)
        weights = (
            m.weight[:, :, 0, 0] for m in (model.first, model.then, model.project, model.second)
        )
        first, then, project, second = weights
        middle = last + last @ second
        expected = {
            "add": (middle @ project, middle @ then @ first),
            "add2": (last, last @ second),
        }
    found = gradient_flow(model, some).flows
    for name, (shortcut, branch) in expected.items():
        norms = [float(part.norm(dim=1).mean()) for part in (shortcut, branch, shortcut + branch)]
        assert found[name] == GradientNorms(*map(pytest.approx, norms))


def by_modules(model: nn.Module) -> dict[str, list[float]]:
    """Run each block's modules again on a leaf and backpropagate through them."""
    images, kept = IMAGES.images.clone().requires_grad_(), {}
    blocks = {name: m for name, m in model.named_modules() if isinstance(m, BasicBlock)}
    handles = []
    for name, block in blocks.items():
        assert block.add is not None
        handles.append(
            block.register_forward_hook(
                lambda m, args, out, name=name: kept.update({name: args[0]})
            )
        )
        handles.append(
            block.add.register_forward_hook(
                lambda m, args, out, name=name: kept.update({name + "+": out})
            )
        )
    loss = F.cross_entropy(model(images), IMAGES.labels, reduction="sum")
    behind = torch.autograd.grad(loss, [kept[name + "+"] for name in blocks])
    for handle in handles:
        handle.remove()
    found = {}
    for (name, block), gradient in zip(blocks.items(), behind, strict=True):
        norms = []
        for way in ("shortcut", "branch", "both"):
            x = kept[name].detach().requires_grad_()
            shortcut = x if block.downsample is None else block.downsample(x)
            branch = block.bn2(block.conv2(block.relu1(block.bn1(block.conv1(x)))))
            value = {"shortcut": shortcut, "branch": branch, "both": shortcut + branch}[way]
            value.backward(gradient)
            assert x.grad is not None
            norms.append(float(x.grad.flatten(1).norm(dim=1).mean()))
        found[name] = norms
    return found


def made(**options: Any) -> nn.Module:
    torch.manual_seed(0)
    model = create_model("resnet20", **options)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.running_var, 0.5, 2)  # type: ignore[arg-type]
    return model.eval()


@pytest.mark.parametrize("shortcut", ["A", "B"])
def test_resnet_norms_match_a_manual_backward_pass(shortcut: str) -> None:
    model = made(shortcut_type=shortcut)
    found, expected = gradient_flow(model, IMAGES, batch_size=4).flows, by_modules(model)
    assert list(found) == list(expected)
    for name, (one, other, both) in expected.items():
        assert found[name] == GradientNorms(
            *(pytest.approx(v, rel=1e-4) for v in (one, other, both))
        )


def test_untrained_model_uses_batch_statistics() -> None:
    torch.manual_seed(0)
    fresh = create_model("resnet20")
    before = {name: value.clone() for name, value in fresh.state_dict().items()}
    found = gradient_flow(made(), IMAGES, fresh).untrained
    assert all(torch.equal(value, before[name]) for name, value in fresh.state_dict().items())
    assert all(m.track_running_stats for m in fresh.modules() if isinstance(m, nn.BatchNorm2d))
    assert all(module.training for module in fresh.modules())
    assert found
    for name, norms in by_modules(fresh).items():  # in training, which normalizes by the batch
        # The rest of the batch is in every image's norm: by hand a block sees the same batch.
        assert found[name].branch == pytest.approx(norms[1], rel=1e-3)


@pytest.mark.slow
def test_torchvision_model_has_the_same_norms() -> None:
    from torchvision.models import resnet18

    torch.manual_seed(0)
    theirs, few = (
        resnet18(num_classes=10).eval(),
        LabeledImages(torch.randn(2, 3, 64, 64), torch.arange(2)),
    )
    ours = create_model("resnet18", num_classes=10).eval()
    ours.load_state_dict(theirs.state_dict())
    one, other = (
        gradient_flow(insert_merges(theirs, (3, 64, 64)), few).flows,
        gradient_flow(ours, few).flows,
    )
    for name, flow in other.items():
        assert one[name].branch == pytest.approx(flow.branch, rel=1e-4)
        assert one[name].shortcut == pytest.approx(flow.shortcut, rel=1e-4)


def test_cancel_leaves_the_model_unchanged() -> None:
    model, heard = made().train(), list[tuple[int, int]]()

    def stop(done: int, total: int) -> None:
        heard.append((done, total))
        if done == 1:
            raise AnalysisCancelled

    with pytest.raises(AnalysisCancelled):
        gradient_flow(model, IMAGES, batch_size=2, progress=stop)
    assert heard == [(0, 3), (1, 3)]
    assert all(module.training for module in model.modules())
    assert all(weight.grad is None for weight in model.parameters())
    assert not has_hooks(model)


def test_table_and_figure() -> None:
    from matplotlib.figure import Figure

    found = GradientFlowResult(
        {"a": GradientNorms(1.0, 0.5, 1.25)}, {"a": GradientNorms(2.0, 0.0, 2.0)}
    )
    assert found.tables()["gradient_flow"].csv() == (
        "model,state,block,depth,shortcut,branch,total\nmodel,trained,a,1,1.0,0.5,1.25\nmodel,initial,a,1,2.0,0.0,2.0\n"
    )
    figure = Figure((8, 5))
    found.draw(figure)
    figure.canvas.draw()
    assert [axes.get_title() for axes in figure.axes] == ["trained", "at initialization"]


def test_missing_blocks_and_invalid_labels_raise() -> None:
    with pytest.raises(AnalysisError, match=r"^The model has no residual block"):
        gradient_flow(create_model("plain20"), IMAGES)
    wrong = LabeledImages(IMAGES.images, IMAGES.labels + 10)
    with pytest.raises(
        AnalysisError,
        match=r"^The model has 10 classes \(labels 0 to 9\), got an image with label 15\. ",
    ):
        gradient_flow(made(), wrong)
