"""Figures, gradients and early predictions of an InteractiveModel against direct computations."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from lightning_resnets import intervene, record_activations
from lightning_resnets.graph.data import GraphData, Node, SkipConnection
from lightning_resnets.interactive.model import InteractiveModel
from lightning_resnets.interactive.node_statistics import compare_branch, node_statistics
from lightning_resnets.interventions import ScaleInput
from lightning_resnets.merges import MergeKind
from lightning_resnets.preprocessing import preprocess

IMAGE = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
CUT = ScaleInput("layer2.1.add", "branch", 0.5)


@pytest.fixture(scope="module")
def resnet() -> InteractiveModel:
    return InteractiveModel.open("resnet20")


def model_input(opened: InteractiveModel) -> torch.Tensor:
    card = opened.card
    return preprocess(IMAGE, card.input_size, card.mean, card.std)


def adds(opened: InteractiveModel) -> list[str]:
    return [node.hook_point for node in opened.graph.merges if node.kind is MergeKind.ADD]


def test_statistics_of_small_arrays_are_those_by_hand() -> None:
    node = Node("add", "add", (1, 1, 4), 0, 0, MergeKind.ADD, hook_point="add")
    graph = GraphData((node,), (), (SkipConnection(MergeKind.ADD, "x", "add", 1),))
    branch = np.float32([[[3, 0, 0, 0]]])
    shortcut = np.float32([[[3, 4, 0, 0]]])
    opened = InteractiveModel.open("resnet20")
    result = opened.run(IMAGE)
    result.outputs["add"] = branch + shortcut
    result.operands["add"] = (branch, shortcut)
    found = node_statistics(graph, result)["add"]
    assert found.mean == 2.5
    assert found.std == pytest.approx(np.sqrt((3.5**2 + 1.5**2 + 2.5**2 * 2) / 4))
    assert found.zero_fraction == 0.5
    assert found.norm == pytest.approx(np.sqrt(36 + 16))
    assert found.branch_ratio == pytest.approx(3 / 5)
    assert found.cosine == pytest.approx(9 / 15)


def test_a_zero_operand_leaves_ratio_or_cosine_undefined() -> None:
    zero, one = np.zeros((1, 2, 2), np.float32), np.ones((1, 2, 2), np.float32)
    assert compare_branch((one, zero), 0) == (0.0, None)
    assert compare_branch((one, zero), 1) == (None, None)


def test_a_cosine_never_leaves_its_range() -> None:
    values = np.full((64, 32, 32), 0.1, np.float32)
    ratio, cosine = compare_branch((values, 3 * values), 0)
    assert ratio == pytest.approx(3)
    assert cosine is not None
    assert 1 - 1e-9 < cosine <= 1


def test_statistics_of_a_model_are_those_of_torch(resnet: InteractiveModel) -> None:
    points = adds(resnet)
    statistics = node_statistics(resnet.graph, resnet.run(IMAGE, points))
    with torch.inference_mode(), record_activations(resnet.model, points) as recording:
        resnet.model(model_input(resnet))
    assert list(statistics) == points
    for name, found in statistics.items():
        shortcut, branch = (part.double() for part in recording.operands[name])
        output = recording.outputs[name].double()
        assert found.std == pytest.approx(output.std(correction=0).item(), rel=1e-6)
        assert found.branch_ratio == pytest.approx((branch.norm() / shortcut.norm()).item())
        cosine = F.cosine_similarity(branch.flatten(), shortcut.flatten(), dim=0).item()
        assert found.cosine == pytest.approx(cosine, abs=1e-9)


@pytest.mark.parametrize("interventions", [(), (CUT,)])
@pytest.mark.parametrize("class_index", [None, 7])
def test_gradients_are_those_of_autograd(
    resnet: InteractiveModel, interventions: tuple[ScaleInput, ...], class_index: int | None
) -> None:
    points = [*adds(resnet), "layer1.0.conv1", "fc"]
    found = resnet.gradients(IMAGE, points, interventions, class_index)
    values = model_input(resnet).requires_grad_()
    with intervene(resnet.model, interventions), record_activations(resnet.model, points) as rec:
        logits = resnet.model(values)
    index = int(logits.argmax()) if class_index is None else class_index
    outputs = [rec.outputs[name] for name in points]
    gradients = torch.autograd.grad(logits[0, index], outputs)
    assert found.class_index == index
    for name, output, gradient in zip(points, outputs, gradients, strict=True):
        np.testing.assert_array_equal(found.outputs[name], output[0].detach())
        np.testing.assert_allclose(found.gradients[name], gradient[0], rtol=1e-5, atol=1e-7)


def test_gradients_leave_parameters_and_later_runs_alone(resnet: InteractiveModel) -> None:
    before = resnet.run(IMAGE).logits.copy()
    with torch.inference_mode():  # as a caller may have it
        resnet.gradients(IMAGE, ["layer3.2.add"])
    assert all(parameter.grad is None for parameter in resnet.model.parameters())
    np.testing.assert_array_equal(resnet.run(IMAGE).logits, before)


@pytest.mark.parametrize("name", ["resnet20", "seresnet20"])
def test_early_predictions_are_those_with_all_later_branches_cut(name: str) -> None:
    opened = InteractiveModel.open(name)
    points = adds(opened)
    found = opened.early_predictions(IMAGE, points)
    assert list(found) == points
    for i, point in enumerate(points):
        cuts = [ScaleInput(later, "branch", 0) for later in points[i + 1 :]]
        with torch.inference_mode(), intervene(opened.model, cuts):
            expected = opened.model(model_input(opened)).softmax(1)[0]
        np.testing.assert_array_equal(found[point], expected)


def test_early_predictions_of_a_dense_network_use_zeros_for_later_layers() -> None:
    opened = InteractiveModel.open("densenet_bc_40_12")
    order = [node.name for node in opened.graph.nodes]
    start = "features.denseblock2.denselayer3.concat"
    inputs = opened.graph.all_inputs()
    cuts = []
    for node in opened.graph.merges:
        for operand, source in enumerate(inputs[node.name][1:], 1):
            if order.index(source) > order.index(start):
                cuts.append(ScaleInput(node.hook_point, operand, 0))
    with torch.inference_mode(), intervene(opened.model, cuts):
        expected = opened.model(model_input(opened)).softmax(1)[0]
    found = opened.early_predictions(IMAGE, [start])[start]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_early_predictions_at_the_last_block_are_those_of_the_model(
    resnet: InteractiveModel,
) -> None:
    last = adds(resnet)[-1]
    found = resnet.early_predictions(IMAGE, [last], [CUT])
    np.testing.assert_array_equal(found[last], resnet.run(IMAGE, (), [CUT]).probabilities)


def test_a_plain_network_has_no_early_predictions() -> None:
    opened = InteractiveModel.open("plain20")
    assert not opened.early_predictions(IMAGE, ["layer1.0", "layer2.1"])
