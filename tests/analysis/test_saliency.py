"""Compare maps with pytorch-grad-cam and torchcam; CAM adds up to the logit."""

import copy
import warnings
from functools import cache

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch import nn

from lightning_resnets.analysis.result import LabeledImages
from lightning_resnets.analysis.saliency import SaliencyResult, half_max_area, resize_maps, saliency
from lightning_resnets.errors import AnalysisCancelled, AnalysisError
from lightning_resnets.graph.insert_merges import insert_merges
from lightning_resnets.models.registry import create_model
from tests.helpers.hooks import has_hooks

BLOCKS = {
    "resnet20": "layer2.1",
    "seresnet20": "layer3.2",
    "densenet_bc_40_12": "features.transition2",
}


@cache
def make_model(name: str) -> nn.Module:
    torch.manual_seed(1)
    return create_model(name).eval()


@cache
def make_images(count: int = 2, side: int = 32) -> LabeledImages:
    torch.manual_seed(2)
    return LabeledImages(torch.randn(count, 3, side, side), torch.zeros(count, dtype=torch.long))


def unit(maps: np.ndarray) -> np.ndarray:
    """Scale maps to 0..1, as the other libraries do."""
    low = maps.min((1, 2), keepdims=True)
    return (maps - low) / (1e-7 + (maps - low).max((1, 2), keepdims=True))


@pytest.mark.slow  # what pytorch-grad-cam imports takes seconds
@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("kind", ["grad_cam", "layer_cam"])
def test_maps_match_pytorch_grad_cam(name: str, kind: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what it imports
        from pytorch_grad_cam import GradCAM, LayerCAM
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    block, images = BLOCKS[name], make_images()
    found = getattr(saliency(make_model(name), images, target=[3, 7]), kind)[block]
    # It resizes maps to the image with OpenCV, except if the image has the map's size.
    model = copy.deepcopy(make_model(name))
    other = {"grad_cam": GradCAM, "layer_cam": LayerCAM}[kind](model, [model.get_submodule(block)])
    other.get_target_width_height = lambda _: found.shape[:0:-1]
    theirs = other(images.images, [ClassifierOutputTarget(3), ClassifierOutputTarget(7)])
    np.testing.assert_allclose(unit(found.numpy()), theirs, atol=2e-5)


@pytest.mark.parametrize("name", BLOCKS)
def test_maps_match_torchcam(name: str) -> None:
    from torchcam.methods import CAM, GradCAM, LayerCAM

    block, images = BLOCKS[name], make_images()
    ours = saliency(make_model(name), images, target=[3, 7])
    for kind, found in ((GradCAM, ours.grad_cam[block]), (LayerCAM, ours.layer_cam[block])):
        model = copy.deepcopy(make_model(name)).requires_grad_()
        with kind(model, block) as extractor:
            theirs = extractor([3, 7], model(images.images), normalized=False)[0]
        torch.testing.assert_close(found, theirs.detach(), rtol=1e-4, atol=1e-7)
    model, last = copy.deepcopy(make_model(name)), "relu" if name.startswith("dense") else "layer3"
    with CAM(model, last, fc_layer="classifier" if name.startswith("dense") else "fc") as extractor:
        model(images.images)
        theirs = extractor([3, 7], normalized=False)[0]
    assert ours.cam is not None
    torch.testing.assert_close(ours.cam, theirs.detach())


def test_cam_mean_is_the_logit() -> None:
    """Zhou et al. 2016, section 2: the mean over positions plus the bias is the logit."""
    found = saliency(make_model("resnet20"), make_images())
    bias = make_model("resnet20").get_submodule("fc").bias
    assert found.cam is not None
    assert isinstance(bias, torch.Tensor)
    torch.testing.assert_close(
        found.cam.mean((1, 2)) + bias.detach()[found.target_classes], found.logits
    )


def test_grad_cam_matches_cam_at_the_last_map() -> None:
    """Selvaraju et al. 2017, appendix A: they differ by the number of positions."""
    found = saliency(make_model("resnet20"), make_images())
    assert found.cam is not None
    torch.testing.assert_close(
        found.grad_cam["layer3.2"] * 64, found.cam.clamp(min=0), rtol=1e-4, atol=1e-6
    )


def test_default_is_predicted_class_and_every_block() -> None:
    found, images = saliency(make_model("resnet20"), make_images()), make_images().images
    with torch.no_grad():
        logits = make_model("resnet20")(images)
    assert found.target_classes.tolist() == logits.argmax(1).tolist()
    assert list(found.grad_cam) == [
        "conv1",
        *(f"layer{i}.{j}" for i in (1, 2, 3) for j in range(3)),
    ]
    one = saliency(
        make_model("resnet20"), LabeledImages(images[1:], torch.zeros(1, dtype=torch.long))
    )
    torch.testing.assert_close(
        one.layer_cam["layer1.1"][0], found.layer_cam["layer1.1"][1], rtol=1e-4, atol=1e-7
    )


def test_torchvision_models_with_and_without_linear_head() -> None:
    from torchvision.models import resnet18, squeezenet1_1

    torch.manual_seed(0)
    found = saliency(insert_merges(resnet18().eval()), make_images(1, 64), target=5)
    assert found.cam is not None
    assert list(found.grad_cam)[-1] == "layer4.1"
    assert found.cam.shape == (1, 2, 2)
    assert saliency(insert_merges(squeezenet1_1().eval()), make_images(1, 64), target=5).cam is None


def test_half_max_area() -> None:
    assert half_max_area(torch.tensor([[1.0, 1.0], [1.0, 1.0]])) == 0.5
    assert half_max_area(torch.tensor([[9.0, 1.0], [1.0, 1.0]])) == 0.25
    assert half_max_area(torch.zeros(2, 2)) == 0


def test_tables_and_figure() -> None:
    names = [f"class {i}" for i in range(10)]
    found = saliency(
        make_model("resnet20"),
        make_images(),
        blocks=["layer1.0", "layer3.2"],
        class_names=names,
        model_name="resnet20",
    )
    table = found.tables()["saliency"]
    assert len(table.rows) == 2 * 2 * 2 + 2  # images, methods, blocks; and CAM of two images
    assert table.csv().startswith(
        "model,image,class,probability,method,block,height,width,largest,"
    )
    figure = Figure()
    found.draw(figure)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[:3] == ["", "Grad-CAM\nlayer1.0\n32×32", "Grad-CAM\nlayer3.2\n8×8"]
    assert titles[5] == "CAM\nlast map\n8×8"
    assert len(titles) == 2 * 6  # two images, each with its maps
    scaled = resize_maps(found.grad_cam["layer1.0"], (64, 64))
    assert scaled.amax() == 1
    assert scaled.amin() == 0


def test_empty_map_has_no_peak() -> None:
    one = torch.ones(1)
    empty = SaliencyResult(
        make_images(1).images,
        one.long(),
        one,
        one / 2,
        {"a": torch.zeros(1, 2, 2)},
        {"a": torch.eye(2)[None]},
        None,
        ("x", "y"),
    )
    rows = empty.tables()["saliency"].rows
    assert rows[0] == ("model", 0, "y", 0.5, "Grad-CAM", "a", 2, 2, 0.0, 0.0, None, None, None)
    assert rows[1][-3:] == (0.25, 0.25, 0.25)


def test_invalid_target_and_block_raise() -> None:
    with pytest.raises(AnalysisError, match=r"^target must be a class from 0 to 9, got 10\.$"):
        saliency(make_model("resnet20"), make_images(), target=10)
    with pytest.raises(
        AnalysisError,
        match=r"^The model has no block named 'layer9'\. Use conv1, .*\.$",
    ):
        saliency(make_model("resnet20"), make_images(), blocks=["layer9"])
    with pytest.raises(AnalysisError, match=r"^At least one image is required"):
        LabeledImages(torch.zeros(0, 3, 32, 32), torch.zeros(0, dtype=torch.long))


@pytest.mark.parametrize("stop", [False, True])
def test_model_is_unchanged(stop: bool) -> None:
    model = copy.deepcopy(make_model("resnet20")).train()
    model.get_submodule("layer1").eval()
    before, modes = (
        copy.deepcopy(model.state_dict()),
        [module.training for module in model.modules()],
    )

    def progress(done: int, total: int) -> None:
        if stop:
            raise AnalysisCancelled

    if stop:
        with pytest.raises(AnalysisCancelled):
            saliency(model, make_images(), progress=progress)
    else:
        saliency(model, make_images(), progress=progress)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert [module.training for module in model.modules()] == modes
    assert not has_hooks(model)
    assert all(weight.grad is None for weight in model.parameters())
