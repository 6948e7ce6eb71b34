"""Multiply-adds and parameters of operations however they are written: by hand, and as the real
pass multiplies.
"""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from lightning_resnets.analysis.cost import count_layers
from lightning_resnets.graph import trace, trace_nodes
from lightning_resnets.graph.insert_merges import insert_merges
from lightning_resnets.graph.trace import TraceBackend

SIZE = (3, 16, 16)
WAYS: tuple[TraceBackend, ...] = ("torch.fx", "recorder")


def mapped(x: Tensor, weight: Tensor) -> Tensor:
    return F.linear(x, weight) + F.linear(input=x, weight=weight)


fx.wrap("mapped")


class Watch(TorchFunctionMode):
    """Counts what every convolution and linear map multiplies, from the shapes that it is really
    given.
    """

    def __init__(self) -> None:
        super().__init__()
        self.macs = 0

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        name, named = (
            getattr(func, "__name__", ""),
            dict(zip(("input", "weight"), args, strict=False)) | (kwargs or {}),
        )
        if name in ("conv1d", "conv2d", "conv3d"):  # every output is a sum over one group's window
            self.macs += made.numel() * math.prod(named["weight"].shape[1:])
        elif name.startswith("conv_transpose"):  # every input is spread over one group's window
            self.macs += named["input"].numel() * math.prod(named["weight"].shape[1:])
        elif name == "linear":
            self.macs += made.numel() * named["input"].shape[-1]
        return made


class Model(nn.Module):
    """A convolution to 8 channels, then what is asked about: a function of the module and its map
    (N, 8, 16, 16).
    """

    def __init__(self, behind: Callable[[Any, Tensor], Any], **parts: Any) -> None:
        super().__init__()
        self.stem, self.behind = nn.Conv2d(3, 8, 1, bias=False), behind
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x: Tensor) -> Any:
        return self.behind(self, self.stem(x))


def weight(*sides: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(*sides))


STEM = 3 * 8 * 256
CASES: dict[str, tuple[Model, int]] = {  # and its multiply-adds by hand, without the stem's
    "linear at every position": (
        Model(lambda m, x: m.l(x.permute(0, 2, 3, 1)), l=nn.Linear(8, 16)),
        256 * 8 * 16,
    ),
    "linear on a folded batch": (
        Model(lambda m, x: m.l(x.reshape(-1, 8)), l=nn.Linear(8, 8)),
        256 * 8 * 8,
    ),
    "convolution on a folded batch": (
        Model(lambda m, x: m.c(x.view(-1, 2, 16, 16)), c=nn.Conv2d(2, 4, 3, padding=1)),
        4 * 256 * 2 * 4 * 9,
    ),
    "linear by a transposed weight": (
        Model(lambda m, x: F.linear(x.mT.mT.permute(0, 2, 3, 1), m.w.t()), w=weight(8, 24)),
        256 * 8 * 24,
    ),
    "convolution by a viewed weight": (
        Model(lambda m, x: F.conv2d(x, m.w.view(24, 8, 3, 3), padding=1), w=weight(24 * 8 * 9)),
        256 * 24 * 8 * 9,
    ),
    "weight of the image": (
        Model(lambda m, x: F.conv2d(x, m.l(x.mean((2, 3))).view(4, 8, 1, 1)), l=nn.Linear(8, 32)),
        8 * 32 + 256 * 8 * 4,
    ),
    "groups": (
        Model(lambda m, x: F.conv2d(x, m.w, None, 2, 1, 1, 4), w=weight(16, 2, 3, 3)),
        64 * 16 * 2 * 9,
    ),
    "named arguments": (
        Model(
            lambda m, x: F.linear(
                weight=m.v, input=F.conv2d(input=x, weight=m.w, padding=1).mean((2, 3))
            ),
            w=weight(24, 8, 3, 3),
            v=weight(5, 24),
        ),
        256 * 24 * 8 * 9 + 24 * 5,
    ),
    "transposed convolution": (
        Model(lambda m, x: m.t(x), t=nn.ConvTranspose2d(8, 12, 4, 2, 1, groups=4)),
        256 * 8 * 3 * 16,
    ),
    "transposed as a function": (
        Model(lambda m, x: F.conv_transpose2d(x, m.w, stride=2), w=weight(8, 12, 2, 2)),
        256 * 8 * 12 * 4,
    ),
    "one dimension": (
        Model(lambda m, x: F.conv1d(x.flatten(2), m.w, padding=2), w=weight(4, 8, 5)),
        256 * 8 * 4 * 5,
    ),
}


@pytest.mark.parametrize("by", WAYS)
@pytest.mark.parametrize("name", CASES)
def test_macs_equal_the_multiplications_of_a_pass(name: str, by: TraceBackend) -> None:
    model, expected = CASES[name]
    graph = trace_nodes(model.eval(), SIZE, by).graph
    with torch.no_grad(), Watch() as watch:
        model(torch.randn(1, *SIZE))
    assert graph.macs == watch.macs == STEM + expected
    assert graph.parameters == sum(weight.numel() for weight in model.parameters())


def test_weights_that_are_not_learned_multiply_too() -> None:
    model = Model(lambda m, x: F.conv2d(x, m.blur, groups=8))
    model.register_buffer("blur", torch.ones(8, 1, 3, 3))
    graph = trace_nodes(model, SIZE).graph
    assert (graph.macs, graph.parameters) == (STEM + 14 * 14 * 8 * 9, 24)


def test_a_product_with_a_learned_matrix_is_a_linear_map() -> None:
    right = Model(lambda m, x: x.flatten(2).mT @ m.w, w=weight(8, 5))
    left = Model(lambda m, x: torch.matmul(m.w, x.flatten(2)), w=weight(5, 8))
    assert (
        trace_nodes(right, SIZE).graph.macs
        == trace_nodes(left, SIZE).graph.macs
        == STEM + 256 * 8 * 5
    )
    among = Model(lambda m, x: x.flatten(2).mT @ x.flatten(2))
    assert trace_nodes(among, SIZE).graph.macs == STEM


@pytest.mark.parametrize("by", WAYS)
def test_layers_that_give_several_tensors_are_blocks(by: TraceBackend) -> None:
    """Attention: four maps of 8 to 8; LSTM: four gates from the input and the state, two layers and
    directions.
    """

    def behind(m: Any, x: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2)
        tokens = tokens + m.attention(tokens, tokens, tokens)[0]
        made, (state, _) = m.lstm(tokens)
        return m.gru(made)[0] + state.mean()

    attention, lstm = (
        nn.MultiheadAttention(8, 2, batch_first=True),
        nn.LSTM(8, 5, 2, batch_first=True, bidirectional=True),
    )
    gru = nn.GRU(10, 6, batch_first=True)
    model = Model(behind, attention=attention, lstm=lstm, gru=gru).eval()
    if by == "recorder":  # which cannot see into a tuple of tuples
        model.behind = lambda m, x: m.gru(
            m.lstm(m.attention(*(x.flatten(2).transpose(1, 2),) * 3)[0])[0]
        )[0]
    graph = trace_nodes(model, SIZE, by).graph
    assert graph.parameters == sum(weight.numel() for weight in model.parameters())
    found = {block.name: block for block in graph.nodes}
    assert (found["attention"].shape, found["attention"].macs) == ((256, 8), 256 * 4 * 8 * 8)
    lengths = 2 * (20 * 8 + 20 * 5) + 2 * (20 * 10 + 20 * 5)
    assert (found["lstm"].shape, found["lstm"].macs) == ((256, 10), 256 * lengths)
    assert (found["gru"].shape, found["gru"].macs) == ((256, 6), 256 * (18 * 10 + 18 * 6))
    assert "lstm" in graph.inputs("gru")  # the first tensor is the block's: no slice stands between


def test_attention_to_something_else() -> None:
    """Queries that are learned, keys of 8 and values of 4 channels at 256 positions."""
    attention = nn.MultiheadAttention(6, 2, kdim=8, vdim=4, batch_first=True)
    model = Model(
        lambda m, x: m.a(m.q, x.flatten(2).mT, x[:, :4].flatten(2).mT)[0],
        a=attention,
        q=weight(1, 3, 6),
    )
    graph = trace_nodes(model.eval(), SIZE).graph
    assert graph.macs == STEM + 3 * 6 * 6 + 256 * 6 * 8 + 256 * 6 * 4 + 3 * 6 * 6
    assert graph.parameters == sum(weight.numel() for weight in model.parameters())


def test_a_transformer_layer_is_its_linear_maps() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 32, batch_first=True)
    graph = trace_nodes(Model(lambda m, x: m.t(x.flatten(2).mT), t=layer).eval(), SIZE).graph
    assert graph.macs == STEM + 256 * (4 * 8 * 8 + 2 * 8 * 32)


def test_a_function_that_is_left_alone_is_looked_into() -> None:
    """torchvision's Swin has its windows, with two linear maps, in a function that torch.fx is told
    not to follow.
    """

    def behind(m: Any, x: Tensor) -> Tensor:
        return mapped(x.permute(0, 2, 3, 1), m.w)

    graph = trace_nodes(Model(behind, w=weight(5, 8)), SIZE, "torch.fx").graph
    assert "mapped" in {block.op for block in graph.nodes}
    assert graph.macs == STEM + 2 * 256 * 8 * 5


def test_uncounted_operations_are_labeled() -> None:
    model = Model(lambda m, x: m.b(x.mean((2, 3)), x.mean((2, 3))), b=nn.Bilinear(8, 8, 4))
    graph = trace_nodes(model, SIZE).graph
    assert graph.node("b").op == "bilinear, multiply-adds unknown"
    assert graph.parameters == sum(weight.numel() for weight in model.parameters())


def test_operations_without_the_image_count_once() -> None:
    """A position code by a 1x1 convolution of a learned map, added twice: 8 * 8 weights and biases
    at 256 places.
    """

    def behind(m: Any, x: Tensor) -> Tensor:
        code = m.code(m.map)
        return (x + code) * 2 + code

    model = Model(behind, code=nn.Conv2d(8, 8, 1), map=weight(1, 8, 16, 16))
    for graph in (
        trace_nodes(model, SIZE).graph,
        trace_nodes(model, SIZE, "recorder").graph,
        trace_nodes(insert_merges(model, SIZE), SIZE).graph,
    ):
        assert graph.macs == STEM + 256 * 8 * 8
        assert graph.parameters == sum(weight.numel() for weight in model.parameters())


class Mixed(nn.Module):
    """A linear layer over channels that lie last, groups, a transposed convolution, and a function
    of a weight.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.last = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(4, 16)
        self.grouped, self.up = (
            nn.Conv2d(16, 16, 3, 2, 1, groups=4),
            nn.ConvTranspose2d(16, 6, 2, 2, groups=2),
        )
        self.weight = nn.Parameter(torch.randn(5, 6))

    def forward(self, x: Tensor) -> Tensor:
        x = self.last(self.stem(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return F.conv2d(self.up(self.grouped(x)), self.weight.view(5, 6, 1, 1))


def test_layers_of_all_sorts_by_hand() -> None:
    """Images of 8x8; window, inputs of a group, outputs and positions as one would write them
    down.
    """
    model = Mixed().eval()
    found = {one.name: one for one in count_layers(model, (3, 8, 8))}
    assert {
        name: (*one.kernel_size, one.in_channels_per_group, one.out_channels, one.output_positions)
        for name, one in found.items()
    } == {
        "stem": (3, 3, 3, 4, 64),
        "last": (4, 16, 64),
        "grouped": (3, 3, 4, 16, 16),
        "up": (2, 2, 8, 6, 16),
        "conv": (1, 1, 6, 5, 64),
    }
    assert found["last"].macs == 4096
    assert found["grouped"].formula == "3·3·4·16 + 16 = 592"
    assert sum(one.macs for one in found.values()) == trace(model, (3, 8, 8)).macs
    assert sum(one.parameters for one in found.values()) == sum(
        weight.numel() for weight in model.parameters()
    )


def test_attention_has_a_row_for_each_matrix() -> None:
    class Attending(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.heads = nn.MultiheadAttention(3, 1, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            x = x.flatten(2).transpose(1, 2)
            return self.heads(x, x, x)[0]

    found = count_layers(Attending().eval(), (3, 8, 8))
    assert [one.name for one in found] == [
        "heads.query",
        "heads.key",
        "heads.value",
        "heads.out_proj",
    ]
    assert {one.macs for one in found} == {64 * 9}
    assert sum(one.parameters for one in found) == sum(
        weight.numel() for weight in Attending().parameters()
    )
