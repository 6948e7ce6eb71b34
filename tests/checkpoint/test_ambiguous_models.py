"""The table of models that cannot be told apart agrees with the registry and the index."""

import re
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lightning_resnets.checkpoint.identify.identification import Identification
from lightning_resnets.checkpoint.open_checkpoint import identify
from lightning_resnets.models import registry
from lightning_resnets.models.known.index import load_index, lookup
from lightning_resnets.models.model_names import split_options
from lightning_resnets.utils.skip_init import skip_init

DOCS = Path(__file__).resolve().parents[2] / "docs/checkpoints.md"
ROW = re.compile(r"^\| `([^`]+)` \| (.+) \|$", re.MULTILINE)
ROWS = ROW.findall(DOCS.read_text())
TABLE = {name: tuple(re.findall(r"`([^`]+)`", cell)) for name, cell in ROWS}
OPTIONS = set[str]()
for names in TABLE.values():
    OPTIONS |= {key for name in names for key in split_options(name)[1]}
# One hundred and more blocks take seconds each.
DEEP = ("resnet1202", "plain1202", "preresnet1001", "densenet_bc_250_24")
FEW = ("plain20", "seresnet20", "wrn_16_8", "resnet34", "seresnet50", "densenet121", "googlenet")


def uninitialized(name: str) -> dict[str, Tensor]:
    classes = registry.default_num_classes(split_options(name)[0])
    with skip_init():
        return registry.create_model(name, classes).state_dict()


@cache
def found(name: str) -> Identification:
    return identify(uninitialized(name))


@pytest.mark.parametrize("name", TABLE)
def test_each_row_is_what_inspect_lists(name: str) -> None:
    assert found(name).confidence == "likely"
    assert found(name).alternatives == TABLE[name]


@pytest.mark.parametrize("name", TABLE)
def test_each_alternative_has_the_same_names_and_shapes(name: str) -> None:
    weights = uninitialized(name)
    for other in TABLE[name]:
        base = split_options(name)[1]
        options = "".join(f",{key}={value}" for key, value in base.items())
        shapes = {key: weight.shape for key, weight in uninitialized(f"{other}{options}").items()}
        assert shapes == {key: weight.shape for key, weight in weights.items()}


def check_certainty(name: str) -> None:
    """Check that a match is certain only if no option and no model of the index fits as well."""
    match = found(name)
    shapes = {key: tuple(weight.shape) for key, weight in uninitialized(name).items()}
    exact = {row.arch for row in lookup(shapes) if row.is_exact}
    others = {row for row in exact if row.partition("/")[2] != match.arch}
    assert others <= set(match.alternatives)
    assert (match.confidence == "certain") == (not match.alternatives)
    for other in match.alternatives:
        assert split_options(other)[1].keys() <= OPTIONS


@pytest.mark.parametrize("name", FEW)
def test_no_model_is_certain_whose_weights_fit_another(name: str) -> None:
    check_certainty(name)


@pytest.mark.slow
def test_no_model_of_the_registry_is_certain_whose_weights_fit_another() -> None:
    for name in registry.list_models():
        if name not in DEEP:
            check_certainty(name)


def test_groups_of_the_index_are_counted() -> None:
    groups = [
        entry
        for entry in load_index().entries
        if len({name.partition("/")[2] for name, _ in entry.models}) > 1
    ]
    assert f"{len(groups)}\ngroups have equal names" in DOCS.read_text()


def test_models_of_a_group_are_listed_without_a_last_layer_too() -> None:
    for classes in (5, 0):
        with skip_init():
            weights = registry.create_model("timm/efficientnet_b0", classes).state_dict()
        match = identify(weights)
        assert (match.confidence, match.num_classes) == ("likely", classes)
        assert "timm/tf_efficientnet_b0" in match.alternatives


@pytest.mark.parametrize("name", ["resnet20", "resnet50", "seresnet18", "preresnet164"])
def test_random_options_never_become_certain(name: str) -> None:
    """A state dict made with any option of the table is opened as likely, or as what it is."""
    for other in TABLE.get(name, ()):
        if "/" in other:
            continue
        match = identify(uninitialized(other))
        assert match.confidence == "likely"
        assert other in (match.arch, *match.alternatives)
        assert torch.is_tensor(next(iter(match.state_dict.values())))
