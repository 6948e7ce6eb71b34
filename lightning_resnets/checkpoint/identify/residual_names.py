"""Give the keys of a residual network our names, whatever combination of spellings they have."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from lightning_resnets.checkpoint.identify.spellings import (
    BLOCKS,
    BRANCH,
    BRANCH_LAYERS,
    DEEP_STEM_LAYERS,
    DEEP_STEM_RE,
    LEAVES,
    SE_LAYERS,
    SHORTCUT_LAYERS,
    STEM_LAYERS,
    PartRules,
)
from lightning_resnets.models.rename_keys import expand_groups

Shapes = Mapping[str, tuple[int, ...]]

BRANCH_RE = re.compile(BRANCH, re.IGNORECASE)
MAX_STAGES = 8


@dataclass(frozen=True, slots=True)
class BlockKey:
    """A key inside a block: number of stage and block, the layer in it, and the leaf.

    `first_stages` are the numbers that the first stage may have in this spelling.
    """

    key: str
    first_stages: tuple[int, ...]
    stage: int
    block: int
    layer: str
    leaf: str


def name_residual_keys(shapes: Shapes) -> dict[str, str]:
    """Name the weights of a residual network as our models do.

    Args:
        shapes: shape of every weight by the file's key, without a prefix.

    Returns:
        Our name of each key; keys that no rule knows keep theirs. {} if the file has no blocks.
    """
    inside = list[BlockKey]()
    names = dict[str, str]()
    has_deep_stem = any(DEEP_STEM_RE.match(key) for key in shapes)
    for key in shapes:
        block_key = _parse_block_key(key)
        if block_key is None:
            names[key] = _name_stem_key(key, has_deep_stem)
        else:
            inside.append(block_key)
    if not inside:
        return {}
    names.update(_name_blocks(inside, shapes))
    return names


def _parse_block_key(key: str) -> BlockKey | None:
    """Split a key of a block into its parts, or return None."""
    layer, _, leaf = key.rpartition(".")
    for pattern, first_stages in BLOCKS:
        found = _compile(pattern).match(f"{layer}.")
        if found:
            rest = layer[found.end() :]
            numbers = int(found[1]), int(found[2])
            return BlockKey(key, first_stages, *numbers, rest, _name_leaf(leaf))
    return None


def _name_leaf(leaf: str) -> str:
    """Return our name of a parameter or statistic."""
    return _apply(LEAVES, leaf) or leaf


def _name_stem_key(key: str, has_deep_stem: bool) -> str:
    """Return our name of a key outside the blocks; its own if no rule knows it."""
    layer, _, leaf = key.rpartition(".")
    named = ""
    if has_deep_stem:
        named = _apply(DEEP_STEM_LAYERS, layer)
    named = named or _apply(STEM_LAYERS, layer) or layer
    # A key without a dot has no layer.
    if not named:
        return key
    return f"{named}.{_name_leaf(leaf)}"


def _name_blocks(inside: list[BlockKey], shapes: Shapes) -> dict[str, str]:
    """Name the keys of all blocks."""
    first = min(inside, key=lambda item: item.stage)
    first_stage = first.stage
    # Without its first stage a model must not pass for a smaller one.
    if first_stage not in first.first_stages:
        first_stage = first.first_stages[-1]
    first_block = min(item.block for item in inside)
    groups = dict[tuple[int, int], list[BlockKey]]()
    for item in inside:
        groups.setdefault((item.stage, item.block), []).append(item)
    names = dict[str, str]()
    for (stage, block), items in groups.items():
        start = f"layer{stage - first_stage + 1}.{block - first_block}"
        numbered = _number_layers(items, shapes)
        has_shortcut_norm = any(_shortcut(item) == "downsample.1" for item in items)
        for item in items:
            layer = numbered.get(item.layer) or _name_layer(item, has_shortcut_norm)
            names[item.key] = f"{start}.{layer}.{item.leaf}"
    return names


def _shortcut(item: BlockKey) -> str:
    """Return our name of a layer of the shortcut, or ""."""
    return _apply(SHORTCUT_LAYERS, item.layer)


def _name_layer(item: BlockKey, has_shortcut_norm: bool) -> str:
    """Return our name of a layer in a block; its own if no rule knows it."""
    if shortcut := _shortcut(item):
        # A shortcut with a batch norm is a Sequential in our models, any other a convolution.
        if shortcut not in ("downsample", "downsample.0"):
            return shortcut
        if has_shortcut_norm:
            return "downsample.0"
        return "downsample"
    if number := _apply(SE_LAYERS, item.layer):
        return f"se.fc{number}"
    inner = _strip_branch(item.layer)
    return _apply(BRANCH_LAYERS, item.layer) or _apply(BRANCH_LAYERS, inner) or item.layer


def _number_layers(items: list[BlockKey], shapes: Shapes) -> dict[str, str]:
    """Name the layers of a branch that is one Sequential, by their order.

    Args:
        items: the keys of one block.
        shapes: shape of every weight.

    Returns:
        Our names of layers such as `residual.3`.
    """
    kinds = dict[str, str]()
    for item in items:
        # Hugging Face's layers have names below their numbers.
        if _strip_branch(item.layer).isdigit() and item.leaf == "weight":
            sides = len(shapes[item.key])
            kinds[item.layer] = "conv" if sides == 4 else "bn"
    counts = {"conv": 0, "bn": 0}
    names = dict[str, str]()
    for layer in sorted(kinds, key=lambda layer: int(_strip_branch(layer))):
        kind = kinds[layer]
        counts[kind] += 1
        names[layer] = f"{kind}{counts[kind]}"
    return names


def _strip_branch(layer: str) -> str:
    """Remove the container of a block's branch."""
    found = BRANCH_RE.match(layer)
    if found is None:
        return layer
    return layer[found.end() :]


def _apply(rules: PartRules, text: str) -> str:
    """Return the replacement of the first rule that matches the whole text, or ""."""
    for pattern, replacement in rules:
        found = _compile(pattern).fullmatch(text)
        if found:
            return expand_groups(replacement, found)
    return ""


@cache
def _compile(pattern: str) -> re.Pattern[str]:
    """Compile a pattern; projects differ in upper and lower case."""
    return re.compile(pattern, re.IGNORECASE)
