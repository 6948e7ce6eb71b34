"""Compare lesions with models that are changed and run one by one."""

from collections.abc import Iterator
from functools import cache

import pytest
import torch
from torch import Tensor, nn

from lightning_resnets.analysis.ablation_targets import (
    ablation_targets,
    supported_targets,
    swappable_neighbors,
)
from lightning_resnets.analysis.lesion import LesionErrors, LesionResult, lesion
from lightning_resnets.analysis.result import LabeledImages
from lightning_resnets.errors import AnalysisCancelled, AnalysisError
from lightning_resnets.graph import trace_nodes
from lightning_resnets.graph.insert_merges import insert_merges
from lightning_resnets.interventions import BypassBlock, RemoveBlock, ScaleInput, intervene
from lightning_resnets.merges import Add, Concat
from lightning_resnets.models.registry import create_model
from tests.helpers.hooks import has_hooks

SIZE = (3, 16, 16)


def lively(model: nn.Module) -> nn.Module:
    """Randomize batch norms, as in a trained model."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
            assert module.running_mean is not None
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
    return model.eval()


@cache
def made(name: str) -> nn.Module:
    torch.manual_seed(0)
    return lively(create_model(name))


@cache
def make_images() -> LabeledImages:
    """Label images by the model's predictions, except for a few: the error is 10 %."""
    images = torch.randn(40, *SIZE, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        labels = made("resnet20")(images).argmax(1)
    return LabeledImages(images, torch.cat((labels[:36], (labels[36:] + 1) % 10)))


@pytest.fixture
def model() -> Iterator[nn.Module]:
    model = made("resnet20")
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    yield model
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    assert [module.training for module in model.modules()] == modes
    assert not has_hooks(model)


def wrong(model: nn.Module) -> float:
    with torch.no_grad():
        return float(
            (model(make_images().images).argmax(1) != make_images().labels).double().mean()
        )


def test_errors_match_removing_one_block(model: nn.Module) -> None:
    found = lesion(model, make_images(), num_draws=0, batch_size=13).errors
    assert found.intact_error == pytest.approx(0.1) == wrong(model)
    blocks = [f"layer{stage}.{block}" for stage in (1, 2, 3) for block in range(3)]
    assert list(found.error_without_block) == blocks
    for block in blocks:
        with intervene(model, RemoveBlock(block)):
            assert found.error_without_block[block] == wrong(model)
    assert len(set(found.error_without_block.values())) > 3


def test_errors_match_removing_and_swapping_blocks(model: nn.Module) -> None:
    found = lesion(model, make_images(), num_draws=1, drop_counts=[9]).errors
    with intervene(model, *map(RemoveBlock, found.error_without_block)):
        assert found.error_without_k_blocks == {9: (wrong(model),)}
    assert list(found.error_with_swap) == [
        ("layer1.0", "layer1.1"),
        ("layer1.1", "layer1.2"),
        ("layer2.1", "layer2.2"),
        ("layer3.1", "layer3.2"),
    ]
    for one, other in found.error_with_swap:
        reference = create_model("resnet20").eval()
        state = model.state_dict()
        for name in list(state):
            for a, b in ((one, other), (other, one)):
                if name.startswith(f"{a}."):
                    reference.state_dict()[name].copy_(state[b + name.removeprefix(a)])
                    break
            else:
                reference.state_dict()[name].copy_(state[name])
        assert found.error_with_swap[one, other] == wrong(reference)


def test_plain_blocks_are_bypassed() -> None:
    model = made("plain20")
    found = lesion(made("resnet20"), make_images(), model, num_draws=0).baseline_errors
    assert found
    assert list(found.error_without_block) == [
        "layer1.0",
        "layer1.1",
        "layer1.2",
        "layer2.1",
        "layer2.2",
        "layer3.1",
        "layer3.2",
    ]
    for block, error in found.error_without_block.items():
        handle = model.get_submodule(block).register_forward_hook(lambda m, args, output: args[0])
        assert error == wrong(model)
        handle.remove()


def test_dense_layers_are_zeroed() -> None:
    torch.manual_seed(0)
    model = lively(create_model("densenet_bc_40_12"))
    found = lesion(model, make_images(), num_draws=0).errors
    assert len(found.error_without_block) == 18
    for block in list(found.error_without_block)[::5]:
        made = model.get_submodule(block).register_forward_hook(
            lambda m, args, output: torch.zeros_like(output)
        )
        assert found.error_without_block[block] == wrong(model)
        made.remove()
    assert any(isinstance(module, Concat) for module in model.modules())


@pytest.mark.slow
def test_torchvision_model_has_the_same_errors() -> None:
    from torchvision.models import resnet18

    torch.manual_seed(0)
    theirs = lively(resnet18(num_classes=10))
    ours = create_model("resnet18", num_classes=10)
    ours.load_state_dict(theirs.state_dict())
    few = LabeledImages(torch.randn(4, 3, 64, 64), torch.arange(4))
    shown = insert_merges(theirs, (3, 64, 64))
    one, other = lesion(shown, few, seed=3).errors, lesion(ours, few, seed=3).errors
    assert one == other
    assert len(one.error_without_block) == 8
    assert list(one.error_with_swap) == [
        ("layer1.0", "layer1.1")
    ]  # in all other stages the first block is wider than its input


def test_neighbors_of_other_shapes_are_not_swapped() -> None:
    model = made("densenet_bc_40_12")
    traced = trace_nodes(model, SIZE)
    assert swappable_neighbors(model, traced, ablation_targets(model, traced, SIZE), SIZE) == ()


def test_targets_are_interventions(model: nn.Module) -> None:
    dense, plain = made("densenet_bc_40_12"), made("plain20")
    assert ablation_targets(model, trace_nodes(model, SIZE), SIZE)["layer2.0"] == ScaleInput(
        "layer2.0.add", 1, 0.0
    )
    assert ablation_targets(plain, trace_nodes(plain, SIZE), SIZE)["layer2.1"] == BypassBlock(
        "layer2.1"
    )
    layer = "features.denseblock2.denselayer3"
    with (
        torch.no_grad(),
        intervene(dense, ablation_targets(dense, trace_nodes(dense, SIZE), SIZE)[layer]),
    ):
        cut = dense(make_images().images)
    with torch.no_grad(), intervene(dense, RemoveBlock(layer)):
        assert torch.equal(dense(make_images().images), cut)


def test_draws_are_random(model: nn.Module) -> None:
    """Each draw of one block has the error of that block, and draws differ."""
    found = lesion(model, make_images(), num_draws=12, drop_counts=[1]).errors
    assert set(found.error_without_k_blocks[1]) <= set(found.error_without_block.values())
    assert len(set(found.error_without_k_blocks[1])) > 1


def test_same_seed_draws_the_same_blocks(model: nn.Module) -> None:
    one, other = (
        lesion(model, make_images(), num_draws=2, drop_counts=[2, 3], seed=5) for _ in range(2)
    )
    assert one == other
    assert {k: len(errors) for k, errors in one.errors.error_without_k_blocks.items()} == {
        2: 2,
        3: 2,
    }


def test_cancel_leaves_the_model_unchanged(model: nn.Module) -> None:
    heard: list[tuple[int, int]] = []
    lesion(
        model,
        make_images(),
        num_draws=1,
        batch_size=20,
        progress=lambda done, total: heard.append((done, total)),
    )
    assert heard == [(i, heard[0][1]) for i in range(heard[0][1] + 1)]

    def stop(done: int, total: int) -> None:
        if done == 3:
            raise AnalysisCancelled

    model.train()
    with pytest.raises(AnalysisCancelled):
        lesion(model, make_images(), progress=stop)
    assert all(module.training for module in model.modules())
    model.eval()


def test_table_and_figure(model: nn.Module) -> None:
    from matplotlib.figure import Figure

    found = lesion(model, make_images(), made("plain20"), num_draws=1, drop_counts=[2])
    lines = found.tables()["lesion"].csv().splitlines()
    assert lines[:2] == ["model,change,blocks,error,reason_skipped", "ResNet,intact,0,0.1,"]
    assert any(line.startswith("ResNet (baseline),") for line in lines)
    figure = Figure((8, 5))
    found.draw(figure)
    figure.canvas.draw()
    assert [axes.get_ylabel() for axes in figure.axes] == ["error (%)"] * 3
    assert (
        figure.get_suptitle()
        == "ResNet vs. ResNet (baseline) · error with blocks dropped or swapped · 40 images"
    )


def test_figure_without_swaps_has_two_panels() -> None:
    from matplotlib.figure import Figure

    errors = LesionErrors(10, 0.1, {"a": 0.5, "b": 0.25}, {2: (0.75,)}, {})
    figure = Figure((8, 5))
    LesionResult(errors, None, 40, "dense").draw(figure)
    assert [axes.get_xlabel().split()[0] for axes in figure.axes] == ["dropped", "number"]


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


def test_skipped_layers_have_a_reason() -> None:
    from matplotlib.figure import Figure

    torch.manual_seed(0)
    found = lesion(Mixed().eval(), make_images(), num_draws=1, model_name="mixed")
    assert list(found.errors.error_without_block) == ["add"]
    assert list(found.errors.skipped_blocks) == ["three"]
    (row,) = [row for row in found.tables()["lesion"].rows if row[1] == "without three"]
    assert row[3] is None
    assert "residual blocks" in str(row[4])
    figure = Figure((8, 5))
    found.draw(figure)
    assert "1 cannot be dropped" in figure.axes[0].get_xlabel()


def test_unsupported_blocks_are_skipped(model: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    traced = trace_nodes(model, SIZE)
    asked = {**ablation_targets(model, traced, SIZE), "layer9": ScaleInput("layer9.add", 1, 0.0)}
    kept, left_out = supported_targets(model, traced, asked)
    assert list(kept) == list(asked)[:-1]
    assert "layer9.add" in left_out["layer9"]
    with pytest.raises(AnalysisError, match=r"^No block of the model can be dropped: .*layer9.add"):
        supported_targets(model, traced, {"layer9": ScaleInput("layer9.add", 1, 0.0)})


def test_invalid_input_raises(model: nn.Module) -> None:
    with pytest.raises(
        AnalysisError, match=r"^drop_counts must be between 1 and the model's 9 blocks, got 12\.$"
    ):
        lesion(model, make_images(), drop_counts=[12])
    with pytest.raises(AnalysisError, match="no block to drop"):
        lesion(nn.Sequential(nn.Flatten(), nn.Linear(768, 10)), make_images())
    with pytest.raises(AnalysisError, match=r"^At least one image is required"):
        LabeledImages(torch.zeros(0, 3, 8, 8), torch.zeros(0, dtype=torch.int64))
