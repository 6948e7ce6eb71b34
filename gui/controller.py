"""Turn what the user does into requests, and results into a view state; give the views
what differs.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partialmethod
from pathlib import Path
from typing import Literal

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QApplication

from gui import navigation
from gui.edit_controller import EditController
from gui.file_types import split_paths
from gui.render import render, update_enabled_actions
from gui.state import (
    Catalog,
    ImageInput,
    Request,
    Result,
    ViewState,
    last_good_request,
    make_view_state,
    replace_rejected_image,
)
from gui.views import qt_style
from gui.views.command_palette import CommandPalette
from gui.views.shortcuts_dialog import ShortcutsDialog
from gui.views.window import MainWindow
from gui.worker import Worker


class Controller(QObject):
    """Owns the wish and the undo stack; each action of the table is a method of its name."""

    failed = Signal(str)

    def __init__(self, window: MainWindow, worker: Worker, theme: str = "auto") -> None:
        super().__init__(window)
        self.window, self.worker = window, worker
        self.request, self.result, self.screen, self.catalog = (
            Request(),
            Result(),
            ViewState(),
            Catalog(),
        )
        self.surgeon = EditController(window, lambda: self.request, lambda: self.screen, self)
        self._good, self._again, self._ready, self._theme_request = Request(), False, False, theme
        self._connect()
        self._apply_theme()
        render(self.window, None, self.screen)
        self._progress()

    def _connect(self) -> None:
        window, graph, inspector = self.window, self.window.graph, self.window.inspector
        self.worker.answered.connect(self._answered)
        self.worker.failed.connect(self._failed)
        window.action_requested.connect(self.trigger)
        window.dropped.connect(self.open_dropped)
        window.dropped_image.connect(self.set_image)
        window.scheme_changed.connect(self._apply_theme)
        QApplication.styleHints().colorSchemeChanged.connect(self._apply_theme)
        window.start.picked.connect(self.load_checkpoint)
        window.start.open_requested.connect(self.open_checkpoint)
        window.sidebar.samples.chosen.connect(self.select_sample)
        window.chips.removed.connect(self.surgeon.remove)
        window.chips.reset.connect(self.reset)
        graph.picked.connect(self.select)
        graph.cut_toggled.connect(self.surgeon.toggle_cut)
        graph.skip_menu_requested.connect(self.surgeon.show_skip_menu)
        graph.hovered.connect(window.set_hover)
        inspector.hovered.connect(window.set_hover)
        inspector.contrast_requested.connect(self.toggle_contrast)
        inspector.order_requested.connect(self.toggle_order)
        self.surgeon.changed.connect(
            lambda edits, gently: self._want(replace(self.request, edits=edits), gently=gently)
        )
        self.surgeon.stack.indexChanged.connect(self._enable)
        window.sidebar.choose_requested.connect(self.choose_image)

    def trigger(self, name: str) -> None:
        """One action of the table."""
        getattr(self, name)()

    # models and images

    def start(
        self, model: str | None = None, image: str | None = None, own: str | None = None
    ) -> None:
        """Ask for the shelf, and for what the command line names."""
        if image:
            self.request = replace(self.request, image=ImageInput(Path(image).name, path=image))
        if model:
            self.load_checkpoint(model, own)
        self.worker.submit("catalog")
        self._progress()

    def load_checkpoint(self, path: str, own: str | None = None) -> None:
        """Another model: its edits start empty; those of the model that is shown can be undone
        until it has come.
        """
        self.window.banner.set_text("")
        shown = self.result.model.key if self.result.model else None
        if shown is not None and self.request.checkpoint == shown:
            self._good = replace(self._good, edits=self.request.edits)
        if shown == path:  # opened once more: that its edits go is a step like any other
            self._want(
                replace(self.request, checkpoint=path, custom_model=own, edits=self._good.edits),
                ask=False,
            )
            self.surgeon.set_edits((), "open again")
        self._want(replace(self.request, checkpoint=path, custom_model=own, edits=()))

    def open_checkpoint(self) -> None:
        if path := self.window.choose_checkpoint():
            self.load_checkpoint(path)

    def show_start(self) -> None:
        self.surgeon.stack.clear()
        self.result, old = Result(), self.request
        self.request = Request(image=old.image, contrast=old.contrast, gate_order=old.gate_order)
        self._refresh()

    def choose_image(self) -> None:
        if path := self.window.choose_image():
            self.open_dropped([path])

    def paste_image(self) -> None:
        paths, image = self.window.clipboard()
        if paths:
            self.open_dropped(paths)
        elif image is not None:
            self.set_image(image)
        else:
            self._say("There is no image on the clipboard: copy one first.")

    def open_dropped(self, paths: Sequence[str]) -> None:
        """Dropped files: the first checkpoint and the first image among them."""
        models, images = split_paths(paths)
        if images:
            self.window.banner.set_text("")
            self._want(
                replace(self.request, image=ImageInput(Path(images[0]).name, path=images[0])),
                ask=not models,
            )
        if models:
            self.load_checkpoint(models[0])

    def set_image(self, pixels: QImage) -> None:
        self._want(
            replace(
                self.request, image=ImageInput("pasted image", pixels=qt_style.from_qimage(pixels))
            )
        )

    def select_sample(self, index: int) -> None:
        if self.catalog.samples:
            self._want(
                replace(self.request, image=self.catalog.samples[index % len(self.catalog.samples)])
            )

    def _turn(self, step: int) -> None:
        place = self.catalog.sample_index(self.request.image)
        self.select_sample(step + (min(0, -step) if place is None else place))

    next_sample, previous_sample = partialmethod(_turn, 1), partialmethod(_turn, -1)

    # edits

    def cut_skip(self) -> None:
        if way := self.window.graph.paint_state.hovered_input:
            self.surgeon.toggle_cut(*way)
        elif not self.surgeon.cut_skip(self.request.selected):
            self.window.set_hover(
                "No skip ends here: select a merge, or a block that a skip goes around."
            )

    def cut_branch(self) -> None:
        self.surgeon.cut_branch(self.request.selected)

    def open_gate(self) -> None:
        node = self.screen.diagram.node(self.request.selected)
        if node and node.kind == "gate":
            self.surgeon.toggle_gate(node.name)

    def reset(self) -> None:
        self.surgeon.set_edits((), "reset all")

    def undo(self) -> None:
        self.surgeon.undo()

    def redo(self) -> None:
        self.surgeon.redo()

    # travel

    def select(self, name: str | None) -> None:
        if name and name != self.request.selected:
            self._want(replace(self.request, selected=name))

    def _go(self, way: Literal["left", "right", "up", "down"]) -> None:
        """Along an edge of the drawing; the block that is reached is selected at once."""
        self.window.graph.move_cursor(way)
        self.select(self.window.graph.paint_state.cursor)

    go_right, go_left = partialmethod(_go, "right"), partialmethod(_go, "left")
    go_up, go_down = partialmethod(_go, "up"), partialmethod(_go, "down")

    def go_to_skip_source(self) -> None:
        self.select(navigation.skip_source(self.screen.diagram, self.request.selected))

    def go_end(self, step: int) -> None:
        self.select(navigation.neighbor(self.screen.diagram, None, step))

    go_first, go_last = partialmethod(go_end, 1), partialmethod(go_end, -1)

    # view and help

    def fit(self) -> None:
        self.window.graph.fit()

    def toggle_contrast(self) -> None:
        self.request = replace(
            self.request, contrast="layer" if self.request.contrast == "channel" else "channel"
        )
        self._refresh()

    def toggle_order(self) -> None:
        self.request = replace(
            self.request, gate_order="weight" if self.request.gate_order == "channel" else "channel"
        )
        self._refresh()

    def toggle_theme(self) -> None:
        self._theme_request = "light" if self.theme.dark else "dark"
        self._apply_theme()

    def palette(self) -> None:
        palette = CommandPalette(self.window)
        palette.chosen.connect(self.trigger)
        self.window.show_popup(palette)

    def help(self) -> None:
        ShortcutsDialog(self.window).open()

    def save_screenshot(self) -> None:
        if path := self.window.choose_screenshot_path():
            self.window.grab().save(path)

    def quit(self) -> None:
        self.window.close()

    # the loop: wish, sight, screen

    def _want(self, request: Request, ask: bool = True, gently: bool = False) -> None:
        """`gently` waits for the answer under way, so that every step of a scrub that can be shown
        is shown.
        """
        self.request = request
        if ask and request.checkpoint is not None:
            self._again = gently and self.worker.is_pending("run")
            if not self._again:
                self.worker.submit("run", request)
        self._refresh()

    def _answered(self, kind: str, answer: object) -> None:
        self._ready = True
        if isinstance(answer, Catalog):
            self._take_catalog(answer)
        elif isinstance(answer, Result) and self.request.checkpoint is not None:
            self._ask_trust(
                self.request.checkpoint, answer.needs_code_permission
            ) if answer.needs_code_permission else self._take_result(answer)
        self._refresh()

    def _take_result(self, result: Result) -> None:
        """An image that was refused leaves the wish; what is shown stays until another image has
        been seen.
        """
        if result.image_error:
            self._say(result.image_error)
            self.request = replace_rejected_image(self.request, self._good, self.catalog)
            if self.request.image is not None:
                self._want(self.request)
                return
        if result.model and (
            self.result.model is None or result.model.key != self.result.model.key
        ):
            self.surgeon.stack.clear()
        self.result, self._good = result, self.request
        if self._again:
            self._want(self.request)
        elif result.model and result.model.diagram.node(self.request.selected) is None:
            self._want(
                replace(self.request, selected=navigation.default_selection(result.model.diagram))
            )

    def _take_catalog(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.window.start.set_catalog(catalog)
        self.window.sidebar.samples.set_samples(catalog.samples)
        if self.request.image is None and catalog.samples:
            self._want(replace(self.request, image=catalog.samples[0]))

    def _failed(self, kind: str, sentence: str) -> None:
        """Back to the last wish that could be met; the sentence stands until it is dismissed."""
        self._ready = True
        if kind == "run":
            if (
                self.request.checkpoint == self._good.checkpoint
                and self.request.edits != self._good.edits
                and self.surgeon.stack.canUndo()
            ):
                self.surgeon.stack.undo()
            request, self.request, self._again = (
                self.request,
                last_good_request(self.request, self._good, self.result),
                False,
            )
            if (
                request.checkpoint != self.request.checkpoint
                and self.request.edits != self.result.edits
            ):
                self._want(self.request)
        self._say(sentence)
        self._refresh()

    def _ask_trust(self, path: str, model: str) -> None:
        """Keep what is shown; the code that the file names is run only once the user has typed its
        name.
        """
        self.request = last_good_request(self.request, self._good, self.result)
        self._say(
            f"{Path(path).name} contains a custom model, {model}. "
            "Its code runs only after you enter its name."
        )
        self.window.ask_to_run_code(path, model, lambda: self.load_checkpoint(path, model))

    def _say(self, sentence: str) -> None:
        self.window.banner.set_text(sentence)
        self.failed.emit(sentence)

    def _refresh(self) -> None:
        new = make_view_state(self.request, self.result)
        render(self.window, self.screen, new)
        self.screen = new
        self.window.sidebar.samples.set_current(self.catalog.sample_index(self.request.image))
        self._progress()
        self._enable()

    def _progress(self) -> None:
        """Show quietly what is awaited."""
        self.window.start.set_status(
            waiting := self.screen.status if self._ready else "loading PyTorch…"
        )
        timed = (
            f"forward pass: {1000 * self.result.seconds:.0f} ms"
            if self.result.seconds > 0.001
            else ""
        )
        self.window.set_state("" if self.screen.page == "start" else waiting or timed)

    def _enable(self) -> None:
        update_enabled_actions(self.window, self.screen, self.surgeon.stack)

    def _apply_theme(self) -> None:
        """The system's color scheme, unless one was asked for."""
        self.theme = qt_style.resolve_theme(self._theme_request)
        self.window.set_theme(self.theme)
