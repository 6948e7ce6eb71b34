"""Lesions against nets that are cut the slow way, one forward pass each; and the net is left as it was."""

from collections.abc import Iterator
from functools import cache

import pytest
import torch
from torch import Tensor, nn

from lightning_resnets.analysis.lesion import LesionResult, Wounds, lesion
from lightning_resnets.analysis.result import AnalysisError, Cancelled, Pictures
from lightning_resnets.analysis.targets import droppable, neighbours, targets
from lightning_resnets.graph import follow
from lightning_resnets.graph.reveal import reveal
from lightning_resnets.merge import Add, Concat
from lightning_resnets.surgery import Bypass, Drop, Scale, operate
from lightning_resnets.zoo import build

SIZE = (3, 16, 16)


def lively(net: nn.Module) -> nn.Module:
    """Norms that do something, as those of a trained net."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
            assert module.running_mean is not None
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
    return net.eval()


@cache
def made(name: str) -> nn.Module:
    torch.manual_seed(0)
    return lively(build(name))


@cache
def pictures() -> Pictures:
    """Labels are what the residual net says, but for a few: an error that is small and not 0."""
    images = torch.randn(40, *SIZE, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        labels = made("resnet20")(images).argmax(1)
    return Pictures(images, torch.cat((labels[:36], (labels[36:] + 1) % 10)))


@pytest.fixture
def net() -> Iterator[nn.Module]:
    net = made("resnet20")
    before = {name: weight.clone() for name, weight in net.state_dict().items()}
    modes = [module.training for module in net.modules()]
    yield net
    assert all(torch.equal(weight, before[name]) for name, weight in net.state_dict().items())
    assert [module.training for module in net.modules()] == modes
    assert not [name for m in net.modules() for name, table in vars(m).items() if name.endswith("_hooks") and table]


def wrong(net: nn.Module) -> float:
    with torch.no_grad():
        return float((net(pictures().images).argmax(1) != pictures().labels).double().mean())


def test_dropping_is_surgery_one_block_at_a_time(net: nn.Module) -> None:
    found = lesion(net, pictures(), draws=0, batch=13).net
    assert found.intact == pytest.approx(0.1) == wrong(net)
    blocks = [f"layer{stage}.{block}" for stage in (1, 2, 3) for block in range(3)]
    assert list(found.dropped) == blocks
    for block in blocks:
        with operate(net, Drop(block)):
            assert found.dropped[block] == wrong(net)
    assert len(set(found.dropped.values())) > 3


def test_several_and_swapped_are_surgery_on_whole_nets(net: nn.Module) -> None:
    found = lesion(net, pictures(), draws=1, counts=[9]).net
    with operate(net, *map(Drop, found.dropped)):
        assert found.several == {9: (wrong(net),)}
    assert list(found.swapped) == [
        ("layer1.0", "layer1.1"), ("layer1.1", "layer1.2"), ("layer2.1", "layer2.2"), ("layer3.1", "layer3.2"),
    ]  # fmt: skip
    for one, other in found.swapped:
        twin = build("resnet20").eval()
        state = net.state_dict()
        for name in list(state):
            for a, b in ((one, other), (other, one)):
                if name.startswith(f"{a}."):
                    twin.state_dict()[name].copy_(state[b + name.removeprefix(a)])
                    break
            else:
                twin.state_dict()[name].copy_(state[name])
        assert found.swapped[one, other] == wrong(twin)


def test_plain_blocks_are_skipped_by_a_hook() -> None:
    net = made("plain20")
    found = lesion(made("resnet20"), pictures(), net, draws=0).twin
    assert found
    assert list(found.dropped) == [
        "layer1.0", "layer1.1", "layer1.2", "layer2.1", "layer2.2", "layer3.1", "layer3.2"
    ]  # fmt: skip
    for block, error in found.dropped.items():
        handle = net.get_submodule(block).register_forward_hook(lambda m, args, output: args[0])
        assert error == wrong(net)
        handle.remove()


def test_dense_layers_count_as_zero_in_every_concat() -> None:
    torch.manual_seed(0)
    net = lively(build("densenet_bc_40_12"))
    found = lesion(net, pictures(), draws=0).net
    assert len(found.dropped) == 18
    for block in list(found.dropped)[::5]:
        made = net.get_submodule(block).register_forward_hook(lambda m, args, output: torch.zeros_like(output))
        assert found.dropped[block] == wrong(net)
        made.remove()
    assert any(isinstance(module, Concat) for module in net.modules())


@pytest.mark.slow
def test_a_revealed_net_has_the_same_lesions() -> None:
    from torchvision.models import resnet18

    torch.manual_seed(0)
    theirs = lively(resnet18(num_classes=10))
    ours = build("resnet18", classes=10)
    ours.load_state_dict(theirs.state_dict())
    few = Pictures(torch.randn(4, 3, 64, 64), torch.arange(4))
    shown = reveal(theirs, (3, 64, 64))
    one, other = lesion(shown, few, seed=3).net, lesion(ours, few, seed=3).net
    assert one == other
    assert len(one.dropped) == 8
    assert list(one.swapped) == [
        ("layer1.0", "layer1.1")
    ]  # in all other stages the first block is wider than its input


def test_neighbours_of_other_shapes_stay() -> None:
    net = made("densenet_bc_40_12")
    followed = follow(net, SIZE)
    assert neighbours(net, followed, targets(net, followed, SIZE), SIZE) == ()


def test_what_is_dropped_is_said_as_surgery(net: nn.Module) -> None:
    dense, plain = made("densenet_bc_40_12"), made("plain20")
    assert targets(net, follow(net, SIZE), SIZE)["layer2.0"] == Scale("layer2.0.add", 1, 0.0)
    assert targets(plain, follow(plain, SIZE), SIZE)["layer2.1"] == Bypass("layer2.1")
    layer = "features.denseblock2.denselayer3"
    with torch.no_grad(), operate(dense, targets(dense, follow(dense, SIZE), SIZE)[layer]):
        cut = dense(pictures().images)
    with torch.no_grad(), operate(dense, Drop(layer)):
        assert torch.equal(dense(pictures().images), cut)


def test_draws_are_of_blocks_at_random(net: nn.Module) -> None:
    """One block at a time: each draw is the lesion of one, and they are not all of the same."""
    found = lesion(net, pictures(), draws=12, counts=[1]).net
    assert set(found.several[1]) <= set(found.dropped.values())
    assert len(set(found.several[1])) > 1


def test_the_same_seed_draws_the_same_blocks(net: nn.Module) -> None:
    one, other = (lesion(net, pictures(), draws=2, counts=[2, 3], seed=5) for _ in range(2))
    assert one == other
    assert {k: len(errors) for k, errors in one.net.several.items()} == {2: 2, 3: 2}


def test_progress_and_cancel_leave_the_net_alone(net: nn.Module) -> None:
    heard: list[tuple[int, int]] = []
    lesion(net, pictures(), draws=1, batch=20, tell=lambda done, total: heard.append((done, total)))
    assert heard == [(i, heard[0][1]) for i in range(heard[0][1] + 1)]

    def stop(done: int, total: int) -> None:
        if done == 3:
            raise Cancelled

    net.train()
    with pytest.raises(Cancelled):
        lesion(net, pictures(), tell=stop)
    assert all(module.training for module in net.modules())
    net.eval()


def test_table_and_figure(net: nn.Module) -> None:
    from matplotlib.figure import Figure

    found = lesion(net, pictures(), made("plain20"), draws=1, counts=[2])
    lines = found.tables()["lesion"].csv().splitlines()
    assert lines[:2] == ["net,change,blocks,error,note", "ResNet,intact,0,0.1,"]
    assert any(line.startswith("ResNet (twin),") for line in lines)
    figure = Figure((8, 5))
    found.draw(figure)
    figure.canvas.draw()
    assert [axes.get_ylabel() for axes in figure.axes] == ["error (%)"] * 3
    assert (
        figure.get_suptitle() == "ResNet beside ResNet (twin) · error when blocks are dropped or swapped · 40 pictures"
    )


def test_a_net_without_neighbours_to_swap_has_no_panel_of_them() -> None:
    from matplotlib.figure import Figure

    wounds = Wounds(10, 0.1, {"a": 0.5, "b": 0.25}, {2: (0.75,)}, {})
    figure = Figure((8, 5))
    LesionResult(wounds, None, 40, "dense").draw(figure)
    assert [axes.get_xlabel().split()[0] for axes in figure.axes] == ["the", "number"]


class Mixed(nn.Module):
    """A block that adds, and then a dense layer."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.three = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)
        self.add, self.cat = Add(), Concat()
        self.stem, self.fc = nn.Conv2d(3, 4, 1), nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = self.add(x, self.one(x))
        x = self.cat(x, self.three(x))
        return self.fc(x.mean((2, 3)))


def test_layers_that_are_left_out_are_named() -> None:
    from matplotlib.figure import Figure

    torch.manual_seed(0)
    found = lesion(Mixed().eval(), pictures(), draws=1, name="mixed")
    assert list(found.net.dropped) == ["add"]
    assert list(found.net.left_out) == ["three"]
    (row,) = [row for row in found.tables()["lesion"].rows if row[1] == "without three"]
    assert row[3] is None
    assert "residual blocks" in str(row[4])
    figure = Figure((8, 5))
    found.draw(figure)
    assert "1 cannot be" in figure.axes[0].get_xlabel()


def test_a_block_that_cannot_be_dropped_is_passed_over(net: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    followed = follow(net, SIZE)
    asked = {**targets(net, followed, SIZE), "layer9": Scale("layer9.add", 1, 0.0)}
    kept, left_out = droppable(net, followed, asked)
    assert list(kept) == list(asked)[:-1]
    assert "layer9.add" in left_out["layer9"]
    with pytest.raises(AnalysisError, match=r"^No block of this net can be dropped: .*layer9.add"):
        droppable(net, followed, {"layer9": Scale("layer9.add", 1, 0.0)})


def test_wrong_input_is_answered_with_one_sentence(net: nn.Module) -> None:
    with pytest.raises(AnalysisError, match=r"^12 blocks cannot be dropped: this net has 9\.$"):
        lesion(net, pictures(), counts=[12])
    with pytest.raises(AnalysisError, match="no block to drop"):
        lesion(nn.Sequential(nn.Flatten(), nn.Linear(768, 10)), pictures())
    with pytest.raises(AnalysisError, match="no picture"):
        Pictures(torch.zeros(0, 3, 8, 8), torch.zeros(0, dtype=torch.int64))
