"""Sources of the operands of a Concat against a pass that records tensors and gradients."""

import gc

import pytest
import torch
from torch import Tensor, nn

from lightning_resnets.errors import InterventionError
from lightning_resnets.graph import trace_nodes
from lightning_resnets.graph.insert_merges import insert_merges
from lightning_resnets.interventions import merge_inputs as module
from lightning_resnets.interventions.concat_inputs import (
    concat_inputs_of,
    consumers_of,
    dense_layers_in,
)
from lightning_resnets.interventions.merge_inputs import concat_inputs
from lightning_resnets.merges import Concat
from lightning_resnets.models.registry import create_model
from tests.helpers.reference_forward import AllMergesModel, make_all_merges_model


def record_concats(model: nn.Module, image: Tensor) -> dict[str, list[tuple[set[str], bool]]]:
    """Find modules that returned each operand, and operands that depend on another, in one pass."""
    gave: dict[str, Tensor] = {}
    met: dict[str, list[Tensor]] = {}

    def watch(name: str) -> None:
        def hook(module: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
            gave[name] = output
            if isinstance(module, Concat):
                met[name] = list(given)

        handles.append(model.get_submodule(name).register_forward_hook(hook))

    handles: list[torch.utils.hooks.RemovableHandle] = []
    for name, _ in model.named_modules():
        if name:
            watch(name)
    model(image)
    for handle in handles:
        handle.remove()

    def leads(one: Tensor, other: Tensor) -> bool:
        found = torch.autograd.grad(other.sum(), one, retain_graph=True, allow_unused=True)
        return one is not other and found[0] is not None

    return {
        concat: [
            (
                {
                    name
                    for name, value in gave.items()
                    if value is part and not f"{concat}.".startswith(f"{name}.")
                },
                any(leads(one, part) for one in parts),
            )
            for part in parts
        ]
        for concat, parts in met.items()
    }


@pytest.mark.parametrize(("name", "side"), [("densenet_bc_40_12", 16), ("googlenet", 64)])
def test_operands_come_from_the_modules_that_computed_them(name: str, side: int) -> None:
    torch.manual_seed(0)
    model = create_model(name).eval()
    seen, modules = (
        record_concats(model, torch.randn(1, 3, side, side)),
        dict(model.named_modules()),
    )
    table = concat_inputs(model)
    assert table.keys() == seen.keys()
    for concat, parts in table.items():
        assert [
            ({n for n in part.module_names if n in modules}, part.is_dense_growth) for part in parts
        ] == seen[concat], concat


def test_names_in_a_small_model() -> None:
    table = concat_inputs(make_all_merges_model())
    names = [part.module_names for part in table["dense.concat"]]
    assert [part[0] for part in names] == ["c", *(f"dense.denselayer{i}" for i in (1, 2, 3))]
    assert "c.relu" in names[0]
    assert [part.is_dense_growth for part in table["dense.concat"]] == [False, True, True, True]
    every = [f"dense.denselayer{i}" for i in (1, 2, 3)]
    assert (
        [part.module_names[0] for part in dense_layers_in(table, "dense")]
        == [part.module for part in dense_layers_in(table, "dense")]
        == every
    )
    assert [part.module for part in dense_layers_in(table, "dense.denselayer2")] == [
        "dense.denselayer2"
    ]
    assert consumers_of(table, table["dense.concat"][2]) == [
        ("dense.denselayer3.concat", 2),
        ("dense.concat", 2),
    ]
    assert dense_layers_in(table, "c") == []


def test_inserted_merges_give_the_same_inputs() -> None:
    model = make_all_merges_model()
    own, with_merges = (
        concat_inputs_of(model, trace_nodes(model, (3, 6, 6))),
        concat_inputs(insert_merges(model, (3, 6, 6))),
    )
    assert {
        k: [(p.module_names[0], p.is_dense_growth) for p in parts] for k, parts in own.items()
    } == {
        k: [(p.module_names[0], p.is_dense_growth) for p in parts]
        for k, parts in with_merges.items()
    }


def test_a_model_is_traced_again_only_when_its_modules_change(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[nn.Module] = []
    monkeypatch.setattr(
        module, "trace_nodes", lambda model, size: calls.append(model) or trace_nodes(model, size)
    )
    model = make_all_merges_model()
    assert concat_inputs(model) is concat_inputs(model)
    assert len(calls) == 1
    model.dense.denselayer4 = nn.Identity()
    concat_inputs(model)
    assert len(calls) == 2
    gc.collect()  # models of other tests
    known = len(module._known)
    del model
    calls.clear()
    gc.collect()
    assert len(module._known) == known - 1


class Untraceable(AllMergesModel):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x * float(x.sum()))


def test_a_model_that_cannot_be_traced_raises() -> None:
    with pytest.raises(
        InterventionError,
        match=r"because the model cannot be traced: use an operand's number, from 0\.$",
    ):
        concat_inputs(Untraceable())
