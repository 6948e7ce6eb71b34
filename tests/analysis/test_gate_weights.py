"""Compare statistics with a loop over images and classes in plain Python."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lightning_resnets.analysis.gate_weights import GateAccumulator, GateWeightsResult, gate_weights
from lightning_resnets.analysis.result import LabeledImages
from lightning_resnets.errors import AnalysisCancelled, AnalysisError
from lightning_resnets.merges import Gate
from lightning_resnets.models.registry import create_model
from tests.helpers.hooks import has_hooks

COUNT = 12


def made(name: str) -> nn.Module:
    torch.manual_seed(0)
    model = create_model(name)
    for part in model.modules():
        if isinstance(part, nn.Conv2d) and part.kernel_size == (1, 1):
            part.weight.data *= 8  # gates that are shut and open
    return model.eval()


def make_images() -> LabeledImages:
    images = torch.randn(COUNT, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    return LabeledImages(images, torch.arange(COUNT) % 4 * 2)  # classes 0, 2, 4, 6


def one_by_one(model: nn.Module) -> dict[str, list[list[Tensor]]]:
    """Every image's weights, by gate and class."""
    kept: dict[str, list[list[Tensor]]] = {}
    handles = []

    def keep(name: str) -> Any:
        def hook(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
            kept.setdefault(name, [[] for _ in range(7)])[label].append(args[1][0].double())

        return hook

    for name, module in model.named_modules():
        if isinstance(module, Gate):
            handles.append(module.register_forward_hook(keep(name.removesuffix(".gate"))))
    some = make_images()
    with torch.no_grad():
        for image, target in zip(some.images, some.labels, strict=True):
            label = int(target)
            model(image[None])
    for handle in handles:
        handle.remove()
    return kept


@pytest.mark.parametrize(("name", "count"), [("seresnet20", 9), ("highway19", 30)])
def test_statistics_match_a_loop_over_images(name: str, count: int) -> None:
    model = made(name)
    found, kept = gate_weights(model, make_images(), batch_size=5), one_by_one(model)
    assert list(found.sums) == list(kept)
    tables = found.tables()
    means = {(row[1], row[3], row[4]): row[5] for row in tables["channels"].rows}
    by_class = {(row[1], row[3]): row[1:] for row in tables["gate_weights"].rows}
    depths = {row[1]: row[1:] for row in tables["depths"].rows}
    for depth, (gate, classes) in enumerate(kept.items(), 1):
        centers = {}
        for label, weights in enumerate(classes):
            if not weights:
                assert (gate, str(label)) not in by_class
                continue
            whole = torch.stack(weights)  # (N, C, H, W)
            flat = whole.mean((2, 3))
            centers[label] = flat.mean(0).tolist()
            low, high = float((whole < 0.05).double().mean()), float((whole > 0.95).double().mean())
            expected = [float(flat.mean()), float(flat.std(correction=0)), low, high]
            assert by_class[gate, str(label)][:4] == (gate, depth, str(label), len(weights))
            assert by_class[gate, str(label)][4:] == pytest.approx(expected, rel=1e-5, abs=1e-6)
            assert [
                means[gate, str(label), c] for c in range(len(centers[label]))
            ] == pytest.approx(centers[label], rel=1e-4, abs=1e-6)
        squares = [
            (a - b) ** 2
            for i, one in centers.items()
            for j, other in centers.items()
            if i < j
            for a, b in zip(one, other, strict=True)
        ]
        distance = math.sqrt(sum(squares) / len(squares))
        assert depths[gate][5] == pytest.approx(distance, rel=1e-3, abs=1e-7)


def test_functional_gates_match_recorded_weights() -> None:
    from torchvision.models import regnet_y_400mf

    from lightning_resnets.graph.insert_merges import insert_merges

    torch.manual_seed(0)
    theirs, kept = regnet_y_400mf().eval(), list[Tensor]()
    name = "trunk_output.block2.block2-0.f.se"
    part = theirs.get_submodule(f"{name}.scale_activation")
    handle = part.register_forward_hook(lambda m, args, out: kept.append(out))
    few = LabeledImages(torch.randn(2, 3, 64, 64), torch.zeros(2).long())
    with torch.no_grad():
        theirs(few.images)
    handle.remove()
    found = gate_weights(insert_merges(theirs, (3, 64, 64)), few)
    assert len(found.sums) == 16
    torch.testing.assert_close(found.sums[name].means()[0].float(), kept[0].mean((0, 2, 3)))


def test_cancel_leaves_the_model_unchanged() -> None:
    model, heard = made("seresnet20").train(), list[tuple[int, int]]()
    before = {name: value.clone() for name, value in model.state_dict().items()}

    def stop(done: int, total: int) -> None:
        heard.append((done, total))
        if done == 2:
            raise AnalysisCancelled

    with pytest.raises(AnalysisCancelled):
        gate_weights(model, make_images(), batch_size=5, progress=stop)
    assert heard == [(0, 3), (1, 3), (2, 3)]
    assert all(module.training for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not has_hooks(model)


def test_tables_and_figure() -> None:
    from matplotlib.figure import Figure

    sums = GateAccumulator.zeros(2, 2, torch.device("cpu"))
    sums.update(torch.tensor([[0.0, 1.0], [0.5, 0.5]]).view(2, 2, 1, 1), torch.tensor([0, 1]))
    found = GateWeightsResult({"layer1.0.se": sums}, ("cat", "dog"))
    tables = found.tables()
    assert tables["gate_weights"].csv() == (
        "model,gate,depth,class,images,mean,std,closed,open\n"
        "model,layer1.0.se,1,cat,1,0.5,0.5,0.5,0.5\nmodel,layer1.0.se,1,dog,1,0.5,0.0,0.0,0.0\n"
    )
    assert tables["depths"].csv() == (
        "model,gate,depth,mean,closed,open,class_distance\nmodel,layer1.0.se,1,0.5,0.25,0.25,0.5\n"
    )
    assert tables["channels"].csv().splitlines()[1] == "model,layer1.0.se,1,cat,0,0.0"
    figure = Figure((8, 5))
    found.draw(figure)
    figure.canvas.draw()
    assert len(figure.axes) == 3
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["cat", "dog"]
    assert figure.get_suptitle() == "model · gate weights by class · 2 images"


def test_missing_gates_or_class_names_raise() -> None:
    with pytest.raises(AnalysisError, match=r"^The model has no gate\. Its merges: add\.$"):
        gate_weights(made("resnet20"), make_images())
    with pytest.raises(
        AnalysisError,
        match=r"^class_names has 2 names \(labels 0 to 1\), but an image has label 6\.$",
    ):
        gate_weights(made("seresnet20"), make_images(), ("cat", "dog"))
