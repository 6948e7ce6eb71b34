"""Dropping blocks of foreign models against passes written by hand: what stays is the shortcut, however it is written."""

import copy
import types
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from lightning_resnets.graph import trace_nodes
from lightning_resnets.graph.insert_merges import insert_merges
from lightning_resnets.graph.skip_connections import shortcut_operands
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
    """Two convolutions and a 1x1, for a forward pass to be written in."""

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


def pair(forward: Forward, dropped: Forward) -> tuple[nn.Module, nn.Module]:
    """A model, and a copy whose middle block runs another pass."""
    torch.manual_seed(0)
    model = Model(forward).eval().requires_grad_(False)
    other = copy.deepcopy(model)
    other.blocks[1].run = dropped  # type: ignore[assignment]
    return model, other


def everywhere(shown: nn.Module, op: Intervention) -> Tensor:
    """The answer under an operation: by hooks, by a sweep and by a replay, which must agree."""
    with intervene(shown, op):
        found = shown(IMAGES)
    ((_, swept),) = sweep(shown, IMAGES, op)
    replayed, _ = IncrementalRunner(shown, trace_nodes(shown, (3, 6, 6))).run_image(
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
def test_what_stays_is_the_shortcut(forward: Forward, left: Forward) -> None:
    model, other = pair(forward, left)
    shown = insert_merges(model, (3, 6, 6))
    for op in (
        RemoveBlock("blocks.1"),
        ScaleInput("blocks.1.add", "branch", 0),
        RemoveBlock("blocks.1.add"),
    ):
        assert torch.equal(everywhere(shown, op), other(IMAGES))
    with intervene(
        shown, ScaleInput("blocks.1.add", "shortcut", 0), SetInput("blocks.1.add", "branch", 0)
    ):
        cut = shown(IMAGES)
    with intervene(shown, RemoveBlock("blocks.1"), SetInput("blocks.1.add", "shortcut", 0)):
        assert torch.equal(shown(IMAGES), cut)


def even(self: nn.Module, x: Tensor) -> Tensor:
    return self.relu(self.one(x) + self.other(x))  # type: ignore[operator]


def two_gates(self: nn.Module, x: Tensor) -> Tensor:
    return x * torch.sigmoid(self.one(x)) + x * torch.sigmoid(self.other(x))  # type: ignore[operator]


@pytest.mark.parametrize("forward", [even, two_gates])
def test_even_branches_are_left_alone(forward: Forward) -> None:
    shown = insert_merges(pair(forward, forward)[0], (3, 6, 6))
    for op in (
        RemoveBlock("blocks.1"),
        RemoveBlock("blocks"),
        ScaleInput("blocks.1.add", "shortcut", 0),
        SetInput("blocks.1.add", "branch", 0),
    ):
        with pytest.raises(
            InterventionError,
            match=r"^'blocks\S*' has no shortcut.* even branches, blocks\.\S+ \(operand 0\)",
        ):
            everywhere(shown, op)
    with intervene(shown, ScaleInput("blocks.1.add", 1, 0)):
        shown(IMAGES)


def repvgg(self: nn.Module, x: Tensor) -> Tensor:
    return self.relu(self.norm(x) + (self.one(x) + self.short(x)))  # type: ignore[operator]


def test_of_several_sums_the_residual_one_counts() -> None:
    model, other = pair(repvgg, lambda self, x: self.relu(self.norm(x)))  # type: ignore[operator]
    assert torch.equal(
        everywhere(insert_merges(model, (3, 6, 6)), RemoveBlock("blocks.1")), other(IMAGES)
    )


@pytest.mark.parametrize(
    "name", ["resnet20", "preresnet20", "seresnet20", "highway19", "resnet18", "plain20"]
)
def test_the_graph_tells_the_shortcuts_that_our_nets_name(name: str) -> None:
    followed = trace_nodes(create_model(name).eval(), (3, 64, 64))
    adds = [block.name for block in followed.graph.merges if block.kind == "add"]
    assert shortcut_operands(followed) == dict.fromkeys(adds, 0)


def test_a_highway_layer_of_ours_is_dropped_to_its_carry() -> None:
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
    """Layers that end in a function, concatenated; `wide`: what the last one made is read beside the concats too."""

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
def test_dense_layers_that_end_in_a_function(block: str, layers: set[int]) -> None:
    torch.manual_seed(0)
    model = DenseNet().eval().requires_grad_(False)
    shown = insert_merges(model, (3, 6, 6))
    found = everywhere(shown, RemoveBlock(block))
    model.dense.silent = layers
    assert torch.equal(found, model(IMAGES))
    for source in (
        ("dense.relu", "dense.layers.0") if layers == {0} else ()
    ):  # the step, or what it is the end of
        with intervene(
            shown, [ScaleInput(f"dense.concat{end}", source, 0) for end in ("", "_1", "_2")]
        ):
            assert torch.equal(shown(IMAGES), found)


def test_what_is_read_beside_the_concats_is_said() -> None:
    shown = insert_merges(DenseNet(wide=True).eval(), (3, 6, 6))
    plan_interventions(shown, [RemoveBlock("dense.layers.0")])
    with pytest.raises(
        InterventionError,
        match=r"^'dense.relu\S*' cannot be dropped: no module ends it, and not only",
    ):
        plan_interventions(shown, [RemoveBlock("dense.layers.2")])


def test_a_block_of_a_revealed_net_is_passed_by() -> None:
    model, other = pair(torchvisions, lambda self, x: x)
    assert torch.equal(
        everywhere(insert_merges(model, (3, 6, 6)), BypassBlock("blocks.1")), other(IMAGES)
    )
    shown = insert_merges(model, (3, 6, 6))
    with intervene(shown, ScaleInput("blocks.1.add", "shortcut", 0), BypassBlock("blocks.1")):
        with pytest.raises(RuntimeError):
            shown(torch.ones(1, 7, 6, 6))
        assert torch.equal(shown(IMAGES), other(IMAGES))
    assert not [
        name
        for m in shown.modules()
        for name, table in vars(m).items()
        if name.endswith("_hooks") and table
    ]


def late(self: nn.Module, x: Tensor) -> Tensor:
    return self.norm(self.one(functional.relu(x)))  # type: ignore[operator]


def test_a_block_that_begins_with_a_function_is_passed_by_elsewhere() -> None:
    model, other = pair(late, lambda self, x: x)
    shown = insert_merges(model, (3, 6, 6))
    with pytest.raises(
        InterventionError, match=r"^'blocks.1' cannot be passed by here: .*`sweep` passes it by"
    ):
        intervene(shown, BypassBlock("blocks.1")).__enter__()
    ((_, swept),) = sweep(shown, IMAGES, BypassBlock("blocks.1"))
    assert torch.equal(swept, other(IMAGES))
    with intervene(model, BypassBlock("blocks.1")):
        assert torch.equal(model(IMAGES), swept)
