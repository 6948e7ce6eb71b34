"""Dialogs that ask for the path of a file."""

from PySide6.QtWidgets import QFileDialog, QWidget

from gui.file_types import CHECKPOINT_SUFFIXES

IMAGE_FILTER = "Images (*.png *.jpg *.jpeg *.webp *.bmp *.gif *.tif *.tiff);;All files (*)"
SESSION_FILTER = "Sessions (*.json);;All files (*)"


def choose_checkpoint(parent: QWidget) -> str:
    """Ask for a checkpoint.

    Args:
        parent: The window.

    Returns:
        Its path, "" if the user cancelled.
    """
    patterns = " ".join(f"*{suffix}" for suffix in CHECKPOINT_SUFFIXES)
    filters = f"Checkpoints ({patterns});;All files (*)"
    return QFileDialog.getOpenFileName(parent, "Open a checkpoint", "", filters)[0]


def choose_image(parent: QWidget) -> str:
    """Ask for an image.

    Args:
        parent: The window.

    Returns:
        Its path, "" if the user cancelled.
    """
    return QFileDialog.getOpenFileName(parent, "Open image", "", IMAGE_FILTER)[0]


def choose_screenshot_path(parent: QWidget) -> str:
    """Ask where to save a screenshot.

    Args:
        parent: The window.

    Returns:
        The path, "" if the user cancelled.
    """
    name = "window.png"
    return QFileDialog.getSaveFileName(parent, "Save screenshot", name, "PNG (*.png)")[0]


def choose_session(parent: QWidget) -> str:
    """Ask for a session file.

    Args:
        parent: The window.

    Returns:
        Its path, "" if the user cancelled.
    """
    return QFileDialog.getOpenFileName(parent, "Open session", "", SESSION_FILTER)[0]


def choose_session_path(parent: QWidget) -> str:
    """Ask where to save a session.

    Args:
        parent: The window.

    Returns:
        The path, "" if the user cancelled.
    """
    name = "session.json"
    return QFileDialog.getSaveFileName(parent, "Save session", name, SESSION_FILTER)[0]
