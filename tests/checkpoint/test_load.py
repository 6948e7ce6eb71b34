"""Saved models load exactly; hostile and broken files raise."""

import copy
import io
import json
import os
import pickle
import resource
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from lightning_resnets.checkpoint import CheckpointError, ModelCard
from lightning_resnets.checkpoint.load import load_checkpoint, load_model, read_card
from lightning_resnets.errors import CheckpointWarning
from lightning_resnets.models.registry import create_model
from lightning_resnets.utils.skip_init import skip_init

CARD = ModelCard(
    arch="resnet20",
    class_names=tuple("abcdefghij"),
    input_size=(3, 32, 32),
    mean=(0.49, 0.48, 0.44),
    std=(0.24, 0.24, 0.26),
    metrics={"test_accuracy": 0.9},
    dataset="cifar10",
)
IMAGE = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def model() -> nn.Module:
    torch.manual_seed(0)
    return create_model("resnet20").eval()


def contents(model: nn.Module, **changes: Any) -> dict[str, Any]:
    weights = {f"model.{name}": weight for name, weight in model.state_dict().items()}
    return {"state_dict": weights, "card": CARD.to_dict(), "epoch": 3, "loops": {}, **changes}


def saved(path: Path, values: object) -> Path:
    torch.save(values, path)
    return path


@pytest.fixture
def good(tmp_path: Path, model: nn.Module) -> Path:
    return saved(tmp_path / "good.ckpt", contents(model))


def test_saved_models_load(good: Path, model: nn.Module) -> None:
    opened, card = load_model(good)
    assert card == read_card(good) == CARD
    assert torch.equal(opened(IMAGE), model(IMAGE))
    assert not opened.training
    assert all(weight.requires_grad for weight in opened.parameters())


def test_card_gives_kwargs_and_classes(tmp_path: Path) -> None:
    other = create_model("resnet20", num_classes=3, shortcut_type="B").eval()
    card = {
        **CARD.to_dict(),
        "class_names": ["a", "b", "c"],
        "model_kwargs": {"shortcut_type": "B"},
    }
    opened, _ = load_model(saved(tmp_path / "b.ckpt", contents(other, card=card)))
    assert torch.equal(opened(IMAGE), other(IMAGE))


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_become_float32(tmp_path: Path, model: nn.Module, kind: torch.dtype) -> None:
    weights = {
        f"model.{name}": weight.to(kind) if weight.is_floating_point() else weight
        for name, weight in model.state_dict().items()
    }
    opened, _ = load_model(saved(tmp_path / "half.ckpt", contents(model, state_dict=weights)))
    assert opened(IMAGE).dtype is torch.float32
    assert torch.equal(opened.get_parameter("fc.weight"), weights["model.fc.weight"].float())


def test_loading_keeps_the_random_state_and_closes_the_file(good: Path) -> None:
    state = torch.get_rng_state()
    opened, _ = load_model(good)
    assert torch.equal(torch.get_rng_state(), state)
    before = opened(IMAGE)
    good.write_bytes(b"x" * 100)  # a running training writes its last.ckpt again and again
    assert torch.equal(opened(IMAGE), before)


def test_safetensors_load(tmp_path: Path, model: nn.Module) -> None:
    path = tmp_path / "model.safetensors"
    safetensors.torch.save_file(model.state_dict(), path, {"card": json.dumps(CARD.to_dict())})
    opened, card = load_model(path)
    assert card == CARD
    assert torch.equal(opened(IMAGE), model(IMAGE))


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model"])
def test_files_without_a_card_are_identified(
    tmp_path: Path, model: nn.Module, wrapper: str | None
) -> None:
    state = {f"module.{name}": weight for name, weight in model.state_dict().items()}
    path = saved(tmp_path / "bare.pth", {wrapper: state} if wrapper else state)
    opened = load_checkpoint(path)
    assert opened.identification is not None
    assert (opened.card.arch, len(opened.card.class_names), opened.card.input_size) == (
        "resnet20",
        10,
        (3, 32, 32),
    )
    assert opened.card == read_card(path)
    assert torch.equal(opened.model(IMAGE), model(IMAGE))


def test_named_models_overrule_but_must_match(tmp_path: Path, model: nn.Module) -> None:
    plain = create_model("plain20").eval()
    path = saved(tmp_path / "bare.pth", plain.state_dict())
    assert torch.equal(load_model(path, "plain20")[0](IMAGE), plain(IMAGE))
    with pytest.raises(
        CheckpointError, match=r"does not match --model resnet32: .* weights missing"
    ):
        load_model(path, "resnet32")
    with pytest.raises(CheckpointError, match="no model"):
        load_model(path, "resnet21")
    carded = saved(tmp_path / "good.ckpt", contents(model))
    with pytest.raises(
        CheckpointError,
        match=r"--model plain20 contradicts the model card of .* which says 'resnet20'",
    ):
        load_model(carded, "plain20")


NESTED = """
from torch import nn


class Nested(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.model, self.fc = nn.Sequential(nn.Conv2d(3, 4, 3)), nn.Linear(4, num_classes)

    def forward(self, x):
        return self.fc(self.model(x).mean((2, 3)))
"""


def test_models_with_a_child_named_model_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nested.py").write_text(NESTED)
    monkeypatch.chdir(tmp_path)
    model = create_model("nested:Nested").eval()
    card = {**CARD.to_dict(), "arch": "nested:Nested"}
    safetensors.torch.save_file(
        model.state_dict(), tmp_path / "a.safetensors", {"card": json.dumps(card)}
    )
    saved(tmp_path / "a.ckpt", contents(model, card=card))
    for name in ("a.safetensors", "a.ckpt"):
        assert torch.equal(load_model(tmp_path / name, "nested:Nested")[0](IMAGE), model(IMAGE))


def test_weights_beside_the_model_are_noted(tmp_path: Path, model: nn.Module) -> None:
    values = contents(model)
    values["state_dict"]["head2.weight"] = torch.ones(3)
    (note,) = load_checkpoint(saved(tmp_path / "more.ckpt", values)).notes
    assert "1 weight beside the model's, which were ignored (head2.weight)" in note


def test_cards_that_ask_for_a_download_raise(tmp_path: Path, model: nn.Module) -> None:
    path = saved(
        tmp_path / "fetch.ckpt",
        contents(model, card={**CARD.to_dict(), "model_kwargs": {"pretrained": True}}),
    )
    with pytest.raises(CheckpointError, match="without 'pretrained'"):
        load_model(path)


def test_optimizer_states_are_ignored(tmp_path: Path, model: nn.Module) -> None:
    values = contents(model, optimizer_states=[{"state": {0: torch.ones(5)}}])
    values["state_dict"]["metric.count"] = torch.tensor(3)
    with pytest.warns(CheckpointWarning, match="ignored"):
        assert load_model(saved(tmp_path / "more.ckpt", values))[1] == CARD


def test_nonfinite_weights_warn(tmp_path: Path, model: nn.Module) -> None:
    values = contents(model)
    values["state_dict"]["model.fc.bias"] = torch.full((10,), torch.nan)
    path = saved(tmp_path / "burst.ckpt", values)
    with pytest.warns(
        CheckpointWarning, match=r"NaN or inf in its weights \(fc.bias\): its training diverged"
    ):
        load_model(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(load_checkpoint(path).notes) == 1


def cut(path: Path, model: nn.Module) -> None:
    saved(path, contents(model))
    path.write_bytes(path.read_bytes()[:-4000])


def packed(path: Path, model: nn.Module) -> None:
    """Write a compressed archive."""
    saved(path, contents(model))
    with zipfile.ZipFile(path) as old:
        members = [(info.filename, old.read(info)) for info in old.infolist()]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name, data in members:
            new.writestr(name, data)


def folded(path: Path, model: nn.Module) -> None:
    """Write an archive whose directory lists the same bytes many times."""
    saved(path, contents(model))
    with zipfile.ZipFile(path, "a") as archive:
        large = max(archive.filelist, key=lambda member: member.file_size)
        for i in range(60):
            again = copy.copy(large)
            again.filename = f"bad/data/{1000 + i}"
            archive.filelist.append(again)
        archive.writestr("bad/data/last", b"x")  # so that the directory is written anew


def changed(name: str, value: object) -> Callable[[Path, nn.Module], None]:
    def write(path: Path, model: nn.Module) -> None:
        values = contents(model)
        values["state_dict"] |= {name: value}
        saved(path, values)

    return write


def without(name: str) -> Callable[[Path, nn.Module], None]:
    def write(path: Path, model: nn.Module) -> None:
        values = contents(model)
        (values if name in values else values["state_dict"]).pop(name)
        saved(path, values)

    return write


def partly(path: Path, model: nn.Module) -> None:
    saved(
        path,
        {
            name: weight
            for name, weight in model.state_dict().items()
            if name != "layer1.0.bn1.weight"
        },
    )


def shared(path: Path, model: nn.Module) -> None:
    """Write a large model whose weights are all views of one small storage."""
    with skip_init():
        large = create_model("resnet1202", stem_width=128)
    memory = torch.zeros(
        max(weight.numel() for weight in large.state_dict().values()), dtype=torch.float16
    )
    weights = {
        f"model.{name}": memory[: weight.numel()].view(weight.shape)
        for name, weight in large.state_dict().items()
    }
    entries = {"arch": "resnet1202", "model_kwargs": {"stem_width": 128}}
    saved(path, contents(model, state_dict=weights, card={**CARD.to_dict(), **entries}))


def card(**entries: object) -> Callable[[Path, nn.Module], None]:
    return lambda path, model: void(
        saved(path, contents(model, card={**CARD.to_dict(), **entries}))
    )


def void(_: object) -> None:
    return None


def wrong_zip(path: Path, _: nn.Module) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("word/document.xml", "<hello/>")


BAD: dict[str, tuple[Callable[[Path, nn.Module], object], str]] = {
    "empty": (lambda path, _: path.touch(), "is empty. Copy or download it again"),
    "text": (
        lambda path, _: path.write_text("hello there\n" * 9),
        "is not a checkpoint. Supported formats: .ckpt",
    ),
    "web page": (lambda path, _: path.write_text("\n<!doctype html><html>"), "is a web page"),
    "cut off": (cut, "is truncated or damaged"),
    "header only": (
        lambda path, _: path.write_bytes(b"PK\x03\x04" + bytes(40)),
        "is truncated or damaged",
    ),
    "other zip": (wrong_zip, "is a zip archive but not a checkpoint"),
    "packed": (packed, "has a zip layout that training code never writes"),
    "folded": (folded, "has a zip layout that training code never writes"),
    "json": (lambda path, _: path.write_text('{"a": {"b": 1}}'), "not a checkpoint"),
    "a list": (lambda path, _: saved(path, [1, 2]), "contains no weights"),
    "weights of nothing": (
        lambda path, _: saved(path, {"a": torch.ones(3)}),
        "has no model card",
    ),
    "a weight lacks": (partly, r"closest to resnet20: 1 weight missing \(layer1.0.bn1.weight\)"),
    "no weights": (without("state_dict"), "contains no weights"),
    "a key lacks": (without("model.layer1.0.bn1.weight"), "lacks the weight 'layer1.0.bn1.weight'"),
    "a key more": (changed("model.fc2.weight", torch.ones(2)), r"does not have \(fc2.weight\)"),
    "wrong shape": (
        changed("model.fc.weight", torch.ones(10, 63)),
        "'fc.weight' .* has shape 10×63 but .* 10×64",
    ),
    "expanded": (
        changed("model.fc.weight", torch.ones(1).expand(10, 64)),
        "'model.fc.weight', which is not a plain tensor",
    ),
    "huge expanded": (
        changed("model.fc.weight", torch.ones(1).expand(10**12)),
        "which is not a plain tensor",
    ),
    "integers": (
        changed("model.fc.bias", torch.ones(10, dtype=torch.int64)),
        "is not a plain tensor",
    ),
    "complex": (
        changed("model.fc.bias", torch.ones(10, dtype=torch.complex64)),
        "is not a plain tensor",
    ),
    "sparse": (changed("model.fc.bias", torch.ones(10).to_sparse()), "is not a plain tensor"),
    "no tensor": (changed("model.fc.bias", [1.0] * 10), "lacks the weight 'fc.bias'"),
    "unknown model": (
        card(arch="resnet21"),
        "Unknown model 'resnet21' .*resnet20",
    ),
    "wild model": (card(arch="os.system"), "Unknown model 'os.system'"),
    "wrong options": (card(model_kwargs={"speed": 9}), "model_kwargs .* do not fit resnet20"),
    "doubled options": (
        card(model_kwargs={"num_classes": 9}),
        "model_kwargs .* do not fit resnet20",
    ),
    "other classes": (
        card(class_names=["a", "b"]),
        "'fc.weight' in .* has shape 10×64 but .* has 2×64",
    ),
    "bad card": (card(mean=[0.5]), "entry 'mean' must be"),
    "other channels": (
        card(input_size=[5, 32, 32], mean=[0.5] * 5, std=[0.5] * 5),
        "has 5 channels but resnet20 takes 3",
    ),
    "shared weights": (shared, "contains far less data than the weights of resnet1202"),
    "orders to a terminal": (
        changed("model.\x1b[2Jb", torch.ones(2)),
        r"does not have \(\?\[2Jb\)",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_invalid_files_raise(tmp_path: Path, model: nn.Module, name: str) -> None:
    write, sentence = BAD[name]
    path = tmp_path / "bad.ckpt"
    write(path, model)
    with pytest.raises(CheckpointError, match=sentence) as caught:
        load_model(path)
    text = str(caught.value)
    assert text.endswith(".")
    assert "\n" not in text and "\x1b" not in text and "weights_only" not in text  # noqa: PT018


def test_missing_files_and_folders_raise(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="does not exist"):
        read_card(tmp_path / "none.ckpt")
    with pytest.raises(CheckpointError, match="is a folder"):
        read_card(tmp_path)
    with pytest.raises(CheckpointError, match=r"is a folder|cannot be read"):
        read_card(str(tmp_path) + "/")


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything"
)
def test_unreadable_files_raise(good: Path) -> None:
    good.chmod(0)
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_card(good)


@pytest.mark.parametrize(
    "data", [b"\x08\0\0\0\0\0\0\0{}      ", b"\xff" * 7 + b"\x7f{", b"hello there, this is text"]
)
def test_invalid_safetensors_raise(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "bad.safetensors"
    path.write_bytes(data)
    with pytest.raises(
        CheckpointError, match=r"contains no weights|not a safetensors file|is not a checkpoint"
    ):
        load_model(path)


class Evil:
    """A pickle that makes a file when it is opened carelessly."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.marker}",)


def zipped(path: Path, value: object) -> None:
    torch.save(value, path)


def legacy(path: Path, value: object) -> None:
    torch.save(value, path, _use_new_zipfile_serialization=False)


def bare(path: Path, value: object) -> None:
    path.write_bytes(pickle.dumps(value))


@pytest.mark.parametrize("forced", [False, True])
@pytest.mark.parametrize("write", [zipped, legacy, bare])
def test_pickles_that_would_run_code_raise_and_do_not_run(
    tmp_path: Path,
    model: nn.Module,
    monkeypatch: pytest.MonkeyPatch,
    write: Callable[..., None],
    forced: bool,
) -> None:
    if forced:
        monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    marker = tmp_path / "it_ran"
    write(tmp_path / "evil.ckpt", contents(model, hyper_parameters=Evil(marker)))
    with pytest.raises(CheckpointError, match=r"Nothing was executed|is not a checkpoint"):
        load_model(tmp_path / "evil.ckpt")
    assert not marker.exists()
    torch.load(
        tmp_path / "evil.ckpt", weights_only=False
    ) if write is not bare else pickle.load(  # the file is live
        io.BytesIO((tmp_path / "evil.ckpt").read_bytes())
    )
    assert marker.exists()


def test_loading_imports_nothing(
    tmp_path: Path, model: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "evilmod.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    parameters = {
        "_instantiator": "evilmod.run",
        "optimizer": {"class_path": "evilmod.X"},
        "_class_path": "evilmod.X",
    }
    path = saved(
        tmp_path / "named.ckpt",
        contents(model, hyper_parameters=parameters, **{"pytorch-lightning_version": "2"}),
    )
    load_model(path)
    assert "evilmod" not in sys.modules


def test_cards_of_custom_models_import_nothing(
    tmp_path: Path, model: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "evilnet.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    card(arch="evilnet:make")(tmp_path / "named.ckpt", model)
    with pytest.raises(CheckpointError, match="contains a custom model, 'evilnet:make'"):
        load_model(tmp_path / "named.ckpt")
    assert "evilnet" not in sys.modules
    with pytest.raises(
        SystemExit, match="imported"
    ):  # the module is live: who names it himself runs it
        create_model("evilnet:make")


@pytest.mark.parametrize("width", [64 * 20, 64 * 1000])
def test_cards_of_huge_models_take_no_memory(tmp_path: Path, model: nn.Module, width: int) -> None:
    """Models of 35 GB and of 90 TB are refused at once, or never filled."""
    path = tmp_path / "greedy.ckpt"
    card(arch="seresnet50", model_kwargs={"base_width": width})(path, model)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CheckpointError):
        load_model(path)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 500_000 * (1024 if sys.platform == "darwin" else 1)  # kB, on macOS bytes


def test_read_card_builds_no_model(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> Tensor:
        raise AssertionError("built")

    monkeypatch.setattr("lightning_resnets.models.registry.create_model", never)
    assert read_card(good) == CARD
