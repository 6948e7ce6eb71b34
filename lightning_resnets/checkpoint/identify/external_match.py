"""Match weights under their own keys against the models of torchvision and timm."""

from collections.abc import Mapping
from dataclasses import replace

from lightning_resnets.checkpoint.identify.matching import Match, match_model
from lightning_resnets.checkpoint.identify.spellings import HEAD_RE
from lightning_resnets.checkpoint.identify.translate import NamedWeights, split_auxiliary
from lightning_resnets.models.known.index import Neighbor, classifier_keys, lookup

# A model without its last layer has at least this much in common with the whole one.
MIN_HEADLESS_SIMILARITY = 0.5


def match_external(original: NamedWeights, arch: str) -> Match | None:
    """Match weights against the closest model of the index.

    Args:
        original: weights under their own names.
        arch: the model's name in the file's metadata, or "".

    Returns:
        The match, which may not fit; None if the index has nothing similar.
    """
    rows = lookup(original.shapes)
    state, auxiliary = split_auxiliary(original.state_dict)
    ignored = (*original.ignored_keys, *auxiliary)
    weights = replace(original, state_dict=state, ignored_keys=ignored)
    # An exact row that the file names comes before the closest one.
    named = [row for row in rows if row.is_exact and row.arch.partition("/")[2] == arch]
    for row in (*named, *rows[:1]):
        match = match_model(row.arch, {}, weights, row.num_classes)
        if match is not None:
            if not match.fits:
                match = _match_other_head(match, row)
            return replace(match, preprocessing=row.preprocessing)
    return None


def _match_other_head(match: Match, row: Neighbor) -> Match:
    """Match a file with a last layer of another name, or with none; else return the match."""
    if row.similarity < MIN_HEADLESS_SIMILARITY or match.mismatched_keys:
        return match
    classifier = set(classifier_keys(row.arch))
    others = match.unexpected_keys
    if set(match.missing_keys) != classifier or not all(map(HEAD_RE.fullmatch, others)):
        return match
    renamed = _rename_last_layer(match.weights, others, tuple(classifier))
    if renamed:
        found = match_model(row.arch, {}, renamed, _width(renamed, classifier))
        if found is not None and found.fits:
            return found
    # Without the odd layers the body may still be the model's.
    found = match_model(row.arch, {}, _without(match.weights, others), 0)
    if found is not None and found.fits:
        return found
    return match


def _rename_last_layer(
    weights: NamedWeights, others: tuple[str, ...], classifier: tuple[str, ...]
) -> NamedWeights | None:
    """Rename a single linear layer as the model has it; None if there is no such layer."""
    leaves = {key.rpartition(".")[2]: key for key in classifier}
    found = {key.rpartition(".")[2]: key for key in others}
    if leaves.keys() != found.keys() or len(others) != len(classifier):
        return None
    names = {found[leaf]: leaves[leaf] for leaf in leaves}
    state = {names.get(key, key): weight for key, weight in weights.state_dict.items()}
    return replace(weights, state_dict=state)


def _width(weights: NamedWeights, classifier: set[str]) -> int:
    """Return the width of the last layer."""
    widths = (len(weights.state_dict[key]) for key in classifier if key.endswith("weight"))
    return next(widths, 0)


def _without(weights: NamedWeights, keys: tuple[str, ...]) -> NamedWeights:
    """Return weights without the keys of a head that no model has."""
    state = {key: weight for key, weight in weights.state_dict.items() if key not in set(keys)}
    shapes = _shapes_of(weights.shapes, state)
    return replace(
        weights,
        state_dict=state,
        shapes=shapes,
        ignored_keys=(*weights.ignored_keys, *keys),
        is_headless=True,
        dropped_head=next(iter(keys), ""),
    )


def _shapes_of(
    shapes: Mapping[str, tuple[int, ...]], state: Mapping[str, object]
) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the weights that were kept."""
    return {key: shape for key, shape in shapes.items() if key in state}
