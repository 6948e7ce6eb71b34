"""The head behind every block: written out by hand for ResNets, both kinds; the last block answers as the net."""

import copy
from functools import cache

import pytest
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from lightning_resnets.analysis.places import Tail, places
from lightning_resnets.analysis.refinement import refinement
from lightning_resnets.analysis.result import AnalysisError, Cancelled, Pictures
from lightning_resnets.graph import follow
from lightning_resnets.graph.reveal import reveal
from lightning_resnets.zoo import build


@cache
def net(name: str) -> nn.Module:
    torch.manual_seed(1)
    return build(name).eval()


@cache
def pictures(side: int = 32) -> Pictures:
    torch.manual_seed(2)
    return Pictures(torch.randn(6, 3, side, side), torch.randint(0, 10, (6,)))


def by_hand(model: nn.Module, images: Tensor) -> list[Tensor]:
    """Logits behind each of layer3's blocks, by calling the net's modules one after the other."""
    part = model.get_submodule
    x = part("conv1")(images)
    x = x if hasattr(model, "bn") else part("relu")(part("bn1")(x))
    x = part("layer2")(part("layer1")(x))
    found: list[Tensor] = []
    for block in part("layer3").children():
        x = block(x)
        active = part("relu")(part("bn")(x)) if hasattr(model, "bn") else x
        found.append(part("fc")(active.mean((2, 3))))
    return found


@pytest.mark.parametrize("name", ["resnet20", "plain20", "preresnet20", "seresnet20"])
def test_the_head_by_hand(name: str) -> None:
    given, model = pictures(), net(name)
    found = refinement(model, given, batch=4)
    with torch.no_grad():
        logits = by_hand(model, given.images)
        whole = model(given.images)
    own = given.labels[:, None]
    assert found.blocks == ("layer3.0", "layer3.1", "layer3.2")
    assert found.accuracy == pytest.approx([float((one.argmax(1) == given.labels).float().mean()) for one in logits])
    assert found.agreement == pytest.approx(
        [float((one.argmax(1) == whole.argmax(1)).float().mean()) for one in logits]
    )
    assert found.logit == pytest.approx([float(one.gather(1, own).mean()) for one in logits], abs=1e-5)
    assert found.probability == pytest.approx([float(one.softmax(1).gather(1, own).mean()) for one in logits], abs=1e-6)


def test_steps_and_their_direction_by_small_differences() -> None:
    """The cosine of a step with the fall of the loss, by moving a map a little along the step (float64)."""
    model = copy.deepcopy(net("resnet20")).double()
    given = Pictures(pictures().images[:1].double(), pictures().labels[:1])
    found = refinement(model, given)
    part = model.get_submodule
    with torch.no_grad():
        first = part("layer3.0")(part("layer2")(part("layer1")(part("relu")(part("bn1")(part("conv1")(given.images))))))
        moved = part("layer3.1")(first) - first

    def loss(x: Tensor) -> Tensor:
        return nn.functional.cross_entropy(part("fc")(x.mean((2, 3))), given.labels)

    small = 1e-6
    with torch.no_grad():
        slope = (loss(first + small * moved) - loss(first - small * moved)) / (2 * small)
    gradient = torch.autograd.functional.jacobian(loss, first)
    assert isinstance(gradient, Tensor)
    assert found.step[1] == pytest.approx(float(moved.norm() / first.norm()), rel=1e-5)
    assert found.cosine[1] == pytest.approx(float(-slope / moved.norm() / gradient.norm()), rel=1e-4)
    assert found.step[0] is None


def test_the_tail_is_the_rest_of_the_net_to_the_bit() -> None:
    images = pictures().images
    followed = follow(net("resnet20"))
    for place in places(net("resnet20"), followed):
        seen: list[Tensor] = []
        handle = net("resnet20").get_submodule(place.point).register_forward_hook(lambda *given: seen.append(given[2]))  # noqa: B023
        with torch.no_grad():
            whole = net("resnet20")(images)
            assert torch.equal(Tail(net("resnet20"), followed, place)(seen[0]), whole)
        handle.remove()


@pytest.mark.slow
def test_a_revealed_net() -> None:
    from torchvision.models import resnet18

    torch.manual_seed(0)
    model = reveal(resnet18(num_classes=10).eval(), (3, 64, 64))
    found = refinement(model, pictures(64))
    assert found.blocks == ("layer4.0", "layer4.1")
    assert found.agreement[-1] == 1


def test_tables_and_figure() -> None:
    found = refinement(net("resnet20"), pictures())
    assert found.tables()["refinement"].rows[0][:2] == ("ResNet", "layer3.0")
    figure = Figure()
    found.draw(figure)
    assert [axis.get_xlabel() for axis in figure.axes] == ["block of the last stage"] * 2


def test_nets_without_such_a_stage() -> None:
    with pytest.raises(AnalysisError, match=r"as every layer's does in a DenseNet; take a net whose blocks add"):
        refinement(net("densenet_bc_40_12"), pictures())
    with pytest.raises(AnalysisError, match=r"^Refinement needs .*: this net ends with 0 4×32×32\.$"):
        refinement(
            nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10)),
            pictures(),
        )


@pytest.mark.parametrize("stop", [False, True])
def test_the_net_is_left_as_it_was(stop: bool) -> None:
    model = copy.deepcopy(net("resnet20")).train()
    before = copy.deepcopy(model.state_dict())

    def tell(done: int, total: int) -> None:
        if stop and done == 1:
            raise Cancelled

    if stop:
        with pytest.raises(Cancelled):
            refinement(model, pictures(), batch=3, tell=tell)
    else:
        refinement(model, pictures(), tell=tell)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(module.training for module in model.modules())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert all(weight.grad is None for weight in model.parameters())
