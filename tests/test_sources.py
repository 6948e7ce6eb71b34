"""Who made the parts of a Concat, against a pass that notes which module gave which tensor, and what leads to what."""

import gc

import pytest
import torch
from patient import Patient, patient
from torch import Tensor, nn

from lightning_resnets.graph import follow
from lightning_resnets.graph.reveal import reveal
from lightning_resnets.merge import Concat
from lightning_resnets.surgery import sources as module
from lightning_resnets.surgery.edits import SurgeryError
from lightning_resnets.surgery.sources import layers, read_at, sources, sources_of
from lightning_resnets.zoo import build


def watched(net: nn.Module, picture: Tensor) -> dict[str, list[tuple[set[str], bool]]]:
    """The same by one pass: the modules that gave the very tensor, and whether a gradient runs to another operand."""
    gave: dict[str, Tensor] = {}
    met: dict[str, list[Tensor]] = {}

    def look(name: str) -> None:
        def hook(module: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
            gave[name] = output
            if isinstance(module, Concat):
                met[name] = list(given)

        handles.append(net.get_submodule(name).register_forward_hook(hook))

    handles: list[torch.utils.hooks.RemovableHandle] = []
    for name, _ in net.named_modules():
        if name:
            look(name)
    net(picture)
    for handle in handles:
        handle.remove()

    def leads(one: Tensor, other: Tensor) -> bool:
        found = torch.autograd.grad(other.sum(), one, retain_graph=True, allow_unused=True)
        return one is not other and found[0] is not None

    return {
        concat: [
            (
                {name for name, value in gave.items() if value is part and not f"{concat}.".startswith(f"{name}.")},
                any(leads(one, part) for one in parts),
            )
            for part in parts
        ]
        for concat, parts in met.items()
    }


@pytest.mark.parametrize(("name", "side"), [("densenet_bc_40_12", 16), ("googlenet", 64)])
def test_parts_come_from_the_modules_that_gave_them(name: str, side: int) -> None:
    torch.manual_seed(0)
    net = build(name).eval()
    seen, modules = watched(net, torch.randn(1, 3, side, side)), dict(net.named_modules())
    table = sources(net)
    assert table.keys() == seen.keys()
    for concat, parts in table.items():
        assert [({n for n in part.names if n in modules}, part.grown) for part in parts] == seen[concat], concat


def test_names_of_a_small_net() -> None:
    table = sources(patient())
    names = [part.names for part in table["dense.concat"]]
    assert [part[0] for part in names] == ["c", *(f"dense.denselayer{i}" for i in (1, 2, 3))]
    assert "c.relu" in names[0]
    assert [part.grown for part in table["dense.concat"]] == [False, True, True, True]
    every = [f"dense.denselayer{i}" for i in (1, 2, 3)]
    assert (
        [part.names[0] for part in layers(table, "dense")] == [part.module for part in layers(table, "dense")] == every
    )
    assert [part.module for part in layers(table, "dense.denselayer2")] == ["dense.denselayer2"]
    assert read_at(table, table["dense.concat"][2]) == [("dense.denselayer3.concat", 2), ("dense.concat", 2)]
    assert layers(table, "c") == []


def test_a_revealed_net_has_the_same() -> None:
    net = patient()
    own, shown = sources_of(net, follow(net, (3, 6, 6))), sources(reveal(net, (3, 6, 6)))
    assert {k: [(p.names[0], p.grown) for p in parts] for k, parts in own.items()} == {
        k: [(p.names[0], p.grown) for p in parts] for k, parts in shown.items()
    }


def test_a_net_is_traced_once_and_again_when_its_modules_change(monkeypatch: pytest.MonkeyPatch) -> None:
    traced: list[nn.Module] = []
    monkeypatch.setattr(module, "follow", lambda net, size: traced.append(net) or follow(net, size))
    net = patient()
    assert sources(net) is sources(net)
    assert len(traced) == 1
    net.dense.denselayer4 = nn.Identity()
    sources(net)
    assert len(traced) == 2
    gc.collect()  # nets of other tests
    known = len(module._known)
    del net
    traced.clear()
    gc.collect()
    assert len(module._known) == known - 1


class Stubborn(Patient):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x * float(x.sum()))


def test_a_net_that_cannot_be_traced_says_so() -> None:
    with pytest.raises(
        SurgeryError, match=r"because the net cannot be traced: name an operand by its number, from 0\.$"
    ):
        sources(Stubborn())
