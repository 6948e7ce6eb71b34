"""Compare the head after every block with a manual one, for both kinds of ResNets."""

import copy
from functools import cache

import pytest
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from lightning_resnets.analysis.block_outputs import ModelTail, block_outputs
from lightning_resnets.analysis.iterative_refinement import iterative_refinement
from lightning_resnets.analysis.result import LabeledImages
from lightning_resnets.errors import AnalysisCancelled, AnalysisError
from lightning_resnets.graph import trace_nodes
from lightning_resnets.graph.insert_merges import insert_merges
from lightning_resnets.models.registry import create_model
from tests.helpers.hooks import has_hooks


@cache
def make_model(name: str) -> nn.Module:
    torch.manual_seed(1)
    return create_model(name).eval()


@cache
def make_images(side: int = 32) -> LabeledImages:
    torch.manual_seed(2)
    return LabeledImages(torch.randn(6, 3, side, side), torch.randint(0, 10, (6,)))


def by_hand(model: nn.Module, images: Tensor) -> list[Tensor]:
    """Compute the logits after each of layer3's blocks, module by module."""
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
def test_means_match_a_manual_head(name: str) -> None:
    given, model = make_images(), make_model(name)
    found = iterative_refinement(model, given, batch_size=4)
    with torch.no_grad():
        logits = by_hand(model, given.images)
        whole = model(given.images)
    own = given.labels[:, None]
    assert found.blocks == ("layer3.0", "layer3.1", "layer3.2")
    assert found.accuracy == pytest.approx(
        [float((one.argmax(1) == given.labels).float().mean()) for one in logits]
    )
    assert found.agreement == pytest.approx(
        [float((one.argmax(1) == whole.argmax(1)).float().mean()) for one in logits]
    )
    assert found.mean_logit == pytest.approx(
        [float(one.gather(1, own).mean()) for one in logits], abs=1e-5
    )
    assert found.probability == pytest.approx(
        [float(one.softmax(1).gather(1, own).mean()) for one in logits], abs=1e-6
    )


def test_steps_and_cosines_match_finite_differences() -> None:
    """Move a map a little along the step and compare the change of the loss (float64)."""
    model = copy.deepcopy(make_model("resnet20")).double()
    given = LabeledImages(make_images().images[:1].double(), make_images().labels[:1])
    found = iterative_refinement(model, given)
    part = model.get_submodule
    with torch.no_grad():
        first = part("layer3.0")(
            part("layer2")(part("layer1")(part("relu")(part("bn1")(part("conv1")(given.images)))))
        )
        moved = part("layer3.1")(first) - first

    def loss(x: Tensor) -> Tensor:
        return nn.functional.cross_entropy(part("fc")(x.mean((2, 3))), given.labels)

    small = 1e-6
    with torch.no_grad():
        slope = (loss(first + small * moved) - loss(first - small * moved)) / (2 * small)
    gradient = torch.autograd.functional.jacobian(loss, first)
    assert isinstance(gradient, Tensor)
    assert found.step[1] == pytest.approx(float(moved.norm() / first.norm()), rel=1e-5)
    assert found.cosine[1] == pytest.approx(
        float(-slope / moved.norm() / gradient.norm()), rel=1e-4
    )
    assert found.step[0] is None


def test_tail_matches_the_model_exactly() -> None:
    images = make_images().images
    traced = trace_nodes(make_model("resnet20"))
    for place in block_outputs(make_model("resnet20"), traced):
        seen: list[Tensor] = []
        handle = (
            make_model("resnet20")
            .get_submodule(place.hook_point)
            .register_forward_hook(lambda *args: seen.append(args[2]))  # noqa: B023
        )
        with torch.no_grad():
            whole = make_model("resnet20")(images)
            assert torch.equal(ModelTail(make_model("resnet20"), traced, place)(seen[0]), whole)
        handle.remove()


@pytest.mark.slow
def test_torchvision_model_has_a_last_stage() -> None:
    from torchvision.models import resnet18

    torch.manual_seed(0)
    model = insert_merges(resnet18(num_classes=10).eval(), (3, 64, 64))
    found = iterative_refinement(model, make_images(64))
    assert found.blocks == ("layer4.0", "layer4.1")
    assert found.agreement[-1] == 1


@pytest.mark.parametrize(("name", "count"), [("highway19", 6), ("highway32", 10)])
def test_head_of_a_highway_network_has_a_convolution(name: str, count: int) -> None:
    """Behind stage 3 follows a 1x1 convolution of the same width, which is no highway layer."""
    torch.manual_seed(0)
    model = create_model(name).eval()
    some = make_images()
    found = iterative_refinement(model, some)
    assert found.blocks == tuple(f"stage3.{index}" for index in range(count))
    assert found.agreement[-1] == 1
    with torch.no_grad():
        logits = model(some.images)
    num_correct = int((logits.argmax(1) == some.labels).sum())
    assert found.accuracy[-1] == num_correct / len(some)


def test_tables_and_figure() -> None:
    found = iterative_refinement(make_model("resnet20"), make_images())
    assert found.tables()["iterative_refinement"].rows[0][:2] == ("ResNet", "layer3.0")
    figure = Figure()
    found.draw(figure)
    assert [axis.get_xlabel() for axis in figure.axes] == ["block of the last stage"] * 2


def test_models_without_such_a_stage_raise() -> None:
    with pytest.raises(
        AnalysisError,
        match=r"^The head reads more than the output of .*\. Use a model whose blocks",
    ):
        iterative_refinement(make_model("densenet_bc_40_12"), make_images())
    with pytest.raises(
        AnalysisError,
        match=r"^The last stage must have .*\. Last blocks of this model: 0 4×32×32\.$",
    ):
        iterative_refinement(
            nn.Sequential(
                nn.Conv2d(3, 4, 3, padding=1),
                nn.AdaptiveAvgPool2d(1),
                nn.Flatten(),
                nn.Linear(4, 10),
            ),
            make_images(),
        )


@pytest.mark.parametrize("stop", [False, True])
def test_model_is_unchanged(stop: bool) -> None:
    model = copy.deepcopy(make_model("resnet20")).train()
    before = copy.deepcopy(model.state_dict())

    def progress(done: int, total: int) -> None:
        if stop and done == 1:
            raise AnalysisCancelled

    if stop:
        with pytest.raises(AnalysisCancelled):
            iterative_refinement(model, make_images(), batch_size=3, progress=progress)
    else:
        iterative_refinement(model, make_images(), progress=progress)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(module.training for module in model.modules())
    assert not has_hooks(model)
    assert all(weight.grad is None for weight in model.parameters())
