"""Models of signals, clips and several inputs."""

import re
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lightning_resnets.errors import TraceError
from lightning_resnets.graph import trace
from lightning_resnets.graph.insert_merges import insert_merges
from lightning_resnets.interventions import RemoveBlock, ScaleInput, intervene
from lightning_resnets.interventions.record import record_activations
from lightning_resnets.merges import Merge, MergeKind

CONVS: tuple[Any, ...] = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMS: tuple[Any, ...] = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class Block(nn.Module):
    """A residual block with an SE gate and a dense part, along one, two or three axes."""

    def __init__(self, axes: int, width: int, stride: int) -> None:
        super().__init__()
        conv, norm = CONVS[axes - 1], NORMS[axes - 1]
        out = width * stride
        self.conv1 = conv(width, out, 3, stride, 1)
        self.bn1 = norm(out)
        self.conv2 = conv(out, out, 3, padding=1)
        self.gate = conv(out, out, 1)
        self.dense = conv(2 * out, out, 1)
        self.downsample = None
        if stride > 1:
            self.downsample = conv(width, out, 1, stride)
        self.axes = tuple(range(2, 2 + axes))

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = torch.relu(self.bn1(self.conv1(x)))
        x = self.dense(torch.cat((x, self.conv2(x)), 1))
        x = x * torch.sigmoid(self.gate(x.mean(self.axes, keepdim=True)))
        return torch.relu(x + shortcut)


def residual_model(axes: int) -> nn.Module:
    torch.manual_seed(0)
    stem = CONVS[axes - 1](2, 4, 3, padding=1)
    return nn.Sequential(stem, Block(axes, 4, 1), Block(axes, 4, 2)).eval()


SIZES = {1: (2, 40), 2: (2, 12, 12), 3: (2, 4, 8, 8)}


@pytest.mark.parametrize("backend", ["torch.fx", "recorder"])
@pytest.mark.parametrize("axes", SIZES)
def test_signals_images_and_clips_are_traced_alike(axes: int, backend: str) -> None:
    model = residual_model(axes)
    graph = trace(model, SIZES[axes])
    kinds = [MergeKind.CONCAT, MergeKind.GATE, MergeKind.ADD] * 2
    assert [(skip.kind, skip.projection is None) for skip in graph.skips] == [
        *((kind, True) for kind in kinds[:5]),
        (MergeKind.ADD, False),
    ]
    assert graph.skips[-1].projection == "4→8 /2, conv 1x1" if axes == 2 else True
    with_merges = insert_merges(model, SIZES[axes], backend)  # type: ignore[arg-type]
    inputs = torch.randn(3, *SIZES[axes])
    assert torch.equal(with_merges(inputs), model(inputs))
    assert len([m for m in with_merges.modules() if isinstance(m, Merge)]) == 6


@pytest.mark.parametrize("axes", SIZES)
def test_multiply_adds_count_every_position(axes: int) -> None:
    model = CONVS[axes - 1](2, 5, 3, padding=1)
    positions = torch.Size(SIZES[axes][1:]).numel()
    assert trace(model, SIZES[axes]).macs == 5 * 2 * 3**axes * positions


@pytest.mark.parametrize("axes", SIZES)
def test_a_block_is_removed_and_recorded_along_any_number_of_axes(axes: int) -> None:
    model = residual_model(axes)
    inputs = torch.randn(2, *SIZES[axes])
    with_merges = insert_merges(model, SIZES[axes])
    with (
        torch.no_grad(),
        intervene(with_merges, RemoveBlock("1")),
        record_activations(with_merges, "1.add") as recording,
    ):
        removed = with_merges(inputs)
    stem = model.get_submodule("0")(inputs)
    assert torch.equal(recording.outputs["1.add"], stem)
    assert torch.equal(removed, model.get_submodule("2")(torch.relu(stem)))


@pytest.mark.slow  # torchvision takes seconds to import
def test_a_video_resnet_of_torchvision() -> None:
    video = pytest.importorskip("torchvision.models.video")
    graph = trace(video.r3d_18(), (3, 16, 112, 112))
    assert len(graph.skips) == 8
    assert graph.parameters == 33_371_472  # torchvision's table


class Siamese(nn.Module):
    """Two images through one residual model, and a number."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = residual_model(2)

    def forward(self, left: Tensor, right: Tensor, scale: float = 1.0) -> Tensor:
        return (self.encoder(left) - self.encoder(right)).pow(2).mean((1, 2, 3)) * scale


class Branching(Siamese):
    """The same with a question that only the recorder can trace."""

    def forward(self, left: Tensor, right: Tensor, scale: float = 1.0) -> Tensor:
        if float(scale) < 0:
            raise ValueError("scale")
        return super().forward(left, right, scale)


PAIR = torch.randn(2, 1, *SIZES[2], generator=torch.Generator().manual_seed(0)).unbind()


@pytest.mark.parametrize("kind", [Siamese, Branching])
@pytest.mark.parametrize(
    "inputs", [PAIR, list(PAIR), {"right": PAIR[1], "left": PAIR[0]}, (*PAIR, 2.0)]
)
def test_several_inputs_are_given_as_examples(kind: type[Siamese], inputs: Any) -> None:
    model = kind().eval()
    graph = trace(model, example_inputs=inputs)
    # The encoder runs twice.
    assert [skip.kind for skip in graph.skips].count(MergeKind.ADD) == 4
    assert [node.name for node in graph.nodes if node.op == "input"] == ["input", "input_1"]
    with_merges = insert_merges(model, example_inputs=inputs)
    left, right = torch.randn(2, 3, *SIZES[2]).unbind()
    # A recorded model has the numbers of its example as constants.
    is_recorded = kind is Branching and len(inputs) == 3
    expected = model(left, right, 2.0 if is_recorded else 1.0)
    assert torch.equal(with_merges(left, right), expected)
    add = "encoder.1.add"
    with torch.no_grad(), intervene(with_merges, ScaleInput(add, "branch", 0)):
        assert not torch.equal(with_merges(left, right), expected)


def test_numbers_are_those_of_one_image_whatever_the_batch_of_the_example() -> None:
    inputs = torch.randn(7, *SIZES[2])
    model = residual_model(2)
    assert trace(model, example_inputs=inputs) == trace(model, SIZES[2])
    pair = (inputs, inputs)
    assert trace(Siamese(), example_inputs=pair) == trace(Siamese(), example_inputs=PAIR)


def test_paths_from_two_inputs_have_no_fork() -> None:
    class Sum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(2, 2, 3, padding=1)

        def forward(self, left: Tensor, right: Tensor) -> Tensor:
            return left + self.conv(right)

    graph = trace(Sum(), example_inputs=PAIR)
    assert (len(graph.merges), graph.skips) == (1, ())


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (None, "forward also needs right. Pass all inputs as example_inputs"),
        (PAIR[:1], r"example_inputs do not fit forward(left, right, scale): missing a required"),
        ((*PAIR, 1.0, 2), "too many positional arguments"),
        ({"left": PAIR[0], "up": PAIR[1]}, "missing a required argument: 'right'"),
        (5, "example_inputs must be a tensor, a tuple of tensors or a dict"),
        ("ab", "example_inputs must be a tensor, a tuple of tensors or a dict"),
        ((1, 2), "example_inputs must hold at least one tensor"),
        (([PAIR[0]], PAIR[1]), "example_inputs must be tensors or plain numbers, got list"),
    ],
)
def test_inputs_that_do_not_fit_are_explained(inputs: Any, message: str) -> None:
    with pytest.raises(TraceError, match=re.escape(message)):
        trace(Siamese(), SIZES[2], example_inputs=inputs)


@pytest.mark.parametrize(
    ("axes", "wrong", "expected"),
    [(1, (2, 40, 40), "(C, L)"), (2, (2, 40), "(C, H, W)"), (3, (2, 8, 8), "(C, D, H, W)")],
)
def test_the_size_has_as_many_numbers_as_the_convolutions_need(
    axes: int, wrong: tuple[int, ...], expected: str
) -> None:
    with pytest.raises(TraceError, match=re.escape(f"input_size must be {expected}")):
        trace(residual_model(axes), wrong)
