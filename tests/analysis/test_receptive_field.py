"""Compare receptive fields with the literature and with gradients of positive weights."""

import copy
from functools import cache
from itertools import product

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_resnets.analysis.receptive_field import field_width_and_spread, receptive_field
from lightning_resnets.errors import AnalysisCancelled, AnalysisError
from lightning_resnets.graph.insert_merges import insert_merges
from lightning_resnets.interventions import ScaleInput, intervene
from lightning_resnets.merges import Add, Concat
from lightning_resnets.models.registry import create_model
from lightning_resnets.utils.skip_init import skip_init
from tests.helpers.hooks import has_hooks


@cache
def make_model(name: str) -> nn.Module:
    torch.manual_seed(1)
    return create_model(name).eval()


# Araujo, Norris, Sim 2019, Computing Receptive Fields of CNNs (Distill): AlexNet and VGG-16 from
# its table; ResNet-50 (stride in the 3x3) by its formula: 7 + 2 * 2 (pool)
# + 2 * (3 * 4 + (4 + 3 * 8) + (8 + 5 * 16) + (16 + 2 * 32)) = 427.
@pytest.mark.slow  # torchvision's models are imported
@pytest.mark.parametrize(
    ("name", "side", "last", "size"),
    [
        ("alexnet", 224, "features.12", 195),
        ("vgg16", 224, "features.30", 212),
        ("resnet50", 224, "layer4.2", 427),
    ],
)
def test_fields_match_published_sizes(name: str, side: int, last: str, size: int) -> None:
    with skip_init():
        made = create_model(name, 1000)
    reach = receptive_field(made, (3, side, side), images=0).theoretical[last]
    assert [span.size for span in reach.longest] == [size, size]
    assert reach.longest[0].stride == 32


def positive(model: nn.Module) -> nn.Module:
    """Return a copy with positive weights and without maxima, so that no gradient cancels."""
    model = copy.deepcopy(model)
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.MaxPool2d):
                setattr(module, name, nn.AvgPool2d(child.kernel_size, child.stride, child.padding))
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean, module.running_var = (
                torch.zeros(module.num_features),
                torch.ones(module.num_features),
            )
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Conv2d):
            nn.init.constant_(module.weight, 1.0 / module.weight[0].numel())
    return model.double().eval()


def box(model: nn.Module, part: str, side: int) -> tuple[int, int, int]:
    """Return height, width and first row of the center's gradient in a large image."""
    seen: list[Tensor] = []
    handle = model.get_submodule(part).register_forward_hook(lambda *given: seen.append(given[2]))
    image = torch.ones(1, 3, side, side, dtype=torch.float64, requires_grad=True)
    model(image)
    handle.remove()
    middle = seen[0].shape[2] // 2
    (gradient,) = torch.autograd.grad(seen[0][:, :, middle, middle].sum(), image)
    rows = gradient.abs().sum((0, 1, 3)).nonzero().flatten()
    columns = gradient.abs().sum((0, 1, 2)).nonzero().flatten()
    return len(rows), len(columns), int(rows[0])


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("resnet20", "layer2.2"),
        ("plain20", "layer3.0"),
        pytest.param("preresnet56", "layer2.4", marks=pytest.mark.slow),
        pytest.param("densenet_bc_40_12", "features.transition2", marks=pytest.mark.slow),
        pytest.param("highway19", "layer2.2", marks=pytest.mark.slow),
    ],
)
def test_longest_path_matches_gradients(name: str, part: str) -> None:
    side = 192
    known = receptive_field(make_model(name), (3, side, side), images=0).theoretical
    part = part if part in known else list(known)[len(known) // 2]
    span = known[part].longest[0]
    height, width, top = box(positive(make_model(name)), part, side)
    assert (height, width) == (span.size, known[part].longest[1].size)
    assert top == side // span.stride // 2 * span.stride + span.first


@pytest.mark.slow
def test_shortest_path_matches_all_paths() -> None:
    """Let one operand of each Add through, in all combinations: the smallest box is ours."""
    model, blocks = (
        positive(make_model("resnet20")),
        [f"layer{i}.{j}" for i in (1, 2) for j in range(3)],
    )
    sizes: list[int] = []
    for way in product((0, 1), repeat=len(blocks)):
        with intervene(
            model,
            *(
                ScaleInput(f"{block}.add", side, 0.0)
                for block, side in zip(blocks, way, strict=True)
            ),
        ):
            sizes.append(box(model, "layer2.2", 96)[0])
    reach = receptive_field(make_model("resnet20"), (3, 96, 96), images=0).theoretical["layer2.2"]
    assert reach.shortest[0].size == min(sizes)
    assert reach.longest[0].size == max(sizes) == 37


class Odd(nn.Module):
    """Oblong, dilated and functional windows, a slice, a pad; two paths of different centers."""

    def __init__(self) -> None:
        super().__init__()
        self.tall, self.wide = (
            nn.Conv2d(3, 4, (7, 1), padding=(3, 0)),
            nn.Conv2d(3, 4, (1, 5), padding=(0, 2)),
        )
        self.holes, self.end = (
            nn.Conv2d(8, 8, 3, stride=2, padding=4, dilation=4),
            nn.Conv2d(8, 8, 2),
        )
        self.concat, self.add = Concat(), Add()

    def forward(self, x: Tensor) -> Tensor:
        x = self.concat(self.tall(x), self.wide(x))
        x = self.add(x[:, :, ::2, ::2], self.holes(x))
        return F.avg_pool2d(self.end(F.pad(x, (1, 0, 1, 0))), 2)


def test_mixed_windows_match_gradients() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(Odd(), nn.Conv2d(8, 2, 1))
    reach = receptive_field(model, (3, 64, 64), images=0).theoretical["1"]
    height, width, top = box(positive(model), "1", 64)
    assert (reach.longest[0].size, reach.longest[1].size) == (height, width)
    assert top == 8 * reach.longest[0].stride + reach.longest[0].first
    assert (reach.shortest[0].size, reach.shortest[1].size) == (
        5,
        5,
    )  # the 1 of the other, then windows 2 and 2 of step 2


def test_effective_field_of_one_convolution_is_its_weights() -> None:
    """The gradient of one convolution is its weights, summed over output channels."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 5, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 2)
    )
    field = receptive_field(model, (3, 9, 9), images=3).effective["0"]
    weights = model[0].weight.detach().sum(0).abs().mean(0)  # type: ignore[union-attr]
    expected = np.zeros((9, 9), np.float32)
    expected[3:6, 3:6] = (weights / weights.sum()).numpy()
    np.testing.assert_allclose(field, expected, rtol=1e-5)


def test_spread_is_a_standard_deviation() -> None:
    rows = np.arange(41) - 20
    bell = np.exp(-(rows[:, None] ** 2 + rows[None] ** 2) / 2 / 3**2).astype(np.float32)
    side, deviation = field_width_and_spread(bell / bell.sum())
    assert deviation == pytest.approx(3, abs=1e-3)
    assert side == pytest.approx(
        np.sqrt(np.pi * 9 * 2 * np.log(1 / 0.0455)), rel=0.02
    )  # a disc above 4.55 %
    assert field_width_and_spread(np.zeros((3, 3), np.float32)) == (0.0, 0.0)


def test_skips_keep_the_field_narrow() -> None:
    found = receptive_field(make_model("resnet20"), images=2, blocks=["layer2.2"])
    assert (
        field_width_and_spread(found.effective["layer2.2"])[1]
        < field_width_and_spread(found.effective_without_skips["layer2.2"])[1]
    )
    assert not receptive_field(
        make_model("plain20"), images=2, blocks=["layer2.2"]
    ).effective_without_skips


def test_gates_include_global_statistics() -> None:
    from torchvision.models import resnet18

    assert (
        receptive_field(make_model("seresnet20"), images=0).theoretical["layer1.0"].includes_global
    )
    assert (
        not receptive_field(make_model("resnet20"), images=0)
        .theoretical["layer3.2"]
        .includes_global
    )
    ours = receptive_field(
        insert_merges(resnet18().eval()), (3, 64, 64), images=1, blocks=["layer4.1"]
    )
    assert ours.theoretical["layer4.1"].longest[0].size == 435
    assert ours.effective_without_skips


def test_tables_and_figure() -> None:
    found = receptive_field(make_model("resnet20"), images=1)
    rows = found.tables()["receptive_field"].rows
    assert rows[-1][:9] == ("ResNet", "layer3.2", 4, 0.0, 3, 3, 81, 81, False)
    figure = Figure()
    found.draw(figure)
    assert figure.axes[0].get_ylabel() == "side (pixels)"
    title = "ResNet · theoretical and effective receptive field of each block · 1 image of noise"
    assert figure.get_suptitle() == title
    assert "square root of its gradient" in figure.get_supxlabel()


def test_invalid_blocks_and_unknown_fields_raise() -> None:
    with pytest.raises(AnalysisError, match=r"^The model has no block named 'layer9'"):
        receptive_field(make_model("resnet20"), images=0, blocks=["layer9"])
    model = nn.Sequential(nn.Conv2d(3, 3, 3), nn.Upsample(scale_factor=2))
    with pytest.raises(AnalysisError, match=r"^The receptive field of '1' is unknown: .*\.$"):
        receptive_field(model, (3, 16, 16), images=0, blocks=["1"])


@pytest.mark.parametrize("stop", [False, True])
def test_model_is_unchanged(stop: bool) -> None:
    model = copy.deepcopy(make_model("resnet20")).train()
    before = copy.deepcopy(model.state_dict())

    def progress(done: int, total: int) -> None:
        if stop and done == 12:
            raise AnalysisCancelled

    if stop:
        with pytest.raises(AnalysisCancelled):
            receptive_field(model, images=1, progress=progress)
    else:
        receptive_field(model, images=1, progress=progress)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(module.training for module in model.modules())
    assert not has_hooks(model)
