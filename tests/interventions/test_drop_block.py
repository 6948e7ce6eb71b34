"""Removing blocks of third-party models against hand-written passes: the shortcut remains."""

import copy
import types
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from lightning_resnets.graph import trace_nodes
from lightning_resnets.graph.insert_merges import insert_merges
from lightning_resnets.graph.shortcut_operands import shortcut_operands
from lightning_resnets.interventions import (
    BypassBlock,
    Intervention,
    InterventionError,
    RemoveBlock,
    ScaleInput,
    SetInput,
    intervene,
    plan_interventions,
)
from lightning_resnets.interventions.incremental import IncrementalRunner
from lightning_resnets.interventions.sweep import sweep
from lightning_resnets.models.registry import create_model

IMAGES = torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(1))
Forward = Callable[[nn.Module, Tensor], Tensor]


def conv() -> nn.Conv2d:
    return nn.Conv2d(3, 3, 3, padding=1)


class Block(nn.Module):
    """Two convolutions and a 1x1 convolution, with a forward pass to be filled in."""

    def __init__(self, forward: Forward) -> None:
        super().__init__()
        self.one, self.other, self.short = conv(), conv(), nn.Conv2d(3, 3, 1)
        self.norm, self.relu = nn.BatchNorm2d(3), nn.ReLU()
        self.run = forward

    def forward(self, x: Tensor) -> Tensor:
        return self.run(self, x)


class Model(nn.Module):
    def __init__(self, forward: Forward) -> None:
        super().__init__()
        self.stem, self.blocks = conv(), nn.Sequential(*(Block(forward) for _ in range(3)))

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(self.stem(x)).mean((2, 3))


def make_pair(forward: Forward, dropped: Forward) -> tuple[nn.Module, nn.Module]:
    """Build a model, and a copy whose middle block runs another pass."""
    torch.manual_seed(0)
    model = Model(forward).eval().requires_grad_(False)
    other = copy.deepcopy(model)
    other.blocks[1].run = dropped  # type: ignore[assignment]
    return model, other


def run_everywhere(with_merges: nn.Module, op: Intervention) -> Tensor:
    """Run with hooks, in a sweep and node by node, which must agree."""
    with intervene(with_merges, op):
        found = with_merges(IMAGES)
    ((_, swept),) = sweep(with_merges, IMAGES, op)
    replayed, _ = IncrementalRunner(with_merges, trace_nodes(with_merges, (3, 6, 6))).run_image(
        IMAGES, [], [op]
    )
    assert torch.equal(found, swept)
    assert torch.equal(found, replayed)
    return found


def branch(self: nn.Module, x: Tensor) -> Tensor:
    return self.norm(self.other(self.relu(self.one(x))))  # type: ignore[operator]


def torchvisions(self: nn.Module, x: Tensor) -> Tensor:
    out = branch(self, x)
    out += x
    return self.relu(out)  # type: ignore[operator]


def timms(self: nn.Module, x: Tensor) -> Tensor:
    shortcut, x = x, branch(self, x)
    x = x + shortcut
    return self.relu(x)  # type: ignore[operator]


def projected(self: nn.Module, x: Tensor) -> Tensor:
    return self.relu(torch.add(branch(self, x), self.short(x)))  # type: ignore[operator]


def straight(self: nn.Module, x: Tensor) -> Tensor:
    return self.relu(x + branch(self, x))  # type: ignore[operator]


def highway(self: nn.Module, x: Tensor) -> Tensor:
    gate = torch.sigmoid(self.other(x))  # type: ignore[operator]
    return gate * torch.relu(self.one(x)) + (1 - gate) * x  # type: ignore[operator]


def carried_first(self: nn.Module, x: Tensor) -> Tensor:
    gate = torch.sigmoid(self.other(x))  # type: ignore[operator]
    return x * (1 - gate) + torch.relu(self.one(x)).mul(gate)  # type: ignore[operator]


def channelwise(self: nn.Module, x: Tensor) -> Tensor:
    gate = torch.sigmoid(self.other(x).mean((2, 3), keepdim=True))  # type: ignore[operator]
    return self.one(x) * gate + x * (1 - gate)  # type: ignore[operator]


def carry(self: nn.Module, x: Tensor) -> Tensor:
    return (1 - torch.sigmoid(self.other(x))) * x  # type: ignore[operator]


def carry_of_maps(self: nn.Module, x: Tensor) -> Tensor:
    return x * (1 - torch.sigmoid(self.other(x).mean((2, 3), keepdim=True)))  # type: ignore[operator]


@pytest.mark.parametrize(
    ("forward", "left"),
    [
        (torchvisions, lambda self, x: self.relu(x)),
        (timms, lambda self, x: self.relu(x)),
        (straight, lambda self, x: self.relu(x)),
        (projected, lambda self, x: self.relu(self.short(x))),
        (highway, carry),
        (carried_first, carry),
        (channelwise, carry_of_maps),
    ],
)
def test_removing_a_block_leaves_its_shortcut(forward: Forward, left: Forward) -> None:
    model, other = make_pair(forward, left)
    with_merges = insert_merges(model, (3, 6, 6))
    for op in (
        RemoveBlock("blocks.1"),
        ScaleInput("blocks.1.add", "branch", 0),
        RemoveBlock("blocks.1.add"),
    ):
        assert torch.equal(run_everywhere(with_merges, op), other(IMAGES))
    with intervene(
        with_merges,
        ScaleInput("blocks.1.add", "shortcut", 0),
        SetInput("blocks.1.add", "branch", 0),
    ):
        cut = with_merges(IMAGES)
    with intervene(with_merges, RemoveBlock("blocks.1"), SetInput("blocks.1.add", "shortcut", 0)):
        assert torch.equal(with_merges(IMAGES), cut)


def even(self: nn.Module, x: Tensor) -> Tensor:
    return self.relu(self.one(x) + self.other(x))  # type: ignore[operator]


def two_gates(self: nn.Module, x: Tensor) -> Tensor:
    return x * torch.sigmoid(self.one(x)) + x * torch.sigmoid(self.other(x))  # type: ignore[operator]


@pytest.mark.parametrize("forward", [even, two_gates])
def test_parallel_branches_are_not_removed(forward: Forward) -> None:
    with_merges = insert_merges(make_pair(forward, forward)[0], (3, 6, 6))
    for op in (
        RemoveBlock("blocks.1"),
        RemoveBlock("blocks"),
        ScaleInput("blocks.1.add", "shortcut", 0),
        SetInput("blocks.1.add", "branch", 0),
    ):
        with pytest.raises(
            InterventionError,
            match=r"^'blocks\S*' has no shortcut.* parallel branches, blocks\.\S+ \(operand 0\)",
        ):
            run_everywhere(with_merges, op)
    with intervene(with_merges, ScaleInput("blocks.1.add", 1, 0)):
        with_merges(IMAGES)


def repvgg(self: nn.Module, x: Tensor) -> Tensor:
    return self.relu(self.norm(x) + (self.one(x) + self.short(x)))  # type: ignore[operator]


def test_only_the_residual_sum_is_cut() -> None:
    model, other = make_pair(repvgg, lambda self, x: self.relu(self.norm(x)))  # type: ignore[operator]
    assert torch.equal(
        run_everywhere(insert_merges(model, (3, 6, 6)), RemoveBlock("blocks.1")), other(IMAGES)
    )


@pytest.mark.parametrize(
    "name", ["resnet20", "preresnet20", "seresnet20", "highway19", "resnet18", "plain20"]
)
def test_shortcuts_of_our_models_are_found(name: str) -> None:
    traced = trace_nodes(create_model(name).eval(), (3, 64, 64))
    adds = [block.name for block in traced.graph.merges if block.kind == "add"]
    assert shortcut_operands(traced) == dict.fromkeys(adds, 0)


def test_removing_a_highway_layer_leaves_its_carry() -> None:
    torch.manual_seed(0)
    model = create_model("highway19").eval().requires_grad_(False)
    layer, images = "stage2.3", torch.randn(1, 3, 16, 16)

    def carries(self: nn.Module, x: Tensor) -> Tensor:
        return x * (1 - torch.sigmoid(self.gate_conv(x)))  # type: ignore[operator]

    other = copy.deepcopy(model)
    other.get_submodule(layer).forward = types.MethodType(carries, other.get_submodule(layer))
    copying = copy.deepcopy(model)
    copying.get_submodule(layer).forward = types.MethodType(
        lambda self, x: x, copying.get_submodule(layer)
    )
    for own in (model, insert_merges(model, (3, 16, 16))):
        with intervene(own, RemoveBlock(layer)):
            assert torch.equal(own(images), other(images))
        with intervene(own, [RemoveBlock(layer), SetInput(f"{layer}.carry", "weight", 1)]):
            assert torch.equal(own(images), copying(images))


class Dense(nn.Module):
    """Concatenated layers that end in a function; if `wide`, the last one has another consumer."""

    def __init__(self, wide: bool = False) -> None:
        super().__init__()
        self.wide, self.silent = wide, set[int]()
        self.layers = nn.ModuleList(nn.Conv2d(3 + 2 * i, 2, 3, padding=1) for i in range(3))

    def forward(self, x: Tensor) -> Tensor:
        made = [x]
        for i, layer in enumerate(self.layers):
            new = functional.relu(layer(torch.cat(made, 1)))
            made.append(new * 0 if i in self.silent else new)
        joined = torch.cat(made, 1)
        return torch.flatten(joined, 2) * made[-1].mean() if self.wide else joined


class DenseNet(nn.Module):
    def __init__(self, wide: bool = False) -> None:
        super().__init__()
        self.dense = Dense(wide)

    def forward(self, x: Tensor) -> Tensor:
        return self.dense(x).flatten(1)


@pytest.mark.parametrize(
    ("block", "layers"),
    [
        ("dense.layers.0", {0}),
        ("dense.layers.1", {1}),
        ("dense.layers.2", {2}),
        ("dense", {0, 1, 2}),
    ],
)
def test_dense_layers_that_end_in_a_function_are_removed(block: str, layers: set[int]) -> None:
    torch.manual_seed(0)
    model = DenseNet().eval().requires_grad_(False)
    with_merges = insert_merges(model, (3, 6, 6))
    found = run_everywhere(with_merges, RemoveBlock(block))
    model.dense.silent = layers
    assert torch.equal(found, model(IMAGES))
    for source in (
        ("dense.relu", "dense.layers.0") if layers == {0} else ()
    ):  # the step, or what it is the end of
        with intervene(
            with_merges, [ScaleInput(f"dense.concat{end}", source, 0) for end in ("", "_1", "_2")]
        ):
            assert torch.equal(with_merges(IMAGES), found)


def test_a_dense_layer_with_other_consumers_raises() -> None:
    with_merges = insert_merges(DenseNet(wide=True).eval(), (3, 6, 6))
    plan_interventions(with_merges, [RemoveBlock("dense.layers.0")])
    with pytest.raises(
        InterventionError,
        match=r"^'dense.relu\S*' cannot be removed: no module ends it, and it is not only",
    ):
        plan_interventions(with_merges, [RemoveBlock("dense.layers.2")])


def test_a_block_of_a_model_with_inserted_merges_is_bypassed() -> None:
    model, other = make_pair(torchvisions, lambda self, x: x)
    assert torch.equal(
        run_everywhere(insert_merges(model, (3, 6, 6)), BypassBlock("blocks.1")), other(IMAGES)
    )
    with_merges = insert_merges(model, (3, 6, 6))
    with intervene(with_merges, ScaleInput("blocks.1.add", "shortcut", 0), BypassBlock("blocks.1")):
        with pytest.raises(RuntimeError):
            with_merges(torch.ones(1, 7, 6, 6))
        assert torch.equal(with_merges(IMAGES), other(IMAGES))
    assert not [
        name
        for m in with_merges.modules()
        for name, table in vars(m).items()
        if name.endswith("_hooks") and table
    ]


def late(self: nn.Module, x: Tensor) -> Tensor:
    return self.norm(self.one(functional.relu(x)))  # type: ignore[operator]


def test_a_block_that_begins_with_a_function_needs_sweep() -> None:
    model, other = make_pair(late, lambda self, x: x)
    with_merges = insert_merges(model, (3, 6, 6))
    with pytest.raises(
        InterventionError, match=r"^'blocks.1' cannot be bypassed here: .*Use `sweep`"
    ):
        intervene(with_merges, BypassBlock("blocks.1")).__enter__()
    ((_, swept),) = sweep(with_merges, IMAGES, BypassBlock("blocks.1"))
    assert torch.equal(swept, other(IMAGES))
    with intervene(model, BypassBlock("blocks.1")):
        assert torch.equal(model(IMAGES), swept)
