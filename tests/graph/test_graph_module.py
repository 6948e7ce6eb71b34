"""Graph modules of others: torch.fx, fused models, torchvision's feature extractors."""

import copy

import pytest
import torch
from torch import Tensor, fx, nn
from torch.fx.experimental.optimization import fuse

from lightning_resnets.graph import trace
from lightning_resnets.graph.graph_module import has_inserted_merges
from lightning_resnets.graph.insert_merges import insert_merges
from lightning_resnets.interventions import ScaleInput, intervene
from lightning_resnets.interventions.record import record_activations
from lightning_resnets.interventions.sweep import sweep
from lightning_resnets.merges import Add

SIZE = (3, 32, 32)
IMAGES = torch.randn(2, *SIZE, generator=torch.Generator().manual_seed(0))


class Block(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += x
        return self.relu(out)


class Model(nn.Module):
    """A residual model as torchvision writes it: functional sums, in-place activations."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, padding=1)
        self.layer1 = nn.Sequential(Block(4), Block(4))
        self.fc = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.layer1(self.conv1(x)).mean((2, 3)))


def trained_like(model: nn.Module) -> nn.Module:
    """Give the norms statistics of their own, so that training mode would change the output."""
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)  # type: ignore[arg-type]
            nn.init.uniform_(module.running_var, 0.5, 1.5)  # type: ignore[arg-type]
    return model.eval()


def states(model: nn.Module) -> tuple[dict[str, Tensor], list[bool], int]:
    """Return everything of a model that must stay as it is."""
    state = {name: value.clone() for name, value in model.state_dict().items()}
    nodes = len(model.graph.nodes) if isinstance(model, fx.GraphModule) else 0
    return state, [module.training for module in model.modules()], nodes


MAKERS = {"symbolic_trace": fx.symbolic_trace, "fuse": fuse, "deepcopy": copy.deepcopy}


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("backend", [None, "recorder"])
def test_skips_and_outputs_are_those_of_the_original(maker: str, backend: str | None) -> None:
    original = MAKERS[maker](trained_like(Model()))
    before = states(original)
    expected = original(IMAGES)
    graph = trace(original, SIZE)
    assert [skip.merge for skip in graph.skips] == ["layer1.0.add", "layer1.1.add"]
    with_merges = insert_merges(original, SIZE, backend)  # type: ignore[arg-type]
    assert torch.equal(with_merges(IMAGES), expected)
    assert sum(isinstance(module, Add) for module in with_merges.modules()) == 2
    # torch.fx leaves its containers in training mode, which changes nothing.
    calls = [module for module in with_merges.modules() if not list(module.children())]
    assert not any(module.training for module in calls)
    # The user's model, its nodes and its running statistics stay as they were.
    after = states(original)
    assert after[1:] == before[1:]
    assert all(torch.equal(value, before[0][name]) for name, value in after[0].items())


def test_edits_and_recordings_work_on_a_graph_module_of_torch_fx() -> None:
    model = trained_like(Model())
    with_merges = insert_merges(fx.symbolic_trace(model), SIZE)
    with torch.no_grad(), intervene(with_merges, ScaleInput("layer1.0.add", "branch", 0)):
        with record_activations(with_merges, "layer1.0.add") as recording:
            cut = with_merges(IMAGES)
        stem = model.get_submodule("conv1")(IMAGES)
        assert torch.equal(recording.outputs["layer1.0.add"], stem)
        rest = model.get_submodule("layer1.1")(stem.relu())
        assert torch.equal(cut, model.get_submodule("fc")(rest.mean((2, 3))))
    swept = dict(sweep(with_merges, IMAGES, [ScaleInput("layer1.0.add", "branch", 0)]))
    assert torch.equal(next(iter(swept.values())), cut)


@pytest.mark.parametrize("training", [False, True])
def test_feature_extractors_keep_their_mode_and_statistics(training: bool) -> None:
    extraction = pytest.importorskip("torchvision.models.feature_extraction")
    original = trained_like(Model()).train(training)
    extractor = extraction.create_feature_extractor(original, ["layer1.0.relu_1", "fc"])
    before = states(original)
    assert len(trace(extractor, SIZE).skips) == 2
    with_merges = insert_merges(extractor, SIZE)
    assert with_merges.training is training
    assert len(trace(with_merges, SIZE).skips) == 2
    after = states(original)
    assert after[1] == before[1]
    assert all(torch.equal(value, before[0][name]) for name, value in after[0].items())
    if not training:
        for name, value in with_merges(IMAGES).items():
            assert torch.equal(value, extractor(IMAGES)[name])


@pytest.mark.slow  # torchvision takes seconds to import
@pytest.mark.parametrize(("name", "skips"), [("resnet18", 8), ("resnet50", 16), ("densenet121", 0)])
def test_torchvision_models_keep_their_skips(name: str, skips: int) -> None:
    torchvision = pytest.importorskip("torchvision")
    model = trained_like(torchvision.models.get_model(name))
    expected = [(skip.kind, skip.operand) for skip in trace(model, SIZE).skips]
    traced = trace(fx.symbolic_trace(model), SIZE)
    assert [(skip.kind, skip.operand) for skip in traced.skips] == expected
    assert len(expected) == skips or name == "densenet121"
    assert trace(fuse(model), SIZE).parameters < traced.parameters


def test_inserting_merges_twice_changes_nothing() -> None:
    once = insert_merges(trained_like(Model()), SIZE)
    twice = insert_merges(once, SIZE)
    assert trace(twice, SIZE) == trace(once, SIZE)
    assert [name for name, _ in twice.named_modules()] == [name for name, _ in once.named_modules()]
    assert torch.equal(twice(IMAGES), once(IMAGES))
    with record_activations(twice, "layer1.0") as recording:
        twice(IMAGES)
    assert "layer1.0" in recording.outputs


def test_only_models_of_insert_merges_count_as_such() -> None:
    assert has_inserted_merges(insert_merges(Model(), SIZE))
    assert has_inserted_merges(copy.deepcopy(insert_merges(Model(), SIZE)))
    assert not has_inserted_merges(fx.symbolic_trace(Model()))
    assert not has_inserted_merges(Model())
