"""Sessions: written and read again without loss, and never trusted."""

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from gui.controller import Controller
from gui.graph import Edit, EditKind
from gui.measures import MEASURES
from gui.session import Session, SessionError, from_json, to_json
from gui.session_controller import SessionController
from gui.state import ImageInput, Request
from gui.views import file_dialogs

EDITS = (
    Edit("zero", "conv1", 0, 0.0, (1, 4)),
    Edit("scale", "layer1.0.add", 0, 0.0),
    Edit("drop", "layer2.1", 0, 0.0),
)
KINDS: tuple[EditKind, ...] = ("scale", "hold", "drop")
REQUEST = Request("a b/ö.ckpt", "resnet20", None, "layer1.0.add", EDITS, "layer", "weight", "std")


def edit(kind: str, operand: int, value: object) -> dict[str, object]:
    return {"kind": kind, "target": "a", "operand": operand, "value": value}


def random_request(rng: random.Random) -> Request:
    names = [measure.name for measure in MEASURES]
    edits = [
        Edit(
            rng.choice(["scale", "hold", "drop"]),
            f"m{rng.random()}",
            rng.randrange(9),
            rng.random(),
        )
        for _ in range(rng.randrange(4))
    ]
    path = rng.choice([None, "/tmp/x.png", "C:\\y\\x.png"])
    return Request(
        checkpoint=rng.choice([None, "resnet20", "日本.ckpt"]),
        architecture=rng.choice([None, "resnet20", "timm/resnet18"]),
        image=ImageInput("x.png", path=path) if path else None,
        selected=rng.choice([None, "fc"]),
        edits=tuple(edits),
        contrast=rng.choice(["channel", "layer"]),
        gate_order=rng.choice(["channel", "weight"]),
        strip_measure=rng.choice([None, *names]),
        color_measure=rng.choice([None, *names]),
    )


@pytest.mark.parametrize("seed", range(40))
def test_a_session_is_read_as_it_was_written(seed: int) -> None:
    session = Session(random_request(random.Random(seed)), "cat", "dark", (1280, 800))
    found = from_json(to_json(session))
    image, expected = found.request.image, session.request.image
    assert (image.path if image else None) == (expected.path if expected else None)
    assert (image.label if image else None) == (expected.label if expected else None)
    assert replace(found.request, image=None) == replace(session.request, image=None)
    assert replace(found, request=Request()) == replace(session, request=Request())


def test_every_kind_of_edit_is_kept() -> None:
    assert from_json(to_json(Session(REQUEST))).request.edits == EDITS


def test_a_custom_architecture_does_not_come_from_a_file() -> None:
    session = Session(replace(REQUEST, architecture="evil:model"))
    assert from_json(to_json(session)).request.architecture is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "version 2"),
        ({"version": None}, "version None"),
        ({"contrast": "loud"}, "'contrast' must be one of channel, layer"),
        ({"selected": 3}, "'selected' is not a valid text"),
        ({"checkpoint": "a\0b"}, "'checkpoint' is not a valid text"),
        ({"checkpoint": "x" * 5000}, "'checkpoint' is not a valid text"),
        ({"edits": {}}, "'edits' must be a list"),
        ({"edits": [3]}, "an edit needs"),
        ({"edits": [edit("rm", 0, 1)]}, "an edit needs"),
        ({"edits": [edit("drop", -1, 1)]}, "an edit needs"),
        (
            {"edits": [{"kind": "drop", "target": "a", "operand": 0, "value": True}]},
            "an edit needs",
        ),
        (
            {"edits": [{"kind": "drop", "target": "a", "operand": 0, "value": 1e999}]},
            "an edit needs",
        ),
        ({"edits": [edit("zero", 0, 0)]}, "an edit needs"),
        ({"edits": [edit("zero", 0, 0) | {"channels": [2, 1]}]}, "an edit needs"),
        ({"edits": [edit("zero", 0, 0) | {"channels": [True]}]}, "an edit needs"),
        ({"edits": [edit("scale", 0, 0) | {"channels": [1]}]}, "an edit needs"),
        ({"size": [1]}, "two whole numbers"),
        ({"size": [0, 5]}, "two whole numbers"),
    ],
)
def test_a_damaged_session_says_what_is_wrong(change: dict[str, object], message: str) -> None:
    values = json.loads(to_json(Session(REQUEST))) | change
    with pytest.raises(SessionError, match=message):
        from_json(json.dumps(values))


@pytest.mark.parametrize("text", ["", "x", "[]", "3", "{}", "[" * 100_000, "null"])
def test_another_document_is_no_session(text: str) -> None:
    with pytest.raises(SessionError, match="not a session file"):
        from_json(text)


def test_a_measure_of_another_version_is_left_out() -> None:
    values = json.loads(to_json(Session(REQUEST))) | {"strip_measure": "curvature"}
    assert from_json(json.dumps(values)).request.strip_measure is None


def test_saving_and_opening_brings_everything_back(
    qtbot: QtBot, opened: Controller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "s.json")
    monkeypatch.setattr(file_dialogs, "choose_session_path", lambda _: path)
    monkeypatch.setattr(file_dialogs, "choose_session", lambda _: path)
    opened.select("conv1")
    opened.edits.toggle_cut("layer1.0.add", 0)
    opened.files.next_sample()
    opened.trigger("save_session")
    saved = opened.request
    opened.reset()
    opened.files.next_sample()
    opened.select("fc")
    opened.trigger("open_session")
    qtbot.waitUntil(lambda: not opened.worker.is_pending("run"))
    assert opened.request == saved
    assert opened.screen.edits == saved.edits


def test_the_last_session_is_restored_after_a_crash(
    qtbot: QtBot, opened: Controller, tmp_path: Path
) -> None:
    path = tmp_path / "data/session.json"
    first = SessionController(opened, path)
    opened.edits.toggle_cut("layer1.0.add", 0)
    first.autosave()
    assert path.is_file()
    # The app starts again, with another model open, and has saved that too.
    second = SessionController(opened, path)
    edits = opened.request.edits
    opened.reset()
    second.autosave()
    second.restore_session()
    qtbot.waitUntil(lambda: not opened.worker.is_pending("run"))
    assert opened.request.edits == edits


def test_a_session_file_that_cannot_be_read_is_a_message(
    opened: Controller, tmp_path: Path
) -> None:
    messages: list[str] = []
    opened.failed.connect(messages.append)
    (tmp_path / "bad.json").write_bytes(b"\xff\xfe")
    for name in ("missing.json", "bad.json"):
        opened.sessions.open_file(str(tmp_path / name))
    opened.sessions.restore_session()
    assert [message.split()[0] for message in messages] == ["Cannot", "Cannot", "There"]
    assert opened.screen.page == "model"
