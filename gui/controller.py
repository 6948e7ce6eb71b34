"""What the user does becomes a new Wish; what the engine saw becomes a Screen; the views are given what differs."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partialmethod
from pathlib import Path
from typing import Literal

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QApplication

from gui import travel
from gui.present import enable, show
from gui.state import Picture, Screen, Shelf, Sight, Wish, another_picture, fallback, resolve
from gui.surgeon import Surgeon
from gui.views import style
from gui.views.overlays import Palette, Sheet
from gui.views.window import Window
from gui.worker import Worker


class Controller(QObject):
    """Owns the wish and the undo stack; each action of the table is a method of its name."""

    failed = Signal(str)

    def __init__(self, window: Window, worker: Worker, theme: str = "auto") -> None:
        super().__init__(window)
        self.window, self.worker = window, worker
        self.wish, self.sight, self.screen, self.shelf = Wish(), Sight(), Screen(), Shelf()
        self.surgeon = Surgeon(window, lambda: self.wish, lambda: self.screen, self)
        self._good, self._again, self._ready, self._theme_wish = Wish(), False, False, theme
        self._connect()
        self._apply_theme()
        show(self.window, None, self.screen)
        self._tell()

    def _connect(self) -> None:
        window, graph, inspector = self.window, self.window.graph, self.window.inspector
        self.worker.answered.connect(self._answered)
        self.worker.failed.connect(self._failed)
        window.wanted.connect(self.do)
        window.dropped.connect(self.take_files)
        window.dropped_image.connect(self.take_image)
        window.scheme_changed.connect(self._apply_theme)
        QApplication.styleHints().colorSchemeChanged.connect(self._apply_theme)
        window.start.picked.connect(self.open_path)
        window.start.open_wanted.connect(self.open_net)
        window.aside.samples.chosen.connect(self.take_sample)
        window.chips.removed.connect(self.surgeon.remove)
        window.chips.reset.connect(self.reset)
        graph.picked.connect(self.select)
        graph.cut_toggled.connect(self.surgeon.toggle_cut)
        graph.skip_menu_requested.connect(self.surgeon.menu)
        graph.hovered.connect(window.set_hover)
        inspector.hovered.connect(window.set_hover)
        inspector.contrast_wanted.connect(self.toggle_contrast)
        inspector.order_wanted.connect(self.toggle_order)
        self.surgeon.changed.connect(lambda edits, gently: self._want(replace(self.wish, edits=edits), gently=gently))
        self.surgeon.stack.indexChanged.connect(self._enable)
        window.aside.choose_wanted.connect(self.choose_picture)

    def do(self, name: str) -> None:
        """One action of the table."""
        getattr(self, name)()

    # nets and pictures

    def begin(self, net: str | None = None, picture: str | None = None, own: str | None = None) -> None:
        """Ask for the shelf, and for what the command line names."""
        if picture:
            self.wish = replace(self.wish, picture=Picture(Path(picture).name, path=picture))
        if net:
            self.open_path(net, own)
        self.worker.ask("shelf")
        self._tell()

    def open_path(self, path: str, own: str | None = None) -> None:
        """Another net: its edits start empty; those of the net that is shown can be undone until it has come."""
        self.window.banner.set_text("")
        shown = self.sight.net.key if self.sight.net else None
        if shown is not None and self.wish.net == shown:
            self._good = replace(self._good, edits=self.wish.edits)
        if shown == path:  # opened once more: that its edits go is a step like any other
            self._want(replace(self.wish, net=path, own=own, edits=self._good.edits), ask=False)
            self.surgeon.edit((), "open again")
        self._want(replace(self.wish, net=path, own=own, edits=()))

    def open_net(self) -> None:
        if path := self.window.choose_net():
            self.open_path(path)

    def show_start(self) -> None:
        self.surgeon.stack.clear()
        self.sight, old = Sight(), self.wish
        self.wish = Wish(picture=old.picture, contrast=old.contrast, order=old.order)
        self._refresh()

    def choose_picture(self) -> None:
        if path := self.window.choose_picture():
            self.take_files([path])

    def paste_picture(self) -> None:
        paths, image = self.window.clipboard()
        if paths:
            self.take_files(paths)
        elif image is not None:
            self.take_image(image)
        else:
            self._say("There is no picture on the clipboard: copy one first.")

    def take_files(self, paths: Sequence[str]) -> None:
        """Dropped files: the first checkpoint and the first picture among them."""
        nets, pictures = travel.parted(paths)
        if pictures:
            self.window.banner.set_text("")
            self._want(replace(self.wish, picture=Picture(Path(pictures[0]).name, path=pictures[0])), ask=not nets)
        if nets:
            self.open_path(nets[0])

    def take_image(self, image: QImage) -> None:
        self._want(replace(self.wish, picture=Picture("pasted picture", pixels=style.pixels_of(image))))

    def take_sample(self, index: int) -> None:
        if self.shelf.samples:
            self._want(replace(self.wish, picture=self.shelf.samples[index % len(self.shelf.samples)]))

    def _turn(self, step: int) -> None:
        place = self.shelf.place(self.wish.picture)
        self.take_sample(step + (min(0, -step) if place is None else place))

    next_sample, previous_sample = partialmethod(_turn, 1), partialmethod(_turn, -1)

    # edits

    def cut_skip(self) -> None:
        if way := self.window.graph.look.way:
            self.surgeon.toggle_cut(*way)
        elif not self.surgeon.cut_skip(self.wish.selected):
            self.window.set_hover("No skip ends here: select a merge, or a block that a skip goes around.")

    def cut_branch(self) -> None:
        self.surgeon.cut_branch(self.wish.selected)

    def open_gate(self) -> None:
        node = self.screen.diagram.node(self.wish.selected)
        if node and node.kind == "gate":
            self.surgeon.toggle_gate(node.name)

    def reset(self) -> None:
        self.surgeon.edit((), "reset all")

    def undo(self) -> None:
        self.surgeon.undo()

    def redo(self) -> None:
        self.surgeon.redo()

    # travel

    def select(self, name: str | None) -> None:
        if name and name != self.wish.selected:
            self._want(replace(self.wish, selected=name))

    def _go(self, way: Literal["left", "right", "up", "down"]) -> None:
        """Along an edge of the drawing; the block that is reached is selected at once."""
        self.window.graph.go(way)
        self.select(self.window.graph.look.cursor)

    go_right, go_left = partialmethod(_go, "right"), partialmethod(_go, "left")
    go_up, go_down = partialmethod(_go, "up"), partialmethod(_go, "down")

    def follow_skip(self) -> None:
        self.select(travel.source(self.screen.diagram, self.wish.selected))

    def go_end(self, step: int) -> None:
        self.select(travel.step(self.screen.diagram, None, step))

    go_first, go_last = partialmethod(go_end, 1), partialmethod(go_end, -1)

    # view and help

    def fit(self) -> None:
        self.window.graph.fit()

    def toggle_contrast(self) -> None:
        self.wish = replace(self.wish, contrast="layer" if self.wish.contrast == "channel" else "channel")
        self._refresh()

    def toggle_order(self) -> None:
        self.wish = replace(self.wish, order="weight" if self.wish.order == "channel" else "channel")
        self._refresh()

    def toggle_theme(self) -> None:
        self._theme_wish = "light" if self.theme.dark else "dark"
        self._apply_theme()

    def palette(self) -> None:
        palette = Palette(self.window)
        palette.chosen.connect(self.do)
        self.window.place(palette)

    def help(self) -> None:
        Sheet(self.window).open()

    def save_window(self) -> None:
        if path := self.window.choose_target():
            self.window.grab().save(path)

    def quit(self) -> None:
        self.window.close()

    # the loop: wish, sight, screen

    def _want(self, wish: Wish, ask: bool = True, gently: bool = False) -> None:
        """`gently` waits for the answer under way, so that every step of a scrub that can be shown is shown."""
        self.wish = wish
        if ask and wish.net is not None:
            self._again = gently and self.worker.waiting("see")
            if not self._again:
                self.worker.ask("see", wish)
        self._refresh()

    def _answered(self, kind: str, answer: object) -> None:
        self._ready = True
        if isinstance(answer, Shelf):
            self._take_shelf(answer)
        elif isinstance(answer, Sight) and self.wish.net is not None:
            self._ask_trust(self.wish.net, answer.asks) if answer.asks else self._take_sight(answer)
        self._refresh()

    def _take_sight(self, sight: Sight) -> None:
        """A picture that was refused leaves the wish; what is shown stays until another picture has been seen."""
        if sight.refused:
            self._say(sight.refused)
            self.wish = another_picture(self.wish, self._good, self.shelf)
            if self.wish.picture is not None:
                self._want(self.wish)
                return
        if sight.net and (self.sight.net is None or sight.net.key != self.sight.net.key):
            self.surgeon.stack.clear()
        self.sight, self._good = sight, self.wish
        if self._again:
            self._want(self.wish)
        elif sight.net and sight.net.diagram.node(self.wish.selected) is None:
            self._want(replace(self.wish, selected=travel.landing(sight.net.diagram)))

    def _take_shelf(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self.window.start.set_shelf(shelf)
        self.window.aside.samples.set_samples(shelf.samples)
        if self.wish.picture is None and shelf.samples:
            self._want(replace(self.wish, picture=shelf.samples[0]))

    def _failed(self, kind: str, sentence: str) -> None:
        """Back to the last wish that could be met; the sentence stands until it is dismissed."""
        self._ready = True
        if kind == "see":
            if self.wish.net == self._good.net and self.wish.edits != self._good.edits and self.surgeon.stack.canUndo():
                self.surgeon.stack.undo()
            wish, self.wish, self._again = self.wish, fallback(self.wish, self._good, self.sight), False
            if wish.net != self.wish.net and self.wish.edits != self.sight.edits:
                self._want(self.wish)
        self._say(sentence)
        self._refresh()

    def _ask_trust(self, path: str, net: str) -> None:
        """What is shown stays; the code that the file names is run only once the user has typed its name."""
        self.wish = fallback(self.wish, self._good, self.sight)
        self._say(f"{Path(path).name} holds a net of somebody's own, {net}: its code runs once you type its name.")
        self.window.ask_trust(path, net, lambda: self.open_path(path, net))

    def _say(self, sentence: str) -> None:
        self.window.banner.set_text(sentence)
        self.failed.emit(sentence)

    def _refresh(self) -> None:
        new = resolve(self.wish, self.sight)
        show(self.window, self.screen, new)
        self.screen = new
        self.window.aside.samples.set_current(self.shelf.place(self.wish.picture))
        self._tell()
        self._enable()

    def _tell(self) -> None:
        """What is awaited, quietly."""
        self.window.start.set_status(waiting := self.screen.status if self._ready else "loading PyTorch…")
        timed = f"seen in {1000 * self.sight.seconds:.0f} ms" if self.sight.seconds > 0.001 else ""
        self.window.set_state("" if self.screen.page == "start" else waiting or timed)

    def _enable(self) -> None:
        enable(self.window, self.screen, self.surgeon.stack)

    def _apply_theme(self) -> None:
        """The system's colour scheme, unless one was asked for."""
        self.theme = style.chosen(self._theme_wish)
        self.window.set_theme(self.theme)
