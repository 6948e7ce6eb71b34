"""A Screen onto the window: each view is given its part only where that differs from what it shows."""

from gui.state import Screen
from gui.views import style
from gui.views.window import Window


def show(window: Window, old: Screen | None, new: Screen) -> None:
    """Paint `new` over `old`; everything where `old` is None."""

    def differs(*names: str) -> bool:
        return old is None or any(not _same(getattr(old, name), getattr(new, name)) for name in names)

    graph, inspector, aside = window.graph, window.inspector, window.aside
    if differs("page"):
        window.set_page(new.page)
    if differs("title", "facts", "warning"):
        window.set_title(new.title, new.facts, new.warning)
    if differs("diagram"):
        graph.set_diagram(new.diagram)
    if differs("diagram", "edits"):
        graph.set_edits(new.edits)
    if differs("diagram", "changes"):
        graph.set_values(new.changes)
    if differs("diagram", "selected"):
        graph.set_selected(new.selected)
    if differs("chips"):
        window.chips.set_chips(new.chips)
    if differs("seen", "picture"):
        aside.set_picture(None if new.seen is None else style.picture_image(new.seen), new.picture)
    if differs("bars"):
        aside.prediction.set_bars(new.bars)
    if differs("node"):
        inspector.set_node(new.node)
    if differs("contrast"):
        inspector.set_contrast(new.contrast)
    if differs("order"):
        inspector.set_order(new.order)
    if differs("detail"):
        inspector.set_detail(new.detail)


def _same(old: object, new: object) -> bool:
    """Identity first: arrays are compared by who they are, plain values by what they say."""
    return old is new or (type(old) is type(new) and type(old).__module__ != "numpy" and old == new)
