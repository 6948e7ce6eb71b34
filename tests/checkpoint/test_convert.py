"""Converted files load in other libraries, and round trips are exact."""

import json
import os
import resource
from pathlib import Path
from typing import Any

import pytest
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from lightning_resnets.checkpoint import CheckpointError, ModelCard
from lightning_resnets.checkpoint.convert import (
    compatibility_warnings,
    serialize,
    to_lightning_checkpoint,
)
from lightning_resnets.checkpoint.load import load_model
from lightning_resnets.cli.convert import main
from lightning_resnets.models.registry import create_model


def card(arch: str, classes: int = 10, side: int = 32, **entries: Any) -> ModelCard:
    names = tuple(f"kind {i} · ß" for i in range(classes))
    return ModelCard(
        arch=arch,
        class_names=names,
        input_size=(3, side, side),
        mean=(0.5,) * 3,
        std=(0.25,) * 3,
        **entries,
    )


def trained(arch: str, classes: int = 10, **options: Any) -> nn.Module:
    """Build a model whose weights all differ from their initial values."""
    torch.manual_seed(0)
    model = create_model(arch, classes, **options).eval().requires_grad_(False)
    for name, values in model.state_dict().items():
        if name.endswith("running_mean"):
            values.normal_()
        if name.endswith("running_var"):
            values.uniform_(0.5, 2)
        if name.endswith("num_batches_tracked"):
            values.fill_(7)
    return model


def written(path: Path, model: nn.Module, said: ModelCard) -> Path:
    path.write_bytes(to_lightning_checkpoint(model.state_dict(), said))
    return path


@pytest.fixture(scope="module")
def model() -> nn.Module:
    return trained("resnet20")


@pytest.fixture
def file(tmp_path: Path, model: nn.Module) -> Path:
    return written(
        tmp_path / "model.ckpt",
        model,
        card("resnet20", metrics={"test_accuracy": 0.9}, dataset="cifar10"),
    )


def by_name(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return dict(sorted(state.items()))


def tensors(path: Path) -> dict[str, Tensor]:
    return by_name(safetensors.torch.load_file(path))


def equal(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> bool:
    same = all(
        torch.equal(ours[name], theirs[name]) and ours[name].dtype == theirs[name].dtype
        for name in ours
    )
    return list(ours) == list(theirs) and same


def torchvision_model(name: str, classes: int) -> nn.Module:
    from torchvision import models

    extra = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
    return models.get_model(name, num_classes=classes, **extra)


def timm_model(name: str, classes: int) -> nn.Module:
    import timm

    return timm.create_model(name, num_classes=classes)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (torchvision_model, "resnet18"),
        pytest.param(torchvision_model, "googlenet", marks=pytest.mark.slow),
        pytest.param(torchvision_model, "resnet50", marks=pytest.mark.slow),
        pytest.param(torchvision_model, "densenet121", marks=pytest.mark.slow),
        (timm_model, "seresnet18"),
        pytest.param(timm_model, "seresnet50", marks=pytest.mark.slow),
    ],
)
def test_torchvision_and_timm_load_converted_files(tmp_path: Path, make: Any, name: str) -> None:
    ours, theirs = trained(name, 7), make(name, 7).eval()
    file = written(tmp_path / "model.ckpt", ours, card(name, 7, 224))
    image = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    for out in (tmp_path / "out.safetensors", tmp_path / "out.pth"):
        main([str(file), str(out)])
        state = tensors(out) if out.suffix == ".safetensors" else torch.load(out, weights_only=True)
        theirs.load_state_dict(state, strict=True)
        assert torch.equal(theirs(image), ours(image))


@pytest.mark.parametrize(
    "arch", ["resnet20", "seresnet20", "plain20", "densenet_bc_40_12", "highway19"]
)
def test_round_trips_are_bit_exact(tmp_path: Path, arch: str) -> None:
    model, said = (
        trained(arch),
        card(
            arch,
            metrics={"test_loss": 0.1},
            training={"epochs": 3},
            channel_order="BGR",
            crop_pct=0.875,
        ),
    )
    first, middle, last = (tmp_path / name for name in ("a.safetensors", "b.ckpt", "c.safetensors"))
    main([str(written(tmp_path / "model.ckpt", model, said)), str(first)])
    main([str(first), str(middle)])
    main([str(middle), str(last)])
    assert equal(by_name(model.state_dict()), tensors(first))
    assert equal(tensors(first), tensors(last))
    assert load_model(first)[1] == load_model(last)[1] == said
    opened, card_back = load_model(middle)
    assert card_back == said
    assert equal(dict(opened.state_dict()), dict(model.state_dict()))


def test_model_kwargs_survive(tmp_path: Path) -> None:
    model, out = trained("resnet20", 3, shortcut_type="B"), tmp_path / "out.safetensors"
    said = card("resnet20", 3, model_kwargs={"shortcut_type": "B"})
    main([str(written(tmp_path / "model.ckpt", model, said)), str(out)])
    opened, back = load_model(out)
    assert back == said
    assert equal(dict(opened.state_dict()), dict(model.state_dict()))


def test_safetensors_metadata_has_the_card(file: Path, tmp_path: Path) -> None:
    main([str(file), str(tmp_path / "out.safetensors")])
    with safetensors.safe_open(tmp_path / "out.safetensors", framework="pt") as opened:
        metadata = opened.metadata()
    assert metadata["format"] == "pt"
    assert ModelCard.from_dict(json.loads(metadata["card"])) == load_model(file)[1]


def test_ckpt_has_the_keys_of_training(file: Path, tmp_path: Path) -> None:
    main([str(file), str(tmp_path / "out.ckpt")])
    contents = torch.load(tmp_path / "out.ckpt", weights_only=True)
    assert list(contents) == ["state_dict", "card"]
    assert {name.split(".")[0] for name in contents["state_dict"]} == {"model"}


def test_fp16_halves_the_size_and_rounds_once(file: Path, tmp_path: Path, model: nn.Module) -> None:
    whole, half, again = (
        tmp_path / name for name in ("whole.safetensors", "half.safetensors", "again.safetensors")
    )
    main([str(file), str(whole)])
    main([str(file), str(half), "--fp16"])
    main([str(half), str(again), "--fp16"])
    assert half.stat().st_size < 0.55 * whole.stat().st_size
    assert equal(tensors(half), tensors(again))
    state = tensors(half)
    assert state["bn1.num_batches_tracked"].dtype == torch.int64
    assert torch.equal(state["fc.weight"], model.get_parameter("fc.weight").half())


def test_values_too_large_for_fp16_raise(file: Path, tmp_path: Path, model: nn.Module) -> None:
    loud = trained("resnet20")
    loud.get_buffer("layer2.0.bn1.running_var")[3] = 1e5
    written(file, loud, card("resnet20"))
    with pytest.raises(
        CheckpointError,
        match=r"'layer2.0.bn1.running_var' has values too large .*Omit --fp16",
    ):
        main([str(file), str(tmp_path / "out.pth"), "--fp16"])
    assert serialize(model, card("resnet20"), ".pth", fp16=True)


def test_output_line(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.safetensors"
    main([str(file), str(out)])
    assert capsys.readouterr().out == f"{out}: resnet20, 269,722 parameters, 1.1 MB\n"


def test_files_without_card_warn_of_differences() -> None:
    said = card(
        "resnet50",
        bn_eps=1e-3,
        channel_order="BGR",
        model_kwargs={"stride_in": "1x1", "dropout": 0.1},
    )
    (sentence,) = compatibility_warnings(said, Path("out.pth"))
    assert sentence == (
        "'out.pth' has torchvision's key names but no model card to say where this model differs "
        "from torchvision's (batch norm epsilon is 0.001; "
        'stride_in is "1x1"; its images are BGR).'
    )
    assert (
        "timm's key names"
        in compatibility_warnings(
            card("seresnet50", model_kwargs={"se_pool": "max"}), Path("out.PT")
        )[0]
    )
    assert (
        compatibility_warnings(
            card("seresnet50", model_kwargs={"se_reduction": 8, "dropout": 0.1}), Path("out.pth")
        )
        == []
    )
    assert compatibility_warnings(said, Path("out.safetensors")) == []
    assert compatibility_warnings(card("resnet50"), Path("out.pth")) == []


def test_force_writes_with_notes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = trained("resnet20", shortcut_type="C")
    model.get_parameter("fc.bias")[0] = torch.nan
    path = written(
        tmp_path / "model.ckpt",
        model,
        card("resnet20", model_kwargs={"shortcut_type": "C"}, channel_order="BGR"),
    )
    with pytest.raises(
        CheckpointError,
        match=r"so its logits there would be wrong\. Write \.safetensors, or add --force",
    ):
        main([str(path), str(tmp_path / "out.pth")])
    assert not (tmp_path / "out.pth").exists()
    main([str(path), str(tmp_path / "out.pth"), "--force"])
    line, *notes = capsys.readouterr().out.splitlines()
    assert line.startswith(str(tmp_path / "out.pth"))
    assert [note.partition(":")[0] for note in notes] == ["Note", "Note"]
    assert "NaN or inf" in notes[0]
    assert "its images are BGR" in notes[1]


MISTAKES = {
    "no ending": (
        ["{file}", "{folder}/out"],
        "Unknown file type 'out': the name must end in .safetensors, .ckpt",
    ),
    "another ending": (
        ["{file}", "{folder}/out.onnx"],
        "`lightning-resnets export` writes .onnx and .pt2",
    ),
    "no folder": (
        ["{file}", "{folder}/none/out.ckpt"],
        "Folder '.*none' does not exist. Create it first",
    ),
    "a folder": (["{file}", "{folder}/dir.ckpt"], "is a folder. Give a file name"),
    "itself": (
        ["{file}", "{folder}/../{name}/model.ckpt", "--overwrite"],
        "is the input file. Choose another name",
    ),
    "a link to itself": (["{file}", "{folder}/link.ckpt", "--overwrite"], "is the input file"),
    "there already": (
        ["{file}", "{folder}/there.ckpt"],
        "already exists. Choose another name or add --overwrite",
    ),
    "a pipe": (
        ["{file}", "{folder}/pipe.ckpt", "--overwrite"],
        "is not a regular file. Choose another name",
    ),
    "no file": (
        ["{folder}/none.ckpt", "{folder}/out.ckpt"],
        "No file or bundled model named",
    ),
    "no out": (["{file}"], "The following arguments are required: OUT"),
    "an unknown option": (
        ["{file}", "{folder}/out.ckpt", "--speed"],
        "Unrecognized arguments: --speed",
    ),
    "a name too long": (
        ["{file}", "{folder}/" + "n" * 252 + ".ckpt"],
        r"Cannot write .* \(File name too long\)",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_invalid_arguments_raise_and_write_nothing(file: Path, mistake: str) -> None:
    args, sentence = MISTAKES[mistake]
    folder = file.parent
    (folder / "dir.ckpt").mkdir()
    (folder / "there.ckpt").write_text("mine")
    (folder / "link.ckpt").symlink_to(file)
    os.mkfifo(folder / "pipe.ckpt")
    before = sorted(folder.iterdir()), file.read_bytes()
    with pytest.raises(ValueError, match=sentence) as caught:
        main([arg.format(file=file, folder=folder, name=folder.name) for arg in args])
    assert str(caught.value).endswith(".")
    assert (sorted(folder.iterdir()), file.read_bytes()) == before
    assert (folder / "there.ckpt").read_text() == "mine"


def test_overwrite_replaces_the_file(file: Path, tmp_path: Path) -> None:
    (tmp_path / "out.ckpt").write_text("mine")
    main([str(file), str(tmp_path / "out.ckpt"), "--overwrite"])
    assert load_model(tmp_path / "out.ckpt")[1] == load_model(file)[1]


def test_full_disk_keeps_the_old_file(file: Path, tmp_path: Path) -> None:
    (tmp_path / "out.safetensors").write_text("mine")
    before, limits = sorted(tmp_path.iterdir()), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(
        resource.RLIMIT_FSIZE, (100_000, limits[1])
    )  # no file may be larger: writing breaks off
    try:
        with pytest.raises(
            CheckpointError,
            match=r"Cannot write .* \(File too large\)\. The previous file is intact",
        ):
            main([str(file), str(tmp_path / "out.safetensors"), "--overwrite"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "out.safetensors").read_text() == "mine"


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere"
)
def test_read_only_folders_raise(file: Path, tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(CheckpointError, match=r"Cannot write .* \(Permission denied\)"):
        main([str(file), str(tmp_path / "closed" / "out.ckpt")])
