"""The recorder on models small enough to know the right answer, and beside torch.fx on models that
both can follow.
"""

import copy
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from lightning_resnets.graph import TraceError, trace, trace_nodes
from lightning_resnets.graph.insert_merges import insert_merges
from lightning_resnets.interventions import ScaleInput, intervene
from lightning_resnets.interventions.incremental import IncrementalRunner
from lightning_resnets.interventions.record import record_activations
from lightning_resnets.merges import Add, MergeKind
from lightning_resnets.models.external import build_external
from tests.graph.test_insert_merges import stirred
from tests.graph.test_trace import Model, conv

Run = Callable[[nn.ModuleDict, Tensor], Tensor]
SIZE = (4, 8, 8)


class Pair(NamedTuple):
    whole: Tensor
    half: Tensor


class Pyramid(nn.Module):
    """Gives a named tuple, takes a dict and a list."""

    def forward(self, given: dict[str, list[Tensor]]) -> Pair:
        one, two = given["parts"]
        return Pair(one + two, functional.avg_pool2d(one, 2))


class Halving(nn.Module):
    """As many convolutions as the image can be halved: torch.fx refuses its control
    flow.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        while x.shape[-1] > 1:
            x = functional.avg_pool2d(x + self.conv(x), 2)
        return x.flatten(1)


class DropPath(nn.Module):
    """Stochastic depth as it is commonly written: a mask of random zeros and ones while
    training.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        mask = x.new_empty((x.shape[0], 1, 1, 1)).bernoulli_(0.9)
        return x * mask


class Attention(nn.Module):
    """Self-attention over positions: its products and sums are not merges, the one around it is."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.scale = nn.Conv2d(4, 12, 1), nn.Parameter(torch.full((4, 1, 1), 0.5))
        self.bias = nn.Parameter(torch.randn(64, 64))

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        assert h * w == self.bias.shape[0]  # this torch.fx refuses
        q, k, v = self.qkv(x).view(n, 3, c, h * w).unbind(1)
        weights = (q.transpose(1, 2) @ k * c**-0.5 + self.bias).softmax(-1)
        return x + (v @ weights.transpose(1, 2)).view(n, c, h, w) * self.scale


def part(kernel: int = 3, made: int = 4) -> nn.Conv2d:
    return nn.Conv2d(4, made, kernel, padding=kernel // 2)


def aliased(p: nn.ModuleDict, x: Tensor) -> Tensor:
    x = p["a"](x)
    kept = x
    x += p["b"](x)
    return kept * 2 + x  # both names are of one tensor


def sliced(p: nn.ModuleDict, x: Tensor) -> Tensor:
    y = p["a"](x).clone()
    y[:, :2] = p["b"](x)[:, :2]
    return y


def masked(p: nn.ModuleDict, x: Tensor) -> Tensor:
    y, mask = torch.zeros_like(x), torch.ones(8, 8, device=x.device)
    y[:, :2] = p["a"](x)[:, 2:]
    y[:, 2:] += x[:, :2]  # an add of parts
    y[:, 1].relu_()
    mask[0] = 0
    mask.fill_diagonal_(int(torch.tensor(1.5).ceil()))
    return y * mask + x


def careful(p: nn.ModuleDict, x: Tensor) -> Tensor:
    y = p["a"](x)
    if not torch.isfinite(y).all():
        raise ValueError("The weights are not finite.")
    return x + y


def doubled(x: Tensor) -> Tensor:
    return 2 / (1 - (-x).exp() * -1) + x**2 - 2 // (x.abs() + 1)


class Holding(nn.Module):
    """Tensors that are no buffers, in a module and in a list, and an old weight norm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 1)
        self.scale, self.scales = torch.rand(4, 1, 1), [torch.rand(4, 1, 1)]
        self.weights = nn.ParameterList([nn.Parameter(torch.rand(4, 1, 1))])

    def forward(self, x: Tensor) -> Tensor:
        first, _, *_ = x.unbind(1)
        return self.conv(x * self.weights[0]) * self.scale * self.scales[0] + x + first.unsqueeze(1)


def halves(p: nn.ModuleDict, x: Tensor) -> Tensor:
    one, two = p["a"](x).chunk(2, 1)
    one += two
    return torch.cat([one, two], 1)


def nested(p: nn.ModuleDict, x: Tensor) -> Tensor:
    made = p["pyramid"]({"parts": [p["a"](x), x]})
    return made.whole[:, :, ::2, ::2] + made.half


def spelled(p: nn.ModuleDict, x: Tensor) -> Tensor:
    x = torch.add(x, p["a"](x), alpha=1)
    x = torch.add(input=x, other=p["b"](x))
    x += x.relu()
    return x.add_(p["a"](x))


def normed(p: nn.ModuleDict, x: Tensor) -> Tensor:
    norm = p["norm"]
    y = functional.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias)
    return x + functional.conv2d(y, p["a"].weight, padding=1)


# What each does, and the adds, concats and gates that anyone counts who reads it.
MODELS: dict[str, tuple[nn.Module, tuple[int, int, int]]] = {
    "halving": (Halving(), (3, 0, 0)),
    "attention": (Attention(), (1, 0, 0)),
    "aliased": (Model(aliased, a=part(), b=part()), (2, 0, 0)),
    "sliced": (Model(sliced, a=part(), b=part()), (0, 0, 0)),
    "masked": (Model(masked, a=part()), (2, 0, 0)),
    "careful": (Model(careful, a=part()), (1, 0, 0)),
    "numbers": (Model(lambda p, x: doubled(x) + x), (2, 0, 0)),
    "holding": (
        Holding(),
        (1, 0, 0),
    ),  # the last sum spreads one channel over all: no two of equal shape
    "halves": (Model(halves, a=part(), b=part()), (1, 1, 0)),
    "nested": (Model(nested, a=part(), pyramid=Pyramid()), (2, 0, 0)),
    "spelled": (Model(spelled, a=part(), b=part()), (4, 0, 0)),
    "normed": (Model(normed, a=part(), norm=nn.BatchNorm2d(4)), (1, 0, 0)),
    "in place": (
        Model(lambda p, x: p["r"](y := p["a"](x)) + y, a=part(), r=nn.ReLU(inplace=True)),
        (1, 0, 0),
    ),
    "drop path": (Model(lambda p, x: x + p["d"](p["a"](x)), a=part(), d=DropPath()), (1, 0, 0)),
    "dropout": (
        Model(lambda p, x: x + p["d"](p["a"](x)), a=part(), d=nn.Dropout2d(0.5)),
        (1, 0, 0),
    ),
    "twice": (Model(lambda p, x: p["a"](x + p["a"](x)) + x, a=part()), (2, 0, 0)),
    "gate": (
        Model(
            lambda p, x: p["a"](x).mean((2, 3), keepdim=True).sigmoid().expand_as(x) * x, a=part()
        ),
        (0, 0, 1),
    ),
    "branches": (
        Model(lambda p, x: torch.cat([p["a"](x), p["b"](x)], 1), a=part(), b=part(1)),
        (0, 1, 0),
    ),
    "bias": (
        Model(
            lambda p, x: x + p["a"].weight.sum((1, 2, 3)).view(1, -1, 1, 1).expand_as(x), a=part()
        ),
        (0, 0, 0),
    ),
    "groups": (
        Model(
            lambda p, x: x.view(x.size(0), 2, 2, 8, 8).transpose(1, 2).reshape(len(x), 4, 8, 8) + x
        ),
        (1, 0, 0),
    ),
}


def counted(model: nn.Module) -> tuple[int, int, int]:
    kinds = Counter(block.kind for block in trace(model, SIZE).merges)
    return kinds[MergeKind.ADD], kinds[MergeKind.CONCAT], kinds[MergeKind.GATE]


@pytest.mark.parametrize("name", MODELS)
def test_recorded_merges_are_complete_and_logits_equal_to_the_bit(
    name: str,
) -> None:
    torch.manual_seed(0)
    model, expected = stirred(MODELS[name][0]), MODELS[name][1]
    shown = insert_merges(model, SIZE, backend="recorder")
    assert counted(shown) == expected
    for batch in (1, 3):
        image = torch.randn(batch, *SIZE)
        with torch.no_grad():
            assert torch.equal(shown(image.clone()), model(image.clone()))


@pytest.mark.parametrize("name", MODELS)
def test_logits_are_equal_with_either_backend(name: str) -> None:
    model = stirred(MODELS[name][0])
    image = torch.randn(2, *SIZE)
    with torch.no_grad():
        assert torch.equal(insert_merges(model, SIZE)(image.clone()), model(image.clone()))


BOTH = (
    "resnet18",
    "mobilenet_v3_small",
    "shufflenet_v2_x0_5",
    "googlenet",
    "squeezenet1_1",
    "regnet_y_400mf",
)


@pytest.mark.parametrize("name", BOTH)
def test_recorder_and_torch_fx_give_equal_graphs(name: str) -> None:
    model = build_external(f"torchvision/{name}", 10)
    one, other = (
        trace_nodes(model, (3, 64, 64), backend=backend).graph
        for backend in ("torch.fx", "recorder")
    )
    assert (one.traced_by, other.traced_by) == ("torch.fx", "recorder")
    assert [(b.shape, b.parameters, b.macs, b.kind, b.block, b.hook_point) for b in one.nodes] == [
        (b.shape, b.parameters, b.macs, b.kind, b.block, b.hook_point) for b in other.nodes
    ]
    names = {a.name: b.name for a, b in zip(one.nodes, other.nodes, strict=True)}
    assert [(names[a], names[b], i) for a, b, i in one.edges] == list(other.edges)
    found = [
        [
            (block.kind, block.name, block.shape)
            for block in trace(
                insert_merges(model, (3, 64, 64), backend=backend), (3, 64, 64)
            ).merges
        ]
        for backend in ("torch.fx", "recorder")
    ]
    assert found[0] == found[1]


def test_parallel_branches_are_a_merge_without_a_skip() -> None:
    assert trace(insert_merges(MODELS["branches"][0], SIZE, backend="recorder"), SIZE).skips == ()
    googlenet = trace(
        insert_merges(build_external("torchvision/googlenet", 10), (3, 64, 64), backend="recorder"),
        (3, 64, 64),
    )
    assert (len(googlenet.merges), googlenet.skips) == (9, ())


def test_graph_names_its_backend_and_the_text_only_the_recorder() -> None:
    followed = trace(Halving(), SIZE)
    assert followed.traced_by == followed.fold().traced_by == "recorder"
    assert "traced by the recorder; valid for this input size only" in str(followed)
    assert trace(Model(lambda p, x: p["a"](x), a=conv()), (3, 8, 8)).traced_by == "torch.fx"
    assert "traced by" not in str(trace(Model(lambda p, x: p["a"](x), a=conv()), (3, 8, 8)))


def test_recorded_model_refuses_other_sizes() -> None:
    shown = insert_merges(Halving().eval(), SIZE)
    assert shown.meta["traced_by"] == "recorder"
    assert shown.meta["input_size"] == SIZE
    for model in (shown, copy.deepcopy(shown)):
        with pytest.raises(ValueError, match="recorded for images of 4×8×8, got 4×16×16"):
            model(torch.randn(1, 4, 16, 16))
        with pytest.raises(TraceError, match="got 4×16×16"):
            trace(model, (4, 16, 16))
    assert trace(shown, SIZE).traced_by == "recorder"


def test_model_that_branches_on_values_refuses_the_other_branch() -> None:
    model = Model(lambda p, x: x + p["a"](x) if x.sum() > 0 else p["a"](x), a=part()).eval()
    shown = insert_merges(model, SIZE)
    assert trace(shown, SIZE).traced_by == "recorder, one way of several"
    dark, bright = -torch.rand(1, *SIZE), torch.rand(1, *SIZE)
    with torch.no_grad():
        assert torch.equal(shown(dark), model(dark))
    with pytest.raises(ValueError, match="branches on its values, and differently for this image"):
        shown(bright)


def test_overwritten_views_are_noticed() -> None:
    def run(p: nn.ModuleDict, x: Tensor) -> Tensor:
        y = p["a"](x)
        y.view(-1).relu_()
        return y

    with pytest.raises(TraceError, match="used again after a part of it was overwritten"):
        trace(Model(run, a=part()), SIZE)


def test_skip_of_a_recorded_model_is_recorded_cut_and_swept() -> None:
    shown = insert_merges(stirred(MODELS["attention"][0]), SIZE)
    image = torch.randn(2, *SIZE)
    with torch.no_grad(), record_activations(shown, ["add"]) as seen:
        whole = shown(image)
        assert torch.equal(sum(seen.operands["add"]), seen.outputs["add"])  # type: ignore[arg-type]
        with intervene(shown, ScaleInput("add", "shortcut", 0.0)):
            assert not torch.equal(shown(image), whole)
        assert torch.equal(shown(image), whole)
        one = image[:1].clone()
        replay = IncrementalRunner(shown, trace_nodes(shown, SIZE))
        assert torch.equal(replay.run_image(one, ["add"], [])[0], shown(one))
    assert [skip.operand for skip in trace(shown, SIZE).skips] == [0]


def test_model_is_unchanged() -> None:
    model = Model(
        lambda p, x: p["add"](p["r"](p["a"](x)), x), a=part(), r=nn.ReLU(inplace=True), add=Add()
    ).train()
    held = {name: set(vars(module)) for name, module in model.named_modules()}
    weights, state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    trace_nodes(model, SIZE, backend="recorder")
    insert_merges(model, SIZE, backend="recorder")
    assert {name: set(vars(module)) for name, module in model.named_modules()} == held
    assert model.training
    assert model.parts["r"].inplace
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
