"""One table of everything the user can do: it feeds menus, shortcuts, the command palette, the help
sheet and tests.
"""

from dataclasses import dataclass
from typing import Literal

Menu = Literal["File", "Image", "Edit", "Go", "View", "Help"]


@dataclass(frozen=True, slots=True)
class Action:
    """`name` is the controller's method, `keys` its shortcuts; scope "graph" holds while the graph
    has the focus.
    """

    name: str
    title: str
    menu: Menu
    keys: tuple[str, ...] = ()
    scope: Literal["window", "graph"] = "window"
    hint: str = ""


ACTIONS: tuple[Action, ...] = (
    Action(
        "open_checkpoint",
        "Open a checkpoint…",
        "File",
        ("Ctrl+O",),
        hint="a .ckpt or .safetensors file",
    ),
    Action(
        "show_start",
        "Bundled models",
        "File",
        ("Ctrl+N",),
        hint="the page with the models that come with the app",
    ),
    Action("save_screenshot", "Save screenshot…", "File", ("Ctrl+S",)),
    Action("quit", "Quit", "File", ("Ctrl+Q",)),
    Action("choose_image", "Open image…", "Image", ("Ctrl+I",)),
    Action(
        "paste_image",
        "Paste image",
        "Image",
        ("Ctrl+V",),
        hint="from the clipboard, an image or a file",
    ),
    Action("next_sample", "Next sample image", "Image", ("N",)),
    Action("previous_sample", "Previous sample image", "Image", ("Shift+N",)),
    Action("undo", "Undo", "Edit", ("Ctrl+Z",)),
    Action("redo", "Redo", "Edit", ("Ctrl+Shift+Z", "Ctrl+Y")),
    Action(
        "cut_skip",
        "Cut or restore the skip",
        "Edit",
        ("X",),
        hint="the one under the pointer, at the selected merge, or around the block",
    ),
    Action(
        "cut_branch", "Cut or restore the branch", "Edit", ("B",), hint="at the selected addition"
    ),
    Action(
        "open_gate", "Set gate to 1", "Edit", ("G",), hint="all weights 1, at the selected gate"
    ),
    Action("reset", "Reset all edits", "Edit", ("Ctrl+R",)),
    Action("go_right", "Next node", "Go", ("Right",), "graph"),
    Action("go_left", "Previous node", "Go", ("Left",), "graph"),
    Action("go_up", "Up: to a projection or the row above", "Go", ("Up",), "graph"),
    Action("go_down", "Down: to a gate's side path or the row below", "Go", ("Down",), "graph"),
    Action("go_to_skip_source", "Follow the skip back to its source", "Go", ("K",)),
    Action("go_first", "First block", "Go", ("Home",), "graph"),
    Action("go_last", "Last block", "Go", ("End",), "graph"),
    Action("fit", "Fit the graph", "View", ("F",)),
    Action("toggle_contrast", "Color scale: per channel / shared", "View", ("C",)),
    Action("toggle_order", "Gate weights: by channel or sorted", "View", ("S",)),
    Action("toggle_theme", "Toggle dark mode", "View", ("Ctrl+D",)),
    Action("palette", "Commands…", "Help", ("Ctrl+K",)),
    Action("help", "Keyboard shortcuts", "Help", ("?", "F1")),
)


def find(name: str) -> Action:
    return next(action for action in ACTIONS if action.name == name)


def matches(query: str) -> tuple[Action, ...]:
    """Actions whose title holds all words of the query, earliest hit first; all of them for an
    empty query.
    """
    words = query.lower().split()
    hits = [
        action
        for action in ACTIONS
        if all(word in f"{action.title} {action.hint}".lower() for word in words)
    ]
    return tuple(
        sorted(hits, key=lambda action: action.title.lower().find(words[0]) if words else 0)
    )
