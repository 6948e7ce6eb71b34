"""Sums and gates in other words: alpha, stacks, lerp, addcmul, weights for maps."""

from collections import Counter

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_resnets.graph import trace
from lightning_resnets.graph.insert_merges import insert_merges
from lightning_resnets.interventions import ScaleInput, SetInput, intervene
from lightning_resnets.interventions.record import record_activations
from lightning_resnets.interventions.sweep import sweep
from lightning_resnets.merges import Add, Gate, Merge

SIZE = (3, 16, 16)
IMAGES = torch.randn(4, *SIZE, generator=torch.Generator().manual_seed(0))


class Block(nn.Module):
    """Two convolutions beside the identity; each case writes the sum in its own way."""

    # What remains when the branch is cut, and when the shortcut is.
    shortcut_factor = 1.0
    branch_factor = 1.0

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(4, 4, 3, padding=1)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1)

    def branch(self, x: Tensor) -> Tensor:
        return self.conv2(torch.relu(self.conv1(x)))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.branch(x)


class Alpha(Block):
    branch_factor = 0.3

    def forward(self, x: Tensor) -> Tensor:
        return torch.add(x, self.branch(x), alpha=0.3)


class AlphaMethod(Block):
    branch_factor = -0.7

    def forward(self, x: Tensor) -> Tensor:
        return x.clone().add_(self.branch(x), alpha=-0.7)


class ScaledShortcut(Block):
    shortcut_factor = 0.3

    def forward(self, x: Tensor) -> Tensor:
        return torch.add(self.branch(x), x, alpha=0.3)


class StackSum(Block):
    def forward(self, x: Tensor) -> Tensor:
        return torch.stack((x, self.branch(x))).sum(0)


class StackSumFunction(Block):
    def forward(self, x: Tensor) -> Tensor:
        return torch.sum(torch.stack([self.branch(x), x], dim=1), dim=1)


class StackSumLast(Block):
    def forward(self, x: Tensor) -> Tensor:
        return torch.stack((self.branch(x), x), -1).sum(dim=-1)


class StackMean(Block):
    shortcut_factor = branch_factor = 0.5

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack((x, self.branch(x))).mean(0)


class Lerp(Block):
    shortcut_factor, branch_factor = 0.7, 0.3

    def forward(self, x: Tensor) -> Tensor:
        return torch.lerp(x, self.branch(x), 0.3)


class LerpMethod(Block):
    shortcut_factor, branch_factor = 0.2, 0.8

    def forward(self, x: Tensor) -> Tensor:
        return self.branch(x).lerp(x, 0.2)


class AddCMul(Block):
    branch_factor = 0.3

    def __init__(self) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((1, 4, 1, 1), 0.3))

    def forward(self, x: Tensor) -> Tensor:
        return torch.addcmul(x, self.branch(x), self.gamma)


class AddCMulReversed(AddCMul):
    def forward(self, x: Tensor) -> Tensor:
        return x.addcmul(self.gamma, self.branch(x))


class AddCMulValue(AddCMul):
    branch_factor = 0.3 * 0.7

    def forward(self, x: Tensor) -> Tensor:
        return torch.addcmul(x, self.branch(x), self.gamma, value=0.7)


KINDS = [
    Block,
    Alpha,
    AlphaMethod,
    ScaledShortcut,
    StackSum,
    StackSumFunction,
    StackSumLast,
    StackMean,
    Lerp,
    LerpMethod,
    AddCMul,
    AddCMulReversed,
    AddCMulValue,
]
BACKENDS = ["torch.fx", "recorder"]


def model_of(kind: type[nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), kind()).eval()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", KINDS)
def test_sums_are_seen_and_outputs_stay_equal_to_the_bit(kind: type[Block], backend: str) -> None:
    model = model_of(kind)
    with_merges = insert_merges(model, SIZE, backend)  # type: ignore[arg-type]
    with torch.no_grad():
        assert torch.equal(with_merges(IMAGES), model(IMAGES))
        assert torch.equal(with_merges.double()(IMAGES.double()), model.double()(IMAGES.double()))
    assert [
        type(m) for m in with_merges.modules() if isinstance(m, Merge) and m.kind != "add"
    ] == []
    skips = trace(model, SIZE).skips
    assert [(skip.source, skip.merge, skip.operand) for skip in skips] == [("0", "1.add", 0)]
    # A shortcut that the sum scales is not the identity.
    is_identity = kind.shortcut_factor == 1
    assert skips[0].projection == (None if is_identity else "4, scaled")
    assert trace(with_merges, SIZE).skips == skips


@pytest.mark.parametrize("kind", KINDS)
def test_sums_are_recorded_and_cut_exactly(kind: type[Block]) -> None:
    model = model_of(kind)
    block = model.get_submodule("1")
    with_merges = insert_merges(model, SIZE)
    edits = [ScaleInput("1.add", "branch", 0), ScaleInput("1.add", "shortcut", 0)]
    with torch.no_grad():
        stem = model.get_submodule("0")(IMAGES)
        branch = block.branch(stem)  # type: ignore[operator]
        with record_activations(with_merges, "1.add") as recording:
            with_merges(IMAGES)
        shortcut_operand, branch_operand = recording.operands["1.add"]
        assert torch.equal(shortcut_operand, stem)
        assert torch.equal(branch_operand, branch)
        outputs = []
        for edit in edits:
            with intervene(with_merges, edit):
                outputs.append(with_merges(IMAGES))
        torch.testing.assert_close(outputs[0], kind.shortcut_factor * stem)
        torch.testing.assert_close(outputs[1], kind.branch_factor * branch)
        swept = dict(sweep(with_merges, IMAGES, edits))
        assert all(torch.equal(swept[edit], out) for edit, out in zip(edits, outputs, strict=True))


@pytest.mark.parametrize("count", [3, 4, 8])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_a_stack_of_several_is_added_one_after_the_other(count: int, dtype: torch.dtype) -> None:
    class Stack(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convs = nn.ModuleList(nn.Conv2d(4, 4, 3, padding=1) for _ in range(count - 1))

        def forward(self, x: Tensor) -> Tensor:
            return torch.stack([x, *(conv(x) for conv in self.convs)]).sum(0)

    model = model_of(Stack)
    with_merges = insert_merges(model, SIZE)
    assert sum(isinstance(module, Add) for module in with_merges.modules()) == count - 1
    if dtype in (torch.float32, torch.float64):
        images = IMAGES.to(dtype)
        with torch.no_grad():
            assert torch.equal(with_merges.to(dtype)(images), model.to(dtype)(images))


class MapGate(nn.Module):
    """A highway layer (Srivastava et al. 2015): both factors have the size of the maps."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.gate = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        weight = torch.sigmoid(self.gate(x))
        return torch.relu(self.conv(x)) * weight + x * (1 - weight)


class SpatialAttention(MapGate):
    """One weight per position, as in CBAM (Woo et al. 2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Conv2d(2, 1, 7, padding=3)

    def forward(self, x: Tensor) -> Tensor:
        pooled = torch.cat((x.mean(1, keepdim=True), x.amax(1, keepdim=True)), 1)
        return x * self.gate(pooled).sigmoid()


class ResidualAttention(MapGate):
    """(1 + M(x)) T(x), Wang et al. 2017, with a mask of half the size."""

    def forward(self, x: Tensor) -> Tensor:
        mask = torch.sigmoid(self.gate(F.max_pool2d(x, 2)))
        return (1 + F.interpolate(mask, scale_factor=2)) * self.conv(x)


class Swish(MapGate):
    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) * torch.sigmoid(x) if False else self._swish(self.conv(x))

    def _swish(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(x)


class HardSwish(Swish):
    def _swish(self, x: Tensor) -> Tensor:
        return x * F.hardsigmoid(x)


class Mish(Swish):
    def _swish(self, x: Tensor) -> Tensor:
        return x * torch.tanh(F.softplus(x))


class Product(MapGate):
    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.conv(x)) * self.gate(x)


GATES: dict[type[nn.Module], dict[str, int]] = {
    MapGate: {"gate": 2, "add": 1},
    SpatialAttention: {"gate": 1, "concat": 1},
    ResidualAttention: {"gate": 1},
    Swish: {},
    HardSwish: {},
    Mish: {},
    Product: {},
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", GATES)
def test_gates_over_maps_are_gates_and_activations_are_not(
    kind: type[nn.Module], backend: str
) -> None:
    model = model_of(kind)
    with_merges = insert_merges(model, SIZE, backend)  # type: ignore[arg-type]
    merges = [module for module in with_merges.modules() if isinstance(module, Merge)]
    assert Counter(str(merge.kind) for merge in merges) == GATES[kind]
    with torch.no_grad():
        assert torch.equal(with_merges(IMAGES), model(IMAGES))


def test_a_gate_over_maps_is_closed_and_opened_exactly() -> None:
    model = model_of(MapGate)
    with_merges = insert_merges(model, SIZE)
    gates = [name for name, module in with_merges.named_modules() if isinstance(module, Gate)]
    with torch.no_grad():
        stem = model.get_submodule("0")(IMAGES)
        edits = [SetInput(gates[0], "weight", 0), SetInput(gates[1], "weight", 1)]
        with intervene(with_merges, *edits):
            assert torch.equal(with_merges(IMAGES), stem)
