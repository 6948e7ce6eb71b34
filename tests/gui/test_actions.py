"""The one table of actions: complete, without clashes, and each entry a method of the
controller.
"""

import inspect

import pytest
from PySide6.QtGui import QKeySequence

from gui.actions import ACTIONS, find, matches
from gui.controller import Controller
from gui.file_controller import FileController
from gui.session_controller import SessionController


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.name)
def test_every_action_is_a_method_without_arguments(action: object) -> None:
    owners = (Controller, FileController, SessionController)
    owner = next(one for one in owners if hasattr(one, action.name))  # type: ignore[attr-defined]
    method = getattr(owner, action.name)  # type: ignore[attr-defined]
    assert list(inspect.signature(method).parameters) == ["self"]


def test_names_titles_and_keys_are_unique() -> None:
    for values in (
        [a.name for a in ACTIONS],
        [a.title for a in ACTIONS],
        [key for a in ACTIONS for key in a.keys],
    ):
        assert len(values) == len(set(values))


def test_every_action_has_a_key_that_qt_understands() -> None:
    for action in ACTIONS:
        assert action.keys, f"{action.name} has no shortcut"
        for key in action.keys:
            assert QKeySequence(key).toString(), key


def test_documented_shortcuts() -> None:
    expected = {
        "Ctrl+O": "open_checkpoint",
        "Ctrl+V": "paste_image",
        "X": "cut_skip",
        "Ctrl+Z": "undo",
    }
    expected |= {
        "Ctrl+Shift+Z": "redo",
        "Ctrl+K": "palette",
        "?": "help",
        "Right": "go_right",
        "Up": "go_up",
    }
    assert {
        key: action.name for action in ACTIONS for key in action.keys if key in expected
    } == expected


def test_matches() -> None:
    assert matches("") == tuple(sorted(ACTIONS, key=lambda action: 0))
    assert matches("cut skip")[0].name == "cut_skip"
    assert matches("IMAGE next") == (find("next_sample"),)
    assert matches("no such thing") == ()
