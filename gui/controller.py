"""What the user does becomes a new Wish; what the engine saw becomes a Screen; the views are given what differs."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QObject, QPoint, Signal
from PySide6.QtGui import QImage, QUndoStack
from PySide6.QtWidgets import QApplication

from gui import travel
from gui.edits import Change
from gui.state import Edit, Picture, Screen, Shelf, Sight, Wish, find_edit, resolve, with_edit, without_edit
from gui.theme import DARK, LIGHT
from gui.views import style
from gui.views.inspector import facts
from gui.views.menu import SkipMenu
from gui.views.overlays import Palette, Sheet
from gui.views.window import Window
from gui.worker import Worker

NETS = (".ckpt", ".pt", ".pth", ".safetensors", ".pkl", ".bin")


class Controller(QObject):
    """Owns the wish and the undo stack; each action of the table is a method of its name."""

    seen = Signal()
    failed = Signal(str)

    def __init__(self, window: Window, worker: Worker, theme: str = "auto") -> None:
        super().__init__(window)
        self.window, self.worker = window, worker
        self.wish, self.sight, self.screen, self.shelf = Wish(), Sight(), Screen(), Shelf()
        self.stack = QUndoStack(self)
        self._good, self._again, self._ready = Wish(), False, False
        self._theme_wish = theme
        self._connect()
        self._apply_theme()
        self._show(self.screen, everything=True)
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
        window.samples.chosen.connect(self.take_sample)
        window.chips.removed.connect(lambda *key: self.edit(without_edit(self.wish.edits, key)))
        window.chips.reset.connect(self.reset)
        graph.picked.connect(self.select)
        graph.cut_toggled.connect(self.toggle_cut)
        graph.skip_menu_requested.connect(self.skip_menu)
        graph.hovered.connect(self._hovered)
        inspector.hovered.connect(window.set_hover)
        inspector.contrast_wanted.connect(self.toggle_contrast)
        inspector.order_wanted.connect(self.toggle_order)
        self.stack.indexChanged.connect(self._enable)

    def do(self, name: str) -> None:
        """One action of the table."""
        getattr(self, name)()

    # nets and pictures

    def begin(self, net: str | None = None, picture: str | None = None) -> None:
        """Ask for the shelf, and for what the command line names."""
        if picture:
            self.wish = replace(self.wish, picture=Picture(Path(picture).name, path=picture))
        if net:
            self.open_path(net)
        self.worker.ask("shelf")
        self._tell()

    def open_path(self, path: str) -> None:
        """Another net: its edits start empty."""
        self.stack.clear()
        self.window.banner.set_text("")
        self._want(replace(self.wish, net=path, edits=()))

    def open_net(self) -> None:
        if path := self.window.choose_net():
            self.open_path(path)

    def show_start(self) -> None:
        self.stack.clear()
        self.sight = Sight()
        self.wish = Wish(picture=self.wish.picture, contrast=self.wish.contrast, order=self.wish.order)
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
        nets = [path for path in paths if Path(path).suffix.lower() in NETS]
        pictures = [path for path in paths if path not in nets]
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

    def next_sample(self) -> None:
        self.take_sample((self._sample() or 0) + 1 if self._sample() is not None else 0)

    def previous_sample(self) -> None:
        self.take_sample((self._sample() or 0) - 1)

    # edits

    def edit(self, edits: tuple[Edit, ...], text: str = "edit", scrub: int = 0) -> None:
        """Make these the active edits, undoable; steps of one `scrub` (not 0) are undone together."""
        if edits != self.wish.edits:
            self.stack.push(Change(self._set_edits, self.wish.edits, edits, text, scrub))

    def fade(self, merge: str, operand: int, gain: float, scrub: int = 0) -> None:
        self.edit(with_edit(self.wish.edits, Edit("scale", merge, operand, gain)), f"fade {merge}", scrub)

    def toggle_cut(self, merge: str, operand: int) -> None:
        now = find_edit(self.wish.edits, ("scale", merge, operand))
        self.fade(merge, operand, 1.0 if now and now.cut else 0.0)

    def cut_skip(self) -> None:
        if skip := travel.skip_at(self.screen.diagram, self.wish.selected):
            self.toggle_cut(skip.merge, skip.operand)
        else:
            self.window.set_hover("No skip ends here: select a merge, or a block that a skip goes around.")

    def cut_branch(self) -> None:
        skip = travel.skip_at(self.screen.diagram, self.wish.selected)
        if skip and skip.kind == "add":
            self.toggle_cut(skip.merge, 1 - skip.operand)

    def open_gate(self) -> None:
        node = self.screen.diagram.node(self.wish.selected)
        if node and node.kind == "gate":
            self.toggle_gate(node.name)

    def toggle_gate(self, gate: str) -> None:
        """Force a gate open (all weights 1), or let it weigh again."""
        held = Edit("hold", gate, 1, 1.0)
        edits = self.wish.edits
        self.edit(without_edit(edits, held.key) if find_edit(edits, held.key) else with_edit(edits, held))

    def reset(self) -> None:
        self.edit((), "reset all")

    def undo(self) -> None:
        self.stack.undo()

    def redo(self) -> None:
        self.stack.redo()

    def skip_menu(self, merge: str, operand: int, at: QPoint) -> None:
        """The menu of a skip, at a point of the screen."""
        skip, node = self.screen.diagram.skip(merge, operand), self.screen.diagram.node(merge)
        kind = skip.kind if skip else node.kind if node else "block"
        now = find_edit(self.wish.edits, ("scale", merge, operand))
        held = find_edit(self.wish.edits, ("hold", merge, 1)) is not None
        menu = SkipMenu(travel.title(skip, merge), kind, now.value if now else 1.0, held, self.window)
        menu.aboutToHide.connect(menu.deleteLater)
        scrub = Change.new_scrub()
        menu.faded.connect(lambda gain: self.fade(merge, operand, gain, scrub))
        menu.cut_wanted.connect(lambda: self.toggle_cut(merge, operand))
        menu.branch_wanted.connect(lambda: self.toggle_cut(merge, 1 - operand))
        menu.open_wanted.connect(lambda: self.toggle_gate(merge))
        menu.restore_wanted.connect(
            lambda: self.edit(tuple(edit for edit in self.wish.edits if edit.target != merge), "restore")
        )
        menu.popup(at)

    # travel

    def select(self, name: str | None) -> None:
        if name and name != self.wish.selected:
            self._want(replace(self.wish, selected=name))

    def go_next(self) -> None:
        self.select(travel.step(self.screen.diagram, self.wish.selected, 1))

    def go_back(self) -> None:
        self.select(travel.step(self.screen.diagram, self.wish.selected, -1))

    def go_source(self) -> None:
        self.select(travel.source(self.screen.diagram, self.wish.selected))

    def go_merge(self) -> None:
        self.select(travel.merge(self.screen.diagram, self.wish.selected))

    def go_first(self) -> None:
        self.select(travel.step(self.screen.diagram, None, 1))

    def go_last(self) -> None:
        self.select(travel.step(self.screen.diagram, None, -1))

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
            if gently and self.worker.waiting("see"):
                self._again = True
            else:
                self._again = False
                self.worker.ask("see", wish)
        self._refresh()

    def _set_edits(self, edits: tuple[Edit, ...], gently: bool) -> None:
        self._want(replace(self.wish, edits=edits), gently=gently)

    def _answered(self, kind: str, answer: object) -> None:
        self._ready = True
        if isinstance(answer, Shelf):
            self._take_shelf(answer)
        elif isinstance(answer, Sight) and self.wish.net is not None:
            self.sight, self._good = answer, self.wish
            if self._again:
                self._want(self.wish)
            elif answer.net and answer.net.diagram.node(self.wish.selected) is None:
                self._want(replace(self.wish, selected=travel.landing(answer.net.diagram)))
        self._refresh()
        if kind == "shelf" or self.sight.detail is not None:
            self.seen.emit()

    def _take_shelf(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self.window.start.set_shelf(shelf)
        self.window.samples.set_samples(shelf.samples)
        if self.wish.picture is None and shelf.samples:
            self._want(replace(self.wish, picture=shelf.samples[0]))
        self.window.samples.set_current(self._sample())

    def _failed(self, kind: str, sentence: str) -> None:
        """Back to the last wish that could be met; the sentence stands until it is dismissed."""
        self._ready = True
        if kind == "see":
            if self.wish.net == self._good.net and self.wish.edits != self._good.edits and self.stack.canUndo():
                self.stack.undo()
            opened = self._good if self.sight.net else Wish(picture=self._good.picture)
            if self.sight.net is None and self.wish.net and self._good.net is None:
                opened = replace(opened, picture=self.wish.picture)
            self.wish, self._again = replace(opened, contrast=self.wish.contrast, order=self.wish.order), False
        self._say(sentence)
        self._refresh()

    def _say(self, sentence: str) -> None:
        self.window.banner.set_text(sentence)
        self.failed.emit(sentence)

    def _refresh(self) -> None:
        self._show(resolve(self.wish, self.sight))
        self._tell()
        self._enable()

    def _show(self, new: Screen, everything: bool = False) -> None:
        old, window = self.screen, self.window
        self.screen = new

        def differs(*names: str) -> bool:
            return everything or any(not _same(getattr(old, name), getattr(new, name)) for name in names)

        if differs("page"):
            window.set_page(new.page)
        if differs("title", "facts", "warning"):
            window.set_title(new.title, new.facts, new.warning)
        if differs("diagram"):
            window.graph.set_diagram(new.diagram)
        if differs("diagram", "edits"):
            window.graph.set_edits(new.edits)
        if differs("diagram", "changes"):
            window.graph.set_values(new.changes)
        if differs("diagram", "selected"):
            window.graph.set_selected(new.selected)
        if differs("chips"):
            window.chips.set_chips(new.chips)
        if differs("seen", "picture"):
            window.set_picture(None if new.seen is None else style.picture_image(new.seen), new.picture)
            window.samples.set_current(self._sample())
        if differs("bars"):
            window.prediction.set_bars(new.bars)
        if differs("node"):
            window.inspector.set_node(new.node)
        if differs("contrast"):
            window.inspector.set_contrast(new.contrast)
        if differs("order"):
            window.inspector.set_order(new.order)
        if differs("detail"):
            window.inspector.set_detail(new.detail)

    def _tell(self) -> None:
        """What is awaited, quietly."""
        waiting = "loading PyTorch…" if not self._ready else self.screen.status
        self.window.start.set_status(waiting)
        seconds = self.sight.seconds
        self.window.set_state(waiting or (f"{1000 * seconds:.0f} ms" if seconds else ""))

    def _enable(self) -> None:
        net = self.screen.page == "net"
        enabled = {
            "undo": self.stack.canUndo(),
            "redo": self.stack.canRedo(),
            "reset": bool(self.wish.edits),
            **{name: net for name in ("cut_skip", "cut_branch", "open_gate", "fit", "toggle_contrast", "show_start")},
        }
        for name, value in enabled.items():
            self.window.set_enabled(name, value)

    def _hovered(self, name: str) -> None:
        node = self.screen.diagram.node(name)
        self.window.set_hover(f"{node.name} · {facts(node)}" if node else "")

    def _sample(self) -> int | None:
        return next((i for i, picture in enumerate(self.shelf.samples) if picture is self.wish.picture), None)

    def _apply_theme(self) -> None:
        """The system's colour scheme, unless one was asked for."""
        scheme = QApplication.styleHints().colorScheme()
        dark = self._theme_wish == "dark" or (self._theme_wish == "auto" and scheme.name == "Dark")
        self.theme = DARK if dark else LIGHT
        self.window.set_theme(self.theme)


def _same(old: object, new: object) -> bool:
    return old is new or (type(old) is type(new) and old == new)
