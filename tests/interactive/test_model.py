"""InteractiveModel against the whole model in one pass, with and without memory."""

import copy
import random
import threading
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from lightning_resnets.checkpoint import CheckpointError, ModelCard
from lightning_resnets.errors import HookPointError, ImageError
from lightning_resnets.interactive.model import InferenceResult, InteractiveModel
from lightning_resnets.interventions import (
    Intervention,
    InterventionError,
    RemoveBlock,
    ScaleInput,
    SetInput,
    intervene,
)
from lightning_resnets.interventions.record import record_activations
from lightning_resnets.models.registry import create_model
from lightning_resnets.preprocessing import preprocess

MODELS = ("resnet20", "plain20", "seresnet20", "densenet_bc_40_12")
CHANCE = np.random.default_rng(0)
IMAGES = CHANCE.integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)


def card(arch: str) -> ModelCard:
    return ModelCard(
        arch=arch,
        class_names=(
            "plane",
            "car",
            "bird",
            "cat",
            "deer",
            "dog",
            "frog",
            "horse",
            "ship",
            "truck",
        ),
        input_size=(3, 32, 32),
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.2470, 0.2435, 0.2616),
    )


@cache
def make_model(arch: str) -> nn.Module:
    torch.manual_seed(1)
    model = create_model(arch)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    return model.eval()


def make_interactive(arch: str) -> InteractiveModel:
    return InteractiveModel(copy.deepcopy(make_model(arch)), card(arch))


def points(opened: InteractiveModel) -> list[str]:
    return [block.hook_point for block in opened.graph.nodes if block.hook_point]


def run_with_hooks(
    arch: str, image: np.ndarray, at: list[str], interventions: tuple[Intervention, ...]
) -> InferenceResult:
    """Run the whole model in one pass with hooks, the second implementation."""
    model, known = make_model(arch), card(arch)
    values = preprocess(image, known.input_size, known.mean, known.std)
    with (
        torch.inference_mode(),
        intervene(model, *interventions),
        record_activations(model, at) as seen,
    ):
        logits = model(values)
    return InferenceResult(
        image,
        logits[0].numpy(),
        logits.softmax(1)[0].numpy(),
        {name: value[0].numpy() for name, value in seen.outputs.items()},
        {name: tuple(part[0].numpy() for part in parts) for name, parts in seen.operands.items()},
        0,
        known.class_names,
    )


def assert_equal_results(view: InferenceResult, other: InferenceResult) -> None:
    for name in ("input", "logits", "probabilities"):
        np.testing.assert_array_equal(getattr(view, name), getattr(other, name))
    assert view.outputs.keys() == other.outputs.keys()
    assert view.operands.keys() == other.operands.keys()
    for name, maps in view.outputs.items():
        np.testing.assert_array_equal(maps, other.outputs[name], err_msg=name)
    for name, parts in view.operands.items():
        for part, theirs in zip(parts, other.operands[name], strict=True):
            np.testing.assert_array_equal(part, theirs, err_msg=name)


@pytest.mark.parametrize("arch", MODELS)
def test_run_matches_hooks(arch: str) -> None:
    opened = make_interactive(arch)
    assert_equal_results(
        opened.run(IMAGES[0], points(opened)), run_with_hooks(arch, IMAGES[0], points(opened), ())
    )


@pytest.mark.parametrize("arch", MODELS)
def test_no_stale_values_after_images_and_edits(arch: str) -> None:
    opened, chance = make_interactive(arch), random.Random(arch)
    merges = [merge.name for merge in opened.graph.merges]
    image, interventions = IMAGES[0], ()
    for _ in range(12):
        if chance.random() < 0.3:
            image = IMAGES[chance.randrange(3)]
        if merges and chance.random() < 0.8:
            edits = [
                ScaleInput(
                    chance.choice(merges), chance.randrange(2), chance.choice([0, 0.5, 1, -1])
                )
                for _ in range(2)
            ]
            hold = SetInput(chance.choice(merges), 1, torch.tensor(chance.random()))
            interventions = tuple(
                chance.sample([*edits, hold, *interventions[:1]], chance.randint(0, 3))
            )
        asked = chance.sample(points(opened), 8)
        assert_equal_results(
            opened.run(image, asked, interventions),
            run_with_hooks(arch, image, asked, interventions),
        )


def test_only_downstream_nodes_are_recomputed() -> None:
    opened = make_interactive("resnet20")
    names = [block.name for block in opened.graph.nodes]

    def computed() -> int:
        return opened._runner.num_computed

    opened.run(IMAGES[0])
    assert computed() == len(names)
    opened.run(IMAGES[0].copy(), points(opened))
    assert computed() == 0
    opened.run(IMAGES[0], (), [ScaleInput("layer3.2.add", 0, 0.5)])
    assert computed() == len(["add", "relu2", "avgpool", "flatten", "fc", "output"])
    opened.run(
        IMAGES[0], (), [ScaleInput("layer3.2.add", 0, 0.5), ScaleInput("layer1.0.add", 0, 1)]
    )
    assert computed() == 0
    opened.run(IMAGES[0], (), [RemoveBlock("layer1.2")])
    assert computed() == len(names) - names.index("layer1.2.add")
    opened.run(IMAGES[1], (), [RemoveBlock("layer1.2")])
    assert computed() == len(names)


def test_the_next_run_is_correct_after_an_error() -> None:
    opened = make_interactive("densenet_bc_40_12")
    before = opened.run(IMAGES[0])
    merge = "features.denseblock2.concat"
    for op in (ScaleInput(merge, 99, 0), SetInput(merge, 0, torch.ones(7, 1, 1))):
        for _ in range(2):  # values of a failed pass must not be reused
            with pytest.raises(InterventionError):
                opened.run(IMAGES[0], (), [op])
        np.testing.assert_array_equal(opened.run(IMAGES[0]).logits, before.logits)
    with pytest.raises(HookPointError, match="similar names are"):
        opened.run(IMAGES[0], ["features.denseblock4"])
    with pytest.raises(InterventionError, match="contains no Add"):
        opened.run(IMAGES[0], (), [RemoveBlock("features.transition1")])
    with pytest.raises(ImageError):
        opened.run(np.zeros((4, 4), np.uint8))
    np.testing.assert_array_equal(opened.run(IMAGES[0]).logits, before.logits)


def test_shapes_and_types_of_a_result() -> None:
    view = make_interactive("seresnet20").run(
        IMAGES[2], ["input", "flatten", "layer1", "layer1.0.se.gate", "fc"]
    )
    np.testing.assert_array_equal(view.input, IMAGES[2])
    shapes = {name: maps.shape for name, maps in view.outputs.items()}
    assert shapes == {
        "input": (3, 32, 32),
        "flatten": (64,),
        "layer1": (16, 32, 32),
        "layer1.0.se.gate": (16, 32, 32),
        "fc": (10,),
    }
    assert [part.shape for part in view.operands["layer1.0.se.gate"]] == [(16, 32, 32), (16, 1, 1)]
    assert view.operands.keys() == {"layer1.0.se.gate"}
    assert view.logits.dtype == view.outputs["fc"].dtype == np.float32
    assert view.seconds > 0
    np.testing.assert_allclose(
        view.probabilities, np.exp(view.logits) / np.exp(view.logits).sum(), rtol=1e-5
    )
    with pytest.raises(ValueError, match="read-only"):
        view.outputs["fc"][0] = 1


def test_earlier_results_do_not_change() -> None:
    opened = make_interactive("resnet20")
    first = opened.run(IMAGES[0], points(opened))
    kept = copy.deepcopy(first.outputs)
    opened.run(IMAGES[1], points(opened), [RemoveBlock("layer1.0")])
    assert all((first.outputs[name] == maps).all() for name, maps in kept.items())


def test_topk_is_sorted_and_stable() -> None:
    shares = np.array([0.1, 0.4, 0.1, 0.4], np.float32)
    view = InferenceResult(IMAGES[0], shares, shares, {}, {}, 0, ("a", "b", "c", "d"))
    assert [name for name, _ in view.topk(3)] == ["b", "d", "a"]
    assert [share for _, share in view.topk()] == pytest.approx([0.4, 0.4, 0.1, 0.1])


@pytest.mark.parametrize("shape", [(1, 1), (300, 200), (31, 33)])
def test_images_of_any_size(shape: tuple[int, int]) -> None:
    view = make_interactive("resnet20").run(np.full((*shape, 3), 77, np.uint8))
    assert view.input.shape == (32, 32, 3)
    assert (view.input == 77).all()


def test_every_node_with_a_hook_point_can_be_recorded() -> None:
    for arch in MODELS:
        opened = make_interactive(arch)
        for folded in (opened.graph, opened.graph.fold(), opened.graph.fold(1)):
            blocks = [block for block in folded.nodes if block.hook_point]
            view = opened.run(IMAGES[0], [block.hook_point for block in blocks])
            for block in blocks:
                if "flatten" not in block.op:
                    assert view.outputs[block.hook_point].shape == block.shape


def test_run_works_on_another_thread() -> None:
    opened, seen = make_interactive("resnet20"), []
    worker = threading.Thread(target=lambda: seen.append(opened.run(IMAGES[0]).logits))
    worker.start()
    worker.join()
    np.testing.assert_array_equal(seen[0], opened.run(IMAGES[0]).logits)


def save(folder: Path, arch: str) -> Path:
    weights = {f"model.{name}": weight for name, weight in make_model(arch).state_dict().items()}
    torch.save({"state_dict": weights, "card": card(arch).to_dict()}, folder / f"{arch}.ckpt")
    return folder / f"{arch}.ckpt"


def test_open_a_file_and_an_unknown_name(tmp_path: Path) -> None:
    path = save(tmp_path, "resnet20")
    opened = InteractiveModel.open(path)
    assert (opened.path, opened.card, opened.notes) == (path, card("resnet20"), ())
    assert_equal_results(
        opened.run(IMAGES[0], points(opened)),
        run_with_hooks("resnet20", IMAGES[0], points(opened), ()),
    )
    with pytest.raises(CheckpointError, match="No file or bundled model named 'resnet19'"):
        InteractiveModel.open("resnet19")
