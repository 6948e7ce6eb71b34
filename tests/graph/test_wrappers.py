"""Compiled, parallel, scripted, exported and quantized models."""

import copy
import time
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from lightning_resnets.errors import TraceError
from lightning_resnets.graph import trace, trace_nodes
from lightning_resnets.graph.insert_merges import insert_merges
from tests.graph.test_graph_module import IMAGES, SIZE, Model, trained_like

CALLS: list[Callable[..., object]] = [trace, trace_nodes, insert_merges]


class Head(nn.Module):
    """A model with a compiled or parallel part."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.fc = nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.body(x))


def test_a_compiled_model_is_traced_as_the_original() -> None:
    original = trained_like(Model())
    compiled = torch.compile(original)
    start = time.perf_counter()
    assert trace(compiled, SIZE) == trace(original, SIZE)
    with_merges = insert_merges(compiled, SIZE)
    # Dynamo would take minutes to compile the tracer.
    assert time.perf_counter() - start < 20
    assert torch.equal(with_merges(IMAGES), original(IMAGES))
    assert "layer1.0.add" in dict(with_merges.named_modules())


def test_a_model_compiled_in_place_is_traced_as_before() -> None:
    model = trained_like(Model())
    expected = trace(model, SIZE)
    model.compile()
    assert trace(model, SIZE) == expected


def test_a_compiled_part_is_traced_under_its_own_names() -> None:
    body = trained_like(Model())
    model = Head(torch.compile(body)).eval()  # type: ignore[arg-type]
    merges = [skip.merge for skip in trace(model, SIZE).skips]
    assert merges == ["body._orig_mod.layer1.0.add", "body._orig_mod.layer1.1.add"]
    expected = model.fc(body(IMAGES))
    assert torch.equal(insert_merges(model, SIZE)(IMAGES), expected)


@pytest.mark.parametrize("nested", [False, True])
def test_parallel_models_have_the_skips_of_the_model_inside(nested: bool) -> None:
    inner = trained_like(Model())
    parallel = nn.DataParallel(inner)
    # As on a machine with two devices: tracing must not scatter the inputs.
    parallel.device_ids = [0, 1]
    model = Head(parallel) if nested else parallel
    prefix = "body.module" if nested else "module"
    graph = trace(model, SIZE)
    assert [skip.merge for skip in graph.skips] == [f"{prefix}.layer1.{i}.add" for i in (0, 1)]
    with_merges = insert_merges(model, SIZE)
    expected = inner(IMAGES)
    if nested:
        expected = model.fc(expected)  # type: ignore[operator]
    assert torch.equal(with_merges(IMAGES), expected)
    assert parallel.device_ids == [0, 1]


@pytest.mark.parametrize("call", CALLS)
def test_torchscript_says_what_to_open_instead(call: Callable[..., object]) -> None:
    # torch 2.11 has DeprecationWarning here.
    with pytest.warns((FutureWarning, DeprecationWarning), match="torch.jit"):
        programs = [torch.jit.script(Model()), torch.jit.trace(Model().eval(), IMAGES)]
    for program in programs:
        with pytest.raises(TraceError, match=r"TorchScript .* Build the original nn\.Module"):
            call(program, SIZE)


@pytest.mark.parametrize("call", CALLS)
def test_exported_programs_say_what_to_open_instead(call: Callable[..., object]) -> None:
    exported = torch.export.export(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), (IMAGES,))
    for program in (exported, exported.module()):
        with pytest.raises(TraceError, match=r"torch\.export.* nn\.Module that it was exported"):
            call(program, SIZE)


@pytest.mark.filterwarnings("ignore")  # torch announces the end of its quantization
@pytest.mark.parametrize("call", CALLS)
def test_quantized_models_say_what_to_open_instead(call: Callable[..., object]) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).eval()
    stubs = nn.Sequential(
        torch.ao.quantization.QuantStub(), model, torch.ao.quantization.DeQuantStub()
    ).eval()
    stubs.qconfig = torch.ao.quantization.default_qconfig  # type: ignore[assignment]
    prepared = torch.ao.quantization.prepare(stubs)
    prepared(IMAGES)
    quantized = torch.ao.quantization.convert(prepared)
    with pytest.raises(TraceError, match=r"quantized \(int8\).* Use the float model"):
        call(quantized, SIZE)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("wrong", [None, "resnet20", {"fc.weight": torch.zeros(1)}, Model, 3])
def test_arguments_that_are_not_models_raise(call: Callable[..., object], wrong: object) -> None:
    with pytest.raises(TraceError, match=r"^model must be a torch\.nn\.Module, got "):
        call(wrong, SIZE)


def test_wrappers_are_left_as_they_were() -> None:
    compiled = torch.compile(trained_like(Model()))
    before = copy.copy(vars(compiled))
    insert_merges(Head(compiled), SIZE)  # type: ignore[arg-type]
    assert vars(compiled) == before
