"""Facts of an opened model for the header."""

from gui.engine.badges import model_badges, model_choices
from gui.engine.catalog import format_accuracy
from gui.engine.conversion import to_gui_graph
from gui.state import ModelInfo
from lightning_resnets.interactive.model import InteractiveModel

CHOICE_OPTION = "--model"


def describe_model(key: str, interactive: InteractiveModel) -> ModelInfo:
    """Describe a model.

    Args:
        key: the request's name for it.
        interactive: the opened model.

    Returns:
        Its folded graph and the facts of its card.
    """
    graph = interactive.graph
    card = interactive.card
    accuracy = format_accuracy(card)
    facts = []
    if card.dataset_title:
        facts.append(("data", card.dataset_title))
    if accuracy:
        facts.append(("accuracy", accuracy.replace(" test accuracy", " on the test set")))
    facts.append(("parameters", f"{graph.parameters:,}"))
    facts.append(("MACs", f"{graph.macs / 1e6:,.1f} M"))
    # Only a file without a card has been recognized by the names of its weights.
    if card.dialect:
        facts.append(("names", f"{card.dialect}'s names"))
    choices = model_choices(interactive)
    warning = "" if accuracy or card.dialect else "accuracy unknown"
    # The header offers the choice itself instead of naming the option of the command line.
    notes = [note for note in interactive.notes if not (choices and CHOICE_OPTION in note)]
    # A note of the library is more precise than the general warning.
    if notes:
        warning = notes[0]
    return ModelInfo(
        key,
        card.arch,
        card.arch,
        card.class_names,
        to_gui_graph(graph.fold()),
        tuple(facts),
        warning,
        badges=model_badges(interactive),
        input_size=card.input_size,
        choices=choices,
    )
