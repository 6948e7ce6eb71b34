"""The loop of the app: a request goes to the worker, its result becomes a view state."""

import sys
import traceback
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from gui import navigation
from gui.edit_controller import EditController
from gui.graph import Edit
from gui.render import render, update_enabled_actions
from gui.state import Catalog, ModelInfo, Request, Result, last_good_request, replace_rejected_image
from gui.view_state import ViewState, make_view_state
from gui.views.window import MainWindow
from gui.worker import Worker

MIN_SHOWN_SECONDS = 0.001  # faster results come from a cache


class RequestLoop(QObject):
    """Owns the request, its result and what is shown.

    Args:
        window: the window.
        worker: runs the model.

    Attributes:
        request: everything the user has chosen.
        result: the newest result.
        screen: what is shown.
        catalog: bundled models and sample images.
        edits: the undo stack and the commands on it.

    Signals:
        failed(message): Something could not be done.
    """

    failed = Signal(str)

    def __init__(self, window: MainWindow, worker: Worker) -> None:
        super().__init__(window)
        self.window = window
        self.worker = worker
        self.request = Request()
        self.result = Result()
        self.screen = ViewState()
        self.catalog = Catalog()
        self._all_samples = self.catalog
        # Functions, because request and screen are replaced with every step.
        self.edits = EditController(window, lambda: self.request, lambda: self.screen, self)
        self.edits.changed.connect(self._apply_edits)
        self.edits.stack.indexChanged.connect(self._update_actions)
        self.last_good = Request()
        # True while a slider drag waits for the pending result to submit its newest request.
        self._submit_again = False
        self._is_engine_ready = False
        worker.answered.connect(self._take_answer)
        worker.failed.connect(self._take_failure)
        # From nothing, so that every view gets its first content.
        render(window, None, self.screen)
        self._show_progress()

    def submit(self, request: Request, *, run: bool = True, is_drag: bool = False) -> None:
        """Make a request the present one.

        Args:
            request: the request.
            run: False to show it without running the model.
            is_drag: True during a slider drag: the pending result is awaited, so that the screen
                follows the slider instead of only its end.
        """
        self.request = request
        if run and request.checkpoint is not None:
            # A slider is faster than a forward pass: only its newest value follows.
            self._submit_again = is_drag and self.worker.is_pending("run")
            if not self._submit_again:
                self.worker.submit("run", request)
        self.refresh()

    def say(self, message: str) -> None:
        """Show a message until it is dismissed or the next model is opened.

        Args:
            message: what went wrong and what to do.
        """
        self.window.banner.set_text(message)
        self.failed.emit(message)

    def report_error(self, error: BaseException) -> None:
        """Show an exception that nothing has handled, and print its traceback.

        Args:
            error: the exception.
        """
        # The window has room for one line only.
        traceback.print_exception(error, file=sys.stderr)
        self.say(f"Internal error: {type(error).__name__}: {error}. The app keeps running.")

    def refresh(self) -> None:
        """Update the window from the request and the newest result."""
        new = make_view_state(self.request, self.result)
        errors = render(self.window, self.screen, new)
        # Also after an error: otherwise every later update would fail in the same view again.
        self.screen = new
        index = self.catalog.sample_index(self.request.image)
        self.window.sidebar.samples.set_current(index)
        self._show_progress()
        self._update_actions()
        for error in errors:
            self.report_error(error)

    # Results

    def _take_answer(self, kind: str, answer: object) -> None:
        self._is_engine_ready = True
        if isinstance(answer, Catalog):
            self._take_catalog(answer)
        # A result is dropped if the user has gone back to the start page meanwhile.
        elif isinstance(answer, Result) and self.request.checkpoint is not None:
            if answer.needs_code_permission:
                self._ask_to_run_code(self.request.checkpoint, answer.needs_code_permission)
            else:
                self._take_result(answer)
        self.refresh()

    def _take_result(self, result: Result) -> None:
        if result.image_error:
            self.say(result.image_error)
            # What is shown stays until another image has been run.
            self.request = replace_rejected_image(self.request, self.last_good, self.catalog)
            if self.request.image is not None:
                self.submit(self.request)
                return
        old_key = self.result.model.key if self.result.model else None
        if result.model and result.model.key != old_key:
            self.edits.stack.clear()
        self.result = result
        self.last_good = self.request
        if result.model and result.model.key != old_key:
            self._show_fitting_samples(result.model)
        if self._submit_again:
            self.submit(self.request)
        # A new model has no selection yet, or that of the one before.
        elif result.model and result.model.diagram.node(self.request.selected) is None:
            selected = navigation.default_selection(result.model.diagram)
            self.submit(replace(self.request, selected=selected))

    def _show_fitting_samples(self, model: ModelInfo) -> None:
        """Offer images that fit the model; a sample that does not fit is replaced."""
        fitting = self._all_samples.samples_for(model)
        if fitting is self.catalog.samples:
            return
        is_sample = self.catalog.sample_index(self.request.image) is not None
        self.catalog = replace(self.catalog, samples=fitting)
        self.window.sidebar.samples.set_samples(fitting)
        if is_sample:
            self.submit(replace(self.request, image=fitting[0]))

    def _take_catalog(self, catalog: Catalog) -> None:
        # Photographs take the place of the samples while a model with a large input is open.
        self._all_samples = catalog
        model = self.result.model
        samples = catalog.samples_for(model) if model else catalog.samples
        self.catalog = replace(catalog, samples=samples)
        self.window.start.set_catalog(catalog)
        self.window.sidebar.samples.set_samples(samples)
        if self.request.image is None and samples:
            self.submit(replace(self.request, image=samples[0]))

    def _take_failure(self, kind: str, message: str) -> None:
        """Go back to the last request that succeeded, and show the message."""
        self._is_engine_ready = True
        if kind == "run":
            self._go_back()
        self.say(message)
        self.refresh()

    def _go_back(self) -> None:
        is_same_model = self.request.checkpoint == self.last_good.checkpoint
        has_new_edits = self.request.edits != self.last_good.edits
        if is_same_model and has_new_edits and self.edits.stack.canUndo():
            self.edits.stack.undo()
        failed = self.request
        self.request = last_good_request(self.request, self.last_good, self.result)
        self._submit_again = False
        # Edits made just before the other model was requested have not been run yet.
        is_other_model = failed.checkpoint != self.request.checkpoint
        if is_other_model and self.request.edits != self.result.edits:
            self.submit(self.request)

    def _ask_to_run_code(self, path: str, model: str) -> None:
        """Keep what is shown; code runs only after the user has typed its name."""
        self.request = last_good_request(self.request, self.last_good, self.result)
        self.say(
            f"{Path(path).name} contains a custom model, {model}. "
            "Its code runs only after you enter its name."
        )
        self.window.ask_to_run_code(path, model, lambda: self.open(path, model))

    def open(self, path: str, architecture: str | None = None) -> None:
        """Open a checkpoint without edits.

        Those of the model on the screen can be undone until it is replaced.

        Args:
            path: path of a file, or name of a bundled model.
            architecture: architecture or custom model, which overrides detection.
        """
        self.window.banner.set_text("")
        shown = self.result.model.key if self.result.model else None
        if shown is not None and self.request.checkpoint == shown:
            self.last_good = replace(self.last_good, edits=self.request.edits)
        request = replace(
            self.request,
            checkpoint=path,
            architecture=architecture,
            wants_receptive_field=False,
        )
        if shown == path:
            # Opening the same file again is a step like any other: its edits can be brought back.
            self.submit(replace(request, edits=self.last_good.edits), run=False)
            self.edits.set_edits((), "open again")
        self.submit(replace(request, edits=()))

    # Screen

    def _apply_edits(self, edits: tuple[Edit, ...], is_drag: bool) -> None:
        self.submit(replace(self.request, edits=edits), is_drag=is_drag)

    def _show_progress(self) -> None:
        """Show what is awaited, or how long the last forward pass took."""
        waiting = self.screen.status if self._is_engine_ready else "loading PyTorch…"
        self.window.start.set_status(waiting)
        text = waiting
        if not waiting and self.result.seconds > MIN_SHOWN_SECONDS:
            text = f"forward pass: {1000 * self.result.seconds:.0f} ms"
        self.window.set_state("" if self.screen.page == "start" else text)

    def _update_actions(self) -> None:
        update_enabled_actions(self.window, self.screen, self.edits.stack)
