"""Gradients through shortcut and branch against a chain rule written out by hand, and against their sum."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_resnets.analysis.gradients import Flow, GradientsResult, gradients
from lightning_resnets.analysis.result import AnalysisError, Cancelled, Pictures
from lightning_resnets.graph.reveal import reveal
from lightning_resnets.merge import Add
from lightning_resnets.nets.residual import BasicBlock
from lightning_resnets.zoo import build

PICTURES = Pictures(torch.randn(6, 3, 16, 16, generator=torch.Generator().manual_seed(1)), torch.arange(6))


class Two(nn.Module):
    """A projected and an identical shortcut, all of it 1x1 convolutions: Jacobians are the matrices themselves."""

    def __init__(self) -> None:
        super().__init__()
        sizes = ((3, 4), (4, 5), (3, 5), (5, 5))
        self.first, self.then, self.project, self.second = (nn.Conv2d(*io, 1, bias=False) for io in sizes)
        self.add, self.add2 = Add(), Add()

    def forward(self, x: Tensor) -> Tensor:
        x = self.add(self.project(x), self.then(self.first(x)))
        return torch.flatten(self.add2(x, self.second(x)), 1)  # (N, 5)


def test_norms_are_those_of_the_chain_rule() -> None:
    torch.manual_seed(0)
    net, some = Two(), Pictures(torch.randn(4, 3, 1, 1), torch.arange(4))
    with torch.no_grad():
        last = net(some.images).softmax(1) - F.one_hot(some.labels, 5)
        weights = (m.weight[:, :, 0, 0] for m in (net.first, net.then, net.project, net.second))
        first, then, project, second = weights
        middle = last + last @ second
        expected = {
            "add": (middle @ project, middle @ then @ first),
            "add2": (last, last @ second),
        }
    found = gradients(net, some).flows
    for name, (shortcut, branch) in expected.items():
        norms = [float(part.norm(dim=1).mean()) for part in (shortcut, branch, shortcut + branch)]
        assert found[name] == Flow(*map(pytest.approx, norms))


def by_modules(net: nn.Module) -> dict[str, list[float]]:
    """Block after block by hand: the block's own modules are run again on a leaf, and a gradient is sent back."""
    images, kept = PICTURES.images.clone().requires_grad_(), {}
    blocks = {name: m for name, m in net.named_modules() if isinstance(m, BasicBlock)}
    handles = []
    for name, block in blocks.items():
        assert block.add is not None
        handles.append(block.register_forward_hook(lambda m, args, out, name=name: kept.update({name: args[0]})))
        handles.append(block.add.register_forward_hook(lambda m, args, out, name=name: kept.update({name + "+": out})))
    loss = F.cross_entropy(net(images), PICTURES.labels, reduction="sum")
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
    net = build("resnet20", **options)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.running_var, 0.5, 2)  # type: ignore[arg-type]
    return net.eval()


@pytest.mark.parametrize("shortcut", ["A", "B"])
def test_a_real_net_is_taken_apart_alike(shortcut: str) -> None:
    net = made(shortcut=shortcut)
    found, expected = gradients(net, PICTURES, batch=4).flows, by_modules(net)
    assert list(found) == list(expected)
    for name, (one, other, both) in expected.items():
        assert found[name] == Flow(*(pytest.approx(v, rel=1e-4) for v in (one, other, both)))


def test_a_fresh_net_normalises_by_its_batch_and_notes_nothing() -> None:
    torch.manual_seed(0)
    fresh = build("resnet20")
    before = {name: value.clone() for name, value in fresh.state_dict().items()}
    found = gradients(made(), PICTURES, fresh).fresh
    assert all(torch.equal(value, before[name]) for name, value in fresh.state_dict().items())
    assert all(m.track_running_stats for m in fresh.modules() if isinstance(m, nn.BatchNorm2d))
    assert all(module.training for module in fresh.modules())
    assert found
    for name, norms in by_modules(fresh).items():  # in training, which normalises by the batch
        # The rest of the batch is in every picture's norm: by hand a block sees the same batch.
        assert found[name].branch == pytest.approx(norms[1], rel=1e-3)


@pytest.mark.slow
def test_a_revealed_net_has_the_same_flows() -> None:
    from torchvision.models import resnet18

    torch.manual_seed(0)
    theirs, few = resnet18(num_classes=10).eval(), Pictures(torch.randn(2, 3, 64, 64), torch.arange(2))
    ours = build("resnet18", classes=10).eval()
    ours.load_state_dict(theirs.state_dict())
    one, other = gradients(reveal(theirs, (3, 64, 64)), few).flows, gradients(ours, few).flows
    for name, flow in other.items():
        assert one[name].branch == pytest.approx(flow.branch, rel=1e-4)
        assert one[name].shortcut == pytest.approx(flow.shortcut, rel=1e-4)


def test_progress_and_cancel_leave_the_net_alone() -> None:
    net, heard = made().train(), list[tuple[int, int]]()

    def stop(done: int, total: int) -> None:
        heard.append((done, total))
        if done == 1:
            raise Cancelled

    with pytest.raises(Cancelled):
        gradients(net, PICTURES, batch=2, tell=stop)
    assert heard == [(0, 3), (1, 3)]
    assert all(module.training for module in net.modules())
    assert all(weight.grad is None for weight in net.parameters())
    assert not [name for m in net.modules() for name, table in vars(m).items() if name.endswith("_hooks") and table]


def test_table_and_figure() -> None:
    from matplotlib.figure import Figure

    found = GradientsResult({"a": Flow(1.0, 0.5, 1.25)}, {"a": Flow(2.0, 0.0, 2.0)})
    assert found.tables()["gradients"].csv() == (
        "net,state,block,depth,shortcut,branch,both\nnet,trained,a,1,1.0,0.5,1.25\nnet,initial,a,1,2.0,0.0,2.0\n"
    )
    figure = Figure((8, 5))
    found.draw(figure)
    figure.canvas.draw()
    assert [axes.get_title() for axes in figure.axes] == ["trained", "at initialisation"]


def test_a_net_without_residual_blocks_is_answered_with_one_sentence() -> None:
    with pytest.raises(AnalysisError, match=r"^This net has no residual block"):
        gradients(build("plain20"), PICTURES)
    wrong = Pictures(PICTURES.images, PICTURES.labels + 10)
    with pytest.raises(
        AnalysisError, match=r"this net tells 10 classes apart, 0 to 9: give labels of its own classes\.$"
    ):
        gradients(made(), wrong)
