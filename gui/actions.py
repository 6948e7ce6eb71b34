"""Table of everything the user can do; menus, shortcuts, command palette and help read it."""

from dataclasses import dataclass
from typing import Literal

Menu = Literal["File", "Image", "Edit", "Go", "View", "Help"]


@dataclass(frozen=True, slots=True)
class Action:
    """One entry of the table.

    Attributes:
        name: the method that performs it.
        title: its text in menus.
        menu: the menu that it is in.
        keys: its shortcuts.
        scope: "graph" if the shortcuts work only while the graph has the focus.
        hint: what else there is to know, in the command palette.
    """

    name: str
    title: str
    menu: Menu
    keys: tuple[str, ...] = ()
    scope: Literal["window", "graph"] = "window"
    hint: str = ""


# In the order of the menus; the menu bar opens a menu at its first action.
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
    Action(
        "open_session",
        "Open session…",
        "File",
        ("Ctrl+Shift+O",),
        hint="model, image, edits and selection from a file",
    ),
    Action(
        "save_session",
        "Save session…",
        "File",
        ("Ctrl+Shift+S",),
        hint="model, image, edits and selection to a file",
    ),
    Action(
        "restore_session",
        "Restore the last session",
        "File",
        ("Ctrl+Shift+R",),
        hint="what was open when the app was last used",
    ),
    Action("save_screenshot", "Save screenshot…", "File", ("Ctrl+S",)),
    Action(
        "copy_view",
        "Copy the window as an image",
        "File",
        ("Ctrl+Shift+C",),
        hint="to the clipboard",
    ),
    Action(
        "copy_python",
        "Copy as Python",
        "File",
        ("Ctrl+Shift+Y",),
        hint="the lines of code that compute the numbers on the screen",
    ),
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
    Action(
        "remove_block",
        "Remove or restore the block",
        "Edit",
        ("D",),
        hint="the selected block that a skip connection goes around",
    ),
    Action("reset", "Reset all edits", "Edit", ("Ctrl+R",)),
    # Arrow keys work on the graph only: in lists and sliders they mean something else.
    Action("go_right", "Next node", "Go", ("Right",), "graph"),
    Action("go_left", "Previous node", "Go", ("Left",), "graph"),
    Action("go_up", "Up", "Go", ("Up",), "graph", "to a projection or the row above"),
    Action("go_down", "Down", "Go", ("Down",), "graph", "to a gate's weights or the row below"),
    Action("go_to_skip_source", "Follow the skip back to its source", "Go", ("K",)),
    Action("go_first", "First block", "Go", ("Home",), "graph"),
    Action("go_last", "Last block", "Go", ("End",), "graph"),
    Action("fit", "Fit the graph", "View", ("F",)),
    Action("toggle_contrast", "Color scale: per channel / shared", "View", ("C",)),
    Action("toggle_order", "Gate weights: by channel or sorted", "View", ("S",)),
    Action("toggle_theme", "Toggle dark mode", "View", ("Ctrl+D",)),
    Action(
        "palette",
        "Commands and blocks…",
        "Help",
        ("Ctrl+K", "Ctrl+Shift+P"),
        hint="finds commands, blocks and layers",
    ),
    Action("help", "Keyboard shortcuts", "Help", ("?", "F1")),
)


def find(name: str) -> Action:
    """Find an action.

    Args:
        name: its name.

    Returns:
        The action.
    """
    return next(action for action in ACTIONS if action.name == name)


def matches(query: str) -> tuple[Action, ...]:
    """Search the actions.

    Args:
        query: words in any order.

    Returns:
        The actions with all of the words, those whose title starts with the first word in front;
        all actions for an empty query.
    """
    words = query.lower().split()

    def has_all_words(action: Action) -> bool:
        """Return True if title or hint has every word."""
        text = f"{action.title} {action.hint}".lower()
        return all(word in text for word in words)

    def position(action: Action) -> int:
        """Return where the title has the first word."""
        if not words:
            return 0
        return action.title.lower().find(words[0])

    # Sorting is stable, so equally good matches keep the order of the table.
    return tuple(sorted(filter(has_all_words, ACTIONS), key=position))
