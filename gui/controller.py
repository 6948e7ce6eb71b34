"""Connects the views' signals and the actions of the table with what they do."""

from dataclasses import replace
from pathlib import Path

from PySide6.QtWidgets import QApplication

from gui import navigation
from gui.file_controller import FileController
from gui.layout import Direction
from gui.request_loop import RequestLoop
from gui.session_controller import SessionController
from gui.state import ImageInput
from gui.views import qt_style
from gui.views.command_palette import CommandPalette
from gui.views.shortcuts_dialog import ShortcutsDialog
from gui.views.window import MainWindow
from gui.worker import Worker

NO_SKIP_MESSAGE = "No skip ends here: select a merge, or a block that a skip goes around."


class Controller(RequestLoop):
    """Performs the actions of `gui.actions`: each is a method here, in `files` or in `sessions`.

    Args:
        window: the window.
        worker: runs the model.
        theme: "light", "dark" or "auto" for the system's color scheme.
        session_path: file of the last session, None to save none.

    Attributes:
        files: opens models and images.
        sessions: saves and restores sessions.
    """

    def __init__(
        self,
        window: MainWindow,
        worker: Worker,
        theme: str = "auto",
        session_path: Path | None = None,
    ) -> None:
        super().__init__(window, worker)
        self.files = FileController(self)
        self.sessions = SessionController(self, session_path)
        window.closing.connect(self.sessions.autosave)
        self._theme_request = theme  # "auto" follows the system
        self._connect_window()
        self._connect_views()
        self._apply_theme()

    def _connect_window(self) -> None:
        window = self.window
        window.action_requested.connect(self.trigger)
        window.dropped.connect(self.files.open_paths)
        window.dropped_image.connect(self.files.set_image)
        window.scheme_changed.connect(self._apply_theme)
        QApplication.styleHints().colorSchemeChanged.connect(self._apply_theme)

    def _connect_views(self) -> None:
        window = self.window
        graph = window.graph
        inspector = window.inspector
        window.header.choice_requested.connect(self.choose_model)
        window.start.picked.connect(self.open)
        window.start.open_requested.connect(self.files.open_checkpoint)
        window.sidebar.samples.chosen.connect(self.files.select_sample)
        window.sidebar.choose_requested.connect(self.files.choose_image)
        window.chips.removed.connect(self.edits.remove)
        window.chips.reset.connect(self.reset)
        graph.picked.connect(self.select)
        graph.cut_toggled.connect(self.edits.toggle_cut)
        graph.skip_menu_requested.connect(self.edits.show_skip_menu)
        graph.hovered.connect(window.set_hover)
        window.depth_panel.strip.picked.connect(self.select)
        window.depth_panel.strip.hovered.connect(window.set_hover)
        window.depth_panel.measure_requested.connect(self.show_in_strip)
        window.color_button.chosen.connect(self.color_graph)
        inspector.hovered.connect(window.set_hover)
        inspector.zero_requested.connect(self.toggle_channel)
        inspector.position_hovered.connect(self.show_receptive_field)
        inspector.contrast_requested.connect(self.toggle_contrast)
        inspector.order_requested.connect(self.toggle_order)

    def start(
        self, model: str | None = None, image: str | None = None, architecture: str | None = None
    ) -> None:
        """Load the catalog, and open what the command line names.

        Args:
            model: path of a checkpoint or name of a bundled model.
            image: path of an image.
            architecture: architecture or custom model, which overrides detection.
        """
        if image:
            self.request = replace(self.request, image=ImageInput(Path(image).name, path=image))
        if model:
            self.open(model, architecture)
        # After the model, which the user waits for.
        self.worker.submit("catalog")
        self.refresh()

    def trigger(self, name: str) -> None:
        """Perform an action.

        Args:
            name: its name in the table.
        """
        # Each action is a method of one of the three, found by its name.
        owner = next(one for one in (self, self.files, self.sessions) if hasattr(one, name))
        getattr(owner, name)()

    def refresh(self) -> None:
        """Update the window, and save the session soon."""
        super().refresh()
        self.sessions.schedule_autosave()

    def choose_model(self) -> None:
        """Ask which of the models that the file fits it is, and open it as that one."""
        model = self.result.model
        if model and model.choices:
            key = model.key
            self.window.ask_to_choose(key, model.choices, lambda name: self.open(key, name))

    # Edits

    def cut_skip(self) -> None:
        """Cut or restore the input under the pointer, or the selected node's skip connection."""
        hovered_input = self.window.graph.paint_state.hovered_input
        if hovered_input:
            self.edits.toggle_cut(*hovered_input)
        elif not self.edits.cut_skip(self.request.selected):
            self.window.set_hover(NO_SKIP_MESSAGE)

    def cut_branch(self) -> None:
        """Cut or restore the branch of the selected addition."""
        self.edits.cut_branch(self.request.selected)

    def open_gate(self) -> None:
        """Set the selected gate to 1, or restore it."""
        node = self.screen.diagram.node(self.request.selected)
        if node and node.kind == "gate":
            self.edits.toggle_gate(node.name)

    def remove_block(self) -> None:
        """Remove the selected block, or restore it."""
        self.edits.toggle_block(self.request.selected)

    def toggle_channel(self, channel: int) -> None:
        """Set a channel of the selected node to zero, or restore it.

        Args:
            channel: its number.
        """
        node = self.screen.node
        if node and node.hook_point:
            self.edits.toggle_channel(node.name, channel)

    def reset(self) -> None:
        """Remove all edits."""
        self.edits.set_edits((), "reset all")

    def undo(self) -> None:
        """Take back the last step."""
        self.edits.undo()

    def redo(self) -> None:
        """Repeat the step that was taken back."""
        self.edits.redo()

    # Selection

    def select(self, name: str | None) -> None:
        """Select a node.

        Args:
            name: its name; None changes nothing.
        """
        # Each request is work for the engine, so none is made without a change.
        if name and name != self.request.selected:
            self.submit(replace(self.request, selected=name))

    def go_right(self) -> None:
        """Select the next node."""
        self._go("right")

    def go_left(self) -> None:
        """Select the previous node."""
        self._go("left")

    def go_up(self) -> None:
        """Select the node above."""
        self._go("up")

    def go_down(self) -> None:
        """Select the node below."""
        self._go("down")

    def go_first(self) -> None:
        """Select the first node."""
        self.select(navigation.neighbor(self.screen.diagram, None, 1))

    def go_last(self) -> None:
        """Select the last node."""
        self.select(navigation.neighbor(self.screen.diagram, None, -1))

    def go_to_skip_source(self) -> None:
        """Select the node where the selected node's skip connection forks off."""
        self.select(navigation.skip_source(self.screen.diagram, self.request.selected))

    def _go(self, direction: Direction) -> None:
        """Move the cursor along an edge, and select the node that it reaches."""
        self.window.graph.move_cursor(direction)
        self.select(self.window.graph.paint_state.cursor)

    # View and help

    def fit(self) -> None:
        """Show the whole graph."""
        self.window.graph.fit()

    def toggle_contrast(self) -> None:
        """Switch between one color scale per channel and one for the layer."""
        is_channel = self.request.contrast == "channel"
        self.request = replace(self.request, contrast="layer" if is_channel else "channel")
        self.refresh()

    def toggle_order(self) -> None:
        """Switch between gate weights by channel and sorted."""
        is_channel = self.request.gate_order == "channel"
        self.request = replace(self.request, gate_order="weight" if is_channel else "channel")
        self.refresh()

    def show_receptive_field(self, position: tuple[int, int] | None) -> None:
        """Mark the pixels of the image that a position of the shown map depends on.

        Args:
            position: (y, x) in the map, None for no mark.
        """
        # It may take the engine a second, so it is computed when first needed.
        if position is not None and not self.request.wants_receptive_field:
            self.submit(replace(self.request, wants_receptive_field=True))
        field = self.screen.receptive_field
        pixels = self.screen.input_pixels
        box = None
        if position is not None and field is not None and pixels is not None:
            box = field.box(*position, (pixels.shape[0], pixels.shape[1]))
        self.window.sidebar.image.set_box(box)

    def show_in_strip(self, name: str) -> None:
        """Show another figure in the depth strip.

        Args:
            name: name of the measure.
        """
        self.submit(replace(self.request, strip_measure=name))

    def color_graph(self, name: str) -> None:
        """Color the graph by a figure.

        Args:
            name: name of the measure; "" for plain colors.
        """
        self.submit(replace(self.request, color_measure=name or None))

    def toggle_theme(self) -> None:
        """Switch between light and dark."""
        self._theme_request = "light" if self.theme.dark else "dark"
        self._apply_theme()

    def palette(self) -> None:
        """Show the command palette."""
        palette = CommandPalette(self.screen.diagram, self.window)
        palette.chosen.connect(self.trigger)
        palette.node_chosen.connect(self.select)
        self.window.show_popup(palette)

    def help(self) -> None:
        """Show the keyboard shortcuts."""
        ShortcutsDialog(self.window).open()

    def save_screenshot(self) -> None:
        """Ask for a path and save a screenshot of the window there."""
        path = self.window.choose_screenshot_path()
        if path and not self.window.grab().save(path):
            self.say(f"Cannot save the screenshot as {path}. Check the folder and use .png.")

    def quit(self) -> None:
        """Close the window."""
        self.window.close()

    def _apply_theme(self) -> None:
        """Use the theme that was requested, or the system's color scheme."""
        self.theme = qt_style.resolve_theme(self._theme_request)
        self.window.set_theme(self.theme)
