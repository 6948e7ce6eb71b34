"""Compare windows, operation by operation, with images in which rows are perturbed."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_resnets.analysis.receptive_field import receptive_field
from lightning_resnets.analysis.receptive_field.propagate import ReceptiveField, receptive_fields
from lightning_resnets.errors import AnalysisError
from lightning_resnets.graph import trace_nodes
from lightning_resnets.graph.trace import TraceBackend

SIDE = 33


class Own(nn.Module):
    """A custom module without submodules that calls a function."""

    def __init__(self, does: Callable[[Tensor], Tensor], **told: Any) -> None:
        super().__init__()
        self.does = does
        for name, value in told.items():
            setattr(self, name, value)

    def forward(self, x: Tensor) -> Tensor:
        return self.does(x)


class Norm(nn.LayerNorm):
    """As torchvision and timm have it: each position for itself, channels first."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        return super().forward(input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Same(nn.Conv2d):
    """TensorFlow's padding, which the layer does itself."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        size, step = self.kernel_size[0], self.stride[0]
        lost = max((-(-input.shape[-1] // step) - 1) * step + size - input.shape[-1], 0)
        return super().forward(F.pad(input, [lost // 2, lost - lost // 2] * 2))


class Model(nn.Module):
    """A 3x3 convolution, the tested part, and a 3x3 convolution whose field is checked."""

    def __init__(
        self, part: nn.Module | Callable[[Any, Tensor], Tensor], width: int = 8, **parts: Any
    ) -> None:
        super().__init__()
        self.stem, self.end = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(width, 4, 3, padding=1)
        self.part = part
        for name, value in parts.items():
            setattr(self, name, value)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        part: Any = self.part
        return self.end(part(x) if isinstance(part, nn.Module) else part(self, x))


def shuffled(x: Tensor) -> Tensor:
    count, width, height, length = x.shape
    return (
        x.view(count, 2, width // 2, height, length)
        .transpose(1, 2)
        .reshape(count, width, height, length)
    )


class Last(nn.Module):
    """As in ConvNeXt: channels last for a norm and linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.one, self.two = nn.LayerNorm(8), nn.Linear(8, 16), nn.Linear(16, 8)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x.permute(0, 2, 3, 1))
        return x + self.two(self.one(y)).permute(0, 3, 1, 2)


def weight(*sides: int) -> nn.Parameter:
    return nn.Parameter(torch.ones(sides))


KNOWN: dict[str, Callable[[], Model]] = {
    "a convolution by its function": lambda: Model(
        lambda m, x: F.conv2d(x, m.w, padding=2), w=weight(8, 8, 5, 5)
    ),
    "with all arguments by name": lambda: Model(
        lambda m, x: F.conv2d(input=x, weight=m.w, stride=(2, 1), padding=(0, 4), dilation=(1, 2)),
        w=weight(8, 8, 3, 5),
    ),
    "a pool of powers": lambda: Model(nn.LPPool2d(2, 3, stride=2)),
    "a pool in a module of one's own": lambda: Model(
        Own(lambda x: F.avg_pool2d(x, 3, 2, 1), stride=2)
    ),
    "a pool of stride 1 in one's own": lambda: Model(Own(lambda x: F.avg_pool2d(x, 3, 1, 1))),
    "a slice in one's own": lambda: Model(Own(lambda x: x[:, :, ::2, 1::3], stride=2)),
    "one position in one's own": lambda: Model(Own(lambda x: x.sin().abs() + 1)),
    "a pool that rounds up": lambda: Model(nn.MaxPool2d(5, 3, ceil_mode=True)),
    "a pool's function that rounds up": lambda: Model(
        lambda m, x: F.max_pool2d(x, 4, 3, 1, ceil_mode=True)
    ),
    "a pool by its function": lambda: Model(
        lambda m, x: F.avg_pool2d(x, (3, 5), padding=1, stride=2)
    ),
    "a pool by its function, powers": lambda: Model(lambda m, x: F.lp_pool2d(x, 2, 4, 3)),
    "an average": lambda: Model(nn.AvgPool2d(3, 1, 1)),
    "dilated, padded the same": lambda: Model(nn.Conv2d(8, 8, 3, dilation=3, padding="same")),
    "even, padded the same": lambda: Model(nn.Conv2d(8, 8, 4, padding="same")),
    "padded by the layer": lambda: Model(Same(8, 8, 5, stride=3)),
    "oblong": lambda: Model(nn.Conv2d(8, 8, (5, 3), stride=(2, 1), padding=(2, 1))),
    "padding on one side": lambda: Model(
        nn.Sequential(nn.ZeroPad2d((2, 0, 3, 0)), nn.Conv2d(8, 8, 4))
    ),
    "padding by its function": lambda: Model(lambda m, x: F.pad(x, (1, 0, 4, -2))),
    "slices from the end": lambda: Model(lambda m, x: x[..., -20:, 3:30:2]),
    "channels last": lambda: Model(Last()),
    "channels last in a linear layer's function": lambda: Model(
        lambda m, x: F.linear(x.permute(0, 2, 3, 1), m.w).permute(0, 3, 1, 2), w=weight(8, 8)
    ),
    "a norm of channels in one's own": lambda: Model(Norm(8)),
    "channels shuffled": lambda: Model(lambda m, x: shuffled(x)),
    "channels in two halves": lambda: Model(
        lambda m, x: torch.cat([x.chunk(2, 1)[1], x.split(4, 1)[0]], 1)
    ),
    "axes in one's own": lambda: Model(
        lambda m, x: m.back(m.there(x)),
        there=Own(lambda x: x.permute(0, 2, 3, 1)),
        back=Own(lambda x: x.permute(0, 3, 1, 2)),
    ),
    "channels put together": lambda: Model(lambda m, x: x * x.mean(1, keepdim=True)),
    "adaptive": lambda: Model(lambda m, x: F.adaptive_avg_pool2d(x, (11, 3))),
    "turned": lambda: Model(lambda m, x: F.avg_pool2d(x, (3, 1)).transpose(2, 3).transpose(3, 2)),
}


def positive(model: nn.Module) -> nn.Module:
    model = copy.deepcopy(model).double().eval()
    for value in model.parameters():
        nn.init.uniform_(value, 0.5, 1.0)
    return model


def rows(model: nn.Module, axis: int) -> list[int]:
    """Return the rows (axis 2) or columns (3) of the image that change the output's center."""
    torch.manual_seed(0)
    image = torch.rand(1, 3, SIDE, SIDE, dtype=torch.float64)
    changed = image.repeat(SIDE, 1, 1, 1)
    for i in range(SIDE):
        changed[i].select(axis - 1, i).mul_(1000)
    with torch.no_grad():
        base, made = model(image), torch.cat([model(one) for one in changed.split(1)])
    middle = (slice(None), slice(None), base.shape[2] // 2, base.shape[3] // 2)
    return (made[middle] != base[middle]).any(1).nonzero().flatten().tolist()


def reach(model: nn.Module, part: str, by: TraceBackend | None = None) -> ReceptiveField:
    traced = trace_nodes(model, (3, SIDE, SIDE), by)
    return receptive_fields(model, traced, (3, SIDE, SIDE)).known[traced.node_by_name[part]]


@pytest.mark.filterwarnings("ignore:Using padding='same'")  # torch's own, of an even window
@pytest.mark.parametrize("by", ["torch.fx", "recorder"])
@pytest.mark.parametrize("name", KNOWN)
def test_spans_match_perturbed_images(name: str, by: TraceBackend) -> None:
    model = KNOWN[name]().eval()
    shape = trace_nodes(model, (3, SIDE, SIDE), by).graph.node("end").shape
    found = reach(model, "end", by)
    for axis, span in enumerate(found.longest):
        middle = shape[1 + axis] // 2 * span.stride
        seen = rows(positive(model), 2 + axis)
        assert (seen[0], seen[-1]) == (
            max(middle + span.first, 0),
            min(middle + span.last, SIDE - 1),
        )
    assert not found.includes_global


ALL: dict[str, Callable[[], Model]] = {
    "instance norm": lambda: Model(nn.InstanceNorm2d(8)),
    "group norm": lambda: Model(nn.GroupNorm(2, 8)),
    "a batch norm that keeps no statistics": lambda: Model(
        nn.BatchNorm2d(8, track_running_stats=False)
    ),
    "group norm by its function": lambda: Model(lambda m, x: F.group_norm(x, 2)),
    "a norm of the image": lambda: Model(nn.LayerNorm([8, SIDE, SIDE])),
    "in one's own": lambda: Model(Own(lambda x: x - x.mean((2, 3), keepdim=True))),
    "a gate of a vector": lambda: Model(
        lambda m, x: x * m.l(x.mean((2, 3))).view(-1, 8, 1, 1).sigmoid(), l=nn.Linear(8, 8)
    ),
    "a gate by one dimension": lambda: Model(
        lambda m, x: x * m.c(x.mean((2, 3)).unsqueeze(1)).sigmoid().transpose(1, 2).unsqueeze(-1),
        c=nn.Conv1d(1, 1, 3, padding=1),
    ),
    "weights of the image": lambda: Model(
        lambda m, x: F.conv2d(x, m.l(x.mean((2, 3))).view(8, 8, 1, 1)), l=nn.Linear(8, 64)
    ),
}


@pytest.mark.parametrize("name", ALL)
def test_global_statistics_are_reported(name: str) -> None:
    model = ALL[name]().eval()
    found = reach(model, "end")
    seen = rows(model.double(), 2)
    assert (seen[0], seen[-1]) == (0, SIDE - 1)
    assert found.includes_global
    assert [span.size for span in found.longest] == [
        5,
        5,
    ]  # without the statistics: two windows of 3


UNKNOWN: dict[str, Callable[[], Model]] = {
    "roll": lambda: Model(lambda m, x: torch.roll(x, 3, 2)),
    "flip": lambda: Model(lambda m, x: x.flip(3)),
    "part": lambda: Model(nn.Upsample(scale_factor=2)),
    "matmul": lambda: Model(lambda m, x: torch.matmul(x, x)),
    "cat": lambda: Model(lambda m, x: torch.cat([x, x], 2)),
    "softmax": lambda: Model(lambda m, x: F.softmax(x, 3)),
    "view": lambda: Model(lambda m, x: x.view(-1, 8, 3, 11 * SIDE)),
    "linear": lambda: Model(lambda m, x: F.linear(x, m.w), w=weight(SIDE, SIDE)),
    "mean": lambda: Model(lambda m, x: x - x.mean(3, keepdim=True)),
    "getitem": lambda: Model(lambda m, x: x[:, :, [0, 1, 2]]),
    "pixel_shuffle": lambda: Model(lambda m, x: F.pixel_shuffle(x, 2), width=2),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_unknown_windows_have_a_reason(name: str) -> None:
    model = UNKNOWN[name]().eval()
    size = (3, SIDE, SIDE)
    traced = trace_nodes(model, size)
    found = receptive_fields(model, traced, size)
    assert traced.node_by_name["stem"] in found.known
    sentence = found.unknown[traced.node_by_name["end"]]
    assert sentence.startswith(f"The receptive field of '{name}' is unknown: ")
    assert sentence.endswith(".")


def test_unknown_blocks_have_an_effective_field() -> None:
    model = UNKNOWN["roll"]()
    found = receptive_field(model, (3, SIDE, SIDE), images=1)
    table = found.tables()["receptive_field"]
    rows = {row[table.columns.index("block")]: row for row in table.rows}
    assert list(found.theoretical) == ["stem"]
    assert rows["stem"][-1] == ""
    assert rows["end"][-1] == found.unknown["end"]
    assert (
        rows["end"][table.columns.index("effective_side")] is not None
    )  # the effective side, which the gradient knows
    with pytest.raises(AnalysisError, match=r"^The receptive field of 'roll' is unknown: .*\.$"):
        receptive_field(model, (3, SIDE, SIDE), images=0, blocks=["end"])


def test_measured_module_is_unchanged() -> None:
    model = Model(Norm(8))
    model.part.train()  # type: ignore[union-attr]
    before = copy.deepcopy(model.state_dict())
    state = torch.random.get_rng_state()
    reach(model, "end")
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(module.training for module in model.modules())
