"""Exported files give the model's logits for any batch size, else nothing is written."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lightning_resnets.checkpoint import CheckpointError, ModelCard, export_check, export_model
from lightning_resnets.checkpoint.convert import to_lightning_checkpoint
from lightning_resnets.cli.export import main
from lightning_resnets.data.cifar10_sample import load_sample
from lightning_resnets.models.registry import MODELS, create_model
from lightning_resnets.preprocessing import preprocess

MODELS_CHECKED = (
    "resnet20",
    "seresnet20",
    "densenet_bc_40_12",
    "plain20",
    "highway19",
    "resnet50",
    "seresnet50",
    "densenet121",
    "googlenet",
    "bn_inception",
    "inception_resnet_v2",
    "preresnet110",
    "wrn_16_8",
    "vgg16",
)


def card(
    arch: str = "resnet20", input_size: tuple[int, int, int] = (3, 32, 32), **entries: Any
) -> ModelCard:
    mean, std = (0.49, 0.48, 0.44)[: input_size[0]], (0.24, 0.23, 0.26)[: input_size[0]]
    return ModelCard(
        arch=arch,
        class_names=tuple("äbcdefghij"),
        input_size=input_size,
        mean=mean,
        std=std,
        **entries,
    )


def make_model(arch: str = "resnet20") -> nn.Module:
    torch.manual_seed(0)
    return create_model(arch, num_classes=10).eval().requires_grad_(False)


class Small(nn.Module):
    """A model that is exported at once."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(channels, 10, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).mean((2, 3))


class Doubting(Small):
    """Its forward depends on the values."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if x.mean() > 0 else -x)


class Fixed(Small):
    """Takes four images and no other number."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).reshape(4, 10)


def small(kind: type[Small] = Small, **options: Any) -> nn.Module:
    return kind(**options).eval().requires_grad_(False)


@pytest.fixture(autouse=True)
def no_monitor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop tqdm, which the exporter uses, from leaving a monitor thread."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.ckpt"
    path.write_bytes(to_lightning_checkpoint(make_model().state_dict(), card()))
    return path


def run_onnx(path: Path, x: Tensor) -> Any:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {"images": x.numpy()})[0]


# The other programs: ONNX's own runner and torch's loader, which know nothing of this library.


@pytest.mark.slow
@pytest.mark.parametrize("ending", export_model.SUFFIXES)
@pytest.mark.parametrize("arch", MODELS_CHECKED)
def test_every_family_exports(tmp_path: Path, arch: str, ending: str) -> None:
    found = export_model.export_model(
        make_model(arch), card(arch, MODELS[arch].input_size), tmp_path / f"out{ending}"
    )
    assert found.max_relative_error < 2e-5
    assert found.top1_matches == found.num_images == 8


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["timm/regnety_002", "timm/convnext_atto", "torchvision/mobilenet_v3_small"]
)
@pytest.mark.parametrize("ending", export_model.SUFFIXES)
def test_external_models_export(tmp_path: Path, name: str, ending: str) -> None:
    import timm
    import torchvision

    torch.manual_seed(0)
    package, _, arch = name.partition("/")
    make = timm.create_model if package == "timm" else torchvision.models.get_model
    other = make(arch, num_classes=10).eval().requires_grad_(False)
    found = export_model.export_model(other, card(name, (3, 64, 64)), tmp_path / f"out{ending}")
    assert found.max_relative_error < 2e-5


@pytest.mark.slow
@pytest.mark.parametrize("include_preprocessing", [False, True])
def test_onnx_command(
    file: Path, tmp_path: Path, include_preprocessing: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    import onnx

    out = tmp_path / "out.onnx"
    main([str(file), str(out), "--json", *["--include-preprocessing"] * include_preprocessing])
    said = json.loads(capsys.readouterr().out)
    assert said["max_relative_error"] < export_model.MAX_RELATIVE_ERROR
    assert (said["arch"], said["batch"], said["num_images"]) == ("resnet20", "dynamic", 8)
    assert said["bytes"] == out.stat().st_size
    assert said["checked_with"].startswith("onnxruntime ")
    model = onnx.load(out)
    onnx.checker.check_model(model, full_check=True)
    metadata = {item.key: item.value for item in model.metadata_props}
    assert ModelCard.from_dict(json.loads(metadata["card"])) == card()
    assert (
        metadata["preprocessing"]
        == said["preprocessing"]
        == export_model.describe_input(include_preprocessing)
    )
    raw = export_check.sample_images(card(), 5)
    right = make_model()(export_check.Normalize(card())(raw)).numpy()
    assert np.allclose(
        run_onnx(out, raw if include_preprocessing else export_check.Normalize(card())(raw)),
        right,
        atol=1e-5,
    )


@pytest.mark.slow
def test_pt2_command(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.pt2"
    main([str(file), str(out)])
    first, second, third = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{out}: resnet20, 269,722 parameters, 1.")
    assert (
        second == "input N×3×32×32, images normalized as the model card says; output 10 logits; "
        "torch.export"
    )
    assert third.startswith("checked with torch ")
    assert third.endswith(
        " on 8 images: maximum relative error of the logits 0.0e+00, same top-1 class for 8 of 8"
    )
    about = {"card": "", "preprocessing": ""}
    loaded = torch.export.load(out, extra_files=about).module()
    assert ModelCard.from_dict(json.loads(about["card"])) == card()
    x = torch.randn(5, 3, 32, 32)
    assert torch.equal(loaded(x), make_model()(x))


@pytest.mark.slow
@pytest.mark.parametrize("ending", export_model.SUFFIXES)
def test_fixed_batch_size(tmp_path: Path, ending: str) -> None:
    out, odd = tmp_path / f"out{ending}", small(Fixed)
    with pytest.raises(
        CheckpointError, match=r"resnet20 cannot be exported \(.+\)\. Try --batch-size 1\."
    ):
        export_model.export_model(odd, card(), out)
    assert export_model.export_model(odd, card(), out, batch_size=4).num_images == 8
    name, run = export_check.load_runtime(out)
    with pytest.raises(Exception, match=r"shape|dimension|size"):
        run(torch.zeros(3, 3, 32, 32))
    assert name.startswith(("onnxruntime", "torch"))


@pytest.mark.slow
@pytest.mark.parametrize("opset", [18, 21])
def test_opset_is_used(tmp_path: Path, opset: int) -> None:
    import onnx

    assert (
        export_model.export_model(small(), card(), tmp_path / "out.onnx", opset=opset).format
        == f"ONNX, opset {opset}"
    )
    assert onnx.load(tmp_path / "out.onnx").opset_import[0].version == opset


@pytest.mark.slow
@pytest.mark.parametrize("opset", [7, 99])
def test_unsupported_opsets_raise(
    tmp_path: Path, opset: int, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(
        CheckpointError,
        match=rf"--opset {opset} is not supported by the exporter\. Choose one near .., or omit",
    ):
        export_model.export_model(make_model(), card(), tmp_path / "out.onnx", opset=opset)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_reference_runtime_agrees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    found = export_model.export_model(make_model(), card(), tmp_path / "out.onnx", batch_size=1)
    assert found.checked_with.startswith("onnx 1.")
    assert found.max_relative_error < export_model.MAX_RELATIVE_ERROR


@pytest.mark.slow
def test_data_dependent_models_raise(tmp_path: Path) -> None:
    with pytest.raises(
        CheckpointError, match=r"cannot be exported .*must not depend on the values of its input"
    ):
        export_model.export_model(small(Doubting), card(), tmp_path / "out.pt2", batch_size=2)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("channels", ["RGB", "BGR"])
def test_included_preprocessing_equals_preprocess(channels: str) -> None:
    """Normalization inside the export equals `preprocess`."""
    said = card(channel_order=channels)
    image = load_sample("test")[0][0]
    ours = export_check.Normalize(said)(torch.from_numpy(image.copy()).permute(2, 0, 1)[None] / 255)
    assert torch.allclose(
        ours, preprocess(image, said.input_size, said.mean, said.std, channels), atol=1e-5
    )
    assert torch.allclose(ours, export_check.check_inputs(said)[1], atol=1e-5)


@pytest.mark.parametrize("size", [(3, 32, 32), (1, 28, 28), (3, 64, 48)])
@pytest.mark.parametrize(("batch", "counts"), [(0, [1, 1, 3, 3]), (2, [2, 2])])
def test_check_inputs_have_noise_and_images(
    size: tuple[int, int, int], batch: int, counts: list[int]
) -> None:
    raw = export_check.check_inputs(card(input_size=size), batch, raw=True)
    assert [tuple(x.shape) for x in raw] == [(count, *size) for count in counts]
    assert all(0 <= float(x.min()) < float(x.max()) <= 1 for x in raw)
    ready = export_check.check_inputs(card(input_size=size), batch)
    assert all(
        torch.equal(export_check.Normalize(card(input_size=size))(a), b)
        for a, b in zip(raw, ready, strict=True)
    )


def test_root_cause_is_one_plain_line() -> None:
    error = RuntimeError("\x1b[96mStep 2/3\x1b[0m failed")
    error.__cause__ = ValueError("\x1b[1mno such thing\x1b[0m.\nand more")
    assert export_check.root_cause_line(error) == "no such thing"
    assert export_check.root_cause_line(KeyError()) == "KeyError"
    assert len(export_check.root_cause_line(ValueError("x" * 999))) == 200


def off_by(share: float) -> Callable[[Path], tuple[str, export_check.RunFunction]]:
    """Return a runtime whose last logit is off by a fraction of the largest."""

    def answer(x: Tensor) -> Tensor:
        logits = small()(x)
        logits[-1, -1] += share * logits.abs().max()
        return logits

    return lambda _: ("a fake", answer)


def fake_pt2(_: object, path: Path, __: object) -> str:
    path.write_bytes(b"an export")
    return "torch.export"


@pytest.fixture
def no_exporter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the exporter by one that writes at once."""
    monkeypatch.setattr(export_model, "to_exported_program", lambda *_: None)
    monkeypatch.setattr(export_model, "write_pt2", fake_pt2)


@pytest.mark.usefixtures("no_exporter")
def test_different_logits_write_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out.pt2"
    monkeypatch.setattr(export_check, "load_runtime", off_by(0.5e-4))
    found = export_model.export_model(small(), card(), out)
    assert 0.4e-4 < found.max_relative_error < 0.6e-4
    assert out.read_bytes() == b"an export"
    for share in (2e-4, torch.nan):
        monkeypatch.setattr(export_check, "load_runtime", off_by(share))
        with pytest.raises(
            CheckpointError,
            match=r"differ from the model's by (2\.0e-04|nan) of the largest, more than",
        ):
            export_model.export_model(small(), card(), out)
        assert [path.read_bytes() for path in tmp_path.iterdir()] == [
            b"an export"
        ]  # what was there stays


@pytest.mark.slow
@pytest.mark.usefixtures("no_exporter")
def test_files_that_do_not_run_are_deleted(tmp_path: Path) -> None:
    with pytest.raises(
        CheckpointError, match=r"The exported file does not run \(.+\) and was deleted"
    ):
        export_model.export_model(small(), card(), tmp_path / "out.pt2")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("no_exporter")
def test_nonfinite_logits_raise(tmp_path: Path) -> None:
    burst = small()
    burst.get_parameter("conv.weight")[0] = torch.nan
    with pytest.raises(CheckpointError, match="own logits are NaN or inf"):
        export_model.export_model(burst, card(), tmp_path / "out.pt2")
    assert list(tmp_path.iterdir()) == []


def test_matching_classes_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        export_check, "load_runtime", lambda _: ("a fake", lambda x: small()(x).roll(1, 1))
    )
    found = export_check.check_export(
        tmp_path, "a form", small(), export_check.check_inputs(card())
    )
    assert (found.format, found.checked_with, found.top1_matches, found.num_images) == (
        "a form",
        "a fake",
        0,
        8,
    )


MISTAKES = {
    "another ending": (
        ["{file}", "{folder}/out.pth"],
        "the name must end in .onnx or .pt2; `lightning-resnets convert` writes weights",
    ),
    "there already": (
        ["{file}", "{folder}/there.onnx"],
        "already exists. Choose another name or add --overwrite",
    ),
    "no folder": (["{file}", "{folder}/none/out.onnx"], "Folder .* does not exist"),
    "opset of pt2": (
        ["{file}", "{folder}/out.pt2", "--opset", "18"],
        "--opset applies to .onnx only",
    ),
    "no number": (
        ["{file}", "{folder}/out.pt2", "--batch-size", "many"],
        "--batch-size: must be `dynamic` or a number from 1 to 4096, got 'many'",
    ),
    "no images": (
        ["{file}", "{folder}/out.pt2", "--batch-size", "0"],
        "--batch-size: must be `dynamic` or a number from 1 to 4096, got '0'",
    ),
    "no opset": (
        ["{file}", "{folder}/out.onnx", "--opset", "new"],
        "Argument --opset: invalid int value: 'new'",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_invalid_arguments_raise(file: Path, mistake: str) -> None:
    args, sentence = MISTAKES[mistake]
    (file.parent / "there.onnx").write_text("mine")
    before = sorted(file.parent.iterdir())
    with pytest.raises(ValueError, match=sentence) as caught:
        main([arg.format(file=file, folder=file.parent) for arg in args])
    assert str(caught.value).endswith(".")
    assert sorted(file.parent.iterdir()) == before


def test_missing_packages_raise(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(
        CheckpointError, match=r"pip install 'lightning-resnets\[export\]', or write .pt2\.$"
    ):
        main([str(file), str(tmp_path / "out.onnx")])


@pytest.mark.slow
def test_import_loads_no_exporter() -> None:
    import subprocess

    code = (
        "import sys; from lightning_resnets.checkpoint import convert, export_model; "
        "heavy = {'onnx', 'onnxscript', 'onnxruntime', 'torchvision', 'lightning', 'timm'}; "
        "heavy.add('torch._dynamo'); "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
