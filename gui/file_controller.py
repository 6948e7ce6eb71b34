"""Checkpoints and images that the user opens, drops, pastes or picks from the samples."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QObject
from PySide6.QtGui import QImage

from gui.file_types import split_paths
from gui.request_loop import RequestLoop
from gui.state import ImageInput, Request, Result, keep_view_choices
from gui.views import qt_style


class FileController(QObject):
    """Opens models and images; its methods are actions of the table in `gui.actions`.

    Args:
        loop: gets the requests.
    """

    def __init__(self, loop: RequestLoop) -> None:
        super().__init__(loop)
        self._loop = loop

    def open_checkpoint(self) -> None:
        """Ask for a checkpoint and open it."""
        if path := self._loop.window.choose_checkpoint():
            self._loop.open(path)

    def show_start(self) -> None:
        """Go back to the start page; the image and the choices of the views stay."""
        loop = self._loop
        # Steps of the closed model cannot be undone on another one.
        loop.edits.stack.clear()
        loop.result = Result()
        old = loop.request
        loop.request = keep_view_choices(Request(image=old.image), old)
        loop.refresh()

    def choose_image(self) -> None:
        """Ask for an image and open it."""
        if path := self._loop.window.choose_image():
            self.open_paths([path])

    def paste_image(self) -> None:
        """Open the files or the image on the clipboard."""
        paths, image = self._loop.window.clipboard()
        # Files first: a file manager copies an icon of the file along with it.
        if paths:
            self.open_paths(paths)
        elif image is not None:
            self.set_image(image)
        else:
            self._loop.say("There is no image on the clipboard. Copy an image or a file first.")

    def open_paths(self, paths: Sequence[str]) -> None:
        """Open the first checkpoint and the first image among some files.

        Args:
            paths: paths of files of any kind.
        """
        models, images = split_paths(paths)
        if images:
            self._loop.window.banner.set_text("")
            image = ImageInput(Path(images[0]).name, path=images[0])
            # The image waits for the model that comes with it.
            self._loop.submit(replace(self._loop.request, image=image), run=not models)
        if models:
            self._loop.open(models[0])

    def set_image(self, image: QImage) -> None:
        """Use an image that is not a file.

        Args:
            image: the image.
        """
        pixels = qt_style.from_qimage(image)
        pasted = ImageInput("pasted image", pixels=pixels)
        self._loop.submit(replace(self._loop.request, image=pasted))

    def select_sample(self, index: int) -> None:
        """Use a sample image.

        Args:
            index: its number; beyond the last it starts again from the first.
        """
        samples = self._loop.catalog.samples
        if samples:
            # From the last image on to the first, and back.
            sample = samples[index % len(samples)]
            self._loop.submit(replace(self._loop.request, image=sample))

    def next_sample(self) -> None:
        """Use the next sample image; the first after any other image."""
        index = self._sample_index()
        self.select_sample(0 if index is None else index + 1)

    def previous_sample(self) -> None:
        """Use the previous sample image; the last before any other image."""
        index = self._sample_index()
        self.select_sample(-1 if index is None else index - 1)

    def _sample_index(self) -> int | None:
        return self._loop.catalog.sample_index(self._loop.request.image)
