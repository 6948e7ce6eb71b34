"""Files with several models, prefixes, metric states, other heads or none."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lightning_resnets.checkpoint.bundled import resolve_checkpoint
from lightning_resnets.checkpoint.inspect import inspect_checkpoint
from lightning_resnets.checkpoint.load import load_checkpoint, read_card
from lightning_resnets.checkpoint.open_checkpoint import identify
from lightning_resnets.cli.inspect import main as inspect_command
from lightning_resnets.errors import CheckpointError
from lightning_resnets.interactive.model import InteractiveModel
from lightning_resnets.models.registry import create_model
from tests.helpers.third_party_checkpoints import CASES
from tests.helpers.third_party_models import randomize_stats

State = dict[str, Tensor]
IMAGE = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def trained(seed: int = 0, name: str = "resnet20", **options: Any) -> nn.Module:
    torch.manual_seed(seed)
    return randomize_stats(create_model(name, **options), seed)


def prefixed(prefix: str, model: nn.Module) -> State:
    return {f"{prefix}{key}": weight for key, weight in model.state_dict().items()}


def outputs(model: nn.Module) -> Tensor:
    with torch.no_grad():
        return model(IMAGE)


def saved(tmp_path: Path, content: object) -> Path:
    torch.save(content, tmp_path / "a.pth")
    return tmp_path / "a.pth"


@pytest.mark.parametrize(
    "prefix", ["resnet.", "densenet121.", "encoder_q.", "learner.net.", "a.b.c.d.", "self_model."]
)
@pytest.mark.parametrize("name", ["resnet20", "densenet_bc_40_12", "preresnet20", "highway19"])
def test_any_common_prefix_is_removed(prefix: str, name: str) -> None:
    weights = prefixed(prefix, create_model(name))
    weights["val_f1.tp"] = torch.zeros(10)
    weights["confmat.confmat"] = torch.zeros(10, 10)
    found = identify(weights)
    assert (found.arch, found.fits, found.prefix) == (name, True, prefix)
    assert set(found.ignored_keys) == {"val_f1.tp", "confmat.confmat"}
    # Also where the user names the model.
    assert identify(weights, model=name).fits


def two_encoders() -> tuple[State, nn.Module, nn.Module]:
    query, key = trained(1), trained(2)
    weights = {**prefixed("module.encoder_q.", query), **prefixed("module.encoder_k.", key)}
    return weights | {"module.queue": torch.zeros(64, 8)}, query, key


def test_each_of_two_encoders_can_be_selected(tmp_path: Path) -> None:
    weights, query, key = two_encoders()
    path = saved(tmp_path, {"state_dict": weights, "epoch": 3})
    loaded = load_checkpoint(path)
    assert torch.equal(outputs(loaded.model), outputs(query))
    assert any("--select chooses another: module.encoder_k" in note for note in loaded.notes)
    for name in ("encoder_k", "module.encoder_k"):
        assert torch.equal(outputs(load_checkpoint(path, select=name).model), outputs(key))
    assert torch.equal(
        outputs(InteractiveModel.open(path, select="encoder_q").model), outputs(query)
    )
    with pytest.raises(CheckpointError, match=r"no model 'encoder_z' in the file \(models: module"):
        load_checkpoint(path, select="encoder_z")


@pytest.mark.parametrize("names", [("student", "teacher"), ("state_dict", "ema"), ("one", "two")])
def test_each_of_two_entries_can_be_selected(tmp_path: Path, names: tuple[str, str]) -> None:
    models = {name: trained(seed) for seed, name in enumerate(names)}
    content = {name: prefixed("module.", model) for name, model in models.items()}
    path = saved(tmp_path, {**content, "epoch": 3})
    for name, model in models.items():
        loaded = load_checkpoint(path, select=name)
        assert torch.equal(outputs(loaded.model), outputs(model))
        assert loaded.metadata is not None
        assert read_card(path, select=name).arch == "resnet20"
    chosen = {"student": "teacher"}.get(names[0], names[0])
    loaded = load_checkpoint(path)
    assert torch.equal(outputs(loaded.model), outputs(models[chosen]))
    other = next(name for name in names if name != chosen)
    assert any(f"--select {other}" in note for note in loaded.notes)


def test_a_selected_entry_may_have_two_models(tmp_path: Path) -> None:
    weights, _, key = two_encoders()
    path = saved(tmp_path, {"one": trained(5).state_dict(), "two": weights})
    loaded = load_checkpoint(path, select="two.encoder_k")
    assert torch.equal(outputs(loaded.model), outputs(key))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dino training", "moco v2"])
def test_published_copies_can_be_selected(name: str, tmp_path: Path) -> None:
    case = CASES[name]()
    path = case.save(tmp_path / "a.pth")
    for other, features in case.other_features.items():
        model = load_checkpoint(path, select=other).model
        model.fc = nn.Identity()
        with torch.no_grad():
            ours = model(case.image)
        assert float((ours - features).abs().max() / features.abs().max()) < 1e-4


def test_the_choice_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = saved(tmp_path, two_encoders()[0])
    inspect_command([str(path), "--verbose"])
    shown = capsys.readouterr().out
    assert "--select chooses another: module.encoder_k" in shown
    for start in ("1 bytes", "2 part", "3 names", "4 candidate", "5 known", "6 model"):
        assert f"\n{start} " in shown
    inspect_command([str(path), "--select", "encoder_k"])
    assert "prefix 'module.encoder_k.' removed" in capsys.readouterr().out


HEADS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...] | None]] = {
    "fc.1": (lambda: nn.Sequential(nn.Dropout(), nn.Linear(64, 5)), ()),
    "fc.0 and fc.2": (
        lambda: nn.Sequential(nn.Linear(64, 7), nn.ReLU(), nn.Linear(7, 5)),
        (7,),
    ),
    "three layers": (
        lambda: nn.Sequential(
            *(nn.Linear(64, 9), nn.ReLU(), nn.Linear(9, 8), nn.ReLU(), nn.Linear(8, 5))
        ),
        (9, 8),
    ),
    "batch norm": (
        lambda: nn.Sequential(nn.Linear(64, 7), nn.BatchNorm1d(7), nn.ReLU(), nn.Linear(7, 5)),
        None,
    ),
    "none": (nn.Identity, None),
}


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("prefix", ["", "backbone."])
def test_heads_are_rebuilt_or_left_out(name: str, prefix: str, tmp_path: Path) -> None:
    make_head, hidden = HEADS[name]
    model = trained()
    model.fc = make_head()
    model.eval()
    weights = prefixed(prefix, model)
    # With a prefix of the body the head lies beside it.
    weights = {key.replace("backbone.fc.", "head."): weight for key, weight in weights.items()}
    loaded = load_checkpoint(saved(tmp_path, weights))
    if hidden is None:
        model.fc = nn.Identity()
        assert loaded.card.class_names == ()
        assert any("feature extractor" in note for note in loaded.notes)
    else:
        assert loaded.card.model_kwargs.get("head_widths", ()) == hidden
        assert len(loaded.card.class_names) == 5
    assert torch.equal(outputs(loaded.model), outputs(model))


DAMAGE: dict[str, Callable[[State], object]] = {
    "a bias of the head": lambda state: state.pop("fc.bias"),
    "a head of another width": lambda state: state.update({"fc.weight": torch.zeros(10, 63)}),
    "a block": lambda state: [state.pop(key) for key in list(state) if key.startswith("layer2.1.")],
    "a statistic": lambda state: state.pop("layer3.2.bn2.running_var"),
    "a stage": lambda state: [state.pop(key) for key in list(state) if key.startswith("layer1.")],
    "first blocks": lambda state: [state.pop(key) for key in list(state) if ".0.conv" in key],
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("prefix", ["", "encoder."])
def test_damaged_files_are_never_opened_as_something_else(
    damage: str, prefix: str, tmp_path: Path
) -> None:
    state = create_model("resnet20").state_dict()
    DAMAGE[damage](state)
    path = saved(tmp_path, {f"{prefix}{key}": weight for key, weight in state.items()})
    with pytest.raises(CheckpointError):
        load_checkpoint(path)


def test_feature_extractors_work_in_the_interactive_model(tmp_path: Path) -> None:
    model = trained()
    model.fc = nn.Identity()
    path = saved(tmp_path, model.state_dict())
    assert "feature extractor" in "\n".join(inspect_checkpoint(path).notes())
    interactive = InteractiveModel.open(path)
    result = interactive.run((IMAGE[0] * 40 + 128).clamp(0, 255).byte().permute(1, 2, 0).numpy())
    assert result.logits.shape == (64,)
    assert (result.probabilities.size, result.topk()) == (0, [])
    assert interactive.graph.skips


def test_a_selection_in_a_file_with_a_card_and_one_model_raises() -> None:
    path = resolve_checkpoint("resnet20")
    assert load_checkpoint(path, select="state_dict").card.arch == "resnet20"
    with pytest.raises(CheckpointError, match=r"There is no model 'ema' in .*Omit --select"):
        load_checkpoint(path, select="ema")
