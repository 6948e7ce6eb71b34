"""Our table of weights against torchvision and timm, and the download code against localhost."""

import functools
import hashlib
import io
import re
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import safetensors.torch
import timm
import torch
import torchvision
from torch import Tensor, nn

from lightning_resnets import create_model
from lightning_resnets.checkpoint import CheckpointError
from lightning_resnets.checkpoint.load import load_model
from lightning_resnets.checkpoint.model_card import ModelCard
from lightning_resnets.errors import DownloadError
from lightning_resnets.models import pretrained_weights
from lightning_resnets.models.pretrained import load_pretrained_weights, rename_published_keys
from lightning_resnets.models.pretrained_weights import (
    TIMM_LEGACY_FILES,
    TIMM_TAGS,
    TORCHVISION_FILES,
    get_pretrained,
    list_pretrained,
)
from lightning_resnets.models.registry import MODELS
from lightning_resnets.utils import download
from lightning_resnets.utils.download import RemoteFile, download_cached
from lightning_resnets.utils.skip_init import skip_init


@dataclass
class Host:
    """Files on the server, its log, and its faults."""

    files: dict[str, bytes] = field(default_factory=dict[str, bytes])
    requests: list[str] = field(default_factory=list[str])
    etag: str = ""  # a wrong hash that it reports
    missing_bytes: int = 0  # at the end of every file
    hang: bool = False
    done: threading.Event = field(default_factory=threading.Event)
    url: str = ""


class Handler(BaseHTTPRequestHandler):
    def __init__(self, host: Host, *args: object) -> None:
        self.host = host
        super().__init__(*args)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        host = self.host
        host.requests.append(self.path)
        if host.hang:
            host.done.wait(10)
            return
        if "/resolve/main/" in self.path:  # as the hub: report the hash, then redirect
            name = self.path.split("/")[2] + ".safetensors"
            self.send_response(302)
            etag = host.etag or hashlib.sha256(host.files[name]).hexdigest()
            self.send_header("X-Linked-ETag", f'"{etag}"')
            self.send_header("X-Linked-Size", str(len(host.files[name])))
            self.send_header("Location", f"/redirected/{name}")
            self.end_headers()
            return
        data = host.files.get(self.path.rpartition("/")[2])
        self.send_response(404 if data is None else 200)
        self.send_header("Content-Length", str(len(data or b"")))
        self.end_headers()
        self.wfile.write((data or b"")[: len(data or b"") - host.missing_bytes])

    def log_message(self, *args: object) -> None:  # type: ignore[override]
        pass


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """Start a local server that replaces all others, with empty caches."""
    host = Host()
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, host))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    host.url = f"http://127.0.0.1:{server.server_port}"
    for name in ("http_proxy", "https_proxy", "all_proxy", "HF_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in ("HF_ENDPOINT", "LIGHTNING_RESNETS_MIRROR"):
        monkeypatch.setenv(name, host.url)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(download, "TIMEOUT", 0.5)
    yield host
    host.done.set()
    server.shutdown()
    server.server_close()
    thread.join()


@functools.cache
def trained() -> nn.Module:
    torch.manual_seed(1)
    return create_model("resnet20", num_classes=1000).eval()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "torch" / "hub" / "checkpoints"


@pytest.fixture
def small(host: Host, monkeypatch: pytest.MonkeyPatch) -> str:
    """Publish a small model as torchvision does; return the file's name."""
    data = io.BytesIO()
    torch.save(trained().state_dict(), data)
    name = f"resnet20-{hashlib.sha256(data.getvalue()).hexdigest()[:8]}"
    monkeypatch.setitem(TORCHVISION_FILES, "resnet20", name)
    host.files[f"{name}.pth"] = data.getvalue()
    return f"{name}.pth"


@pytest.fixture
def hub(host: Host, monkeypatch: pytest.MonkeyPatch) -> str:
    """Publish the same model on the hub as timm does; return the file's name."""
    monkeypatch.setitem(TIMM_TAGS, "resnet20", "a1_in1k")
    host.files["resnet20.a1_in1k.safetensors"] = safetensors.torch.save(trained().state_dict())
    return "resnet20.a1_in1k.safetensors"


def have_equal_weights(a: nn.Module, b: nn.Module) -> bool:
    states = (a.state_dict(), b.state_dict())
    return states[0].keys() == states[1].keys() and all(
        torch.equal(states[0][key], states[1][key]) for key in states[0]
    )


@pytest.mark.parametrize("model", TORCHVISION_FILES)
def test_table_matches_torchvision(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIGHTNING_RESNETS_MIRROR", raising=False)
    theirs = {
        w.name: w for w in torchvision.models.get_model_weights(model) if "FEATURES" not in w.name
    }  # type: ignore[attr-defined]
    ours = {name: w for name, w in list_pretrained(model).items() if w.package == "torchvision"}
    assert ours.keys() == theirs.keys()
    assert get_pretrained(model).name == torchvision.models.get_model_weights(model).DEFAULT.name  # type: ignore[attr-defined]
    for name, w in ours.items():
        recipe = theirs[name].transforms()
        assert w.file.url == theirs[name].url
        assert w.file.sha256 == w.file.name[-12:-4]
        assert w.preprocessing.input_size == (3, *recipe.crop_size * 2)
        assert round(recipe.crop_size[0] / w.preprocessing.crop_pct) == recipe.resize_size[0]
        assert w.preprocessing.interpolation == recipe.interpolation.value
        mean = (0.5,) * 3 if model in ("googlenet", "inception_v3") else tuple(recipe.mean)
        assert w.preprocessing.mean == mean


@pytest.mark.parametrize(
    ("model", "tag"), [(model, tag) for model, tags in TIMM_TAGS.items() for tag in tags.split()]
)
def test_table_matches_timm(model: str, tag: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    theirs, ours = timm.get_pretrained_cfg(f"{model}.{tag}"), list_pretrained(model)[tag]
    assert theirs is not None
    assert f"/{theirs.hf_hub_id}/" in ours.file.url
    preprocessing = ours.preprocessing
    assert (preprocessing.input_size, preprocessing.crop_pct, preprocessing.interpolation) == (
        theirs.input_size,
        theirs.crop_pct,
        theirs.interpolation,
    )
    assert (preprocessing.mean, preprocessing.std) == (theirs.mean, theirs.std)
    assert not (theirs.license or "").startswith("cc-by-nc")


@pytest.mark.parametrize("model", TIMM_LEGACY_FILES)
def test_table_matches_timms_legacy_models(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIGHTNING_RESNETS_MIRROR", raising=False)
    theirs, ours = timm.get_pretrained_cfg(f"legacy_{model}.in1k"), list_pretrained(model)["legacy"]
    assert theirs is not None
    assert isinstance(theirs.url, str)
    assert ours.file.url.rpartition("/releases/")[2] == theirs.url.rpartition("/releases/")[2]
    assert (ours.preprocessing.crop_pct, ours.preprocessing.mean) == (theirs.crop_pct, theirs.mean)
    theirs_model = timm.create_model(f"legacy_{model}", pretrained=False)
    with skip_init():
        state = create_model(model, 1000, se_divisor=1, **ours.model_kwargs).state_dict()
    theirs_state = rename_published_keys(theirs_model.state_dict())
    assert {k: v.shape for k, v in theirs_state.items()} == {k: v.shape for k, v in state.items()}


def test_old_densenet_names_are_renamed() -> None:
    with torch.device("meta"):
        state = torchvision.models.densenet121(weights=None).state_dict()
    old = {
        re.sub(r"(denselayer\d+\.(?:norm|conv))([12]\.)", r"\1.\2", key): value
        for key, value in state.items()
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    assert rename_published_keys(old).keys() == state.keys()


def test_auxiliary_classifiers_are_left_out() -> None:
    with skip_init():
        models = [create_model(name, 1000).state_dict() for name in ("googlenet", "inception_v3")]
    with torch.device("meta"):
        google = torchvision.models.googlenet(weights=None, init_weights=False).state_dict()
        third = torchvision.models.inception_v3(weights=None, init_weights=False).state_dict()
    assert rename_published_keys(google).keys() == models[0].keys() != google.keys()
    assert rename_published_keys(third).keys() == models[1].keys() != third.keys()


def test_weights_are_loaded_and_downloaded_once(
    host: Host, small: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert have_equal_weights(create_model("resnet20", 1000, pretrained=True), trained())
    assert (folder / small).read_bytes() == host.files[small]
    stderr = capsys.readouterr().err
    assert f"{small}, {len(host.files[small]) / 1e6:.1f} MB, from 127.0.0.1" in stderr
    assert "resnet20 with torchvision's weights IMAGENET1K_V1" in stderr
    assert have_equal_weights(create_model("resnet20", 1000, pretrained="IMAGENET1K_V1"), trained())
    assert host.requests == [f"/{small}"]
    assert [path.name for path in folder.iterdir()] == [small]


def test_hash_from_the_hub_is_kept(host: Host, hub: str, folder: Path) -> None:
    state, preprocessing, words = load_pretrained_weights("resnet20", "a1_in1k")
    assert all(torch.equal(state[key], value) for key, value in trained().state_dict().items())
    assert (preprocessing.crop_pct, preprocessing.interpolation) == (0.95, "bicubic")
    assert words == "resnet20 with timm's weights a1_in1k"
    assert have_equal_weights(create_model("resnet20", 1000, pretrained=True), trained())
    assert host.requests == [
        "/timm/resnet20.a1_in1k/resolve/main/model.safetensors",
        f"/redirected/{hub}",
    ]
    assert (folder / f"{hub}.sha256").read_text().strip() == hashlib.sha256(
        host.files[hub]
    ).hexdigest()


def test_hugging_face_cache_is_used(host: Host, hub: str, tmp_path: Path) -> None:
    path = tmp_path / "hf/hub/models--timm--resnet20.a1_in1k/snapshots/abc/model.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(host.files[hub])
    assert have_equal_weights(create_model("resnet20", 1000, pretrained=True), trained())
    assert not host.requests


def test_an_existing_file_is_used(host: Host, hub: str, folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / hub).write_bytes(host.files[hub])
    assert have_equal_weights(create_model("resnet20", 1000, pretrained=True), trained())
    assert not host.requests


@pytest.mark.parametrize("kind", ["small", "hub"])
def test_a_damaged_file_is_downloaded_again(
    kind: str, host: Host, folder: Path, request: pytest.FixtureRequest
) -> None:
    name = request.getfixturevalue(kind)
    load_pretrained_weights("resnet20")
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    host.requests.clear()
    assert have_equal_weights(create_model("resnet20", 1000, pretrained=True), trained())
    assert host.requests


def test_another_number_of_classes_keeps_the_last_layer_untrained(
    small: str, capsys: pytest.CaptureFixture[str]
) -> None:
    model = create_model("resnet20", 7, pretrained=True)
    ours, theirs = model.state_dict(), trained().state_dict()
    assert [key for key in ours if not torch.equal(ours[key], theirs[key])] == [
        "fc.weight",
        "fc.bias",
    ]
    assert len(ours["fc.weight"]) == 7
    assert "its last layer is untrained, for 7 classes instead of 1000" in capsys.readouterr().err


def test_concurrent_calls_download_once(host: Host, small: str) -> None:
    found: list[dict[str, Tensor]] = []
    threads = [
        threading.Thread(target=lambda: found.append(load_pretrained_weights("resnet20")[0]))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert host.requests == [f"/{small}"]


def wrong_hash(host: Host, name: str) -> None:
    host.files[name] = b"?" * len(host.files[name])


def truncated(host: Host, name: str) -> None:
    host.missing_bytes = 100


def missing(host: Host, name: str) -> None:
    del host.files[name]


def hanging(host: Host, name: str) -> None:
    host.hang = True


@pytest.mark.parametrize(
    ("break_host", "reason"),
    [
        (wrong_hash, "the SHA-256 does not match"),
        (truncated, r"the connection ended after [\d,]+ of [\d,]+ bytes"),
        (missing, "HTTP 404 Not Found"),
        (hanging, "no answer for 0.5 seconds"),
    ],
)
def test_failed_downloads_raise_and_leave_no_file(
    break_host: object, reason: str, host: Host, small: str, folder: Path
) -> None:
    assert callable(break_host)
    break_host(host, small)
    with pytest.raises(DownloadError) as caught:
        create_model("resnet20", 1000, pretrained=True)
    path = re.escape(str(folder))
    expected = (
        rf"Could not download {small} from 127\.0\.0\.1:\d+ \({reason}\)\. "
        rf"Connect to the internet, or save http://\S+/{small} as {small} in {path}\."
    )
    assert re.fullmatch(expected, str(caught.value))
    assert not list(folder.iterdir())


def test_a_file_with_another_hash_raises(host: Host, hub: str, folder: Path) -> None:
    host.etag = "0" * 64
    with pytest.raises(DownloadError, match="SHA-256 does not match"):
        load_pretrained_weights("resnet20")
    assert not list(folder.iterdir())


def test_refused_connections_raise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(
        DownloadError,
        match=r"from 127\.0\.0\.1:9 \(Connection refused\)\. Connect to the internet",
    ):
        download_cached(RemoteFile("http://127.0.0.1:9/a.pth", "a.pth", "0" * 8), tmp_path)
    with pytest.raises(DownloadError, match="not a web address"):
        download_cached(RemoteFile(f"file://{tmp_path}/b", "a.pth"), tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(DownloadError, match=r"Cannot write a.pth to .*TORCH_HOME"):
        download_cached(RemoteFile("http://127.0.0.1:9/a.pth", "a.pth"), tmp_path / "file")


def test_proxy_from_the_environment_is_used(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.files["a.pth"] = b"weights"
    monkeypatch.setenv("http_proxy", host.url)
    source = RemoteFile(
        "http://weights.invalid/a.pth", "a.pth", hashlib.sha256(b"weights").hexdigest()
    )
    assert download_cached(source, tmp_path).read_bytes() == b"weights"
    assert host.requests == ["http://weights.invalid/a.pth"]


def test_progress_is_shown_on_a_terminal(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    host.files["a.pth"] = bytes(3_000_000)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    download_cached(RemoteFile(f"{host.url}/a.pth", "a.pth"), tmp_path)
    assert re.search(r"\ra\.pth \d\.\d MB, \d+ % ", capsys.readouterr().err)


def test_unknown_weights_raise() -> None:
    with pytest.raises(
        ValueError,
        match="resnet50 has no published weights 'V3'; it has IMAGENET1K_V2, IMAGENET1K_V1, a1",
    ):
        create_model("resnet50", 1000, pretrained="V3")
    with pytest.raises(
        ValueError, match="No published ImageNet weights are known for resnet56, only for resnet18"
    ):
        create_model("resnet56", pretrained=True)


def test_options_that_do_not_fit_the_weights_raise(small: str) -> None:
    with pytest.raises(
        ValueError,
        match=r"do not fit the options given \(layer2\.0\.downsample.*leave the options away",
    ):
        create_model("resnet20", 1000, pretrained=True, shortcut_type="B")


def test_weights_set_the_options_that_they_need(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "lightning_resnets.models.registry.load_into_model", lambda model, weights: None
    )
    with skip_init():
        model = create_model("seresnet101", 1000, pretrained="legacy")
    assert model.get_submodule("layer2.0.conv1").stride == (2, 2)
    assert model.get_submodule("maxpool").ceil_mode is True


def test_a_model_card_cannot_cause_a_download(host: Host, small: str, tmp_path: Path) -> None:
    card = ModelCard(
        arch="resnet20",
        model_kwargs={"pretrained": True},
        class_names=tuple(map(str, range(1000))),
        input_size=(3, 32, 32),
        mean=(0.5,) * 3,
        std=(0.5,) * 3,
    )
    path = tmp_path / "evil.ckpt"
    weights = {f"model.{key}": value for key, value in trained().state_dict().items()}
    torch.save({"card": card.to_dict(), "state_dict": weights}, path)
    with pytest.raises(CheckpointError):
        load_model(path)
    assert not host.requests


def test_the_table_lists_built_in_models_only() -> None:
    assert all(model in MODELS for model in (*TORCHVISION_FILES, *TIMM_TAGS, *TIMM_LEGACY_FILES))
    assert pretrained_weights.list_pretrained("resnet20") == {}
