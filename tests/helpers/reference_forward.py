"""A small model with every kind of merge, and surgery on it done the slow way: a forward pass written out by hand."""

from collections.abc import Sequence

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from lightning_resnets.interventions.edits import (
    BypassBlock,
    Intervention,
    KeepChannels,
    OutputEdit,
    RemoveBlock,
    ScaleInput,
    SetInput,
    SwapBlocks,
    ZeroChannels,
)
from lightning_resnets.merges import Add
from lightning_resnets.models.densenet import DenseBlock
from lightning_resnets.models.squeeze_excite import SqueezeExcite

CHANNELS = 4
IMAGES = torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(1))


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
        self.norm = nn.BatchNorm2d(CHANNELS)
        self.se = SqueezeExcite(CHANNELS, 2)
        self.add = Add()
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.add(x, self.se(self.norm(self.conv(x)))))


class Patient(nn.Module):
    """Stem, three residual blocks with gates, three dense layers, head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, CHANNELS, 3, padding=1)
        self.a, self.b, self.c = Block(), Block(), Block()
        self.dense = DenseBlock(3, CHANNELS, 2, 0, 0.0)
        self.head = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(CHANNELS + 6, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.dense(self.c(self.b(self.a(self.stem(x)))))
        return self.fc(torch.flatten(self.head(x), 1))


def patient() -> Patient:
    torch.manual_seed(0)
    model = Patient()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    return model.eval().requires_grad_(False)


MADE = (
    "c",
    "dense.denselayer1",
    "dense.denselayer2",
    "dense.denselayer3",
)  # who made the parts, in order
CONCATS = {"dense.denselayer2.concat": 2, "dense.denselayer3.concat": 3, "dense.concat": 4}
WIDTHS = {
    **{
        f"{block}{part}": CHANNELS
        for block in "abc"
        for part in ("", ".conv", ".norm", ".se", ".se.gate", ".add")
    },
    **{f"{layer}{part}": 2 for layer in MADE[1:] for part in ("", ".conv1")},
    "stem": CHANNELS,
    "dense": CHANNELS + 6,
    "dense.denselayer3.concat": CHANNELS + 4,
    "fc": 5,
}
PASSED = ("a", "b", "c", "a.norm", "b.conv", "c.se")  # what has its input's shape


class Slow:
    """The answer under operations, and what every point gave: no hooks, no graph, one thing after another."""

    def __init__(self, model: Patient, ops: Sequence[Intervention]) -> None:
        self.model, self.ops = model, [small for op in ops for small in _written_out(op)]
        self.runs = {name: name for name in (*"abc", *MADE[1:])}
        for op in ops:
            if isinstance(op, SwapBlocks):
                self.runs[op.first], self.runs[op.second] = (
                    self.runs[op.second],
                    self.runs[op.first],
                )
        self.seen: dict[str, Tensor] = {}
        self.met: dict[str, list[Tensor]] = {}

    def __call__(self, x: Tensor) -> Tensor:
        x = self.gives("stem", self.model.stem(x), x)
        for block in "abc":
            x = self.block(block, x)
        parts = [x]
        for layer in MADE[1:]:
            parts.append(self.layer(layer, parts))
        x = self.gives(
            "dense",
            self.gives("dense.concat", torch.cat(self.meet("dense.concat", parts), 1), None),
            x,
        )
        x = self.model.head(x).flatten(1)
        return self.gives("fc", self.model.fc(x), x)

    def block(self, place: str, x: Tensor) -> Tensor:
        own = self.model.get_submodule(self.runs[place])
        assert isinstance(own, Block)
        inner = self.gives(f"{place}.conv", own.conv(x), x)
        branch = self.gives(f"{place}.norm", own.norm(inner), inner)
        weight = own.se.sigmoid(own.se.fc2(own.se.relu(own.se.fc1(own.se.squeeze(branch)))))
        gate, add = f"{place}.se.gate", f"{place}.add"
        y, weight = self.meet(gate, [branch, weight])
        y = self.gives(f"{place}.se", self.gives(gate, y * weight, None), branch)
        shortcut, y = self.meet(add, [x, y])
        return self.gives(place, self.gives(add, shortcut + y, None).relu(), x)

    def layer(self, place: str, parts: list[Tensor]) -> Tensor:
        own = self.model.get_submodule(self.runs[place])
        x = self.gives(f"{place}.concat", torch.cat(self.meet(f"{place}.concat", parts), 1), None)
        x = own.conv1(own.norm1(x).relu())  # type: ignore[operator]
        return self.gives(place, self.gives(f"{place}.conv1", x, None), None)

    def gives(self, point: str, value: Tensor, given: Tensor | None) -> Tensor:
        for op in self.ops:
            if isinstance(op, OutputEdit) and op.hook_point == point:
                if isinstance(op, BypassBlock):
                    assert given is not None
                    value = given
                else:
                    silent = [c in op.channels for c in range(value.shape[1])]  # type: ignore[operator]
                    if isinstance(op, KeepChannels):
                        silent = [not one for one in silent]
                    value = torch.stack(
                        [v * 0 if s else v for v, s in zip(value.unbind(1), silent, strict=True)], 1
                    )
        self.seen[point] = value
        return value

    def meet(self, merge: str, parts: list[Tensor]) -> list[Tensor]:
        parts = list(parts)
        for op in self.ops:
            if isinstance(op, (ScaleInput, SetInput)) and op.merge == merge:
                i = _place(op.operand)
                parts[i] = (
                    parts[i] * op.factor if isinstance(op, ScaleInput) else _held(parts[i], op)
                )
        self.met[merge] = parts
        return parts


def _written_out(op: Intervention) -> list[Intervention]:
    if not isinstance(op, RemoveBlock):
        return [op]
    if op.block in "abc":
        return [ScaleInput(f"{op.block}.add", 1, 0)]
    return [KeepChannels(layer, ()) for layer in (MADE[1:] if op.block == "dense" else [op.block])]


def _place(operand: int | str) -> int:
    names = {
        "shortcut": 0,
        "branch": 1,
        "x": 0,
        "weight": 1,
        **{name: i for i, name in enumerate(MADE)},
    }
    return operand if isinstance(operand, int) else names[operand]


def _held(part: Tensor, op: SetInput) -> Tensor:
    value = torch.as_tensor(op.value, dtype=part.dtype)
    channels = range(part.shape[1]) if op.channels is None else op.channels
    made = part.clone()
    for i, channel in enumerate(channels):  # type: ignore[arg-type]
        for n in range(len(part)):
            one = value if value.dim() == 0 else value[i] if value.dim() < 4 else value[n, i]
            made[n, channel] = one.reshape(())
    return made


def _channels(width: int) -> st.SearchStrategy[tuple[int, ...]]:
    return st.lists(st.integers(0, width - 1), unique=True, max_size=width).map(tuple)


@st.composite
def _held_values(draw: st.DrawFn) -> tuple[float | Tensor, tuple[int, ...] | None]:
    channels = draw(st.none() | _channels(CHANNELS))
    width = CHANNELS if channels is None else len(channels)
    shape = draw(st.sampled_from([None, (width,), (width, 1, 1), (2, width, 1, 1)]))
    seed = draw(st.integers(0, 9))
    return (
        seed / 4
        if shape is None
        else torch.rand(shape, generator=torch.Generator().manual_seed(seed))
    ), channels


GAINS = st.sampled_from([0, 0.5, 1, -1, 1.7])


@st.composite
def operations(draw: st.DrawFn) -> Intervention:
    """Any operation that fits the patient."""
    block, point = draw(st.sampled_from("abc")), draw(st.sampled_from(list(WIDTHS)))
    match draw(st.integers(0, 8)):
        case 0:
            return ScaleInput(
                f"{block}.add", draw(st.sampled_from([0, 1, "shortcut", "branch"])), draw(GAINS)
            )
        case 1:
            concat = draw(st.sampled_from(list(CONCATS)))
            return ScaleInput(
                concat, draw(st.sampled_from([0, *MADE[: CONCATS[concat]]])), draw(GAINS)
            )
        case 2:
            value, channels = draw(_held_values())
            return SetInput(
                f"{block}.se.gate", draw(st.sampled_from(["x", "weight", 1])), value, channels
            )
        case 3:
            return SetInput("dense.concat", "c", *draw(_held_values()))
        case 4:
            return RemoveBlock(draw(st.sampled_from([*"abc", "dense", *MADE[1:]])))
        case 5:
            return ZeroChannels(point, draw(_channels(WIDTHS[point])))
        case 6:
            return KeepChannels(point, draw(_channels(WIDTHS[point])))
        case 7:
            return BypassBlock(draw(st.sampled_from(PASSED)))
        case _:
            return SwapBlocks(
                *draw(st.sampled_from([("a", "b"), ("b", "c"), ("c", "a"), ("a", "a")]))
            )


def compositions(most: int = 5) -> st.SearchStrategy[list[Intervention]]:
    return st.lists(operations(), max_size=most)
