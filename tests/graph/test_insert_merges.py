"""Foreign models with their joins named: equal logits to the bit, the counts of the papers, nothing
left behind.
"""

import copy
import operator
from collections import Counter
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from lightning_resnets import create_model
from lightning_resnets.graph import ModelGraph, TraceError, trace, trace_nodes
from lightning_resnets.graph.insert_merges import insert_merges
from lightning_resnets.interventions import ScaleInput, intervene
from lightning_resnets.interventions.record import record_activations
from lightning_resnets.merges import MergeKind
from lightning_resnets.models.external import build_external

# Adds, concatenations and gates as the papers and the packages' own code have them.
COUNTS: dict[str, tuple[int, int, int]] = {
    "torchvision/resnet18": (8, 0, 0),
    "torchvision/resnet50": (16, 0, 0),
    "torchvision/densenet121": (0, 58, 0),
    "torchvision/googlenet": (0, 9, 0),
    "torchvision/squeezenet1_1": (0, 8, 0),
    "torchvision/regnet_y_400mf": (16, 0, 16),
    "torchvision/mobilenet_v3_small": (6, 0, 9),
    "torchvision/efficientnet_b0": (9, 0, 16),
    "torchvision/shufflenet_v2_x1_0": (0, 16, 0),
    "torchvision/convnext_tiny": (18, 0, 0),
    "torchvision/vgg11": (0, 0, 0),
    "timm/seresnet50": (16, 0, 16),
    "timm/ecaresnet50d": (16, 0, 16),
    "timm/inception_resnet_v2": (40, 43, 0),
    "timm/dpn92": (30, 30, 0),
    "timm/cspresnet50": (13, 4, 0),
}
SLOW = {
    "timm/inception_resnet_v2",
    "timm/dpn92",
    "timm/ecaresnet50d",
    "torchvision/densenet121",
    "timm/cspresnet50",
}


def stirred(model: nn.Module) -> nn.Module:
    """Random weights and statistics, so that no branch is silent."""
    rng = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.weight.data, module.running_var):
                values.uniform_(0.5, 1.5, generator=rng)
    return model.eval()


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in COUNTS],
)
def test_logits_are_equal_to_the_bit_and_every_merge_is_inserted(name: str) -> None:
    if name.startswith("timm/"):
        pytest.importorskip("timm")
    side = 96
    model = stirred(build_external(name, 10))
    before = list(model.state_dict())
    shown = insert_merges(model, (3, side, side))
    image = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.equal(shown(image), model(image))
    assert list(shown.state_dict()) == list(model.state_dict()) == before
    kinds = Counter(block.kind for block in trace(shown, (3, side, side)).merges)
    assert (kinds[MergeKind.ADD], kinds[MergeKind.CONCAT], kinds[MergeKind.GATE]) == COUNTS[name]


@pytest.mark.parametrize(
    ("ours", "theirs"), [("resnet18", "resnet18"), ("resnet50", "resnet50"), ("densenet121",) * 2]
)
def test_the_skips_are_those_of_our_own_net(ours: str, theirs: str) -> None:
    def skips(model: nn.Module) -> list[tuple[str, int, bool]]:
        found = trace(model, (3, 64, 64)).skips
        return [(str(skip.kind), skip.operand, skip.projection is not None) for skip in found]

    assert skips(insert_merges(build_external(f"torchvision/{theirs}", 10), (3, 64, 64))) == skips(
        create_model(ours, 10)
    )


class Odd(nn.Module):
    """Merges in every spelling, and operations that only look like merges."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bias = nn.Conv2d(3, 3, 1), nn.Parameter(torch.randn(1, 3, 8, 8))
        self.scale, self.pool, self.relu = (
            nn.Parameter(torch.randn(3, 1, 1)),
            nn.AdaptiveAvgPool2d(1),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.conv(x) + self.bias)  # a position table is not a merge
        y = y * self.scale + 1  # nor is a learned scale, nor a number
        y = y.add(x)  # add
        y += x  # add
        y = torch.add(y, x, alpha=2)  # add
        y = y * self.pool(y).sigmoid()  # gate
        y = y.mul(self.pool(x).sigmoid().expand_as(y))  # gate
        y = torch.cat([y, x], dim=1)  # concat
        y = torch.cat([y], 1)  # one part
        return torch.cat([y, y], 2).add_(0.5)  # along another axis


def test_every_spelling_of_a_merge_is_found_and_nothing_else() -> None:
    torch.manual_seed(0)
    model = Odd().eval()
    shown = insert_merges(model, (3, 8, 8))
    names = [name for name, module in shown.named_modules() if hasattr(module, "kind")]
    assert names == ["add", "add_1", "add_2", "gate", "gate_1", "concat"]
    image = torch.randn(2, 3, 8, 8)
    given = image.clone()
    with torch.no_grad():
        assert torch.equal(shown(image), model(image))
    assert torch.equal(image, given)
    assert not any(getattr(module, "inplace", False) for module in shown.modules())


def test_a_skip_is_recorded_and_cut_by_its_name() -> None:
    model = stirred(build_external("torchvision/resnet18", 10))
    shown = insert_merges(model, (3, 64, 64))
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad(), record_activations(shown, ["layer2.0.add"]) as seen:
        whole = shown(image)
    shortcut, branch = seen.operands["layer2.0.add"]
    assert torch.equal(shortcut + branch, seen.outputs["layer2.0.add"])
    with torch.no_grad():
        assert torch.equal(
            shortcut,
            model.layer2[0].downsample(
                model.layer1(model.maxpool(model.relu(model.bn1(model.conv1(image)))))
            ),
        )
        with intervene(shown, ScaleInput("layer2.0.add", "shortcut", 0.0)):
            assert not torch.equal(shown(image), whole)
        assert torch.equal(shown(image), whole)


def test_model_itself_is_unchanged() -> None:
    model = build_external("torchvision/resnet18", 10).train()
    names, forward = [name for name, _ in model.named_modules()], type(model).forward
    shown = insert_merges(model, (3, 64, 64))
    assert [name for name, _ in model.named_modules()] == names
    assert (model.training, shown.training, type(model).forward, model.relu.inplace) == (
        True,
        True,
        forward,
        True,
    )
    assert shown.get_parameter("conv1.weight") is model.conv1.weight
    assert trace_nodes(copy.deepcopy(shown), (3, 64, 64)).graph.merges


def trace_and_compare(model: nn.Module, size: tuple[int, int, int]) -> ModelGraph:
    """Trace a model, and check it against the trace of the model of `insert_merges`."""
    graph, shown = trace(model, size), trace(insert_merges(model, size), size)
    assert graph.merges_inserted == ("by insert_merges" if shown.merges else "by the model")
    assert replace(graph, merges_inserted="by the model") == shown
    return graph


@pytest.mark.parametrize("by", ["torch.fx", "recorder"])
def test_trace_names_merges_as_insert_merges_and_changes_nothing(by: str) -> None:
    model = Asking(Odd()) if by == "recorder" else Odd()
    before = [(name, module) for name, module in model.named_modules()]
    weights, hooks = (
        {name: id(value) for name, value in model.named_parameters()},
        dict(model._forward_hooks),
    )
    graph = trace_and_compare(model, (3, 8, 8))
    assert graph.traced_by.startswith(by)
    place = "inner." if by == "recorder" else ""
    assert [merge.name for merge in graph.merges] == [
        f"{place}{n}" for n in ("add", "add_1", "add_2", "gate", "gate_1", "concat")
    ]
    assert [(name, module) for name, module in model.named_modules()] == before
    assert {name: id(value) for name, value in model.named_parameters()} == weights
    assert dict(model._forward_hooks) == hooks
    assert not trace_nodes(model, (3, 8, 8)).graph.merges, "the steps are those of this very model"


def test_summary_explains_inserted_merge_names() -> None:
    model = build_external("torchvision/resnet18", 10)
    lines = str(trace(model, (3, 64, 64))).splitlines()
    assert "8 skips: 8 add (3 projected)" in lines
    assert "insert_merges(model, input_size)" in lines[-1]
    assert not any(
        "reveal" in line
        for line in str(trace(insert_merges(model, (3, 64, 64)), (3, 64, 64))).splitlines()
    )
    assert not any("reveal" in line for line in str(trace(create_model("resnet20"))).splitlines())


@pytest.mark.parametrize(
    "name", ["torchvision/googlenet", "torchvision/shufflenet_v2_x1_0", "torchvision/alexnet"]
)
def test_trace_of_third_party_models(name: str) -> None:
    trace_and_compare(build_external(name, 10), (3, 64, 64))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["torchvision/densenet121", "timm/dpn48b", "timm/ghostnet_100", "timm/efficientvit_b0"]
)
def test_trace_of_more_third_party_models(name: str) -> None:
    pytest.importorskip("timm")
    trace_and_compare(build_external(name, 10), (3, 64, 64))


@pytest.mark.parametrize("by", ["torch.fx", "recorder"])
def test_trace_ignores_mode_dtype_and_hooks(by: str) -> None:
    made = Asking(Odd()) if by == "recorder" else Odd()
    expected = str(trace(made, (3, 8, 8)))
    meta = copy.deepcopy(made).to("meta")
    for model in (
        made.train(),
        made.eval(),
        copy.deepcopy(made).half(),
        copy.deepcopy(made).bfloat16(),
        meta,
    ):
        kept = {
            name: (value.device, value.dtype, value.data_ptr())
            for name, value in model.state_dict().items()
        }
        modes = [module.training for module in model.modules()]
        with torch.autocast("cpu", torch.bfloat16):
            assert str(trace(model, (3, 8, 8))) == expected
        assert str(trace(model, (3, 8, 8)).fold("stage")) == str(
            trace(made, (3, 8, 8)).fold("stage")
        )
        assert {
            n: (value.device, value.dtype, value.data_ptr())
            for n, value in model.state_dict().items()
        } == kept
        assert [module.training for module in model.modules()] == modes


class Asking(nn.Module):
    """The same model with a branch that torch.fx cannot trace."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x if (x > 1e9).sum() < 1 else -x)


class Counting(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * operator.index((x > 0).sum())


def test_untraceable_models_raise() -> None:
    with pytest.raises(
        TraceError, match=r"Cannot insert merges into this model: its operations depend on values"
    ):
        insert_merges(Counting(), (3, 8, 8))
