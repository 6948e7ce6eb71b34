"""Test analyses of models with functional merges: the model itself stays as it is."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_resnets.analysis.eval_context import with_merges
from lightning_resnets.analysis.feature_reuse import feature_reuse
from lightning_resnets.analysis.gate_weights import gate_weights
from lightning_resnets.analysis.gradient_flow import gradient_flow
from lightning_resnets.analysis.layer_responses import layer_responses
from lightning_resnets.analysis.lesion import lesion
from lightning_resnets.analysis.paths import paths
from lightning_resnets.analysis.receptive_field import receptive_field
from lightning_resnets.analysis.result import LabeledImages, Result
from lightning_resnets.errors import AnalysisError
from lightning_resnets.graph.insert_merges import insert_merges

SIZE = (3, 8, 8)


class Block(nn.Module):
    """A squeeze-and-excitation block with functional merges, some in place."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.conv2, self.bn2 = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.fc, self.relu = nn.Conv2d(4, 4, 1), nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        y = y * torch.sigmoid(self.fc(y.mean((2, 3), keepdim=True)))
        y += x
        return self.relu(y)


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.blocks = nn.Conv2d(3, 4, 3, padding=1), nn.Sequential(Block(), Block())
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(self.stem(x)).mean((2, 3)))


class Dense(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        convs = [nn.Conv2d(3 + 2 * i, 2, 3, padding=1) for i in range(3)]
        self.layers = nn.ModuleList([nn.Sequential(conv, nn.ReLU()) for conv in convs])
        self.head = nn.Linear(9, 3)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = torch.cat([x, layer(x)], 1)
        return self.head(x.mean((2, 3)))


class Shuffling(nn.Module):
    """Half of the channels bypass the branch."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.branch, self.head = (
            nn.Conv2d(3, 4, 1),
            nn.Conv2d(2, 2, 3, padding=1),
            nn.Linear(4, 3),
        )

    def forward(self, x: Tensor) -> Tensor:
        kept, changed = self.stem(x).chunk(2, 1)
        return self.head(torch.cat((self.branch(changed), kept), 1).mean((2, 3)))


def make_images() -> LabeledImages:
    rng = torch.Generator().manual_seed(0)
    return LabeledImages(torch.randn(6, *SIZE, generator=rng), torch.tensor([0, 1, 2, 0, 1, 2]))


def made(kind: type[nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    model = kind()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            module.running_var = torch.rand(4) + 0.5
            module.num_batches_tracked = torch.tensor(7)
    return model.train()


CALLS: dict[str, tuple[type[nn.Module], Callable[[nn.Module], Result]]] = {
    "paths": (Residual, lambda model: paths(model, make_images())),
    "gradients": (Residual, lambda model: gradient_flow(model, make_images(), made(Residual))),
    "gates": (Residual, lambda model: gate_weights(model, make_images())),
    "lesion": (Residual, lambda model: lesion(model, make_images(), made(Residual))),
    "responses": (Residual, lambda model: layer_responses(model, make_images(), made(Residual))),
    "receptive": (Residual, lambda model: receptive_field(model, SIZE, images=2)),
    "reuse": (Dense, lambda model: feature_reuse(model, SIZE)),
    "paths of a dense model": (Dense, lambda model: paths(model, make_images())),
    "lesion of a dense model": (Dense, lambda model: lesion(model, make_images())),
}


@pytest.mark.parametrize("name", CALLS)
def test_analyses_insert_merges_themselves(name: str) -> None:
    kind, call = CALLS[name]
    model = made(kind)
    state = {key: value.clone() for key, value in model.state_dict().items()}
    parts = list(model.named_modules())
    given, expected = call(model).tables(), call(insert_merges(model, SIZE)).tables()
    assert str(given) == str(expected)  # as text: what is not a number equals itself
    assert any(table.rows for table in given.values())
    assert list(model.named_modules()) == parts
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert all(weight.grad is None and weight.requires_grad for weight in model.parameters())
    for part in model.modules():
        assert part.training
        assert not any((part._forward_hooks, part._forward_pre_hooks, part._backward_hooks))


def test_counts_match_hand_counts() -> None:
    assert paths(made(Residual), make_images()).counts == (1, 2, 1)
    assert list(lesion(made(Residual), make_images()).errors.error_without_block) == [
        "blocks.0",
        "blocks.1",
    ]
    assert len(gradient_flow(made(Residual), make_images()).flows) == 2
    assert len(gate_weights(made(Residual), make_images()).tables()) > 0
    assert list(lesion(made(Dense), make_images()).errors.error_without_block) == [
        "layers.0.1",
        "layers.1.1",
        "layers.2.1",
    ]
    assert list(lesion(made(Shuffling), make_images()).errors.error_without_block) == ["branch"]


def test_channel_shuffle_is_not_a_dense_block() -> None:
    with pytest.raises(
        AnalysisError, match=r"^The model has no dense block\. Its skip connections: concat\.$"
    ):
        feature_reuse(made(Shuffling), SIZE)


def test_weight_gradients_are_unchanged() -> None:
    model = made(Residual).eval()
    shown = with_merges(model, SIZE)
    assert {id(weight) for weight in shown.parameters()} == {
        id(weight) for weight in model.parameters()
    }
    some = make_images()
    sums = []
    for one in (model, shown):
        loss = F.cross_entropy(one(some.images), some.labels)
        sums.append(torch.autograd.grad(loss, list(model.parameters())))
    assert all(torch.equal(a, b) for a, b in zip(*sums, strict=True))


def test_model_without_functional_merges_is_returned() -> None:
    plain = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU())
    assert with_merges(plain, SIZE) is plain
    shown = insert_merges(made(Residual), SIZE)
    assert with_merges(shown, SIZE) is shown
    assert with_merges(plain, (5, 8, 8)) is plain, (
        "what cannot be traced is left to those who follow it"
    )
