"""Logits are found in dicts, dataclasses and tuples, and the model then returns them alone."""

from collections import OrderedDict, namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lightning_resnets.errors import ModelError
from lightning_resnets.graph import trace
from lightning_resnets.graph.insert_merges import insert_merges
from lightning_resnets.models.logits import find_logits, return_logits

SIZE = (3, 8, 8)


@dataclass
class ModelOutput:
    loss: Tensor | None
    logits: Tensor
    hidden_states: tuple[Tensor, ...]


Pair = namedtuple("Pair", ["features", "scores"])

Wrap = Callable[[Tensor, Tensor, Tensor], Any]

OUTPUTS: dict[str, Wrap] = {
    "dict": lambda logits, features, maps: {"features": features, "logits": logits},
    "ordered dict": lambda logits, features, maps: OrderedDict(out=logits, aux=maps),
    "dict without the name": lambda logits, features, maps: {"maps": maps, "y": logits},
    "dataclass": lambda logits, features, maps: ModelOutput(None, logits, (maps, features)),
    "tuple, logits first": lambda logits, features, maps: (logits, features),
    "tuple, logits last": lambda logits, features, maps: (maps, features, logits),
    "list": lambda logits, features, maps: [logits, maps],
    "named tuple": lambda logits, features, maps: Pair(features, logits),
    "nested": lambda logits, features, maps: {"head": {"pred": logits}, "body": (maps, features)},
    "tuple of one": lambda logits, features, maps: (logits,),
}


class Net(nn.Module):
    """A residual block with a head; it returns its outputs in a container."""

    def __init__(self, wrap: Wrap) -> None:
        super().__init__()
        self.wrap = wrap
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.fc = nn.Linear(4, 5)

    def forward(self, images: Tensor) -> Any:
        maps = self.stem(images)
        maps = maps + self.conv(maps)
        features = maps.mean((2, 3))
        return self.wrap(self.fc(features), features, maps)


def make_net(name: str) -> tuple[Net, Net]:
    """Return a model with such an output, and one with the same weights that returns logits."""
    torch.manual_seed(0)
    net = Net(OUTPUTS[name]).eval()
    plain = Net(lambda logits, features, maps: logits).eval()
    plain.load_state_dict(net.state_dict())
    return net, plain


@pytest.mark.parametrize("name", OUTPUTS)
@pytest.mark.parametrize("num_classes", [5, None])
def test_model_returns_its_logits_alone(name: str, num_classes: int | None) -> None:
    if num_classes is None and name == "tuple, logits last":
        pytest.skip("two matrices in a tuple: the number of classes decides")
    net, plain = make_net(name)
    keys = list(net.state_dict())
    note = return_logits(net, SIZE, num_classes)
    assert note.startswith("Net returns several outputs; its logits are [")
    x = torch.randn(3, *SIZE)
    assert torch.equal(net(x), plain(x))
    # Names, type and class name stay.
    assert list(net.state_dict()) == keys
    assert isinstance(net, Net)
    assert type(net).__name__ == "Net"


@pytest.mark.parametrize("name", OUTPUTS)
def test_model_is_traced_and_gets_merges(name: str) -> None:
    net, plain = make_net(name)
    return_logits(net, SIZE, 5)
    assert len(trace(net, SIZE).skips) == len(trace(plain, SIZE).skips) == 1
    x = torch.randn(2, *SIZE)
    torch.testing.assert_close(insert_merges(net, SIZE)(x), plain(x))


def test_model_with_one_tensor_is_left_alone() -> None:
    plain = Net(lambda logits, features, maps: logits).eval()
    assert return_logits(plain, SIZE, 5) == ""
    assert type(plain) is Net


def test_name_decides_between_equal_shapes() -> None:
    logits, other = torch.zeros(2, 5), torch.ones(2, 5)
    assert find_logits({"aux": other, "logits": logits}, 5) == ("logits",)
    assert find_logits({"out": other, "logits": logits}, 5) == ("logits",)
    assert find_logits((logits, other), 5) == (0,)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ({"out": torch.zeros(2, 5, 8, 8)}, r"dict with \['out'\] 2×5×8×8"),
        ({"a": torch.zeros(2, 5), "b": torch.zeros(2, 5)}, r"none is clearly the logits \(N, 5\)"),
        ({"logits": torch.zeros(2, 7)}, r"logits \(N, 5\)"),
        ({}, "no tensor"),
        (None, "NoneType with no tensor"),
        ("text", "str with no tensor"),
    ],
)
def test_other_outputs_raise_one_message(output: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        find_logits(output, 5)
    assert str(caught.value).endswith("Return the logits alone, or name them 'logits'.")
