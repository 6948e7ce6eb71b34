"""Copies of a model that is recorded or edited, and several threads on one model."""

import copy
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from threading import Barrier, Event

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lightning_resnets.errors import InterventionError
from lightning_resnets.graph import trace_nodes
from lightning_resnets.graph.insert_merges import insert_merges
from lightning_resnets.interventions import (
    BypassBlock,
    Intervention,
    KeepChannels,
    RemoveBlock,
    ScaleInput,
    SetInput,
    SwapBlocks,
    ZeroChannels,
    intervene,
)
from lightning_resnets.interventions.incremental import IncrementalRunner
from lightning_resnets.interventions.record import Recording, record_activations
from lightning_resnets.models.registry import create_model

IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
HOOKED: list[Intervention] = [
    ScaleInput("layer1.1.add", "shortcut", 0.3),
    SetInput("layer1.1.add", "branch", 2.0),
    RemoveBlock("layer2.1"),
    ZeroChannels("layer1.0", [1, 3]),
    KeepChannels("layer1.0", 1),
    BypassBlock("layer1.1"),
]
SWAP = SwapBlocks("layer1.1", "layer1.2")


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return create_model("resnet20").eval()


Scope = Callable[[nn.Module], AbstractContextManager[object]]
SCOPES: dict[str, Scope] = {
    "record": lambda model: record_activations(model, ["layer1.0", "layer1.1.add"]),
    "intervene": lambda model: intervene(model, ScaleInput("layer1.1.add", "shortcut", 0)),
    "swap": lambda model: intervene(model, SWAP),
}


@torch.no_grad()
@pytest.mark.parametrize("inserted", [False, True])
@pytest.mark.parametrize("edit", HOOKED, ids=lambda edit: type(edit).__name__)
def test_a_copy_made_inside_is_free_of_the_edit(
    model: nn.Module, edit: Intervention, inserted: bool
) -> None:
    model = insert_merges(model, (3, 32, 32)) if inserted else model
    expected = model(IMAGES)
    with intervene(model, edit):
        edited = model(IMAGES)
        copied = copy.deepcopy(model)
        assert torch.equal(copied(IMAGES), expected)
        # The model itself is still edited.
        assert torch.equal(model(IMAGES), edited)
        assert not torch.equal(edited, expected)
    assert torch.equal(copied(IMAGES), expected)
    assert torch.equal(model(IMAGES), expected)


@torch.no_grad()
@pytest.mark.parametrize("inserted", [False, True])
def test_a_copy_made_inside_is_not_recorded(model: nn.Module, inserted: bool) -> None:
    model = insert_merges(model, (3, 32, 32)) if inserted else model
    with record_activations(model, ["layer1.0", "layer1.1.add"]) as recording:
        model(IMAGES)
        outputs = dict(recording.outputs)
        copied = copy.deepcopy(model)
        copied(2 * IMAGES)
        assert all(recording.outputs[name] is value for name, value in outputs.items())
    copied(2 * IMAGES)
    assert all(recording.outputs[name] is value for name, value in outputs.items())


def test_inserted_merges_made_inside_are_free_of_the_edit(model: nn.Module) -> None:
    expected = model(IMAGES)
    with intervene(model, ScaleInput("layer1.1.add", "shortcut", 0)):
        with_merges = insert_merges(model, (3, 32, 32))
    assert torch.equal(with_merges(IMAGES), expected)


def test_swapped_weights_are_neither_saved_nor_loaded_nor_copied(model: nn.Module) -> None:
    state = {name: value.clone() for name, value in model.state_dict().items()}
    block = model.get_submodule("layer1.1")
    with intervene(model, SWAP):
        swapped = model(IMAGES)
        actions: list[Callable[[], object]] = [
            model.state_dict,
            block.state_dict,
            block.get_submodule("conv1").state_dict,
            lambda: model.load_state_dict(state),
            lambda: copy.deepcopy(model),
            lambda: copy.deepcopy(block),
            lambda: pickle.dumps(model),
            lambda: insert_merges(model, (3, 32, 32)),
        ]
        for action in actions:
            with pytest.raises(InterventionError, match="leave it before you save, load or copy"):
                action()
        # Other blocks are in their place.
        model.get_submodule("layer2").state_dict()
        assert torch.equal(model(IMAGES), swapped)
    after = model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in state.items())
    copy.deepcopy(model)


@pytest.mark.parametrize("name", ["record", "intervene"])
def test_a_model_in_use_is_not_pickled(model: nn.Module, name: str) -> None:
    with SCOPES[name](model):
        # The weights alone are those of the model.
        assert model.state_dict().keys() == create_model("resnet20").state_dict().keys()
        with pytest.raises(InterventionError, match="cannot be pickled while it is recorded"):
            pickle.dumps(model)
    pickle.dumps(model)


def enter_and_leave(scope: AbstractContextManager[object]) -> None:
    with scope:
        pass


def run_in_thread(action: Callable[[], object]) -> object:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(action).result(timeout=60)


@torch.no_grad()
@pytest.mark.parametrize("inserted", [False, True])
@pytest.mark.parametrize("name", SCOPES)
def test_a_model_in_use_refuses_other_threads(model: nn.Module, name: str, inserted: bool) -> None:
    model = insert_merges(model, (3, 32, 32)) if inserted else model
    expected = run_in_thread(lambda: model(IMAGES))
    assert isinstance(expected, Tensor)
    with SCOPES[name](model):
        edited = model(IMAGES)
        with pytest.raises(InterventionError, match="by another thread"):
            run_in_thread(lambda: model(IMAGES))
        for other in SCOPES.values():
            with pytest.raises(InterventionError, match="by another thread"):
                run_in_thread(lambda make=other: enter_and_leave(make(model)))
        assert torch.equal(model(IMAGES), edited)
    # Afterwards any thread may use it.
    assert torch.equal(run_in_thread(lambda: model(IMAGES)), expected)  # type: ignore[arg-type]
    run_in_thread(lambda: enter_and_leave(SCOPES[name](model)))


@torch.no_grad()
def test_edits_of_one_thread_never_reach_a_pass_of_another(model: nn.Module) -> None:
    """Every pass of the runner is exact or refused, while the editor begins and ends blocks."""
    expected = model(IMAGES)
    ended = Event()
    start = Barrier(2)

    def edit() -> None:
        start.wait(30)
        for i in range(12):
            with intervene(model, SWAP if i % 2 else ScaleInput("layer1.0.add", "branch", 0)):
                pass
        ended.set()

    def run() -> tuple[int, int]:
        exact = refused = 0
        start.wait(30)
        while not ended.is_set() or exact + refused < 4:
            try:
                output = model(IMAGES)
            except InterventionError:
                refused += 1
            else:
                assert torch.equal(output, expected)
                exact += 1
        return exact, refused

    with ThreadPoolExecutor(2) as pool, torch.no_grad():
        editor = pool.submit(torch.no_grad()(edit))
        runner = pool.submit(torch.no_grad()(run))
        editor.result(timeout=60)
        exact, refused = runner.result(timeout=60)
    assert exact + refused >= 4
    assert torch.equal(model(IMAGES), expected)


@torch.no_grad()
def test_each_thread_records_its_own_pass_or_is_refused(model: nn.Module) -> None:
    inputs = [IMAGES + i for i in range(2)]
    expected = []
    for images in inputs:
        with record_activations(model, "layer1.0") as recording:
            model(images)
        expected.append(recording.outputs["layer1.0"])
    start = Barrier(2)

    def work(number: int) -> int:
        done = 0
        start.wait(30)
        for _ in range(5):
            try:
                with record_activations(model, "layer1.0") as own:
                    model(inputs[number])
            except InterventionError:
                continue
            assert torch.equal(own.outputs["layer1.0"], expected[number])
            done += 1
        return done

    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(torch.no_grad()(work), number) for number in range(2)]
        counts = [future.result(timeout=60) for future in futures]
    assert max(counts) > 0


def test_one_copy_per_thread_works(model: nn.Module) -> None:
    with intervene(model, ScaleInput("layer1.1.add", "shortcut", 0)):
        expected = model(IMAGES)

    def work(own: nn.Module) -> Tensor:
        with intervene(own, ScaleInput("layer1.1.add", "shortcut", 0)):
            return own(IMAGES)

    copies = [copy.deepcopy(model) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        for output in pool.map(work, copies):
            assert torch.equal(output, expected)


def test_checkpointed_layers_are_recorded_while_autograd_recomputes_them() -> None:
    layer = nn.Sequential(nn.Conv2d(3, 3, 3), nn.ReLU())
    images = IMAGES.clone().requires_grad_()
    with record_activations(layer, "0") as recording:
        checkpoint(layer, images, use_reentrant=False).sum().backward()  # type: ignore[union-attr]
    assert "0" in recording.outputs


@pytest.mark.parametrize("name", ["record", "intervene"])
def test_compiled_models_are_refused_because_their_code_ignores_hooks(
    model: nn.Module, name: str
) -> None:
    in_place = create_model("resnet20")
    in_place.compile()
    for compiled in (torch.compile(model), in_place):
        with pytest.raises(InterventionError, match="compiled model, whose code ignores hooks"):
            enter_and_leave(SCOPES[name](compiled))  # type: ignore[arg-type]
    # The original is free to be used.
    enter_and_leave(SCOPES[name](model))


def test_parallel_models_on_several_devices_are_refused(model: nn.Module) -> None:
    parallel = nn.DataParallel(model)
    with record_activations(parallel, "module.layer1") as recording:
        parallel(IMAGES)
    assert "module.layer1" in recording.outputs
    parallel.device_ids = [0, 1]
    with pytest.raises(InterventionError, match=r"run the model inside, model\.module"):
        enter_and_leave(record_activations(parallel, "module.layer1"))


def test_passes_of_one_runner_in_two_threads_follow_one_another(model: nn.Module) -> None:
    traced = trace_nodes(model, (3, 32, 32))
    runner = IncrementalRunner(model, traced)
    edits: list[list[Intervention]] = [[], [SWAP], [ScaleInput("layer1.1.add", "shortcut", 0)]]
    points = ["layer1.1", "layer1.1.add"]
    images = [image[None] for image in IMAGES]
    jobs = [(image, edit) for image in images for edit in edits] * 3
    expected = []
    with torch.no_grad():
        for image, edit in jobs:
            expected.append(IncrementalRunner(model, traced).run_image(image, points, edit))

        @torch.no_grad()
        def run(job: tuple[Tensor, list[Intervention]]) -> tuple[Tensor, Recording]:
            return runner.run_image(job[0], points, job[1])

        with ThreadPoolExecutor(2) as pool:
            found = list(pool.map(run, jobs))
    for (output, recording), (expected_output, expected_recording) in zip(
        found, expected, strict=True
    ):
        assert torch.equal(output, expected_output)
        for name in points:
            assert torch.equal(recording.outputs[name], expected_recording.outputs[name])
