"""A small model with every kind of merge, and its forward pass under interventions by hand."""

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


class AllMergesModel(nn.Module):
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


def make_all_merges_model() -> AllMergesModel:
    """Build the model with active batch norms, in evaluation mode."""
    torch.manual_seed(0)
    model = AllMergesModel()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    return model.eval().requires_grad_(False)


# Sources of the operands of every Concat, in order.
CONCAT_SOURCES = (
    "c",
    "dense.denselayer1",
    "dense.denselayer2",
    "dense.denselayer3",
)
CONCATS = {"dense.denselayer2.concat": 2, "dense.denselayer3.concat": 3, "dense.concat": 4}
WIDTHS = {
    **{
        f"{block}{part}": CHANNELS
        for block in "abc"
        for part in ("", ".conv", ".norm", ".se", ".se.gate", ".add")
    },
    **{f"{layer}{part}": 2 for layer in CONCAT_SOURCES[1:] for part in ("", ".conv1")},
    "stem": CHANNELS,
    "dense": CHANNELS + 6,
    "dense.denselayer3.concat": CHANNELS + 4,
    "fc": 5,
}
# Modules whose output has the shape of their input.
BYPASSABLE = ("a", "b", "c", "a.norm", "b.conv", "c.se")


class ReferenceForward:
    """Forward pass under interventions: no hooks, no graph, one layer after the other.

    Attributes:
        outputs: output of every hook point.
        operands: operands of every merge.
    """

    def __init__(self, model: AllMergesModel, interventions: Sequence[Intervention]) -> None:
        self.model = model
        self.edits: list[Intervention] = []
        for intervention in interventions:
            self.edits += _expand(intervention)
        self.runs = {name: name for name in (*"abc", *CONCAT_SOURCES[1:])}
        for swap in interventions:
            if isinstance(swap, SwapBlocks):
                first = self.runs[swap.first]
                self.runs[swap.first] = self.runs[swap.second]
                self.runs[swap.second] = first
        self.outputs: dict[str, Tensor] = {}
        self.operands: dict[str, list[Tensor]] = {}

    def __call__(self, x: Tensor) -> Tensor:
        x = self.output("stem", self.model.stem(x), x)
        for block in "abc":
            x = self.block(block, x)
        parts = [x]
        for layer in CONCAT_SOURCES[1:]:
            parts.append(self.layer(layer, parts))
        x = self.output(
            "dense",
            self.output("dense.concat", torch.cat(self.merge("dense.concat", parts), 1), None),
            x,
        )
        x = self.model.head(x).flatten(1)
        return self.output("fc", self.model.fc(x), x)

    def block(self, place: str, x: Tensor) -> Tensor:
        """Run the block that is in a place."""
        own = self.model.get_submodule(self.runs[place])
        assert isinstance(own, Block)
        inner = self.output(f"{place}.conv", own.conv(x), x)
        branch = self.output(f"{place}.norm", own.norm(inner), inner)
        weight = own.se.sigmoid(own.se.fc2(own.se.relu(own.se.fc1(own.se.squeeze(branch)))))
        gate, add = f"{place}.se.gate", f"{place}.add"
        y, weight = self.merge(gate, [branch, weight])
        y = self.output(f"{place}.se", self.output(gate, y * weight, None), branch)
        shortcut, y = self.merge(add, [x, y])
        return self.output(place, self.output(add, shortcut + y, None).relu(), x)

    def layer(self, place: str, parts: list[Tensor]) -> Tensor:
        """Run the dense layer that is in a place."""
        own = self.model.get_submodule(self.runs[place])
        x = self.output(f"{place}.concat", torch.cat(self.merge(f"{place}.concat", parts), 1), None)
        x = own.conv1(own.norm1(x).relu())  # type: ignore[operator]
        return self.output(place, self.output(f"{place}.conv1", x, None), None)

    def output(self, point: str, value: Tensor, module_input: Tensor | None) -> Tensor:
        """Apply the edits of an output and record it."""
        for op in self.edits:
            if isinstance(op, OutputEdit) and op.hook_point == point:
                if isinstance(op, BypassBlock):
                    assert module_input is not None
                    value = module_input
                else:
                    zeroed = [c in op.channels for c in range(value.shape[1])]  # type: ignore[operator]
                    if isinstance(op, KeepChannels):
                        zeroed = [not one for one in zeroed]
                    value = torch.stack(
                        [v * 0 if s else v for v, s in zip(value.unbind(1), zeroed, strict=True)], 1
                    )
        self.outputs[point] = value
        return value

    def merge(self, merge: str, parts: list[Tensor]) -> list[Tensor]:
        """Apply the edits of a merge's operands and record them."""
        parts = list(parts)
        for op in self.edits:
            if isinstance(op, (ScaleInput, SetInput)) and op.merge == merge:
                i = _operand_number(op.operand)
                parts[i] = (
                    parts[i] * op.factor if isinstance(op, ScaleInput) else _set_value(parts[i], op)
                )
        self.operands[merge] = parts
        return parts


def _expand(op: Intervention) -> list[Intervention]:
    if not isinstance(op, RemoveBlock):
        return [op]
    if op.block in "abc":
        return [ScaleInput(f"{op.block}.add", 1, 0)]
    return [
        KeepChannels(layer, ())
        for layer in (CONCAT_SOURCES[1:] if op.block == "dense" else [op.block])
    ]


def _operand_number(operand: int | str) -> int:
    names = {
        "shortcut": 0,
        "branch": 1,
        "x": 0,
        "weight": 1,
        **{name: i for i, name in enumerate(CONCAT_SOURCES)},
    }
    return operand if isinstance(operand, int) else names[operand]


def _set_value(part: Tensor, op: SetInput) -> Tensor:
    value = torch.as_tensor(op.value, dtype=part.dtype)
    channels = range(part.shape[1]) if op.channels is None else op.channels
    changed = part.clone()
    for i, channel in enumerate(channels):  # type: ignore[arg-type]
        for n in range(len(part)):
            one = value
            if value.dim() == 4:
                one = value[n, i]
            elif value.dim() > 0:
                one = value[i]
            changed[n, channel] = one.reshape(())
    return changed


def _channels(width: int) -> st.SearchStrategy[tuple[int, ...]]:
    return st.lists(st.integers(0, width - 1), unique=True, max_size=width).map(tuple)


@st.composite
def _set_values(draw: st.DrawFn) -> tuple[float | Tensor, tuple[int, ...] | None]:
    channels = draw(st.none() | _channels(CHANNELS))
    width = CHANNELS if channels is None else len(channels)
    shape = draw(st.sampled_from([None, (width,), (width, 1, 1), (2, width, 1, 1)]))
    seed = draw(st.integers(0, 9))
    return (
        seed / 4
        if shape is None
        else torch.rand(shape, generator=torch.Generator().manual_seed(seed))
    ), channels


FACTORS = st.sampled_from([0, 0.5, 1, -1, 1.7])


@st.composite
def interventions(draw: st.DrawFn) -> Intervention:
    """Draw any intervention that fits the model."""
    block = draw(st.sampled_from("abc"))
    point = draw(st.sampled_from(list(WIDTHS)))
    match draw(st.integers(0, 8)):
        case 0:
            return ScaleInput(
                f"{block}.add", draw(st.sampled_from([0, 1, "shortcut", "branch"])), draw(FACTORS)
            )
        case 1:
            concat = draw(st.sampled_from(list(CONCATS)))
            return ScaleInput(
                concat,
                draw(st.sampled_from([0, *CONCAT_SOURCES[: CONCATS[concat]]])),
                draw(FACTORS),
            )
        case 2:
            value, channels = draw(_set_values())
            return SetInput(
                f"{block}.se.gate", draw(st.sampled_from(["x", "weight", 1])), value, channels
            )
        case 3:
            return SetInput("dense.concat", "c", *draw(_set_values()))
        case 4:
            return RemoveBlock(draw(st.sampled_from([*"abc", "dense", *CONCAT_SOURCES[1:]])))
        case 5:
            return ZeroChannels(point, draw(_channels(WIDTHS[point])))
        case 6:
            return KeepChannels(point, draw(_channels(WIDTHS[point])))
        case 7:
            return BypassBlock(draw(st.sampled_from(BYPASSABLE)))
        case _:
            return SwapBlocks(
                *draw(st.sampled_from([("a", "b"), ("b", "c"), ("c", "a"), ("a", "a")]))
            )


def compositions(most: int = 5) -> st.SearchStrategy[list[Intervention]]:
    """Draw lists of interventions."""
    return st.lists(interventions(), max_size=most)
