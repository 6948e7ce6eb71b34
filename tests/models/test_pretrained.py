"""Published weights: our table against torchvision's and timm's own, and the real download code against localhost."""

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
from lightning_resnets.models.pretrained import load_pretrained_weights, renamed
from lightning_resnets.models.pretrained_weights import (
    TIMM_LEGACY_FILES,
    TIMM_TAGS,
    TORCHVISION_FILES,
    get_pretrained,
    list_pretrained,
)
from lightning_resnets.utils import download
from lightning_resnets.utils.download import RemoteFile, download_cached
from lightning_resnets.utils.skip_init import skip_init


@dataclass
class Host:
    """What lies on the server, what was asked of it, and how it behaves."""

    files: dict[str, bytes] = field(default_factory=dict[str, bytes])
    asked: list[str] = field(default_factory=list[str])
    linked: str = ""  # the hash that it claims, where it lies
    cut: int = 0  # so many bytes of a file are missing
    hang: bool = False
    over: threading.Event = field(default_factory=threading.Event)
    url: str = ""


class Handler(BaseHTTPRequestHandler):
    def __init__(self, host: Host, *args: object) -> None:
        self.host = host
        super().__init__(*args)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        host = self.host
        host.asked.append(self.path)
        if host.hang:
            host.over.wait(10)
            return
        if "/resolve/main/" in self.path:  # as the hub: it says what the file is and sends us on
            name = self.path.split("/")[2] + ".safetensors"
            self.send_response(302)
            linked = host.linked or hashlib.sha256(host.files[name]).hexdigest()
            self.send_header("X-Linked-ETag", f'"{linked}"')
            self.send_header("X-Linked-Size", str(len(host.files[name])))
            self.send_header("Location", f"/far/{name}")
            self.end_headers()
            return
        data = host.files.get(self.path.rpartition("/")[2])
        self.send_response(404 if data is None else 200)
        self.send_header("Content-Length", str(len(data or b"")))
        self.end_headers()
        self.wfile.write((data or b"")[: len(data or b"") - host.cut])

    def log_message(self, *args: object) -> None:  # type: ignore[override]
        pass


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """A server on this machine in place of all others, and empty caches."""
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
    host.over.set()
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
    """A small model's weights, published as torchvision does it; gives the file's name."""
    data = io.BytesIO()
    torch.save(trained().state_dict(), data)
    name = f"resnet20-{hashlib.sha256(data.getvalue()).hexdigest()[:8]}"
    monkeypatch.setitem(TORCHVISION_FILES, "resnet20", name)
    host.files[f"{name}.pth"] = data.getvalue()
    return f"{name}.pth"


@pytest.fixture
def hub(host: Host, monkeypatch: pytest.MonkeyPatch) -> str:
    """The same as timm does it, on the hub."""
    monkeypatch.setitem(TIMM_TAGS, "resnet20", "a1_in1k")
    host.files["resnet20.a1_in1k.safetensors"] = safetensors.torch.save(trained().state_dict())
    return "resnet20.a1_in1k.safetensors"


def same(a: nn.Module, b: nn.Module) -> bool:
    states = (a.state_dict(), b.state_dict())
    return states[0].keys() == states[1].keys() and all(
        torch.equal(states[0][key], states[1][key]) for key in states[0]
    )


@pytest.mark.parametrize("model", TORCHVISION_FILES)
def test_torchvision_says_the_same_of_its_files(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
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
        given = (0.5,) * 3 if model in ("googlenet", "inception_v3") else tuple(recipe.mean)
        assert w.preprocessing.mean == given


@pytest.mark.parametrize(
    ("model", "tag"), [(model, tag) for model, tags in TIMM_TAGS.items() for tag in tags.split()]
)
def test_timm_says_the_same_of_its_hub(
    model: str, tag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    theirs, ours = timm.get_pretrained_cfg(f"{model}.{tag}"), list_pretrained(model)[tag]
    assert theirs is not None
    assert f"/{theirs.hf_hub_id}/" in ours.file.url
    wants = ours.preprocessing
    assert (wants.input_size, wants.crop_pct, wants.interpolation) == (
        theirs.input_size,
        theirs.crop_pct,
        theirs.interpolation,
    )
    assert (wants.mean, wants.std) == (theirs.mean, theirs.std)
    assert not (theirs.license or "").startswith("cc-by-nc")


@pytest.mark.parametrize("model", TIMM_LEGACY_FILES)
def test_timm_says_the_same_of_its_legacy_nets(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIGHTNING_RESNETS_MIRROR", raising=False)
    theirs, ours = timm.get_pretrained_cfg(f"legacy_{model}.in1k"), list_pretrained(model)["legacy"]
    assert theirs is not None
    assert isinstance(theirs.url, str)
    assert ours.file.url.rpartition("/releases/")[2] == theirs.url.rpartition("/releases/")[2]
    assert (ours.preprocessing.crop_pct, ours.preprocessing.mean) == (theirs.crop_pct, theirs.mean)
    made = timm.create_model(f"legacy_{model}", pretrained=False)
    with skip_init():
        state = create_model(model, 1000, se_divisor=1, **ours.model_kwargs).state_dict()
    theirs_state = renamed(made.state_dict())
    assert {k: v.shape for k, v in theirs_state.items()} == {k: v.shape for k, v in state.items()}


def test_densenets_old_names_become_todays() -> None:
    with torch.device("meta"):
        state = torchvision.models.densenet121(weights=None).state_dict()
    old = {
        re.sub(r"(denselayer\d+\.(?:norm|conv))([12]\.)", r"\1.\2", key): value
        for key, value in state.items()
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    assert renamed(old).keys() == state.keys()


def test_auxiliary_classifiers_are_left_out() -> None:
    with skip_init():
        models = [create_model(name, 1000).state_dict() for name in ("googlenet", "inception_v3")]
    with torch.device("meta"):
        google = torchvision.models.googlenet(weights=None, init_weights=False).state_dict()
        third = torchvision.models.inception_v3(weights=None, init_weights=False).state_dict()
    assert renamed(google).keys() == models[0].keys() != google.keys()
    assert renamed(third).keys() == models[1].keys() != third.keys()


def test_a_net_gets_the_weights_of_a_file_that_is_fetched_once(
    host: Host, small: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert same(create_model("resnet20", 1000, pretrained=True), trained())
    assert (folder / small).read_bytes() == host.files[small]
    said = capsys.readouterr().err
    assert f"{small}, {len(host.files[small]) / 1e6:.1f} MB, from 127.0.0.1" in said
    assert "resnet20 with torchvision's weights IMAGENET1K_V1" in said
    assert same(create_model("resnet20", 1000, pretrained="IMAGENET1K_V1"), trained())
    assert host.asked == [f"/{small}"]
    assert [path.name for path in folder.iterdir()] == [small]


def test_the_hub_says_the_hash_and_is_asked_once(host: Host, hub: str, folder: Path) -> None:
    state, wants, words = load_pretrained_weights("resnet20", "a1_in1k")
    assert all(torch.equal(state[key], value) for key, value in trained().state_dict().items())
    assert (wants.crop_pct, wants.interpolation) == (0.95, "bicubic")
    assert words == "resnet20 with timm's weights a1_in1k"
    assert same(create_model("resnet20", 1000, pretrained=True), trained())
    assert host.asked == ["/timm/resnet20.a1_in1k/resolve/main/model.safetensors", f"/far/{hub}"]
    assert (folder / f"{hub}.sha256").read_text().strip() == hashlib.sha256(
        host.files[hub]
    ).hexdigest()


def test_the_cache_of_hugging_face_serves(host: Host, hub: str, tmp_path: Path) -> None:
    place = tmp_path / "hf/hub/models--timm--resnet20.a1_in1k/snapshots/abc/model.safetensors"
    place.parent.mkdir(parents=True)
    place.write_bytes(host.files[hub])
    assert same(create_model("resnet20", 1000, pretrained=True), trained())
    assert not host.asked


def test_what_another_put_there_is_taken(host: Host, hub: str, folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / hub).write_bytes(host.files[hub])
    assert same(create_model("resnet20", 1000, pretrained=True), trained())
    assert not host.asked


@pytest.mark.parametrize("kind", ["small", "hub"])
def test_a_damaged_file_is_fetched_again(
    kind: str, host: Host, folder: Path, request: pytest.FixtureRequest
) -> None:
    name = request.getfixturevalue(kind)
    load_pretrained_weights("resnet20")
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    host.asked.clear()
    assert same(create_model("resnet20", 1000, pretrained=True), trained())
    assert host.asked


def test_another_number_of_classes_has_a_fresh_last_layer(
    small: str, capsys: pytest.CaptureFixture[str]
) -> None:
    model = create_model("resnet20", 7, pretrained=True)
    ours, theirs = model.state_dict(), trained().state_dict()
    assert [key for key in ours if not torch.equal(ours[key], theirs[key])] == [
        "fc.weight",
        "fc.bias",
    ]
    assert len(ours["fc.weight"]) == 7
    assert "its last layer is fresh, for 7 classes instead of 1000" in capsys.readouterr().err


def test_concurrent_calls_fetch_once_and_see_whole_files(host: Host, small: str) -> None:
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
    assert host.asked == [f"/{small}"]


def wrong_hash(host: Host, name: str) -> None:
    host.files[name] = b"?" * len(host.files[name])


def truncated(host: Host, name: str) -> None:
    host.cut = 100


def missing(host: Host, name: str) -> None:
    del host.files[name]


def hanging(host: Host, name: str) -> None:
    host.hang = True


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (wrong_hash, "what came has another SHA-256 than was published"),
        (truncated, r"the connection ended after [\d,]+ of [\d,]+ bytes"),
        (missing, "it answers 404 Not Found"),
        (hanging, "no answer for 0.5 seconds"),
    ],
)
def test_what_goes_wrong_is_one_sentence_and_leaves_nothing(
    spoil: object, reason: str, host: Host, small: str, folder: Path
) -> None:
    assert callable(spoil)
    spoil(host, small)
    with pytest.raises(DownloadError) as caught:
        create_model("resnet20", 1000, pretrained=True)
    place = re.escape(str(folder))
    expected = (
        rf"{small} could not be fetched from 127\.0\.0\.1:\d+ \({reason}\): connect to the internet once, or put the "
        rf"file http://\S+/{small} as {small} into {place}\."
    )
    assert re.fullmatch(expected, str(caught.value))
    assert not list(folder.iterdir())


def test_a_hub_that_sends_something_else_is_refused(host: Host, hub: str, folder: Path) -> None:
    host.linked = "0" * 64
    with pytest.raises(DownloadError, match="another SHA-256"):
        load_pretrained_weights("resnet20")
    assert not list(folder.iterdir())


def test_refused_connections_are_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(
        DownloadError,
        match=r"from 127\.0\.0\.1:9 \(Connection refused\): connect to the internet once",
    ):
        download_cached(RemoteFile("http://127.0.0.1:9/a.pth", "a.pth", "0" * 8), tmp_path)
    with pytest.raises(DownloadError, match="no web address"):
        download_cached(RemoteFile(f"file://{tmp_path}/b", "a.pth"), tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(DownloadError, match=r"has no place in .*TORCH_HOME"):
        download_cached(RemoteFile("http://127.0.0.1:9/a.pth", "a.pth"), tmp_path / "file")


def test_the_proxy_of_the_environment_is_used(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.files["a.pth"] = b"weights"
    monkeypatch.setenv("http_proxy", host.url)
    source = RemoteFile(
        "http://weights.invalid/a.pth", "a.pth", hashlib.sha256(b"weights").hexdigest()
    )
    assert download_cached(source, tmp_path).read_bytes() == b"weights"
    assert host.asked == ["http://weights.invalid/a.pth"]


def test_progress_counts_on_a_terminal(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    host.files["a.pth"] = bytes(3_000_000)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    download_cached(RemoteFile(f"{host.url}/a.pth", "a.pth"), tmp_path)
    assert re.search(r"\ra\.pth \d\.\d MB, \d+ % ", capsys.readouterr().err)


def test_names_that_are_not_there_get_a_sentence() -> None:
    with pytest.raises(
        ValueError,
        match="resnet50 has no published weights 'V3'; it has IMAGENET1K_V2, IMAGENET1K_V1, a1",
    ):
        create_model("resnet50", 1000, pretrained="V3")
    with pytest.raises(
        ValueError,
        match="No ImageNet weights of resnet56 are published that we know; there are some of",
    ):
        create_model("resnet56", pretrained=True)


def test_options_that_the_weights_do_not_fit_get_a_sentence(small: str) -> None:
    with pytest.raises(
        ValueError,
        match=r"do not fit the options given \(layer2\.0\.downsample.*leave the options away",
    ):
        create_model("resnet20", 1000, pretrained=True, shortcut_type="B")


def test_weights_bring_the_options_that_they_need(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "lightning_resnets.models.pretrained.load_into_model", lambda model, weights: None
    )
    with skip_init():
        model = create_model("seresnet101", 1000, pretrained="legacy")
    assert model.get_submodule("layer2.0.conv1").stride == (2, 2)
    assert model.get_submodule("maxpool").ceil_mode is True


def test_no_card_causes_a_download(host: Host, small: str, tmp_path: Path) -> None:
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
    assert not host.asked


def test_the_table_names_nets_of_the_zoo() -> None:
    assert all(
        model in create_model.__globals__["NETS"]
        for model in (*TORCHVISION_FILES, *TIMM_TAGS, *TIMM_LEGACY_FILES)
    )
    assert pretrained_weights.list_pretrained("resnet20") == {}
